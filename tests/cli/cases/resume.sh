# A run that was stopped and resumed ends with the bytes of one that was not.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --steps 6 --out whole -q
bfncl train "$tiny" --steps 6 --set train.save_every=3 --out part -q
bfncl train "$tiny" --steps 6 --set train.save_every=3 --out part --resume # nothing left to do
rm -rf part
# Same schedule, ended early by a signal after the first checkpoint.
"$BFNCL" train "$tiny" --steps 100000 --set train.save_every=1 --set train.schedule=constant --out part >out 2>err &
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
bfncl train "$tiny" --steps $((step + 2)) --set train.save_every=1 --set train.schedule=constant --out straight -q
bfncl info part/last.safetensors --json
same part/last.safetensors straight/last.safetensors
