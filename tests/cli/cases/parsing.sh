# --x=1 and --x 1, letters together, options before the command, -- before operands.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --print-config --steps=7 --seed 5
cp out first
out_has '^ *steps: 7 '
out_has '^ *seed: 5 '
bfncl --seed=5 -q train --steps 7 --print-config -- "$tiny"
same out first
bfncl train "$tiny" --print-config --set train.steps=3 --steps 7 --seed 5
same out first
bfncl train "$tiny" --print-config --steps 7 --set train.steps=3
out_has '^ *steps: 3 '
bfncl -qv --version
bfncl train nothing.yaml --device list
