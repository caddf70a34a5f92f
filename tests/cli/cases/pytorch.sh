# PyTorch files: looked at, converted, used directly; whatever does not fit is refused with names and shapes.
weights=$REPO/tests/golden/checkpoints/tiny_unet.pt
config=$REPO/tests/golden/checkpoints/tiny_unet.yaml
fit="--config $config --size 8x8x1"
(
    export OCL_ICD_VENDORS="$PWD/no-driver/" # needs no device
    bfncl info "$weights" --json
    json kind=pytorch params=3050 container=pickles protocol=4 contents.epoch=3 contents.hyper_parameters.name=tiny
    json tensors.0.name=state_dict.module.net.output_adapter.output_projection.weight tensors.0.dtype=F16
    json weights.0.path=state_dict. weights.1.path=ema_state_dict. weights.1.numbers=3050
    bfncl info "$weights"
    out_has '^kind +pytorch'
    out_has '^ +F16 \[2\] +ema_state_dict\.net\.output_adapter\.output_projection\.bias'
    for file in "$REPO"/tests/golden/checkpoints/variants/*.pt; do
        bfncl info "$file" --json
        json kind=pytorch container=zip byte_order=little tensors.0.name
    done
    bfncl info "$REPO/tests/golden/molcraft/checkpoint.pt" --json
    json molcraft.sigma1 molcraft.beta1=1.5 molcraft.time=simple molcraft.layers=2 weights.1.path=ema_state_dict.
    refused 4 info "$REPO/tests/golden/bad/pickle_os_system.pt"
    err_has 'os\.system'
    bfncl convert "$weights" plain.safetensors
    [ "$(cat out)" = plain.safetensors ] || fail "stdout is not the path alone"
    bfncl info plain.safetensors
    out_has '^ +F16 \[2\] +state_dict\.output_adapter\.output_projection\.bias'
)
# A model of its own, the same whether it is converted before or taken as it is.
# shellcheck disable=SC2086 # $fit is several words
{
    bfncl convert "$weights" model.safetensors $fit --json
    json out=model.safetensors params=3050 raw=state_dict.module.net. ema=ema_state_dict.net.
    bfncl convert "$weights" $fit -o again.safetensors
    same model.safetensors again.safetensors
    bfncl info model.safetensors --json
    json kind=model params=3050 config.net.width=4 example.0=8
    bfncl sample model.safetensors -n 2 --steps 3 -o a.npy
    bfncl sample "$weights" $fit -n 2 --steps 3 -o b.npy
    same a.npy b.npy
    bfncl sample "$weights" $fit -n 2 --steps 3 -o raw.npy --weights raw
    ! cmp -s a.npy raw.npy || fail "raw and averaged weights gave the same samples"
    bfncl sample plain.safetensors $fit -n 2 --steps 3 -o plain.npy
    same a.npy plain.npy
    # A checkpoint with its own settings; what is wrong with it is said before anything is written.
    molcraft=$REPO/tests/golden/molcraft/checkpoint.pt
    bfncl convert "$molcraft" molcraft.safetensors --json
    json out=molcraft.safetensors params=25755 raw=state_dict.dynamics. ema=ema_state_dict.dynamics.
    bfncl info molcraft.safetensors --json
    json kind=model params=25755 config.net.kind=unio2 config.net.neighbours=6 config.flow.predict_data=true \
        config.sample.mode=end_back_pmf config.train.clip_rule=queue config.mol.pocket=true
    refused 4 convert "$molcraft" no.safetensors --set net.width=32
    err_has 'has shape .*, expected '
    head -c 300000 "$molcraft" >cut.ckpt
    refused 4 convert cut.ckpt no.safetensors
    # What does not fit.
    refused 4 convert "$weights" no.safetensors $fit --set net.width=8
    err_has '"state_dict\.module\.net\.output_adapter\.output_projection\.weight" has shape \[2,8\], expected \[2,16\]'
    refused 4 convert "$weights" no.safetensors $fit --set net.blocks=2
    err_has 'of shape \[[0-9,]*\] is missing'
    refused 4 convert "$weights" no.safetensors $fit --set 'net.project_input=false'
    refused 4 convert "$REPO/tests/golden/checkpoints/variants/newer_layout.pt" no.safetensors $fit
    err_has 'none of the 74 weights'
    refused 2 convert "$weights" no.safetensors --config "$config"
    err_has '--size'
    refused 2 convert "$weights" no.safetensors --config "$config" --size 8x8
    err_has '8x8'
    refused 2 convert "$weights" no.safetensors $fit -o other.safetensors
    refused 2 convert "$weights" $fit
    refused 2 convert "$weights" no.safetensors --size 8x8x1
    err_has '--config'
    refused 4 convert missing.pt no.safetensors $fit
    refused 4 sample "$weights" -n 1 --steps 1 -o x.png
    err_has 'bfncl convert'
}
absent no.safetensors other.safetensors x.png
