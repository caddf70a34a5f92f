#!/bin/sh
# kill -9 at random moments of a run that saves every step. After each kill the newest checkpoint must be whole and no
# older than the one before, and in the end the run must have the bytes of one that was never killed.
#   KILLS=100 SEED=1 BFNCL=build/bfncl tests/torture/kill9.sh
set -eu
bfncl=${BFNCL:-build/bfncl}
kills=${KILLS:-100}
seed=${SEED:-$$}
state=$seed
dir=$(mktemp -d "${TMPDIR:-/tmp}/bfncl-kill9-XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT INT TERM
run=$dir/run
fail() {
    echo "kill9: $* (seed $seed)" >&2
    tail -5 "$dir/log" >&2
    ls -l "$run" >&2
    exit 1
}

train() { # FOLDER STEPS; schedule_steps is fixed so that the number of steps does not show in the weights
    exec "$bfncl" train configs/tiny.yaml --out "$1" --resume --steps "$2" -q --set train.save_every=1 \
        --set train.schedule_steps=100000 --set train.eval_every=3 --set train.log_every=1 --set eval.examples=2 \
        --set net.width=4 >>"$dir/log" 2>&1
}
random() { # r = 0 .. $1 - 1; no subshell, which would forget the state
    state=$(((state * 1103515245 + 12345) % 2147483648))
    r=$((state / 65536 % $1))
}
unfinished() { find "$run" -name '*.tmp.*' | wc -l; }
logged() { grep -c '"event":"step"' "$run/train.jsonl" || true; } # steps
# Step of the newest checkpoint that --resume would take; empty when there is none. info checks every checksum.
step() {
    for name in last previous; do
        "$bfncl" info "$run/$name.safetensors" --json >"$dir/info" 2>>"$dir/log" || continue
        sed -n 's/.*"step": *\([0-9]*\).*/\1/p' "$dir/info" | head -1
        return
    done
}

echo "kill9: seed $seed"
(train "$run" 2) || fail "the first run failed"
before=$(step)
in_save=0
i=0
while [ "$i" -lt "$kills" ]; do
    begin=$(logged)
    train "$run" 1000000 &
    pid=$!
    random 10
    if [ "$r" != 0 ]; then # one in ten is killed while it starts, the others while they train and save
        while [ "$(logged)" -le "$begin" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    fi
    random 300
    sleep "0.$(printf '%03d' "$r")"
    kill -9 "$pid" 2>/dev/null || fail "the run ended by itself"
    code=0
    wait "$pid" 2>/dev/null || code=$?
    [ "$code" = 137 ] || fail "the run ended by itself with exit code $code"
    pid=
    i=$((i + 1))
    [ "$(unfinished)" = 0 ] || in_save=$((in_save + 1))
    now=$(step)
    [ -n "$now" ] || fail "no valid checkpoint after kill $i"
    [ "$now" -ge "$before" ] || fail "back from step $before to $now after kill $i"
    before=$now
done
(train "$run" $((before + 2))) || fail "the run does not go on"
[ "$(unfinished)" = 0 ] || fail "unfinished files stay behind"
(train "$dir/straight" $((before + 2))) || fail "the run without kills failed"
cmp -s "$run/last.safetensors" "$dir/straight/last.safetensors" ||
    fail "the killed run differs from one that was never killed"
echo "kill9: $kills kills up to step $before, $in_save of them inside a save: a valid checkpoint each time, and the same bytes in the end"
