#include <math.h>

#include "op/columns.h"

/* ---- time codes -------------------------------------------------------------------------------------------------- */

static bf_status check_code(bf_time_code kind, int batch, int dim, bf_err *err)
{
    const bool even = kind == BF_CODE_VDM;

    if (kind < BF_CODE_UNET || kind > BF_CODE_POSITION)
        return bf_fail(err, BF_USAGE, "unknown time code %d", (int)kind);
    if (batch < 1 || dim < 1 || (even && dim % 2 != 0))
        return bf_fail(err, BF_USAGE, "time code: bad shape [%d,%d]%s", batch, dim,
                       dim % 2 ? ": this code needs an even width" : "");
    return BF_OK;
}

/* exp(-ln(10000) k / half): product and quotient are rounded to float32, as the official code's tensors are. */
static float unet_speed(int k, int half)
{
    const float exponent = -9.210340371976184f * (float)k / (float)half;

    return (float)exp((double)exponent);
}

/* 10^(-4 k / (half - 1)): exponents counted from the nearer end in float32 (as torch.logspace does). */
static float vdm_speed(int k, int half)
{
    if (half == 1) return 1.0f;
    const float step = -4.0f / (float)(half - 1);
    const float exponent = k < half / 2 ? step * (float)k : -4.0f - step * (float)(half - 1 - k);

    return (float)pow(10.0, (double)exponent);
}

static float position_speed(int column, int dim)
{
    const float exponent = (float)column / (float)dim;

    return (float)pow(10000.0, -(double)exponent);
}

bf_status bf_time_code_speeds(bf_time_code kind, float *speed, int dim, bf_err *err)
{
    bf_status st = BF_OK;
    const int half = dim / 2;

    BF_TRY(check_code(kind, 1, dim, err));
    for (int j = 0; j < dim; j++) {
        const int k = j < half ? j : j - half; /* columns k and k + half are a pair */
        switch (kind) {
        case BF_CODE_UNET: speed[j] = j < 2 * half ? unet_speed(k, half) : 0.0f; break; /* of an odd width: sin(0) */
        case BF_CODE_VDM: speed[j] = vdm_speed(k, half); break;
        case BF_CODE_POSITION: speed[j] = position_speed(j, dim); break;
        }
    }
out:
    return st;
}

static bf_status code_call(bf_cmds *c, bf_time_code kind, const char *kernel, const bf_arg *args, size_t n_args,
                           int batch, int dim, bf_err *err)
{
    static const char *const defines[] = {[BF_CODE_UNET] = "-DKIND=CODE_UNET",
                                          [BF_CODE_VDM] = "-DKIND=CODE_VDM",
                                          [BF_CODE_POSITION] = "-DKIND=CODE_POSITION"};
    bf_status st = BF_OK;
    bf_call call = {.file = "code.cl", .kernel = kernel, .args = args, .n_args = n_args};

    BF_TRY(check_code(kind, batch, dim, err));
    call.defines = defines[kind];
    call.bytes = 4.0 * batch * dim;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)batch);
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

bf_status bf_time_code_forward(bf_cmds *c, bf_time_code kind, bf_mem y, bf_mem t, bf_mem speed, int batch, int dim,
                               bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(t), bf_arg_mem(speed), bf_arg_i32(dim)};
    return code_call(c, kind, "time_code_forward", args, BF_COUNT(args), batch, dim, err);
}

bf_status bf_time_code_backward(bf_cmds *c, bf_time_code kind, bf_mem dt, bool acc, bf_mem dy, bf_mem t, bf_mem speed,
                                int batch, int dim, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(dt), bf_arg_i32(acc),   bf_arg_mem(dy),
                           bf_arg_mem(t),  bf_arg_mem(speed), bf_arg_i32(dim)};
    return code_call(c, kind, "time_code_backward", args, BF_COUNT(args), batch, dim, err);
}

/* ---- Fourier features -------------------------------------------------------------------------------------------- */

static bf_status fourier_call(bf_cmds *c, const char *kernel, const bf_arg *args, size_t n_args, uint64_t rows, int cx,
                              int block, bf_err *err)
{
    bf_call call = {
        .file = "code.cl", .kernel = kernel, .args = args, .n_args = n_args, .bytes = 20.0 * (double)rows * cx};

    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div(rows, (uint64_t)block));
    return bf_cmds_kernel(c, &call, err);
}

/* Rows that a group takes; 0 for a bad shape. */
static int fourier_block(uint64_t rows, int cx)
{
    if (rows < 1 || cx < 1 || cx > BF_FLAT_BLOCK) return 0;
    return (int)BF_MIN(bf_block_rows(4 * (uint64_t)cx), rows);
}

bf_status bf_fourier_forward(bf_cmds *c, bf_mem y, bf_mem x, uint64_t rows, int cx, bf_err *err)
{
    const int block = fourier_block(rows, cx);
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(x), bf_arg_u64(rows), bf_arg_i32(cx), bf_arg_i32(block)};

    if (block == 0) return bf_fail(err, BF_USAGE, "Fourier features of rows of %d numbers are not possible", cx);
    return fourier_call(c, "fourier_forward", args, BF_COUNT(args), rows, cx, block, err);
}

bf_status bf_fourier_backward(bf_cmds *c, bf_mem dx, bool acc, bf_mem dy, bf_mem x, uint64_t rows, int cx, bf_err *err)
{
    const int block = fourier_block(rows, cx);
    const bf_arg args[] = {bf_arg_mem(dx),   bf_arg_i32(acc), bf_arg_mem(dy),   bf_arg_mem(x),
                           bf_arg_u64(rows), bf_arg_i32(cx),  bf_arg_i32(block)};

    if (block == 0) return bf_fail(err, BF_USAGE, "Fourier features of rows of %d numbers are not possible", cx);
    return fourier_call(c, "fourier_backward", args, BF_COUNT(args), rows, cx, block, err);
}

/* ---- soft bins of the time --------------------------------------------------------------------------------------- */

static bf_status bins_call(bf_cmds *c, const char *kernel, const bf_arg *args, size_t n_args, uint64_t batch, int dim,
                           bf_err *err)
{
    bf_call call = {.file = "code.cl", .kernel = kernel, .args = args, .n_args = n_args};

    if (batch < 1 || dim < 1) return bf_fail(err, BF_USAGE, "%s: bad width %d", kernel, dim);
    call.bytes = 4.0 * (double)batch * (dim + 1);
    bf_call_flat(&call, bf_cmds_ctx(c), batch);
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_time_bins_forward(bf_cmds *c, bf_mem y, bf_mem t, uint64_t batch, int dim, bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(y), bf_arg_mem(t), bf_arg_u64(batch), bf_arg_i32(dim)};

    return bins_call(c, "time_bins_forward", args, BF_COUNT(args), batch, dim, err);
}

bf_status bf_time_bins_backward(bf_cmds *c, bf_mem dt, bool acc, bf_mem dy, bf_mem t, uint64_t batch, int dim,
                                bf_err *err)
{
    const bf_arg args[] = {bf_arg_mem(dt), bf_arg_i32(acc),   bf_arg_mem(dy),
                           bf_arg_mem(t),  bf_arg_u64(batch), bf_arg_i32(dim)};

    return bins_call(c, "time_bins_backward", args, BF_COUNT(args), batch, dim, err);
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

static bf_status check_features(const char *what, int batch, int points, int cx, int cp, bf_err *err)
{
    if (batch < 1 || points < 1 || cx < 0 || cp < 0 || cx > INT32_MAX / 4 || cp > INT32_MAX / 4)
        return bf_fail(err, BF_USAGE, "%s: bad shape [%d,%d,%d + %d]", what, batch, points, cx, cp);
    return BF_OK;
}

bf_status bf_features_forward(bf_cmds *c, bf_mem y, bf_mem x, bf_mem t, bf_mem pos, int batch, int points, int cx,
                              int cp, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check_features("features", batch, points, cx, cp, err));
    const int ct = bf_mem_is_none(t) ? 0 : 1, width = bf_mem_is_none(pos) ? 0 : cp, cy = cx + ct + width;
    BF_CHECK(cy > 0, BF_USAGE, "features: no input at all");
    const int block = (int)BF_MIN(bf_block_rows((uint64_t)cy), (uint64_t)points);
    const int parts = (int)bf_ceil_div((uint64_t)points, (uint64_t)block);
    const bf_arg args[] = {bf_arg_mem(y),  bf_arg_mem(x),  bf_arg_mem(t),     bf_arg_mem(pos),   bf_arg_i32(points),
                           bf_arg_i32(cx), bf_arg_i32(ct), bf_arg_i32(width), bf_arg_i32(block), bf_arg_i32(parts)};
    bf_call call = {.file = "code.cl", .kernel = "features_forward", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 8.0 * batch * points * cy;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)batch * (size_t)parts);
    BF_TRY(bf_cmds_kernel(c, &call, err));
out:
    return st;
}

static bf_status features_backward_pos(bf_cmds *c, bf_mem dpos, bool acc, bf_mem dy, int batch, int points, int cp,
                                       int first, bf_err *err)
{
    const int block = (int)BF_MIN(bf_block_rows((uint64_t)cp), (uint64_t)points);
    const bf_arg args[] = {bf_arg_mem(dpos),  bf_arg_i32(acc),        bf_arg_mem(dy),
                           bf_arg_i32(batch), bf_arg_i32(points),     bf_arg_i32(cp),
                           bf_arg_i32(first), bf_arg_i32(first + cp), bf_arg_i32(block)};
    bf_call call = {.file = "code.cl", .kernel = "features_backward_pos", .args = args, .n_args = BF_COUNT(args)};
    call.bytes = 4.0 * batch * points * cp;
    bf_call_rows(&call, bf_cmds_ctx(c), (size_t)bf_ceil_div((uint64_t)points, (uint64_t)block));
    return bf_cmds_kernel(c, &call, err);
}

bf_status bf_features_backward(bf_cmds *c, bf_mem dx, bool acc_x, bf_mem dtp, bool acc_t, bf_mem dpos, bool acc_p,
                               bf_mem dy, bool has_t, int batch, int points, int cx, int cp, bf_err *err)
{
    bf_status st = BF_OK;
    BF_TRY(check_features("features backward", batch, points, cx, cp, err));
    const int ct = has_t ? 1 : 0, cy = cx + ct + cp;
    const uint64_t rows = (uint64_t)batch * (uint64_t)points;
    if (!bf_mem_is_none(dx) && cx > 0) BF_TRY(bf_take_columns(c, dx, acc_x, 1.0f, dy, rows, cx, 0, cy, err));
    if (!bf_mem_is_none(dtp) && has_t) BF_TRY(bf_take_columns(c, dtp, acc_t, 2.0f, dy, rows, 1, cx, cy, err));
    if (!bf_mem_is_none(dpos) && cp > 0)
        BF_TRY(features_backward_pos(c, dpos, acc_p, dy, batch, points, cp, cx + ct, err));
out:
    return st;
}
