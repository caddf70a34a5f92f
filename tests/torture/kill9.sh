#!/bin/sh
# kill -9 at random moments of a run that saves every step: afterwards a valid checkpoint must always be there.
#   BFNCL=build/bfncl tests/torture/kill9.sh [COUNT]      default 100
set -eu
bfncl=${BFNCL:-build/bfncl}
count=${1:-${KILL9_COUNT:-100}}
dir=$(mktemp -d "${TMPDIR:-/tmp}/bfncl-kill9-XXXXXX")
trap 'rm -rf "$dir"' EXIT INT TERM
run=$dir/run
seed=$$

start() {
    "$bfncl" train configs/tiny.yaml --out "$run" --resume -q --set train.steps=1000000 --set train.save_every=1 \
        --set train.eval_every=3 --set train.log_every=1 --set eval.examples=2 --set net.width=4 2>>"$dir/log" &
    pid=$!
}

# The newest checkpoint that is whole, as --resume would find it; info checks every checksum.
valid() {
    "$bfncl" info "$run/last.safetensors" >/dev/null 2>&1 || "$bfncl" info "$run/previous.safetensors" >/dev/null 2>&1
}

random() { # 0 .. $1 - 1
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    echo $((seed / 65536 % $1))
}

start # the first checkpoint, so that there is something to lose
while ! [ -e "$run/last.safetensors" ]; do
    kill -0 "$pid" 2>/dev/null || { echo "kill9: the run ended by itself:" >&2; cat "$dir/log" >&2; exit 1; }
    sleep 0.1
done
running=1
i=0
while [ "$i" -lt "$count" ]; do
    [ "$running" = 1 ] || start
    lines=$(wc -l <"$run/train.jsonl")
    if [ "$(random 10)" != 0 ]; then # one in ten is killed while it starts, the others while they train and save
        while [ "$(wc -l <"$run/train.jsonl")" -lt $((lines + 2)) ] && kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    fi
    sleep "0.$(printf '%03d' "$(random 400)")"
    kill -0 "$pid" 2>/dev/null || { echo "kill9: the run ended by itself:" >&2; cat "$dir/log" >&2; exit 1; }
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    running=0
    i=$((i + 1))
    valid || { echo "kill9: no valid checkpoint after kill $i" >&2; ls -l "$run" >&2; exit 1; }
done
step=$("$bfncl" info "$run/last.safetensors" --json | sed -n 's/.*"step": *\([0-9]*\).*/\1/p' | head -1)
"$bfncl" train configs/tiny.yaml --out "$run" --resume -q --set train.steps=$((step + 1)) --set net.width=4
left=$(find "$run" -name '*.tmp.*' | wc -l)
[ "$left" = 0 ] || { echo "kill9: $left temporary files left behind" >&2; exit 1; }
echo "kill9: $count kills, a valid checkpoint each time (reached step $step)"
