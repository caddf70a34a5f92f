# A table from CSV to CSV: trained, described, scored, sampled, filled; what does not fit it is refused by name.
awk 'BEGIN { print "id,size,count,colour,flag,unit"
    for (i = 0; i < 200; i++) printf "n%d,%.2f,%d,%s,%s,m\n", i, (i * 37 % 101) / 7, i * 13 % 9,
        (i % 3 == 0 ? "\"blue, dark\"" : i % 3 == 1 ? "red" : "green"), (i % 7 == 3 ? "" : i % 2 ? "yes" : "no") }' >t.csv
set -- --set data.train=t.csv --set data.test=t.csv --set net.width=16 --set net.blocks=1 --set train.batch=8 \
    --set eval.examples=6 --set sample.batch=16
bfncl train "$REPO/configs/table.yaml" "$@" --set data.numbers=continuous --steps 3 --out run
err_has 'column "id" is left out: too many different words'
bfncl info run --json
json kind=model config.data.transform=table columns.1.type=continuous columns.2.type=integer \
    columns.3.type=categorical columns.4.type=binary columns.4.missing=29 columns.5.type=constant
bfncl info run
out_has '^ +colour +categorical: "blue, dark", green, red'
out_has '^ +size +continuous: 0 to 14\.29'
bfncl info t.csv --json
json kind=table rows=200 columns.0.type=ignore columns.4.missing=29
bfncl eval run --json --baselines --repeats 2
json samples=200 dims=4 bits_per_row total_bits_per_row columns.0.bits=null columns.1.bits columns.5.type=constant \
    marginal_model=per-column marginal_bits_per_row copula_bits_per_row
bfncl eval run --per-example scores.csv --impute 25 --limit 40 --set sample.steps=3
out_has '^row, with reconstruction +[0-9.]+ \+- '
out_has '^filled numbers, error +[0-9.]+ deviations \(column means: [0-9.]+\)'
out_has '^filled words +[0-9.]+ right'
out_has '^colour +categorical +[0-9.]+ '
[ "$(head -1 scores.csv | cut -d, -f1-5)" = "index,row,recon_bits_per_row,loss_inf_bits_per_row,total_inf_bits_per_row" ] || fail "scores.csv"
sort -t, -k5,5gr scores.csv | grep -v index | head -1 >first # outliers first
[ "$(sed -n 2p scores.csv)" = "$(cat first)" ] || fail "scores.csv is not in order"
bfncl sample run -n 30 --steps 3 --seed 5 -o new.csv
[ "$(cat out)" = new.csv ] || fail "stdout is not the path alone"
[ "$(head -1 new.csv)" = "$(head -1 t.csv)" ] || fail "another header"
awk -F, 'NR > 1 && !($1 == "" && $2 ~ /^[0-9]+(\.[0-9]+)?$/ && $3 ~ /^[0-8]$/ && $NF == "m" && $(NF - 1) ~ /^(yes|no)$/) { exit 1 }
    END { if (NR != 31) exit 1 }' new.csv || fail "new.csv: $(cat new.csv)"
bfncl eval run --data new.csv --limit 30
bfncl sample run -n 30 --steps 3 --seed 5 --set sample.batch=7 -o again.csv
same new.csv again.csv
printf '\357\273\277colour,size,id,count,flag,unit\r\n"red",?, x ,3,,m\r\n,1.50,,NA,"yes",m\r\ngreen,2,,4,no,' >holes.csv
bfncl sample run --given holes.csv --steps 3 -n 4 --seed 2 -o filled.csv
[ "$(head -1 filled.csv)" = "$(head -1 holes.csv)" ] || fail "another header"
grep -Eq '^"red",[0-9.]+, x ,3,(yes|no),m.$' filled.csv || fail "row 2: $(cat filled.csv)"
grep -Eq '^("blue, dark"|red|green),1\.50,,[0-8],"yes",m.$' filled.csv || fail "row 3: $(cat filled.csv)"
[ "$(tail -c 18 filled.csv)" = "$(printf '\r\ngreen,2,,4,no,m')" ] || [ "$(tail -n 1 filled.csv)" = "green,2,,4,no,m" ] || fail "row 4: $(cat filled.csv)"
# resumed: the same bytes
bfncl train "$REPO/configs/table.yaml" "$@" --set data.numbers=continuous --steps 2 --out two
bfncl train --out two --resume --steps 3 --set train.schedule_steps=6000
bfncl train "$REPO/configs/table.yaml" "$@" --set data.numbers=continuous --steps 3 --set train.schedule_steps=6000 --out three
same two/best.safetensors three/best.safetensors
# what does not fit
row() { printf 'size,count,colour,flag,unit\n1,2,red,yes,m\n%s\n' "$1" >bad.csv; }
row '1,2,pink,yes,m'
refused 4 eval run --data bad.csv
err_has 'bad\.csv: row 3, column "colour": "pink" was not in the training data'
row 'big,2,red,yes,m'
refused 4 eval run --data bad.csv
err_has 'bad\.csv: row 3, column "size": "big" is not a number'
row '1,2.5,red,yes,m'
refused 4 sample run --given bad.csv -o x.csv
err_has 'row 3, column "count": 2\.5 is not a whole number'
row '1,2,red'
refused 4 eval run --data bad.csv
err_has 'bad\.csv: row 3: 3 cells, the header has 5'
printf 'size,count,flag,unit\n1,2,yes,m\n' >bad.csv
refused 4 eval run --data bad.csv
err_has 'the column "colour" of the training data is missing'
absent x.csv
refused 4 train "$REPO/configs/table.yaml" "$@" --set data.train=none.csv --out no
refused 2 train "$REPO/configs/table.yaml" "$@" --set data.columns=nope=ignore --out no
err_has 'has no column "nope"'
refused 2 train "$REPO/configs/table.yaml" "$@" --set net.kind=transformer --out no
refused 2 sample run -n 2 -o x.png
err_has 'makes tables'
refused 2 bench train "$REPO/configs/table.yaml" --size 1x4x1
trained
refused 4 sample "$run_folder" --given holes.csv -o x.csv
err_has 'expected a PNG picture'
refused 2 eval "$run_folder" --impute 10
bfncl train "$REPO/configs/table.yaml" "$@" --set flow.kind=categorical --set flow.output=auto --set 'data.columns=size=bins:4,count=continuous' --steps 2 --out classes
bfncl sample classes -n 3 --steps 2 -o c.csv
bfncl eval classes --limit 10 --loss-steps inf,5 --json
json total_bits_per_row
