# Matrix products are tuned: a table is written, used by the commands after it, and left out when it does not fit.
export XDG_CONFIG_HOME="$PWD/config"
refused 4 tune --list
bfncl tune --reset
out_has 'is not tuned'
bfncl tune --seconds 1 --json
json device driver table id time clblast= tried wrong=0 refused=0 rows.0.class=nn-batched-short rows.0.provider=packed \
    rows.0.gflops rows.0.default_gflops
exists config/bfncl/tune-*.json
bfncl tune --list
out_has '^nn-batched-short +256 +256 +64 +64 +packed '
bfncl tune --list --json
json rows.0.class=nn-batched-short tried=0
bfncl --device list -v
out_has 'matrix products +tuned 20..-'
bfncl train "$REPO/configs/tiny.yaml" --steps 1 --out run
grep -q '"gemm":"tuned [0-9a-f]*"' run/train.jsonl || fail "the log does not say what decides about products"
# without the table the run goes on, and says so
BFNCL_TUNE='' bfncl train "$REPO/configs/tiny.yaml" --steps 2 --out run --resume
err_has 'matrix products are done as packed, so far as tuned'
bfncl train "$REPO/configs/tiny.yaml" --steps 2 --out run --resume
err_has 'matrix products are done as tuned .* so far as packed'
# damaged, and of another driver
table=$(echo config/bfncl/tune-*.json)
cp "$table" good
sed 's/"driver": *"[^"]*"/"driver": "0.0"/' good >"$table"
bfncl --device list -v
out_has 'matrix products +not tuned: .*checksum'
bfncl bench gemm --gemm packed --shape 8x8x8
err_lacks 'checksum'
bfncl train "$REPO/configs/tiny.yaml" --steps 1 --out other
err_has 'checksum; not used, `bfncl tune` measures anew'
grep -q '"gemm":"packed"' other/train.jsonl || fail "a damaged table was used"
head -c 100 good >"$table"
refused 4 tune --list
bfncl tune --reset
out_has '^removed .*config/bfncl/tune-'
absent "$table"
refused 2 tune --list --reset
refused 2 tune --seconds 0
run 2 env -u XDG_CONFIG_HOME -u HOME "$BFNCL" tune --seconds 1
err_has 'no folder for the table'
bfncl tune --seconds 1 --output mine.json
exists mine.json
BFNCL_TUNE=mine.json bfncl --device list -v
out_has 'matrix products +tuned .*mine.json'
