# Golden vectors: one line per tensor and file, the counts last; exit 5 when a number is wrong, 4 for a damaged file.
golden=$REPO/tests/golden
some=$(find "$golden/continuous" -name '*.safetensors' | LC_ALL=C sort | head -1)
[ -n "$some" ] || fail "no golden file"
bfncl verify "$some"
out_has '^  ok +[^ ]+ +error [0-9.e+-]+, tolerance [0-9.e+-]+'
out_has '^ok +.*safetensors'
[ "$(tail -1 out)" = "1 passed, 0 failed, 0 skipped" ] || fail "the last line is not the counts"
bfncl verify "$some" -q
[ "$(wc -l <out)" = 2 ] || fail "-q prints more than the file and the counts"
bfncl verify "$some" --json
json device passed=1 failed=0 skipped=0 tensors rows.0.path rows.0.state rows.0.error rows.0.tolerance
run 4 "$BFNCL" verify missing.safetensors
run 4 "$BFNCL" verify "$golden/bad/truncated.safetensors"
err_has 'truncated\.safetensors'
# Wrong numbers must be found: the last third of the file becomes "BBBB", which is 48.6 as a float.
bytes=$(wc -c <"$some")
{ head -c $((bytes * 2 / 3)) "$some"; head -c $((bytes - bytes * 2 / 3)) /dev/zero | tr '\0' B; } >wrong.safetensors
run 5 "$BFNCL" verify wrong.safetensors
out_has '^  FAIL '
out_has '^0 passed, 1 failed'
err_has '^bfncl: error: '
