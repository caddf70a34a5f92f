# SIGTERM saves and exits 143; a closed pipe is an error, not a crash.
tiny=$REPO/configs/tiny.yaml
"$BFNCL" train "$tiny" --steps 100000 --out run >out 2>err &
pid=$!
n=0
while ! grep -q 'training' err && [ "$n" -lt 600 ]; do
    sleep 0.1
    n=$((n + 1))
done
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
_command="train, stopped by SIGTERM"
[ "$code" = 143 ] || fail "exit code $code, wanted 143"
exists run/last.safetensors
bfncl info run/last.safetensors
if [ -e /dev/full ]; then
    code=0
    "$BFNCL" --help >/dev/full 2>err || code=$?
    [ "$code" = 1 ] || fail "results lost without an error (exit code $code)"
    err_has 'standard output'
fi
