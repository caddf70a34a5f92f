#!/bin/sh
# The program from outside: exit codes, messages, files. Each file of cases/ is a shell script that runs in an empty
# folder of its own with the functions of lib.sh; it fails at the first expectation that is not met.
#
#   BFNCL=build/bfncl tests/cli/run.sh [CASE...]      all cases when none is named; V=1 keeps the folders
set -u
here=$(cd "$(dirname "$0")" && pwd)
BFNCL=${BFNCL:-$here/../../build/bfncl}
case $BFNCL in /*) ;; *) BFNCL=$PWD/$BFNCL ;; esac
[ -x "$BFNCL" ] || { echo "tests/cli/run.sh: no program at $BFNCL" >&2; exit 2; }
work=$(mktemp -d)
if [ "${V:-0}" = 1 ]; then
    echo "folders of the cases: $work"
else
    trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
fi
REPO=$(cd "$here/../.." && pwd)
SHARED=$work/shared # made once, read by several cases
JSONCHECK=$work/jsoncheck
export BFNCL REPO SHARED JSONCHECK OCL_ICD_VENDORS="${OCL_ICD_VENDORS:-pocl.icd}"
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$work/cache}" XDG_CONFIG_HOME="$work/config" LC_ALL=C
unset BFNCL_DEVICE BFNCL_TUNE NO_COLOR
mkdir -p "$SHARED"
# shellcheck disable=SC2046 # flags are meant to be split
${CC:-cc} -std=c11 -Wall -Wextra -Werror -o "$JSONCHECK" "$here/jsoncheck.c" $(pkg-config --cflags --libs jansson) || exit 2

if [ $# = 0 ]; then
    for file in "$here"/cases/*.sh; do set -- "$@" "$(basename "$file" .sh)"; done
fi
passed=0
failed=0
for name; do
    mkdir -p "$work/$name"
    begin=$(date +%s)
    if (cd "$work/$name" && sh -eu -c '. "$1"; . "$2"' case "$here/lib.sh" "$here/cases/$name.sh") >"$work/$name.log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name ($(($(date +%s) - begin)) s)"
        grep '^note: ' "$work/$name.log" | sed 's/^/      /'
    else
        failed=$((failed + 1))
        echo "FAIL  $name"
        sed 's/^/      /' "$work/$name.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
