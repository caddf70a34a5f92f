# No room for the next checkpoint: the old one survives, the run says so and goes on.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --steps 2 --out run -q
cp run/last.safetensors old.safetensors
blocks=$(($(wc -c <run/last.safetensors) / 1024)) # a file may not get as long as the checkpoint
code=0
(ulimit -f $((blocks * 2 - 8)); exec "$BFNCL" train "$tiny" --steps 4 --out run --resume) >out 2>err || code=$?
_command="train --resume without room"
[ "$code" = 0 ] || [ "$code" = 1 ] || fail "exit code $code"
err_has 'last\.safetensors'
err_has 'warning|error'
same run/last.safetensors old.safetensors
bfncl train "$tiny" --steps 4 --out run --resume --json
json steps=4 first_step=2
