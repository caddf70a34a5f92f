# A small text model: learns its characters from the file, prints samples of them, refuses others.
i=0
while [ $i -lt 120 ]; do printf 'the quick brown fox, number %d ' $i; i=$((i + 1)); done >book.txt # no line ends
bfncl train "$REPO/configs/text_small.yaml" --set data.train=book.txt --set net.width=16 --set net.blocks=1 \
    --set data.vocabulary=learned --set data.length=12 --set train.batch=4 --set eval.examples=4 --steps 2 --out run
bfncl sample run -n 3 --steps 2 --seed 5 --json
json samples=3 out=null texts.2
bfncl sample run -n 3 --steps 2 --seed 5 -o a.txt
[ "$(cat out)" = a.txt ] || fail "stdout is not the path alone"
bfncl sample run -n 3 --steps 2 --seed 5
same out a.txt
bfncl sample run -n 3 --steps 2 --seed 5 --length 5 # the characters are ASCII: bytes
cp out five
[ "$(awk 'length != 5 { exit 1 } END { print NR }' five)" = 3 ] || fail "not three texts of 5 characters"
bfncl sample run -n 2 --steps 2 --seed 5 --length 5 --set sample.batch=1
head -2 five >two
same out two
bfncl sample run -n 3 --steps 2 --seed 5 --length 12
same out a.txt
refused 2 sample run -n 1 --steps 2 --length 13
err_has '1 to 12 characters, the length asked for is 13'
refused 2 sample run -n 1 --steps 2 --length 0
trained
refused 2 sample "$run_folder" -n 1 --steps 2 --length 5 -o x.png
err_has 'only texts .* 28 x 28 x 1'
absent x.png
bfncl eval run --limit 4 --json
json data=book.txt
bfncl eval run --limit 4 --baselines
out_has '^unigram +[0-9.]+ \+- '
bfncl eval run --limit 4 --baselines --json
json marginal_model=unigram marginal_bits_per_dim
bfncl eval run --stride 5 --limit 6 --per-example windows.csv
out_has '^ +one every 5 characters; 37 characters in all'
out_has '^loss +bits/char '
[ "$(cut -d, -f1,3 windows.csv | tr '\n' ' ')" = "index,characters 0,12 1,5 2,5 3,5 4,5 5,5 " ] || fail "windows.csv"
bfncl eval run --limit 4 --json
json stride=12 variables=48 bits_per_char total_bits_per_char
refused 2 eval run --stride 13
refused 2 sample run -n 1 --steps 2 --trajectory a.svg
err_has 'a\.svg: a trajectory of this model is a \.gif or a \.png file'
bfncl sample run -n 3 --steps 2 --seed 5 --trajectory a.gif
exists a.gif
tail -1 out >last
[ "$(cat last)" = a.gif ] || fail "the trajectory is not the last line"
bfncl sample run -n 3 --steps 2 --seed 5 --trajectory a.png
exists a.png
rm a.png
bfncl sample run -n 3 --steps 2 --seed 5 --live # no terminal
same out a.txt
if command -v script >/dev/null 2>&1; then
    TERM=xterm script -qec "'$BFNCL' sample run -n 3 --steps 2 --seed 5 --live" /dev/null >screen </dev/null
    [ "$(grep -c 't = ' screen)" = 3 ] || fail "not shown three times"
    grep -q '38;5;' screen || fail "no colours"
    NO_COLOR=1 TERM=xterm script -qec "'$BFNCL' sample run -n 3 --steps 2 --seed 5 --live" /dev/null >screen </dev/null
    ! grep -q '38;5;' screen || fail "colours in spite of NO_COLOR"
    [ "$(grep -c 't = ' screen)" = 3 ] || fail "not shown three times"
fi
refused 2 sample run -n 1 --steps 2 -o a.png
err_has 'makes text'
echo 'ÄÖÜ and more of a text than a window' >other.txt
refused 4 eval run --data other.txt
err_has 'other\.txt: line 1: .*U\+00C4'
refused 4 train "$REPO/configs/text_small.yaml" --set data.train=other.txt --set data.vocabulary=text8 --out no
err_has 'not in the vocabulary'
# letters: the same text reduced to a to z and spaces, and any other text after it
bfncl train "$REPO/configs/text_small.yaml" --set data.train=book.txt --set net.width=16 --set net.blocks=1 \
    --set data.length=12 --set train.batch=4 --set eval.examples=4 --steps 2 --out letters
bfncl eval letters --data other.txt --json
json bits_per_char samples
bfncl sample letters -n 2 --steps 2 -o letters.txt
if grep -q '[^a-z ]' letters.txt; then fail "not letters alone"; fi
