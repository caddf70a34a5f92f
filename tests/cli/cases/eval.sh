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
refused 4 eval missing.safetensors
err_has 'missing\.safetensors'
refused 4 eval "$run_folder" --data missing.idx
err_has 'missing\.idx'
