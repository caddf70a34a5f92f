# Paths with spaces and other alphabets, a read-only folder, no home, a locale with a decimal comma.
trained
name='a folder/Ünïcode 模型'
mkdir -p "$name"
cp "$REPO/configs/tiny.yaml" "$name/my config.yaml"
bfncl train "$name/my config.yaml" --steps 1 --out "$name/run 1"
exists "$name/run 1/last.safetensors"
bfncl sample "$name/run 1" -n 1 --steps 1 -o "$name/ä b.png"
exists "$name/ä b.png"
bfncl info "$name/run 1/last.safetensors" --json
json kind
run 0 env -u HOME -u XDG_CACHE_HOME "$BFNCL" sample "$run_folder" -n 1 --steps 1 -o nohome.png
run 0 env HOME=/dev/null XDG_CACHE_HOME=/dev/null/cache "$BFNCL" sample "$run_folder" -n 1 --steps 1 -o nohome.png
mkdir locked
chmod a-w locked
if [ "$(id -u)" != 0 ]; then
    refused 1 train "$REPO/configs/tiny.yaml" --steps 1 --out locked/run
    err_has 'locked'
    refused 1 sample "$run_folder" -n 1 --steps 1 -o locked/x.png
fi
refused 1 sample "$run_folder" -n 1 --steps 1 -o /proc/no/x.png
err_has '/proc/no'
refused 1 train "$REPO/configs/tiny.yaml" --steps 1 --out /proc/no
: >file
refused 2 train "$REPO/configs/tiny.yaml" --steps 1 --out file
err_has 'not a folder'
for locale in de_DE.UTF-8 de_DE.utf8 fr_FR.UTF-8; do
    if locale -a 2>/dev/null | grep -qix "$(echo "$locale" | sed 's/UTF-8/utf8/')"; then
        run 0 env LC_ALL="$locale" "$BFNCL" eval "$run_folder" --limit 2 --json
        json bits_per_dim
        out_has '"bits_per_dim":[0-9]+\.[0-9]'
    fi
done
