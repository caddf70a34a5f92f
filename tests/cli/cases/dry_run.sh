# The plan; a plan that does not fit is refused with a sentence, and nothing is written.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --dry-run --out run
out_has '^parameters +[0-9]+'
out_has '^peak +[0-9.]+ [KMG]iB'
bfncl train "$tiny" --dry-run --out run --json
json params param_bytes activation_bytes peak_bytes budget_bytes device
refused 1 train "$tiny" --dry-run --out run --memory 100K
err_has 'device allows|memory|fit'
refused 1 train "$tiny" --out run --memory 100K
absent run/last.safetensors
