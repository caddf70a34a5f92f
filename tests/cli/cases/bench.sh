# Matrix products are measured; only our own provider here, since compiling CLBlast takes long.
bfncl bench gemm --gemm packed --shape 64x48x32 --shape '3*33x17x65:nt' --json
json rows.0.m=64 rows.0.n=48 rows.0.k=32 rows.0.trans=nn rows.0.provider=packed rows.0.gflops rows.0.fraction_of_peak rows.1.batch=3 rows.1.trans=nt
bfncl bench gemm --gemm packed --shape 64x48x32
out_has '^ +64 +48 +32 +1 +nn +packed +[0-9.]+'
refused 2 bench
refused 2 bench gemmm
for shape in 64 64x48 64x48x32x1 0x1x1 64x48x32:n 64x48x32:nx x1x1 64x48x999999 -1x1x1 '*1x1x1' 1.5x1x1; do
    refused 2 bench gemm --shape "$shape"
done

# Whole steps, without any data.
set -- --set net.width=8 --set net.groups=2 --set net.heads=2 --set net.blocks=1 --steps 1
bfncl bench train "$REPO/configs/bench/mnist.yaml" "$@" --set net.attention=[] --batch 2 --json
json ms_per_step ms_min ms_max first_step_ms compile_ms startup_ms peak_device_bytes host_idle_bytes host_peak_bytes \
    gflops fraction_of_peak gflop_per_step commands_per_step params batch=2 steps=1 example.0=28 example.2=1 "config=$REPO/configs/bench/mnist.yaml"
bfncl bench sample "$REPO/configs/bench/cifar.yaml" "$@" --set sample.batch=3 --json
json ms_per_step ms_min ms_max first_step_ms compile_ms peak_device_bytes gflops commands_per_step params batch=3 example.1=32 example.2=3
set -- --set net.width=16 --set net.blocks=1 --set net.heads=1 --steps 2 --batch 2
bfncl bench train "$REPO/configs/bench/text.yaml" "$@" --set data.length=9 --set train.accumulate=2
out_has '^batch +2 of 1 x 9 x 1'
out_has '^step +[0-9.]+ ms \(median of 2; '
err_has '^measuring '
bfncl bench sample "$REPO/configs/tiny.yaml" --set data.train=none --set data.test=none --size 6x4x1 --steps 1 --json
json example.0=6 example.1=4
refused 2 bench sample "$REPO/configs/tiny.yaml" --set data.train=none --set data.test=none
err_has 'data\.size'
refused 2 bench train
refused 2 bench train absent.yaml
refused 2 bench train "$REPO/configs/bench/text.yaml" --shape 2x2x2
refused 2 bench train "$REPO/configs/bench/text.yaml" --set net.widht=3
refused 2 bench train "$REPO/configs/bench/text.yaml" --batch 0
refused 2 bench train "$REPO/configs/bench/mnist.yaml" --size 28x28
refused 2 bench gemm "$REPO/configs/bench/text.yaml"
refused 2 bench gemm --batch 3

# What the device can do at best.
bfncl bench peak --memory 64MiB --json
json peak_gflops peak_gflops_min peak_gflops_max copy_gbps copy_gbps_min copy_gbps_max driver_copy_gbps copy_bytes=4194304 device
refused 2 bench peak --shape 3
refused 2 bench peaks
err_has 'bfncl bench peak$'

# Tables of rows.
bfncl bench conv --memory 64MiB --shape 1x5x5x8x8 --only forward --json
json copy_gbps peak_gflops rows.0.op='conv forward' rows.0.shape=1x5x5x8x8 rows.0.ms rows.0.ms_min rows.0.ms_max rows.0.first_ms \
    rows.0.gflops rows.0.gbps rows.0.fraction_of_peak rows.0.fraction_of_copy rows.0.commands rows.0.runs
bfncl bench attention --memory 64MiB --shape 1x7x2x16 --only forward
out_has '^attention forward +1x7x2x16 +[0-9.]+ '
out_has '^arithmetic +[0-9.]+ GFLOP/s'
out_has '^copy +[0-9.]+ GB/s'
bfncl bench ops --memory 64MiB --only silu --json
json copy_gbps rows.0.op='group norm forward silu' rows.3.op='silu backward' rows.3.gbps rows.3.gflops rows.3.fraction_of_copy
refused 2 bench conv --shape 5x5
refused 2 bench attention --shape 1x7x2x16:k1
refused 2 bench ops --shape 1x7x2x16
