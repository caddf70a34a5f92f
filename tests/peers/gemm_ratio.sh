#!/bin/sh
# GFLOP/s of `bfncl bench gemm` against OpenBLAS on the same shapes: both run alternately, shape by shape, ROUNDS times
# (default 3); the best median of each counts, because other work on the machine only ever lowers it. Closes with the median and the
# least ratio of the packed provider; fails below 0.85 and 0.6.
#
#   make cli peers && tests/peers/gemm_ratio.sh [device]
#
# OpenBLAS falls back to kernels without AVX when it does not know the processor: then its core type is set here, so that
# the comparison is an honest one. For a batch it is asked both ways (threads inside a product, or one product a thread).
set -eu
cd "$(dirname "$0")/../.."
bfncl=${BFNCL:-build/bfncl}
peer=${PEER:-build/release/peers/openblas}
rounds=${ROUNDS:-3}
device=${1:-auto}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# "M N K BATCH TRANS PROVIDER GFLOPS" per row of the JSON
rows() {
    tr '{' '\n' | sed -n 's/.*"m": *\([0-9]*\).*"n": *\([0-9]*\).*"k": *\([0-9]*\).*"batch": *\([0-9]*\).*"trans": *"\([nt]*\)".*"provider": *"\([a-z]*\)".*"gflops": *\([0-9.e+]*\).*/\1 \2 \3 \4 \5 \6 \7/p'
}

if [ -z "${OPENBLAS_CORETYPE:-}" ] && grep -qw avx512f /proc/cpuinfo; then
    case $("$peer" 8x8x8:nn 2>&1 >/dev/null) in
    *SkylakeX* | *Cooperlake* | *Sapphire*) ;;
    *) export OPENBLAS_CORETYPE=SKYLAKEX ;;
    esac
fi
"$peer" 8x8x8:nn 2>&1 >/dev/null | sed 's/^/peer: /'

"$bfncl" bench gemm --device "$device" --json >"$tmp/first.json"
rows <"$tmp/first.json" >"$tmp/ours"
i=0
while [ $i -lt "$rounds" ]; do
    awk '$6 == "packed" { print $1, $2, $3, $4, $5 }' "$tmp/ours" | sort -u >"$tmp/shapes"
    while read -r m n k batch trans; do
        "$peer" "${m}x${n}x${k}x${batch}:$trans" >>"$tmp/peer" 2>/dev/null
        [ "$batch" = 1 ] || BATCH_THREADS=$(nproc) "$peer" "${m}x${n}x${k}x${batch}:$trans" >>"$tmp/peer" 2>/dev/null
        "$bfncl" bench gemm --device "$device" --gemm packed --json --shape "$batch*${m}x${n}x${k}:$trans" \
            </dev/null 2>/dev/null | rows >>"$tmp/ours"
    done <"$tmp/shapes"
    i=$((i + 1))
done

awk '
function best(table, key, value) { if (!(key in table) || value > table[key]) table[key] = value }
{ key = $1 "x" $2 "x" $3 " " $4 " " $5 }
FILENAME ~ /peer$/ { best(peer, key, $6); next }
$6 == "packed" { if (!(key in packed)) order[n++] = key; best(packed, key, $7) }
$6 == "clblast" { best(clblast, key, $7) }
END {
    printf "%-24s %8s %8s %8s %7s\n", "shape batch trans", "packed", "clblast", "openblas", "ratio"
    for (i = 0; i < n; i++) {
        key = order[i]
        r[i] = packed[key] / peer[key]
        printf "%-24s %8.1f %8.1f %8.1f %7.2f\n", key, packed[key], clblast[key], peer[key], r[i]
    }
    for (i = 1; i < n; i++)
        for (j = i; j > 0 && r[j] < r[j - 1]; j--) { t = r[j]; r[j] = r[j - 1]; r[j - 1] = t }
    median = n % 2 ? r[(n - 1) / 2] : (r[n / 2 - 1] + r[n / 2]) / 2
    printf "median ratio %.2f, least %.2f\n", median, r[0]
    exit !(median >= 0.85 && r[0] >= 0.6)
}' "$tmp/ours" "$tmp/peer"
