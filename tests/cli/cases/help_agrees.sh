# The table of options, --help of the commands, the manual page and the completions name the same options, and what
# --help offers is what the parser takes.
bfncl help --man
cp out page
commands=$(sed -n 's/^\.TP$//; s/^\\fBbfncl \([a-z]*\)\\fR.*/\1/p' page)
[ "$(echo "$commands" | wc -l)" -ge 5 ] || fail "too few commands in the manual"
bfncl help --completion bash
cp out bash
bfncl help --completion zsh
cp out zsh
bfncl help --completion fish
cp out fish
sed -n 's/^\.TP$//; s/^\(\\fB.*\)$/\1/p' page | sed 's/\\fB//g; s/\\fR//g; s/\\fI//g; s/\\-/-/g' | sed -n '/^-/p' >man_options
bfncl --help
cp out overview
for command in $commands; do
    grep -q "^  $command " overview || fail "--help lacks $command"
    grep -q "^$command:" zsh || grep -q "'$command:" zsh || fail "zsh completion lacks $command"
    grep -q -- "-a $command " fish || fail "fish completion lacks $command"
    bfncl help "$command"
    sed -n 's/^  \(-[a-z],\|   \) \(--[a-z-]*\).*/\2/p; s/^  \(-[a-z]\) [^-].*/\1/p' out >options
    [ -s options ] || fail "no options in the help of $command"
    while read -r option; do
        grep -Eq -e "(^|[ ,])$option( |\$)" man_options || fail "the manual lacks $option of $command"
        sed -n "s/^    $command) word=\"\(.*\)\" ;;/ \1 /p" bash | grep -q -e " $option " || fail "bash completion lacks $option of $command"
        case $option in
        --*) grep -q -e "-l ${option#--}\( \|\$\)" fish || fail "fish completion lacks $option" ;;
        esac
        code=0
        BFNCL_DEVICE=none "$BFNCL" "$command" "$option" </dev/null >out 2>err || code=$?
        ! grep -q 'unknown option\|is not an option' err || fail "the parser of $command refuses $option"
    done <options
done
# Every option of the manual is taken somewhere, and belongs to a command that exists.
sed -n 's/^For: //p' page | tr ',' '\n' | sed 's/^ *//' | sort -u | while read -r command; do
    case $command in "the program itself") ;; *) echo "$commands" | grep -qx "$command" || fail "the manual names a command $command" ;; esac
done
# Every configuration key is in the manual.
bfncl help config
sed -n 's/^\([a-z]*\.[a-z0-9_]*\) .*/\1/p' out >keys
[ "$(wc -l <keys)" -ge 40 ] || fail "too few configuration keys"
while read -r key; do
    grep -q "^.fB$key.fR\$" page || fail "the manual lacks the key $key"
done <keys
bash -n bash 2>err || fail "the bash completion is no bash"
if command -v man >/dev/null 2>&1; then
    man -l --warnings page >text 2>err || fail "man cannot read the page"
    [ ! -s err ] || fail "man complains"
fi
