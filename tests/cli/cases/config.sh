# Configurations: what is wrong is named with its line and the nearest valid key; exit 2.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --print-config
out_has '# file'
out_has '# default'
cp out resolved.yaml
bfncl train "$tiny" --print-config --set train.lr=0.5
out_has 'lr: 0\.5 .*# option'
bfncl train resolved.yaml --print-config
sed 's/ *#.*//' out >again
sed 's/ *#.*//' resolved.yaml >wanted
same again wanted

line() { grep -n "$1" bad.yaml | head -1 | cut -d: -f1; }
change() { sed "$1" "$tiny" >bad.yaml; }
change 's/^  blocks: 1/  blokcs: 1/'
refused 2 train bad.yaml --print-config
err_has "bad\.yaml.*$(line blokcs).*blokcs"
err_has 'net\.blocks'
change 's/^net:/nett:/'
refused 2 train bad.yaml --print-config
err_has 'nett'
change 's/^  steps: 20/  steps: many/'
refused 2 train bad.yaml --print-config
err_has "$(line many)"
err_has 'steps'
change 's/^  validation: 0.1/  validation: 0.9/'
refused 2 train bad.yaml --print-config
err_has "$(line 0.9)"
err_has '0\.5'
change 's/^  transform: bins/  transform: binz/'
refused 2 train bad.yaml --print-config
err_has 'bins'
change 's/^  mult: .*/  mult: 2/'
refused 2 train bad.yaml --print-config
refused 2 train "$tiny" --print-config --set train.stepz=3
err_has 'train\.steps'
refused 2 train "$tiny" --print-config --set train.steps
refused 2 train "$tiny" --print-config --set train.steps=-1
refused 2 train "$tiny" --print-config --set train.lr=nan
refused 2 train "$tiny" --print-config --set train.lr=0,1
refused 2 train missing.yaml --print-config
err_has 'missing\.yaml'
mkdir folder.yaml
refused 2 train folder.yaml --print-config
head -c 3000 /dev/urandom >noise.yaml
refused 2 train noise.yaml --print-config
