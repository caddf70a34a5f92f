#!/bin/sh
# Rough treatment: kill -9 at random moments of a run that saves every step, then a disk that fills up. After every kill
# the newest checkpoint must be whole, the run must have lost no more than the step it was in, and it must go on.
#
#   KILLS=100 SEED=1 BFNCL=build/bfncl tests/torture/run.sh
set -eu
repo=$(cd "$(dirname "$0")/../.." && pwd)
BFNCL=${BFNCL:-$repo/build/bfncl}
case $BFNCL in /*) ;; *) BFNCL=$PWD/$BFNCL ;; esac
KILLS=${KILLS:-100}
SEED=${SEED:-$(date +%s)}
export OCL_ICD_VENDORS="${OCL_ICD_VENDORS:-pocl.icd}" LC_ALL=C
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export XDG_CACHE_HOME="$work/cache"
passed=0
failed=0
fail() {
    failed=$((failed + 1))
    echo "FAIL  $*"
    tail -5 err 2>/dev/null | sed 's/^/      /'
}

run_folder=$work/run
set -- --set train.save_every=1 --set train.eval_every=3 --set train.schedule=constant --set data.limit=64
train() { "$BFNCL" train "$repo/configs/tiny.yaml" --out "$run_folder" --resume "$@" >out 2>err; }
unfinished() { find "$run_folder" -name '*.tmp*'; }
step_of() { "$BFNCL" info "$1" --json 2>err | sed -n 's/.*"step" *: *\([0-9]*\).*/\1/p' | head -1; }

# The first run fills the kernel cache; the second tells how long a start takes.
train --steps 2 "$@" || { fail "the first run"; exit 1; }
begin=$(date +%s%N)
train --steps 4 "$@" || { fail "the second run"; exit 1; }
start_ms=$((($(date +%s%N) - begin) / 1000000))
echo "seed $SEED, $KILLS kills, each within $((2 * start_ms)) ms of the start"

awk -v seed="$SEED" -v n="$KILLS" -v max="$start_ms" 'BEGIN { srand(seed); for (i = 0; i < n; i++) printf "%.3f\n", 2 * max * rand() / 1000 }' >moments
before=4
in_save=0
while read -r moment; do
    "$BFNCL" train "$repo/configs/tiny.yaml" --out "$run_folder" --resume --steps 1000000 "$@" >out 2>err &
    pid=$!
    sleep "$moment"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
    [ -z "$(unfinished)" ] || in_save=$((in_save + 1))
    step=$(step_of "$run_folder/last.safetensors")
    if [ -z "$step" ]; then
        fail "kill after $moment s: last.safetensors does not load"
        break
    elif [ "$step" -lt "$before" ]; then
        fail "kill after $moment s: back from step $before to $step"
    elif [ -e "$run_folder/best.safetensors" ] && ! "$BFNCL" info "$run_folder/best.safetensors" >out 2>err; then
        fail "kill after $moment s: best.safetensors does not load"
    else
        passed=$((passed + 1))
    fi
    before=$step
done <moments
echo "steps done in all: $before; kills that left an unfinished file behind: $in_save"
if train --steps $((before + 2)) "$@"; then
    passed=$((passed + 1))
else
    fail "the run does not go on after the last kill"
fi
if [ -n "$(unfinished)" ]; then
    fail "unfinished files stay in the run folder: $(unfinished)"
else
    passed=$((passed + 1))
fi
# What was interrupted so often is bit for bit what an uninterrupted run gives.
cp "$run_folder/last.safetensors" killed.safetensors
run_folder=$work/straight
if train --steps $((before + 2)) "$@" && cmp -s killed.safetensors "$run_folder/last.safetensors"; then
    passed=$((passed + 1))
else
    fail "the killed run and an uninterrupted one differ"
fi

# A file system that fills up, where one can be made.
cat >full.sh <<'SH'
set -eu
mkdir small
mount -t tmpfs -o size="$ROOM" tmpfs small
cp -R first small/run
"$BFNCL" info small/run/last.safetensors >/dev/null
cp small/run/last.safetensors old
"$BFNCL" train "$REPO/configs/tiny.yaml" --out small/run --resume --steps 4 >out 2>err && code=0 || code=$?
[ "$code" -le 1 ] || { echo "exit code $code"; exit 1; }
grep -q 'last\.safetensors' err || { echo "the run does not say that last.safetensors was not written"; exit 1; }
cmp old small/run/last.safetensors || { echo "the old checkpoint did not survive"; exit 1; }
SH
run_folder=$work/first
train --steps 2
ROOM=$(($(du -sk first | cut -f1) + $(du -k first/last.safetensors | cut -f1) / 2))k
export ROOM BFNCL REPO="$repo"
if unshare -rm sh -c 'mkdir -p try && mount -t tmpfs tmpfs try' 2>/dev/null; then
    if unshare -rm sh full.sh >full.log 2>&1; then
        passed=$((passed + 1))
    else
        fail "full disk: $(cat full.log)"
    fi
else
    echo "note: no file system can be mounted here; the full disk is tested through the file size limit alone (tests/cli)"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
