# Class labels: a conditional model is trained, sampled by class and scored; what cannot be is refused by name.
names="t-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, boot"
bfncl train "$REPO/configs/tiny.yaml" --steps 6 --set data.labels=auto --set "data.label_names=$names" \
    --set train.lr=3e-2 --set train.warmup=0 --out run
grep -q 'label_names: "\?t-shirt, trouser' run/config.yaml || fail "the names of the classes are not kept"
bfncl info run
out_has 't-shirt, trouser'
bfncl sample run -n 2 --steps 2 --seed 7 --label "trouser,boot" --guidance 1.5 -o two.png --json
json samples=4 classes=2 guidance=1.5 "label=trouser,boot"
err_has '2 of each of 2 classes, guidance 1.5'
bfncl sample run -n 3 --steps 2 --label all -o all.png --json
json samples=30 classes=10 guidance=0.0
# ten rows of three: 28 pixels twice as large, 2 between
[ "$(od -An -tu1 -j16 -N8 all.png | tr -s ' ')" = " 0 0 0 176 0 0 2 70" ] || fail "not a row per class: $(od -An -tu1 -j16 -N8 all.png)"
bfncl sample run -n 2 --steps 2 --seed 7 --label shirt --weights raw -o plain.npy
bfncl sample run -n 2 --steps 2 --seed 7 --label shirt --guidance 0 --weights raw -o zero.npy
same plain.npy zero.npy
bfncl sample run -n 2 --steps 2 --seed 7 --label shirt --guidance 2 --weights raw -o guided.npy
! cmp -s plain.npy guided.npy || fail "guidance changes nothing"
bfncl sample run -n 2 --steps 2 --seed 7 --weights raw -o without.npy
bfncl sample run -n 2 --steps 2 --seed 7 --label none --weights raw -o none.npy
same without.npy none.npy
! cmp -s plain.npy none.npy || fail "a class changes nothing"
# What is given is given to every class: the upper half of a picture, NaN below.
bfncl sample run -n 1 --steps 2 --label bag -o one.npy
{ head -c "$(($(wc -c <one.npy) - 1568))" one.npy; i=0; while [ $i -lt 392 ]; do printf '\000\000\300\177'; i=$((i + 1)); done; } >half.npy
bfncl sample run --given half.npy -n 2 --steps 2 --label shirt,boot -o filled.npy --json
json samples=4 classes=2
for k in 1 2 3 4; do
    tail -c $((k * 3136)) filled.npy | head -c 1568 >upper
    tail -c 3136 half.npy | head -c 1568 | cmp -s - upper || fail "sample $k does not have what is given"
done
bfncl eval run --limit 8 --json
bfncl eval run --limit 8 --label none
bfncl eval run --limit 8 --label boot

refused 2 sample run -n 1 --steps 1 --label hat -o x.png
err_has '"hat" is no class of this model: expected t-shirt, trouser, .*boot, all or none'
refused 2 sample run -n 1 --steps 1 --guidance 1 -o x.png
err_has 'which one\? t-shirt, trouser'
refused 2 sample run -n 1 --steps 1 --label boot --guidance -1 -o x.png
err_has '"-1" is not a number from 0 to 100'
refused 2 eval run --limit 8 --label boot,bag
err_has 'one class'
trained
refused 2 sample "$run_folder" -n 1 --steps 1 --label boot -o x.png
err_has 'without labels'
refused 2 sample "$run_folder" -n 1 --steps 1 --guidance 1 -o x.png
err_has 'without labels'
refused 2 eval "$run_folder" --limit 8 --label none
err_has 'without labels'
absent x.png

data=/usr/share/datasets/fashion-mnist
gzip -dc "$data/t10k-labels-idx1-ubyte.gz" | head -c 900 >cut.idx
refused 4 train "$REPO/configs/tiny.yaml" --steps 1 --set data.labels=cut.idx --out bad
err_has 'cut\.idx: 10000 elements expected, 892 bytes found'
refused 4 train "$REPO/configs/tiny.yaml" --steps 1 --set "data.labels=$data/t10k-labels-idx1-ubyte.gz" --out bad
err_has 't10k-labels.*: 10000 labels for the 60000 examples of .*train-images'
refused 4 train "$REPO/configs/tiny.yaml" --steps 1 --set data.labels=auto --set "data.label_names=a, b" --out bad
err_has 'train-labels.*: record 0 has label 9, there are 2 classes'
refused 4 eval run --set "data.test_labels=$data/t10k-images-idx3-ubyte.gz"
err_has '3 dimensions'
gzip -dc "$data/t10k-images-idx3-ubyte.gz" >alone.idx
refused 4 eval run --data alone.idx
err_has 'alone\.idx: no labels'
err_has 'data\.test_labels'
bfncl eval run --data alone.idx --limit 8 --label none
refused 2 train "$REPO/configs/tiny.yaml" --set data.labels=auto --set "data.label_names=a, none" --out bad
err_has '"none"'
refused 2 train "$REPO/configs/tiny.yaml" --set data.label_names=a --out bad
err_has 'needs data\.labels'
refused 2 train "$REPO/configs/text_small.yaml" --set data.labels=auto --out bad
err_has 'data\.labels needs data\.transform'
refused 2 bench train "$REPO/configs/tiny.yaml" --set data.labels=auto --steps 1
err_has 'data\.label_names'
absent bad
