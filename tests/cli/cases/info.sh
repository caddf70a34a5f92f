# What is in each kind of file; no device needed.
trained
export OCL_ICD_VENDORS="$PWD/no-driver/"
bfncl info "$run_folder/best.safetensors"
out_has '^kind '
out_has '^params +[0-9]+'
out_has '^tensors +[0-9]+'
for file in "$run_folder/best.safetensors" "$run_folder/last.safetensors"; do
    bfncl info "$file" --json
    json kind params param_bytes memory_bytes tensors.0.name tensors.0.shape tensors.0.dtype config.train.lr config.net.width=8
done
bfncl info "$run_folder/config.yaml" --json
json kind params tensors config.train.lr
bfncl info "$REPO/configs/tiny.yaml"
out_has 'tiny|config'
for data in /usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz; do
    [ -e "$data" ] || fail "no $data"
    bfncl info "$data" --json
    json kind
done
printf 'the quick\nbrown fox\n' >book.txt
bfncl info book.txt --json
json kind=text characters=20 lines=2 vocabulary_size=17 'vocabularies=["learned","bytes"]' params=null
bfncl info book.txt
out_has '^vocabulary +".n bcef'
printf 'gr\374n\n' >latin1.txt
refused 4 info latin1.txt
err_has 'no UTF-8 text'
refused 4 info missing.safetensors
err_has 'missing\.safetensors'
refused 4 info /dev/null
: >empty
refused 4 info empty
head -c 5000 /dev/urandom >noise
refused 4 info noise
