# Pictures and texts with holes, texts of several lengths: what is given stays, the rest is drawn.
decode() { base64 -d >"$1"; }
decode picture.png <<'E' # a ramp of greys whose lower half is transparent
iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAQAAADYBBcfAAAAbElEQVR42u3LkRaAQAAAwdU0TdM0TdM0TdM0PU3TNE3TNE3TtA/Y/qN34wMmpmbm
FpZW1ja2dvYOjgYnZxdXN3cPTy9vH1+JMcb/RxJSMnIKSipqGlo6egZGAhMzCysbOwcnFzcPLzHG+Pv4AUAw+q9ykhiQAAAAAElFTkSuQmCC
E
decode mask.png <<'E' # white below
iVBORw0KGgoAAAANSUhEUgAAABwAAAAcAQAAAABaduI5AAAAEklEQVR42mNgoAr4////B4oJAIXSNvf4ieskAAAAAElFTkSuQmCC
E
decode flat.png <<'E' # 27 x 28, black
iVBORw0KGgoAAAANSUhEUgAAABwAAAAbAQAAAABHc9KBAAAADElEQVR42mNgGBQAAACHAAFMCzA9AAAAAElFTkSuQmCC
E
trained
upper() { tail -c "$((2 * 784 * 4))" "$1" | head -c "$((392 * 4))"; }
lower() { tail -c "$((784 * 4))" "$1" | tail -c "$((392 * 4))"; }
bfncl sample "$run_folder" --given picture.png -n 2 --steps 3 --seed 1 -o a.npy --json
json samples=2
bfncl sample "$run_folder" --given picture.png -n 2 --steps 3 --seed 2 -o b.npy
upper a.npy >a.upper
upper b.npy >b.upper
lower a.npy >a.lower
lower b.npy >b.lower
same a.upper b.upper
! cmp -s a.lower b.lower || fail "the lower halves are the same"
[ "$(od -An -tf4 -N12 a.upper | tr -s ' ')" = " -0.9375 -0.9375 -0.8125" ] || fail "not the bins of greys 0, 9, 18"
bfncl sample "$run_folder" --given picture.png --mask mask.png -n 2 --steps 3 --seed 1 -o c.npy
same a.npy c.npy
bfncl sample "$run_folder" --given picture.png -n 2 --steps 3 --seed 1 -o d.npy --set sample.batch=1
same a.npy d.npy
bfncl sample "$run_folder" --given a.npy --mask mask.png --steps 3 --seed 3 -o e.npy --json # each of its pictures, once
json samples=2
upper e.npy >e.upper
same a.upper e.upper
for mode in end_back end_back_pmf; do
    bfncl sample "$run_folder" --given picture.png -n 2 --steps 2 --sampler $mode -o m.npy
    upper m.npy >m.upper
    same a.upper m.upper
done
refused 2 sample "$run_folder" --given picture.png --mask flat.png -o x.png
err_has 'flat\.png: 27 x 28 pixels, this model makes pictures of 28 x 28'
refused 2 sample "$run_folder" --given a.npy -o x.png
err_has 'a\.npy: leaves nothing to draw'
refused 2 sample "$run_folder" --mask mask.png -o x.png
err_has 'none is given'
refused 2 sample "$run_folder" --lengths 3 -o x.png
head -c 60 picture.png >cut.png
refused 4 sample "$run_folder" --given cut.png -o x.png
refused 4 sample "$run_folder" --given "$REPO/README.md" -o x.png
err_has 'expected a PNG picture or an NPY array'
absent x.png

i=0
while [ $i -lt 120 ]; do printf 'the quick brown fox, number %d ' $i; i=$((i + 1)); done >book.txt
bfncl train "$REPO/configs/text_small.yaml" --set data.train=book.txt --set net.width=16 --set net.blocks=1 \
    --set data.vocabulary=learned --set data.length=12 --set train.batch=4 --set eval.examples=4 --steps 2 --out run
bfncl sample run --given 'the _?__ f' -n 3 --steps 3
[ "$(grep -c '^the .... f$' out)" = 3 ] || fail "not what was given"
cp out three
bfncl sample run --given 'the _?__ f' -n 3 --steps 3 --set sample.batch=2
same out three
printf 'the *** f\n' >holes.txt
bfncl sample run --given holes.txt --hole '*' --steps 3 --length 11 --sampler end_back_pmf
[ "$(grep -Ec '^the ... f..$' out)" = 1 ] || fail "not what the file gives"
bfncl sample run --lengths 3,5-7 -n 6 --steps 3
[ "$(awk '{ printf "%d ", length }' out)" = "3 5 6 7 3 5 " ] || fail "other lengths"
bfncl sample run --lengths 12 -n 2 --steps 3 --seed 4
cp out long
bfncl sample run -n 2 --steps 3 --seed 4
same out long
refused 2 sample run --given 'the quick brown fox _'
err_has 'the given text has 21 characters, a sample has 12'
refused 2 sample run --given 'the_Z'
err_has "the given text: line 1: 'Z' is not in the vocabulary"
echo 'the_Z' >wrong.txt
refused 4 sample run --given wrong.txt
refused 2 sample run --given 'the q'
err_has 'leaves nothing to draw'
refused 2 sample run --given 'the _' --hole ab
refused 2 sample run --given 'the _' --mask mask.png
refused 2 sample run --given 'the _' --length 4
refused 2 sample run --lengths 4 --length 4
refused 2 sample run --lengths 4,13
err_has 'outside 1\.\.12'
refused 2 sample run --lengths 4,,5
bfncl sample run --given 'the _?__ f' -n 3 --steps 3 --particles 4
[ "$(grep -c '^the .... f$' out)" = 3 ] || fail "not what was given"
cp out three
bfncl sample run --given 'the _?__ f' -n 3 --steps 3 --particles 4 --set sample.batch=4
same out three
bfncl sample run -n 2 --steps 3 --temperature 0.01
refused 2 sample run -n 2 --temperature 0
err_has 'sample\.temperature = 0 is out of range'
refused 2 sample run -n 2 --particles 3
err_has 'particles follow what is given, and nothing is'
refused 2 sample run --given 'the _' --particles 3 --sampler sde2
err_has 'which the sampler ancestral has, and not sde2'
