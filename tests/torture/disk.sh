#!/bin/sh
# A disk that is full while a checkpoint is written: the old one survives, the run goes on and says so.
#   BFNCL=build/bfncl tests/torture/disk.sh
set -eu
bfncl=${BFNCL:-build/bfncl}
dir=$(mktemp -d "${TMPDIR:-/tmp}/bfncl-disk-XXXXXX")
cleanup() {
    umount "$dir/small" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT INT TERM
fail() { echo "disk: $*" >&2; cat "$dir/log" >&2; exit 1; }

train() { # FOLDER STEPS
    "$bfncl" train configs/tiny.yaml --out "$1" --resume --set "train.steps=$2" --set train.save_every=2 \
        --set train.eval_every=0 --set eval.examples=2 --set net.width=16 >/dev/null 2>"$dir/log"
}

check() { # FOLDER EXIT_CODE: after a run that could not save
    [ "$2" = 1 ] || fail "exit code $2 instead of 1"
    grep -q "older checkpoint is kept, training goes on" "$dir/log" || fail "nothing was said"
    cmp -s "$dir/kept" "$1/last.safetensors" || fail "the old checkpoint changed"
    "$bfncl" info "$1/last.safetensors" >/dev/null || fail "the old checkpoint is damaged"
}

# a limit on the size of files stands for the full disk where nothing may be mounted
train "$dir/run" 4 || fail "the first run failed"
cp "$dir/run/last.safetensors" "$dir/kept"
code=0
(trap '' XFSZ; ulimit -f 2000; train "$dir/run" 10) || code=$?
check "$dir/run" "$code"
train "$dir/run" 10 || fail "the run did not continue once there was room"
echo "disk: file size limit: the old checkpoint survived, the run went on"

mkdir "$dir/small"
if mount -t tmpfs -o size=24m tmpfs "$dir/small" 2>/dev/null; then
    train "$dir/small/run" 4 || fail "the first run failed"
    cp "$dir/small/run/last.safetensors" "$dir/kept"
    rm -f "$dir/small/run/previous.safetensors" # its room would be used first
    dd if=/dev/zero of="$dir/small/filler" bs=64k 2>/dev/null || true
    code=0
    train "$dir/small/run" 10 || code=$?
    check "$dir/small/run" "$code"
    echo "disk: full file system: the old checkpoint survived, the run went on"
else
    echo "disk: full file system: not tried, mounting is not allowed here"
fi
