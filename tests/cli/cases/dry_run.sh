# The plan; a plan that does not fit is refused with a sentence, and nothing is written.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --dry-run --out run
out_has '^parameters +[0-9]+'
out_has '^peak +[0-9.]+ [KMG]iB'
bfncl train "$tiny" --dry-run --out run --json
json params batch=4 batch_at_once=4 param_bytes activation_bytes peak_bytes budget_bytes device
bfncl train "$tiny" --dry-run --out run --set train.accumulate=2
out_has '^examples per step +4, 2 at a time'
refused 2 train "$tiny" --dry-run --out run --set train.accumulate=3
err_has 'train\.accumulate = 3 does not divide train\.batch = 4'
refused 1 train "$tiny" --dry-run --out run --memory 100K
err_has 'raise train\.accumulate'
err_has 'device allows|memory|fit'
refused 1 train "$tiny" --out run --memory 100K
absent run/last.safetensors
