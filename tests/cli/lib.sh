# Functions for the cases. `run CODE COMMAND...` keeps stdout in ./out and stderr in ./err; the others look at them.
# shellcheck shell=sh

fail() {
    echo "$*"
    echo "command: ${_command:-none}"
    echo "--- stdout"
    head -c 2000 out 2>/dev/null
    echo "--- stderr"
    head -c 4000 err 2>/dev/null
    exit 1
}

# run CODE COMMAND...: the command must exit with CODE.
run() {
    _wanted=$1
    shift
    _command=$*
    _code=0
    "$@" >out 2>err </dev/null || _code=$?
    [ "$_code" = "$_wanted" ] || fail "exit code $_code, wanted $_wanted"
}

# bfncl ARGUMENTS...: must succeed.    refused CODE ARGUMENTS...: must fail with CODE, one error line, no result.
bfncl() { run 0 "$BFNCL" "$@"; }
refused() {
    _refused=$1
    shift
    run "$_refused" "$BFNCL" "$@"
    [ "$(grep -c '^bfncl: error: .' err)" = 1 ] || fail "not exactly one error line"
    out_empty
}

out_has() { grep -Eq -e "$1" out || fail "stdout lacks: $1"; }
err_has() { grep -Eq -e "$1" err || fail "stderr lacks: $1"; }
err_lacks() { ! grep -Eq -e "$1" err || fail "stderr has: $1"; }
out_empty() { [ ! -s out ] || fail "stdout is not empty"; }
err_empty() { [ ! -s err ] || fail "stderr is not empty"; }
exists() { for file; do [ -s "$file" ] || fail "missing or empty: $file"; done; }
absent() { for file; do [ ! -e "$file" ] || fail "should not exist: $file"; done; }
same() { cmp "$1" "$2" >/dev/null 2>&1 || fail "$1 and $2 differ"; }

# json [PATH[=TEXT]]...: stdout is JSON with these members.
json() {
    "$JSONCHECK" out "$@" || fail "JSON: $*"
    if command -v python3 >/dev/null 2>&1; then # a second opinion
        python3 -c 'import json, sys
text = open("out").read()
try: json.loads(text)
except ValueError: [json.loads(line) for line in text.splitlines()]' || fail "JSON: python3 refuses it"
    fi
}

# Sets run_folder to a small run folder, trained once for all cases.
trained() {
    run_folder=$SHARED/tiny
    [ -e "$run_folder/best.safetensors" ] ||
        "$BFNCL" train "$REPO/configs/tiny.yaml" --steps 3 --out "$run_folder" >"$SHARED/train.out" 2>"$SHARED/train.err" ||
        fail "training of the shared model failed: $(cat "$SHARED/train.err")"
}

# pocl_icd FOLDER: copies the driver file of POCL, and nothing else, to a folder as OCL_ICD_VENDORS wants it.
pocl_icd() {
    for file in /etc/OpenCL/vendors/pocl.icd /usr/share/OpenCL/vendors/pocl.icd /usr/local/etc/OpenCL/vendors/pocl.icd; do
        [ ! -e "$file" ] || { cp "$file" "$1/pocl.icd" && return; }
    done
    fail "no pocl.icd"
}
