# The list of devices in its three forms.
bfncl --device list
err_empty
out_has '^\*.* pocl:0 .* CPU .* ok'
bfncl --device=list -v
out_has 'driver'
bfncl --device list --json
json schema_version=1 devices.0.index=0 devices.0.selector=pocl:0 devices.0.name devices.0.platform devices.0.vendor \
    devices.0.type=CPU devices.0.usable=true devices.0.reason= devices.0.selected=true devices.0.global_mem_bytes \
    devices.0.max_alloc_bytes devices.0.compute_units devices.0.opencl_c devices.0.driver
run 0 env -u HOME -u XDG_CACHE_HOME "$BFNCL" --device list
run 0 env -i "OCL_ICD_VENDORS=$OCL_ICD_VENDORS" "$BFNCL" --device list
