# A run that was stopped and resumed ends with the bytes of one that was not.
tiny=$REPO/configs/tiny.yaml
set -- --set train.save_every=1 --set train.schedule=constant --set train.schedule_steps=100
"$BFNCL" train "$tiny" --steps 100000 "$@" --out part >out 2>err &
pid=$!
n=0
while [ ! -e part/last.safetensors ] && [ "$n" -lt 600 ]; do
    sleep 0.1
    n=$((n + 1))
done
exists part/last.safetensors
kill -INT "$pid"
code=0
wait "$pid" || code=$?
_command="train, stopped by SIGINT"
[ "$code" = 130 ] || fail "exit code $code, wanted 130"
err_has 'second signal'
out_empty
bfncl info part/last.safetensors --json
step=$(sed -n 's/.*"step" *: *\([0-9]*\).*/\1/p' out | head -1)
[ -n "$step" ] && [ "$step" -ge 1 ] || fail "no step in the checkpoint"
bfncl train --out part --resume --steps $((step + 2)) --json
json steps=$((step + 2)) first_step="$step"
bfncl train "$tiny" --steps $((step + 2)) "$@" --out straight -q
same part/last.safetensors straight/last.safetensors
cp part/last.safetensors before.safetensors
bfncl train --out part --resume --steps $((step + 2)) # nothing left to do
same part/last.safetensors before.safetensors
