# The plan; a plan that does not fit is refused with a sentence, and nothing is written.
tiny=$REPO/configs/tiny.yaml
bfncl train "$tiny" --dry-run --out run
out_has '^parameters +[0-9]+'
out_has '^peak +[0-9.]+ [KMG]iB'
bfncl train "$tiny" --dry-run --out run --json
json params batch=4 batch_at_once=4 param_bytes activation_bytes peak_bytes budget_bytes device
bfncl train "$tiny" --dry-run --out run --set train.accumulate=2
out_has '^examples at a time +2$'
# Both peaks, whichever is configured; --recompute stands for train.recompute=true.
out_has '^peak with --recompute +[0-9.]+ [KMG]iB'
bfncl train "$tiny" --dry-run --out run --json
json peak_keep_bytes peak_recompute_bytes
kept=$(sed -n 's/.*"peak_bytes" *: *\([0-9]*\).*/\1/p' out)
bfncl train "$tiny" --dry-run --out run --json --recompute
json peak_keep_bytes="$kept"
less=$(sed -n 's/.*"peak_bytes" *: *\([0-9]*\).*/\1/p' out)
json peak_recompute_bytes="$less"
[ "$less" -lt "$kept" ] || fail "recomputing takes $less bytes, keeping $kept"
bfncl train "$tiny" --dry-run --out run --json --storage half --set net.width=32
half=$(sed -n 's/.*"peak_bytes" *: *\([0-9]*\).*/\1/p' out)
bfncl train "$tiny" --dry-run --out run --json --set net.width=32
[ "$half" -lt "$(sed -n 's/.*"peak_bytes" *: *\([0-9]*\).*/\1/p' out)" ] || fail "activations as halves take $half bytes"
refused 2 train "$tiny" --dry-run --out run --storage double
bfncl train "$tiny" --print-config --recompute
out_has 'recompute: true'
refused 2 train "$tiny" --dry-run --out run --set train.accumulate=3
err_has 'train\.accumulate = 3 does not divide train\.batch = 4'
refused 1 train "$tiny" --dry-run --out run --memory 100K
err_has 'raise train\.accumulate'
err_has 'device allows|memory|fit'
refused 1 train "$tiny" --out run --memory 100K
absent run/last.safetensors
# Scoring and sampling have plans too, and a dry run of them makes no file.
trained
cp "$run_folder/best.safetensors" model.safetensors
for command in eval sample; do
    bfncl $command model.safetensors --dry-run --json
    json params param_bytes activation_bytes io_bytes peak_bytes host_bytes budget_bytes batch_at_once gflop_per_step
    bfncl $command model.safetensors --dry-run
    out_has '^weights +[0-9.]+ [KMG]iB'
    refused 1 $command model.safetensors --dry-run --memory 10K
done
absent samples
