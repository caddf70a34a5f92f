/* What `bfncl bench` can measure; each returns the exit code. */
#ifndef BF_CLI_BENCH_H
#define BF_CLI_BENCH_H

#include "cli/cli.h"

int cli_bench_gemm(const cli_args *a);
int cli_bench_peak(const cli_args *a);
int cli_bench_conv(const cli_args *a);
int cli_bench_attention(const cli_args *a);
int cli_bench_ops(const cli_args *a);
/* With a configuration as second operand. */
int cli_bench_train(const cli_args *a);
int cli_bench_sample(const cli_args *a);

#endif
