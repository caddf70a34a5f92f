# Matrix products are measured; only our own provider here, since compiling CLBlast takes long.
bfncl bench gemm --gemm packed --shape 64x48x32 --shape '3*33x17x65:nt' --json
json rows.0.m=64 rows.0.n=48 rows.0.k=32 rows.0.trans=nn rows.0.provider=packed rows.0.gflops rows.1.batch=3 rows.1.trans=nt
bfncl bench gemm --gemm packed --shape 64x48x32
out_has '^ +64 +48 +32 +1 +nn +packed +[0-9.]+'
refused 2 bench
refused 2 bench gemmm
for shape in 64 64x48 64x48x32x1 0x1x1 64x48x32:n 64x48x32:nx x1x1 64x48x999999 -1x1x1 '*1x1x1' 1.5x1x1; do
    refused 2 bench gemm --shape "$shape"
done
