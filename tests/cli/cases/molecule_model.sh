# Molecules: training, samples in every format and mode, a scaffold, scores of data and of samples, refusals.
small="--set net.width=16 --set net.heads=2 --set net.blocks=1 --set net.neighbours=4 --set train.warmup=2 \
--set train.batch=64 --set sample.steps=4"
data=$REPO/tests/molecules.sdf
# shellcheck disable=SC2086
bfncl train "$REPO/configs/molecules.yaml" $small --set data.train="$data" --steps 4 --out atoms
err_has 'position [0-9.]+, type [0-9.]+'
exists atoms/best.safetensors atoms/last.safetensors
grep -q '"groups":{"position":' atoms/train.jsonl || fail "no parts of the loss in train.jsonl"
grep -q 'elements: .*H C N O F P S Cl Br' atoms/config.yaml || fail "the elements are not in config.yaml"
bfncl info atoms/best.safetensors
bfncl sample atoms -n 6 --seed 3 -o a.sdf
[ "$(cat out)" = a.sdf ] || fail "stdout is not the path alone"
[ "$(grep -c '^\$\$\$\$$' a.sdf)" = 6 ] || fail "a.sdf does not hold 6 molecules"
bfncl sample atoms -n 6 --seed 3 -o b.sdf -q
same a.sdf b.sdf
for mode in ancestral end_back end_back_pmf end_back_mode; do
    bfncl sample atoms -n 2 --sampler $mode -o $mode.xyz
    exists $mode.xyz
done
bfncl sample atoms -n 2 -o a.png
head -c 8 a.png | od -An -tx1 | grep -q '89 50 4e 47 0d 0a 1a 0a' || fail "a.png is no PNG"
printf '2\npart\nC 0 0 0\nO 1.2 0 0\n' >part.xyz
bfncl sample atoms -n 2 --scaffold part.xyz -o held.xyz
[ "$(grep -Ec '^O +1\.2000' held.xyz)" = 2 ] || fail "the scaffold moved: $(cat held.xyz)"
bfncl eval atoms --data "$data" --limit 10 --json
json samples=10 dims=4 groups.0.name=position groups.0.recon_bits_per_dim=null # places have no bins to be coded in
bfncl eval atoms --data "$data" --limit 10
out_has 'nats/atom'
out_has '^position +3 +[0-9.]+ +- '
bfncl eval atoms --data "$data" --limit 10 --baselines --over-time 2 --per-example scores.csv
out_has '^untrained network +[0-9]'
[ "$(wc -l <scores.csv)" = 11 ] || fail "scores.csv has not 10 lines and a header"
bfncl eval atoms --samples a.sdf --chart bonds.svg --json
json samples.molecules=6 reference.molecules=40 file=a.sdf
exists bonds.svg
bfncl eval atoms --samples "$data"
out_has 'distance of bond lengths +0\.000'
refused 2 sample atoms -n 1 --sampler best -o x.sdf
refused 2 sample atoms -n 1 -o x.gif
refused 2 sample atoms -n 1 -o x.sdf --trajectory x.svg
err_has 'x\.svg: a trajectory of this model is a \.gif or a \.png file'
absent x.sdf x.svg
bfncl sample atoms -n 2 --steps 3 -o film.sdf --trajectory film.gif --json
json trajectory=film.gif
exists film.gif
bfncl sample atoms -n 2 --steps 3 -o film.sdf --trajectory film.png
exists film.png
refused 2 sample atoms -n 1 -o x.sdf --live
err_has 'only texts can be watched live'
refused 4 sample atoms -n 1 --scaffold missing.sdf -o x.sdf
printf '1\n\nI 0 0 0\n' >iodine.xyz
refused 4 sample atoms -n 1 --scaffold iodine.xyz -o x.sdf
err_has 'I is not among the model'
refused 4 eval atoms --data iodine.xyz
err_has 'molecule 1, atom 1: I is not among the elements'
refused 4 eval atoms --samples missing.sdf
{ echo 100000 && echo large && yes 'C 1 2 3' | head -100000; } >large.xyz
refused 4 eval atoms --samples large.xyz
err_has 'large\.xyz: molecule 1 has 100000 atoms'
refused 2 eval atoms --data large.xyz
err_has 'molecule 1 has 100000 atoms, a batch of this model holds 64'
refused 2 sample atoms -n 1 --scaffold large.xyz -o x.sdf
err_has 'the scaffold has 100000 atoms'
bfncl sample atoms --dry-run --json
bfncl eval atoms --dry-run
# shellcheck disable=SC2086
refused 2 train "$REPO/configs/molecules.yaml" $small --set data.train="$data" --set train.batch=8 --out none
err_has 'has 12 atoms, a batch of this model holds 8'
absent x.sdf x.gif
trained
refused 2 sample "$run_folder" -n 1 --scaffold part.xyz -o x.png
err_has 'models of molecules'
refused 4 eval "$run_folder" --samples a.sdf # the model makes pictures
err_has 'a\.sdf: is a file of unknown kind, expected a data set'
refused 2 eval atoms --samples a.sdf --encoder net.safetensors
err_has 'an encoder is for pictures, this model makes molecules'
