#!/bin/sh
# Time and memory of a training step over batch, length and width, as the table of the README: cost must grow as the
# arithmetic does, so the last column should stay about the same down a family.
#
#   make cli && tests/bench/scaling.sh [device]        STEPS=5 timed steps each
set -eu
cd "$(dirname "$0")/../.."
bfncl=${BFNCL:-build/bfncl}
steps=${STEPS:-5}
device=${1:-auto}

number() { # KEY: its value in the JSON object on stdin
    tr ',{}' '\n\n\n' | sed -n "s/^\"$1\": *\([0-9.e+-]*\)$/\1/p" | head -n 1
}

# row NAME BATCH WHAT [--set KEY=VALUE]...
row() {
    name=$1 batch=$2 what=$3
    shift 3
    json=$("$bfncl" bench train "configs/bench/$name.yaml" --device "$device" --batch "$batch" --steps "$steps" --json "$@" 2>/dev/null) || {
        echo "scaling.sh: $name, $what: bench train failed" >&2
        exit 1
    }
    for key in gflop_per_step ms_per_step peak_device_bytes gflops; do
        value=$(printf '%s\n' "$json" | number $key)
        [ -n "$value" ] || { echo "scaling.sh: $name, $what: no $key" >&2; exit 1; }
        set -- "$@" "$value"
    done
    while [ $# -gt 4 ]; do shift; done
    LC_ALL=C awk -v name="$name" -v what="$what" -v gflop="$1" -v ms="$2" -v bytes="$3" -v rate="$4" \
        'BEGIN { printf "| %s | %s | %.1f | %.0f | %.0f | %.0f |\n", name, what, gflop, ms, bytes / 1048576, rate }'
}

echo "| model | step | GFLOP | ms | MiB | GFLOP/s |"
echo "| --- | --- | --- | --- | --- | --- |"
row text 8 "width 384, 256 characters, batch 8"
row text 2 "batch 2"
row text 16 "batch 16"
row text 8 "128 characters" --set data.length=128
row text 8 "512 characters" --set data.length=512
row text 8 "width 192" --set net.width=192
row text 8 "width 768" --set net.width=768
row mnist 16 "width 64, 28 x 28, batch 16"
row mnist 4 "batch 4"
row mnist 32 "batch 32"
row mnist 16 "16 x 16" --set 'data.size=[16, 16, 1]'
row mnist 16 "56 x 56" --set 'data.size=[56, 56, 1]'
row mnist 16 "width 32" --set net.width=32
row mnist 16 "width 128" --set net.width=128
row cifar 8 "width 64, 32 x 32, batch 8"
row cifar 2 "batch 2"
row cifar 16 "batch 16"
row cifar 8 "16 x 16" --set 'data.size=[16, 16, 3]'
row cifar 8 "64 x 64" --set 'data.size=[64, 64, 3]'
row cifar 8 "width 32" --set net.width=32
row cifar 8 "width 128" --set net.width=128
