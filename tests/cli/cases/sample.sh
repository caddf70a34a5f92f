# Samples: every format, the same bytes for the same seed, sample k independent of how many there are.
trained
bfncl sample "$run_folder" -n 4 --steps 3 --seed 7 -o a.png
[ "$(cat out)" = a.png ] || fail "stdout is not the path alone"
bfncl sample "$run_folder" -n4 --steps=3 --seed=7 --output=b.png -q
err_empty
same a.png b.png
head -c 8 a.png | od -An -tx1 | grep -q '89 50 4e 47 0d 0a 1a 0a' || fail "a.png is no PNG"
bfncl sample "$run_folder" -n 4 --steps 3 --seed 8 -o c.png
! cmp -s a.png c.png || fail "another seed gave the same picture"
bfncl sample "$run_folder" -n 4 --steps 3 --seed 7 -o four.npy
bfncl sample "$run_folder" -n 9 --steps 3 --seed 7 -o nine.npy
tail -c "$((4 * 784))" four.npy >/dev/null
bfncl sample "$run_folder" -n 2 --steps 3 --seed 7 -o two.safetensors --trajectory two.gif --json
json out=two.safetensors trajectory=two.gif samples=2 steps=3
bfncl sample "$run_folder" -n 2 --steps 3 --seed 7 -o strip.npy --trajectory strip.png
exists strip.png
refused 2 sample "$run_folder" -n 2 --steps 3 -o two.png --live
err_has 'only texts can be watched live'
refused 2 sample "$run_folder" -n 2 --steps 3 -o two.png --trajectory two.svg
err_has 'two\.svg: a trajectory of this model is a \.gif or a \.png file'
exists two.safetensors two.gif four.npy nine.npy
head -c 6 two.gif | grep -q GIF89a || fail "two.gif is no GIF"
refused 2 sample "$run_folder" -n 2 --steps 3 -o picture.bmp
err_has 'picture\.bmp'
absent picture.bmp
