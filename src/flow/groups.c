/* Groups of a hybrid flow as commands: cl/flow_groups.cl. */
#include <math.h>

#include "flow/ops.h"
#include "op/columns.h"

#define CL_FILE "flow_groups.cl"

/* One launch over rows of `cols` numbers; `args` ends with the place of the rows per group, which is filled in. */
static bf_status launch(bf_cmds *c, const char *kernel, bf_arg *args, size_t n_args, uint64_t rows, uint64_t cols,
                        bf_err *err)
{
    bf_status st = BF_OK;
    bf_call call = {.file = CL_FILE, .kernel = kernel, .args = args, .n_args = n_args};
    BF_CHECK(cols <= INT32_MAX / 2, BF_USAGE, "%s: rows of %llu numbers are too long", kernel,
             (unsigned long long)cols);
    const uint64_t block = bf_block_rows(cols);
    args[n_args - 1] = bf_arg_i32((int32_t)block);
    call.bytes = 8.0 * (double)rows * (double)cols;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, block));
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

bf_status bf_group_op_take(bf_cmds *c, bf_flow_shape shape, bf_mem x, bf_mem mask, bf_mem data, uint64_t first,
                           uint64_t pitch, bf_err *err)
{
    bf_arg args[] = {bf_arg_mem(x),
                     bf_arg_mem(mask),
                     bf_arg_mem(data),
                     bf_arg_u64(shape.batch),
                     bf_arg_i32((int32_t)shape.dims),
                     bf_arg_i32((int32_t)first),
                     bf_arg_i32((int32_t)pitch),
                     bf_arg_i32(!bf_mem_is_none(mask)),
                     bf_arg_i32(0)};
    if (pitch > INT32_MAX) return bf_fail(err, BF_USAGE, "rows of %llu numbers", (unsigned long long)pitch);
    return launch(c, "group_take", args, BF_COUNT(args), shape.batch, shape.dims, err);
}

bf_status bf_group_op_mask(bf_cmds *c, bf_flow_shape shape, int width, bf_mem x, bf_mem mask, bf_mem weight,
                           bf_err *err)
{
    bf_arg args[] = {bf_arg_mem(x),
                     bf_arg_mem(mask),
                     bf_arg_i32(!bf_mem_is_none(mask)),
                     bf_arg_mem(weight),
                     bf_arg_i32(!bf_mem_is_none(weight)),
                     bf_arg_u64(shape.batch),
                     bf_arg_i32((int32_t)shape.dims),
                     bf_arg_i32(width),
                     bf_arg_i32(0)};
    return launch(c, "group_mask", args, BF_COUNT(args), shape.batch, shape.dims * (uint64_t)width, err);
}

bf_status bf_group_op_total(bf_cmds *c, bf_mem total, bool acc, double factor, bf_mem loss, bf_mem weight,
                            uint64_t items, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(total), bf_arg_i32(acc),    bf_arg_f32((float)factor),
                           bf_arg_mem(loss),  bf_arg_mem(weight), bf_arg_i32(!bf_mem_is_none(weight)),
                           bf_arg_u64(items)};
    bf_call call = {.file = CL_FILE, .kernel = "group_total", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 8.0 * (double)items;
    bf_call_flat(&call, bf_cmds_ctx(c), items);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_group_op_hold(bf_cmds *c, bf_flow_shape shape, int width, bf_mem y, bf_mem given, bf_err *err)
{
    bf_arg args[] = {bf_arg_mem(y),     bf_arg_mem(given), bf_arg_u64(shape.batch), bf_arg_i32((int32_t)shape.dims),
                     bf_arg_i32(width), bf_arg_i32(0)};
    return launch(c, "group_hold", args, BF_COUNT(args), shape.batch, shape.dims * (uint64_t)width, err);
}

bf_status bf_group_op_temper(bf_cmds *c, const bf_flow *f, bf_flow_shape shape, bf_mem net, double temperature,
                             bf_err *err)
{
    const bool classes = f->kind == BF_FLOW_CATEGORICAL, mixture = !classes && f->output == BF_OUT_MIXTURE;
    const bool plain = f->predict == BF_PREDICT_DATA_SD;
    const int width = bf_flow_outputs(f), means = classes ? 0 : mixture ? f->mixture : 1;
    bf_arg args[] = {bf_arg_mem(net),
                     bf_arg_u64(shape.batch * shape.dims),
                     bf_arg_i32(width),
                     bf_arg_i32(classes   ? width
                                : mixture ? f->mixture
                                          : 0),
                     bf_arg_i32(means),
                     bf_arg_f32((float)(1.0 / temperature)),
                     bf_arg_f32(plain ? 0.0f : (float)log(temperature)),
                     bf_arg_f32(plain ? (float)temperature : 1.0f),
                     bf_arg_i32(0)};
    return launch(c, "group_temper", args, BF_COUNT(args), shape.batch * shape.dims, (uint64_t)width, err);
}
