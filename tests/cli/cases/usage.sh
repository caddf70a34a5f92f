# Wrong usage: exit 2, one error line, the usage line, nothing on stdout.
refused 2
err_has '^usage: bfncl COMMAND'
refused 2 trian
err_has 'unknown command "trian"'
err_has '^hint: did you mean bfncl train\?'
refused 2 train x.yaml --stpes 3
err_has 'unknown option --stpes'
err_has '^hint: did you mean --steps\?'
err_has '^usage: bfncl train CONFIG'
refused 2 train x.yaml --something-else
err_lacks 'did you mean'
refused 2 train x.yaml -x
refused 2 train x.yaml --baselines
err_has 'belongs to bfncl eval'
refused 2 --steps 3
refused 2 train
err_has 'needs CONFIG'
refused 2 train a.yaml b.yaml
err_has 'unexpected argument "b.yaml"'
refused 2 train --resume
refused 2 eval
refused 2 sample
refused 2 info
refused 2 help trian
err_has 'did you mean bfncl help train'
# values
for value in 3x x '' ' 3' -1 1e 99999999999999999999 1000000001; do
    refused 2 train x.yaml --steps "$value"
    refused 2 train x.yaml "--steps=$value"
    err_has '^bfncl: error: --steps:'
done
refused 2 train x.yaml --steps
err_has '--steps needs a value: N'
refused 2 train x.yaml --resume=yes
err_has '--resume takes no value'
refused 2 sample x -n 0
refused 2 sample x -n
refused 2 sample x -n4x
for value in 512MiBs MiB 1.5G -1 ''; do
    refused 2 train x.yaml --memory "$value"
done
refused 2 train x.yaml --gemm fastest
err_has 'auto\|clblast\|packed'
refused 2 eval x --loss-steps inf,
refused 2 eval x --loss-steps 0
refused 2 eval x --loss-steps 1,x
refused 2 eval x --receiver both
refused 2 eval x --weights mean
