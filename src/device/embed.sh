#!/bin/sh
# Writes to stdout a C file that holds the given kernel files as bytes and the table of src/device/kernels.h.
# Needs od and awk only. Each array ends in an extra 0 that `size` does not count.
set -eu
LC_ALL=C
export LC_ALL

echo '/* Made by src/device/embed.sh. */'
echo '#include "device/kernels.h"'
i=0
for f in "$@"; do
    echo
    echo "static const unsigned char file_$i[] = { /* $f */"
    od -An -v -tx1 "$f" | awk '{ for (j = 1; j <= NF; j++) printf "0x%s,", $j; print "" }'
    echo '0x00};'
    i=$((i + 1))
done
echo
echo 'const bf_kernel_file bf_kernel_files[] = {'
i=0
for f in "$@"; do
    echo "    {\"${f##*/}\", file_$i, sizeof file_$i - 1},"
    i=$((i + 1))
done
echo '};'
echo 'const size_t bf_kernel_file_count = sizeof bf_kernel_files / sizeof bf_kernel_files[0];'
