# Damaged files: exit 4 and one sentence that names the file.
trained
for file in "$REPO"/tests/golden/bad/*; do
    refused 4 info "$file"
    err_has "$(basename "$file")"
    refused 4 sample "$file" -n 1 --steps 1 -o x.png
    refused 4 eval "$file" --limit 1
done
model=$run_folder/best.safetensors
bytes=$(wc -c <"$model")
for at in 0 1 7 8 9 100 1000 $((bytes / 3)) $((bytes / 2)) $((bytes - 1000)) $((bytes - 4)) $((bytes - 1)); do
    head -c "$at" "$model" >cut.safetensors
    refused 4 info cut.safetensors
    err_has 'cut\.safetensors'
done
refused 4 sample cut.safetensors -n 1 --steps 1 -o x.png
refused 4 eval cut.safetensors --limit 1
# One changed byte anywhere: in the length, the header, the numbers.
for at in 3 20 2000 $((bytes / 2)) $((bytes - 2)); do
    { head -c "$at" "$model"; printf '\377'; tail -c +$((at + 2)) "$model"; } >flipped.safetensors
    ! cmp -s flipped.safetensors "$model" || continue
    refused 4 info flipped.safetensors
    refused 4 sample flipped.safetensors -n 1 --steps 1 -o x.png
done
absent x.png
cp "$model" longer.safetensors
echo >>longer.safetensors
refused 4 info longer.safetensors
# Data files.
data=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
head -c 20000 "$data" >cut.idx.gz
refused 4 eval "$run_folder" --data cut.idx.gz
err_has 'cut\.idx\.gz'
gzip -dc "$data" | head -c 20000 >cut.idx
refused 4 eval "$run_folder" --data cut.idx
err_has 'cut\.idx'
