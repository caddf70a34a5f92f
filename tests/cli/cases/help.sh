# Help goes to stdout, exits 0, fits one screen, and shows examples.
bfncl --help
err_empty
out_has '^usage: bfncl COMMAND'
[ "$(wc -l <out)" -le 30 ] || fail "--help is longer than a screen"
awk 'length > 100 { exit 1 }' out || fail "--help is wider than a screen"
cp out overview
for command in train eval sample info verify bench help; do
    grep -q "^  $command " overview || fail "--help lacks $command"
    bfncl "$command" --help
    err_empty
    cp out long
    out_has "^usage: bfncl $command "
    out_has '^Examples:'
    bfncl help "$command"
    same out long
done
bfncl -h
bfncl --version
out_has '^bfncl [0-9]+\.[0-9]+\.[0-9]+'
bfncl help config
out_has '^train\.lr '
out_has '^device\.gemm '
