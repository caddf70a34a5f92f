# Points in a plane, and the paths of their parameters.
command -v python3 >/dev/null 2>&1 || { echo "note: no python3, no points"; exit 0; }
for shape in line spiral moons rings; do
    "$REPO/ci/toy2d" $shape 300 >toy2d.npy
    "$BFNCL" info toy2d.npy --json >out
    json
done
bfncl train "$REPO/configs/toy2d.yaml" --steps 20 --set net.width=8 --out toy
for kind in svg png gif; do
    bfncl sample toy -n 5 --steps 7 --seed 1 -o points.npy --trajectory paths.$kind
    exists paths.$kind
done
[ "$(grep -c '<path' paths.svg)" = 7 ] || fail "not the data, five paths and their ends"
"$REPO/ci/toy2d" line 300 >line.npy
bfncl train "$REPO/configs/toy2d.yaml" --steps 20 --set net.width=8 --set data.train=line.npy --out line
for kind in svg png gif; do
    bfncl sample line -n 5 --steps 7 --seed 1 -o line_points.npy --trajectory line.$kind
    exists line.$kind
done
[ "$(grep -c '<path stroke' line.svg)" = 7 ] || fail "not the data, five paths and their ends"
[ "$(grep -c '<path fill' line.svg)" -gt 100 ] || fail "not the density behind them"
bfncl eval toy --samples points.npy
out_has 'by 2 values as they are'
refused 2 eval toy --samples points.npy --neighbours near.png
err_has 'vectors .* are not drawn'
refused 2 sample toy -n 1 -o points.npy --trajectory paths.jpg
err_has 'a \.gif or a \.png or a \.svg'
