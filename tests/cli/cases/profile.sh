# Time per kernel, and a trace of when they ran.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --out run --steps 4 --profile --trace trace.json
err_has '^profile of 3 steps after the first: [0-9.]+ ms per step, [0-9.]+ launches$'
err_has '^between launches: [0-9.]+ ms per step'
err_has '^limits, measured: [0-9.]+ GFLOP/s .* [0-9.]+ GB/s'
err_has '^ +[0-9.]+ +[0-9.]+% .* optim\.cl: adamw'
err_lacks 'flow.*: .*_recon' # of a validation
cp trace.json out
json displayTimeUnit traceEvents.0.ph=M traceEvents.1.args.name=host traceEvents.3.ts traceEvents.3.dur
for name in 'open the data' 'open the device' 'plan, build kernels' 'set the weights' validate save; do
    [ "$(grep -c "\"name\":\"$name\"" trace.json)" = 1 ] || fail "trace: $name"
done
[ "$(grep -c '"name":"step"' trace.json)" = 4 ] || fail 'trace: steps'
[ "$(grep -c '"name":"adamw".*"tid":2' trace.json)" -ge 4 ] || fail 'trace: kernels'

# The sums of the JSON form fit together, and the run is the same as without.
bfncl train "$tiny" --out same --steps 4 --profile --json
err_lacks 'launches'
json profile.unit=step profile.units=3 profile.first_left_out=true profile.kernels.0.file profile.kernels.0.ms \
    profile.peak_gflops profile.copy_gbps ms_per_step
bfncl train "$tiny" --out plain --steps 4 -q
same plain/last.safetensors same/last.safetensors
same plain/last.safetensors run/last.safetensors
if command -v python3 >/dev/null 2>&1; then
    bfncl train "$tiny" --out sums --steps 4 --profile --json
    python3 - <<'PYTHON' || fail 'the profile does not add up'
import json
p = json.load(open("out"))["profile"]
rows = p["kernels"]
assert abs(sum(r["ms"] for r in rows) - p["device_ms"]) < 1e-3 * p["device_ms"]
assert sum(r["runs"] for r in rows) == p["launches"]
assert all(r["runs"] % 3 == 0 for r in rows), [r for r in rows if r["runs"] % 3]
assert 0 < p["device_ms"] <= 1.05 * p["ms"]
assert [r["ms"] for r in rows] == sorted((r["ms"] for r in rows), reverse=True)
assert p["peak_gflops"] > 0 and p["copy_gbps"] > 0
PYTHON
fi

bfncl eval run --limit 8 --set eval.batch=2 --profile --json
json profile.unit=batch profile.kernels.0.kernel
bfncl sample run -n 4 --steps 3 -o s.png --profile --trace trace.json
err_has '^profile of 3 steps after the first'
exists s.png trace.json
bfncl sample run -n 1 --steps 1 -o s.png --profile --json
json profile.units profile.kernels.0.kernel
bfncl bench train "$REPO/configs/bench/text.yaml" --set net.width=16 --set net.blocks=1 --set net.heads=1 \
    --set data.length=9 --steps 1 --batch 2 --profile --json
json profile.units=3 ms_per_step
bfncl train "$tiny" --dry-run --profile --trace none.json
absent none.json
refused 2 bench peak --profile
refused 2 bench gemm --trace x.json
refused 1 train "$tiny" --out run2 --steps 1 --trace absent/trace.json
absent run2
