# A configuration cut off anywhere is refused with exit 2 and one sentence; the closing line is what tells. (Every
# position is tried in tests/check_config.c; here each seventh and the last ones, through the program.)
tiny=$REPO/configs/tiny.yaml
bytes=$(wc -c <"$tiny")
n=0
while [ "$n" -lt $((bytes - 1)) ]; do
    head -c "$n" "$tiny" >cut.yaml
    code=0
    "$BFNCL" train cut.yaml --print-config >out 2>err || code=$?
    [ "$code" = 2 ] || fail "cut after $n of $bytes bytes: exit code $code"
    [ ! -s out ] || fail "cut after $n of $bytes bytes: output"
    read -r first <err # the shell's own reading: hundreds of processes less
    case $first in
    "bfncl: error: "*cut.yaml*) ;;
    *) fail "cut after $n of $bytes bytes: no error line with the file" ;;
    esac
    n=$((n + (n < bytes - 40 ? 7 : 1)))
done
