# Measures of samples: pictures and texts; molecules are in molecule_model.
trained
bfncl sample "$run_folder" -n 24 --steps 2 --seed 1 -o s.npy -q
bfncl eval "$run_folder" --samples s.npy --limit 200 --neighbours near.png
exists near.png
out_has '^Frechet distance +[0-9.]+ \+- [0-9.]+$'
out_has '^the same of held-out data +[0-9.]+ \(24 examples\)'
out_has '^24 samples against 200 examples of .* by 128 features of a fixed random network'
bfncl eval "$run_folder" --samples s.npy --limit 200 --json -q
err_empty
json samples=24 examples=200 frechet_distance stderr_frechet_distance held_out_frechet_distance features=random n_features=128 neighbours=null nearest=null
refused 2 eval "$run_folder" --samples s.npy --dictionary words
err_has 'a dictionary is for texts, this model makes pictures'
refused 2 eval "$run_folder" --neighbours near.png
err_has 'neighbours measures samples: give them as --samples'
refused 2 eval "$run_folder" --samples s.npy --neighbours near.gif
err_has 'drawn as \.png'
refused 4 eval "$run_folder" --samples missing.npy
err_has 'missing\.npy'
refused 4 eval "$run_folder" --samples s.npy --encoder s.npy
err_has 's\.npy'
bfncl sample "$run_folder" -n 1 --steps 2 -o grid.png
refused 4 eval "$run_folder" --samples grid.png
err_has 'grid\.png: is a PNG'
# texts
i=0
while [ $i -lt 120 ]; do printf 'the quick brown fox number %d ' $i; i=$((i + 1)); done >book.txt
bfncl train "$REPO/configs/text_small.yaml" --set data.train=book.txt --set net.width=16 --set net.blocks=1 \
    --set data.length=24 --set train.batch=4 --set eval.examples=4 --steps 2 --out run
printf 'he quick brown cat the f\nfox numbers\n' >t.txt
bfncl eval run --samples t.txt
out_has '^words in the dictionary +75\.00 % \+- '
out_has '^the same of held-out text +100\.00 %'
out_has '3 of 4 words in 2 texts; dictionary: the words of book\.txt \(5 words\)'
printf '3\ncat/S\nthe\n' >small.dic
bfncl eval run --samples t.txt --dictionary small.dic --json
json texts=2 words=4 known=2 share=0.5 stderr_share held_out_share dictionary=small.dic dictionary_words=2 dictionary_is_data=false
refused 2 eval run --samples s.npy
err_has 's\.npy: samples of texts are read from \.txt'
refused 4 eval run --samples missing.txt
refused 4 eval run --samples t.txt --dictionary missing.dic
err_has 'missing\.dic'
refused 2 eval run --samples t.txt --neighbours near.png
err_has 'neighbours are for pictures, this model makes texts'
