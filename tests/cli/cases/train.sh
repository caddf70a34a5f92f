# From a configuration to samples; the same seed gives the same bytes.
trained
exists "$run_folder/config.yaml" "$run_folder/train.jsonl" "$run_folder/last.safetensors" "$run_folder/best.safetensors" "$run_folder/loss.svg"
cp "$SHARED/train.err" err
err_has 'training 3/3'
err_lacks "$(printf '\r')" # no rewriting where stderr is no terminal
cp "$SHARED/train.out" out
out_has "run folder +$run_folder"
cp "$run_folder/train.jsonl" out
json event
bfncl train "$REPO/configs/tiny.yaml" --steps 3 --out again -q
err_empty
same again/best.safetensors "$run_folder/best.safetensors"
bfncl train "$REPO/configs/tiny.yaml" --steps 3 --seed 2 --out other -q --json
json out=other steps=3 best_bits_per_dim params device
! cmp -s other/best.safetensors "$run_folder/best.safetensors" || fail "another seed gave the same model"
