# Scores: table and JSON.
trained
bfncl eval "$run_folder" --limit 8
out_has '^continuous time +[0-9.]+ \+- [0-9.]+'
out_has 'draw'
bfncl eval "$run_folder/last.safetensors" --limit 8 --json --loss-steps inf,4 -q
err_empty
[ "$(wc -l <out)" = 2 ] || fail "not one line per entry of --loss-steps"
json loss_steps receiver nats_per_dim bits_per_dim stderr_bits_per_dim recon_bits_per_dim total_bits_per_dim dims=784 samples=8
cp out first
bfncl eval "$run_folder/last.safetensors" --limit 8 --json --loss-steps inf,4 -q
same out first
bfncl eval "$run_folder" --limit 8 --baselines
out_has '^untrained network +[0-9.]+ \+- '
out_has '^per-pixel marginal +[0-9.]+ \+- '
bfncl eval "$run_folder" --limit 8 --baselines --weights raw --json
json weights=raw untrained_bits_per_dim marginal_bits_per_dim
json bits_per_char=null stride=null nats_per_example total_nats_per_example stderr_total_bits_per_dim variables=6272
bfncl eval "$run_folder" --limit 8 --loss-steps inf,4 --over-time 2 --per-example scores.csv
out_has '^continuous time over time$'
out_has '^4 steps over time$'
out_has '^0\.500 \.\. 1\.000 +[0-9.]+ \+- [0-9.]+ +4$'
[ "$(wc -l <scores.csv)" = 9 ] || fail "not one line per example"
[ "$(head -1 scores.csv)" = index,recon_bits_per_dim,loss_inf_bits_per_dim,total_inf_bits_per_dim,loss_4_bits_per_dim,total_4_bits_per_dim ] ||
    fail "the names of the columns"
bfncl eval "$run_folder" --limit 8 --over-time 2 --json
json over_time.0.from=0.0 over_time.0.count=4 over_time.1.bits_per_dim over_time.1.stderr_bits_per_dim
refused 1 eval "$run_folder" --limit 8 --per-example /proc/no/scores.csv
err_has '/proc/no/scores\.csv'
refused 2 eval "$run_folder" --limit 8 --stride 3
err_has 'windows of a text'
refused 4 eval missing.safetensors
err_has 'missing\.safetensors'
refused 4 eval "$run_folder" --data missing.idx
err_has 'missing\.idx'
