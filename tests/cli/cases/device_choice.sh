# A selector that names nothing, or nothing that exists, is an error with the candidates; nothing is taken instead.
tiny=$REPO/configs/tiny.yaml
refused 3 train "$tiny" --out run --device radeon
err_has 'radeon'
err_has 'pocl:0'
refused 3 train "$tiny" --out run --device 9
err_has 'pocl:0'
refused 3 train "$tiny" --out run --device pocl:9
err_has 'pocl:0'
refused 3 train "$tiny" --out run --device gpu
err_has 'pocl:0'
export BFNCL_DEVICE=radeon
refused 3 train "$tiny" --out run
err_has 'BFNCL_DEVICE'
absent run/last.safetensors
bfncl train "$tiny" --out run --steps 1 --device pocl:0 # the option comes before the variable
unset BFNCL_DEVICE
refused 3 sample run --device radeon
refused 3 eval run --device radeon
refused 2 train "$tiny" --out run --device ''
# Two devices that fit: only where a second driver is installed.
if [ -e /etc/OpenCL/vendors/rusticl.icd ]; then
    mkdir two
    cp /etc/OpenCL/vendors/rusticl.icd two
    pocl_icd two
    export OCL_ICD_VENDORS="$PWD/two/" RUSTICL_ENABLE=llvmpipe
    if "$BFNCL" --device list | grep -q 'rusticl:0.*ok'; then
        refused 3 train "$tiny" --out run --device l # fits both names
        err_has 'pocl:0'
        err_has 'rusticl:0'
    fi
fi
