# Without a usable driver: exit 3 and what to install; one broken driver never hides the others.
mkdir empty broken mixed unreadable
echo libbfncl-no-such-driver.so.1 >broken/broken.icd
cp broken/broken.icd mixed/broken.icd
pocl_icd mixed
head -c 4000 /dev/urandom >unreadable/noise.icd
for folder in empty broken unreadable missing; do
    OCL_ICD_VENDORS=$PWD/$folder/
    export OCL_ICD_VENDORS
    run 3 "$BFNCL" --device list
    err_has '^bfncl: error: '
    err_has 'pocl-opencl-icd'
    run 3 "$BFNCL" --device list --json
    json schema_version=1 devices=[]
    run 3 "$BFNCL" --device list -v
    refused 3 train "$REPO/configs/tiny.yaml" --out run
    err_has 'pocl-opencl-icd'
    absent run/last.safetensors
done
OCL_ICD_VENDORS=$PWD/broken/
run 3 "$BFNCL" --device list
err_has 'broken\.icd|libbfncl-no-such-driver'
OCL_ICD_VENDORS=$PWD/mixed/
bfncl --device list
out_has 'pocl:0'
