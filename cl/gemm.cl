/*
 * C[m,n] = act(alpha op(A)[m,k] op(B)[k,n] + beta C + bias[n]) + residual[m,n], row-major, batched. C is not read when
 * beta is 0.
 *
 *   ACT   activation of the epilogue, a number of enum bf_act
 *
 * gemm          the product. CPU: one work-item per block of C; op(A) in strips of TILE_M rows, op(B) in panels of
 *               TILE_N columns, packed by gemm_pack or read where they lie. WIDE: TM x TN tiles in local memory. With
 *               splits > 1 the sum over k is cut and part s of matrix i goes to c + (i splits + s) stride_c, to be
 *               folded by gemm_epilogue.
 * gemm_pack     op(A)' or op(B) -> panels [n/width][k][width], the last one filled up with zeros (CPU only)
 * gemm_epilogue folds the parts in order and applies the epilogue; with parts = 0 it works on what C holds
 */
#include "common.h"
#include "tile.h"

#ifndef ACT
#define ACT 0
#endif

/* Bits of `epi`. */
#define EPI_BIAS 1
#define EPI_RESIDUAL 2
#define EPI_PRE 4

#if !WIDE

/* Longest run of k between two visits of C: a strip of A stays in the first-level cache, a panel of B in the second. */
#define KC 384

/* name(..., w): sums of ROWS rows and w vectors: a whole tile, half of one, or where that is more, a single one. */
#define DEFINE_ROWS(name, ROWS)                                                                                        \
    DEFINE_TILE(name##_whole, ROWS, TILE_V)                                                                            \
    DEFINE_TILE(name##_half, ROWS, TILE_V / 2)                                                                         \
    DEFINE_TILE(name##_single, ROWS, 1)                                                                                \
    inline void name(float *t, __global const float *a, const int rs, const int ks, __global const float *b,           \
                     const int bs, const int kn, const int w)                                                          \
    {                                                                                                                  \
        if (w == TILE_V)                                                                                               \
            name##_whole(t, a, rs, ks, b, bs, kn);                                                                     \
        else if (w == TILE_V / 2)                                                                                      \
            name##_half(t, a, rs, ks, b, bs, kn);                                                                      \
        else if (TILE_V > 2)                                                                                           \
            name##_single(t, a, rs, ks, b, bs, kn);                                                                    \
    }

DEFINE_ROWS(sum_all, TILE_M)
DEFINE_ROWS(sum_third, TILE_M / 3)
DEFINE_ROWS(sum_one, 1)

/* Sums of rows <= TILE_M rows and cols <= TILE_N columns into t. */
inline void sum_tile(float *t, __global const float *a, const int rs, const int ks, __global const float *b,
                     const int bs, const int kn, const int rows, const int cols)
{
    for (int r = 0; r < rows;) {
        const int n = rows - r >= TILE_M ? TILE_M : rows - r >= TILE_M / 3 ? TILE_M / 3 : 1;
        __global const float *p = a + (long)r * rs;
        for (int c = 0; c < cols;) {
            const int left = cols - c, w = left > 48 ? 4 : left > 16 ? 2 : 1;
            float *to = t + r * TILE_N + c;
            if (n == TILE_M)
                sum_all(to, p, rs, ks, b + c, bs, kn, w);
            else if (n == TILE_M / 3)
                sum_third(to, p, rs, ks, b + c, bs, kn, w);
            else
                sum_one(to, p, rs, ks, b + c, bs, kn, w);
            c += 16 * w;
        }
        r += n;
    }
}

/* Asks for the lines of a tile of C before its sums are formed: they are written in one go. */
inline void fetch_tile(__global const float *c, const int ldc, const int rows)
{
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < TILE_N; v += VW) PREFETCH_L2(c + (long)r * ldc + v);
}

/* One tile of sums into C: the first run of k scales or drops what is there, the last one ends with the epilogue. */
inline void store_tile(const float *t, __global float *c, __global const float *bias, __global const float *residual,
                       __global float *pre, const int ldc, const int rows, const int cols, const float alpha,
                       const float beta, const int epi, const int first, const int last)
{
    const float keep = first ? beta : 1.0f;
    const int extras = epi | ACT;
    if (cols == TILE_N && (!last || extras == 0)) {
        for (int r = 0; r < rows; r++) {
            __global float *p = c + (long)r * ldc;
            for (int v = 0; v < TILE_N; v += 16) {
                float16 x = alpha * ldp16(t + r * TILE_N + v);
                if (keep != 0.0f) x += keep * ld16(p + v);
                st16(x, p + v);
            }
        }
        return;
    }
    for (int r = 0; r < rows; r++) {
        for (int v = 0; v < cols; v += VW) {
            const int left = cols - v;
            const long at = (long)r * ldc + v;
            vf x = alpha * ldp16(t + r * TILE_N + v);
            if (keep != 0.0f) x += keep * ldv(c + at, left);
            if (last) {
                if (epi & EPI_BIAS) x += ldv(bias + v, left);
                if (epi & EPI_PRE) stv(x, pre + at, left);
                x = act_fwd(ACT, x);
                if (epi & EPI_RESIDUAL) x += ldv(residual + at, left);
            }
            stv(x, c + at, left);
        }
    }
}

#else

/* A group of GROUP items holds a tile of TM x TN elements of C, each item RM x RN of them: TX items side by side, quads
 * (4 x 4) of an item TX or TY quads apart. TK columns of A and rows of B at a time lie in local memory, while those that
 * follow are on their way to registers. The sizes change who computes an element, not the order of its sum. */
#ifndef TM
#define TM 64
#define TN 64
#define TK 16
#define GROUP WG
#define TX (WG >= 256 ? 16 : WG >= 8 ? 8 : WG)
#endif
#define TY (GROUP / TX)
#define RM (TM / TY)
#define RN (TN / TX)

/* Quads between two rows of a tile in local memory: one more than it holds, so that columns fall into other banks. */
#define LM (TM / 4 + 1)
#define LN (TN / 4 + 1)

/* Quads of a tile that one item moves. */
#define QUADS(t) ((t * TK / 4 + GROUP - 1) / GROUP)

/* 4 floats at p, of which `left` are there; `aligned`: p is a multiple of 16 bytes. */
inline float4 ld_quad(__global const float *p, const int left, const int aligned)
{
    if (left >= 4) return aligned ? *(__global const float4 *)p : vload4(0, p);
    return (float4)(left > 0 ? p[0] : 0.0f, left > 1 ? p[1] : 0.0f, left > 2 ? p[2] : 0.0f, 0.0f);
}

inline void st_quad(const float4 x, __global float *p, const int left)
{
    if (left >= 4) {
        vstore4(x, 0, p);
    } else {
        p[0] = x.s0;
        if (left > 1) p[1] = x.s1;
        if (left > 2) p[2] = x.s2;
    }
}

/* What this item moves of `size` rows by TK columns of a matrix with element (r, k) at p[r sr + k sk], of which rows x kn
 * are there; the rest is zero. Quads run along k where that is how the matrix lies (sk = 1), else along r. */
inline void fetch_tile(float4 *x, __global const float *p, const int size, const long sr, const long sk, const int rows,
                       const int kn, const int aligned)
{
    for (int u = 0; u < QUADS(size); u++) {
        const int i = (int)get_local_id(0) + u * GROUP;
        const int r = sk == 1 ? i / (TK / 4) : i % (size / 4) * 4, k = sk == 1 ? i % (TK / 4) * 4 : i / (size / 4);
        const int left = i >= size * TK / 4 || r >= rows ? 0 : sk == 1 ? kn - k : k < kn ? rows - r : 0;
        x[u] = left > 0 ? ld_quad(p + r * sr + k * sk, left, aligned) : (float4)(0.0f);
    }
}

/* The same quads to local memory as [TK][size + 4]. */
inline void place_tile(__local float4 *tile, const float4 *x, const int size, const long sk)
{
    for (int u = 0; u < QUADS(size); u++) {
        const int i = (int)get_local_id(0) + u * GROUP;
        if (i >= size * TK / 4) continue;
        if (sk == 1) {
            __local float *to = (__local float *)tile + i % (TK / 4) * 4 * (size + 4) + i / (TK / 4);
            to[0] = x[u].s0;
            to[size + 4] = x[u].s1;
            to[2 * (size + 4)] = x[u].s2;
            to[3 * (size + 4)] = x[u].s3;
        } else {
            tile[i / (size / 4) * (size / 4 + 1) + i % (size / 4)] = x[u];
        }
    }
}

/* One quad of sums into C. */
inline void store_quad(const float4 sum, __global float *c, __global const float *bias, __global const float *residual,
                       __global float *pre, const int left, const float alpha, const float beta, const int epi)
{
    float4 x = alpha * sum;
    if (beta != 0.0f) x += beta * ld_quad(c, left, 0);
    if (epi & EPI_BIAS) x += ld_quad(bias, left, 0);
    if (epi & EPI_PRE) st_quad(x, pre, left);
    if (ACT) x = (float4)(act_fwd1(ACT, x.s0), act_fwd1(ACT, x.s1), act_fwd1(ACT, x.s2), act_fwd1(ACT, x.s3));
    if (epi & EPI_RESIDUAL) x += ld_quad(residual, left, 0);
    st_quad(x, c, left);
}

#endif

/*
 * Group (i, j, z): block of block_m rows and block_n columns number (i, j) of part z % splits of matrix z / splits.
 * CPU: rows TILE_M q .. of op(A) start at a + q strip, element (r, k) of them is r lda + k away, or with trans_a k lda + r;
 * columns TILE_N q .. of op(B) start at b + q panel, rows ldb apart. WIDE: both matrices as in struct bf_gemm.
 */
__kernel void gemm(ARG(c), ARG_CONST(a), ARG_CONST(b), ARG_CONST(bias), ARG_CONST(residual), ARG(pre), const int m,
                   const int n, const int k, const int lda, const int ldb, const int ldc, const int trans_a,
                   const int trans_b, const ulong strip, const ulong panel, const ulong stride_a, const ulong stride_b,
                   const ulong stride_c, const ulong stride_bias, const float alpha, const float beta, const int epi,
                   const int splits, const int k_split, const int block_m, const int block_n TURNS)
{
    PTR(c);
    PTR_CONST(a);
    PTR_CONST(b);
    PTR_CONST(bias);
    PTR_CONST(residual);
    PTR(pre);
#if WIDE
    __local float4 tile_a[TK * LM], tile_b[TK * LN];
#endif
    FOR_GROUPS(group)
    {
        const int z = (int)group.z, part = z % splits;
        __global const float *const az = a + (ulong)(z / splits) * stride_a;
        __global const float *const bz = b + (ulong)(z / splits) * stride_b;
        const ulong to = (ulong)z * stride_c;
        __global const float *const bias_z = bias + (ulong)(z / splits) * stride_bias;
        const int k_begin = part * k_split, k_end = min(k, k_begin + k_split);
        const int m0 = (int)group.x * block_m, m1 = min(m, m0 + block_m);
        const int n0 = (int)group.y * block_n, n1 = min(n, n0 + block_n);
#if !WIDE
        (void)trans_b;
        LINES(t, TILE_M * TILE_N);
        const int rs = trans_a ? 1 : lda, ks = trans_a ? lda : 1;
        const int runs = max(1, (k_end - k_begin + KC - 1) / KC);
        const int run = (k_end - k_begin + runs - 1) / runs;
        for (int k0 = k_begin, first = 1; first || k0 < k_end; k0 += run, first = 0) {
            const int kn = max(0, min(run, k_end - k0)), last = k0 + run >= k_end;
            for (int j = n0; j < n1; j += TILE_N) {
                const int cols = min(TILE_N, n1 - j);
                __global const float *q = bz + (ulong)(j / TILE_N) * panel + (long)k0 * ldb;
                for (int i = m0; i < m1; i += TILE_M) {
                    const int rows = min(TILE_M, m1 - i);
                    __global const float *p = az + (ulong)(i / TILE_M) * strip + (long)k0 * ks;
                    const ulong at = to + (ulong)i * ldc + j;
                    fetch_tile(c + at, ldc, rows);
                    sum_tile(t, p, rs, ks, q, ldb, kn, rows, cols);
                    store_tile(t, c + at, bias_z + j, residual + at, pre + at, ldc, rows, cols, alpha, beta, epi, first,
                               last);
                }
            }
        }
#else
        (void)strip;
        (void)panel;
        const int ix = (int)get_local_id(0) % TX, iy = (int)get_local_id(0) / TX;
        const long ra = trans_a ? 1 : lda, ka = trans_a ? lda : 1, rb = trans_b ? ldb : 1, kb = trans_b ? 1 : ldb;
        __global const float *pa = az + m0 * ra + k_begin * ka, *pb = bz + n0 * rb + k_begin * kb;
        const int aligned_a = (((size_t)az | (ulong)lda * 4 | (ulong)k_begin * 4) & 15) == 0;
        const int aligned_b = (((size_t)bz | (ulong)ldb * 4 | (ulong)k_begin * 4) & 15) == 0;
        float4 next_a[QUADS(TM)], next_b[QUADS(TN)], acc[RM][RN / 4];
        for (int r = 0; r < RM; r++)
            for (int v = 0; v < RN / 4; v++) acc[r][v] = (float4)(0.0f);
        fetch_tile(next_a, pa, TM, ra, ka, m1 - m0, k_end - k_begin, aligned_a);
        fetch_tile(next_b, pb, TN, rb, kb, n1 - n0, k_end - k_begin, aligned_b);
        for (int k0 = k_begin; k0 < k_end; k0 += TK) {
            place_tile(tile_a, next_a, TM, ka);
            place_tile(tile_b, next_b, TN, kb);
            barrier(CLK_LOCAL_MEM_FENCE);
            pa += TK * ka;
            pb += TK * kb;
            fetch_tile(next_a, pa, TM, ra, ka, m1 - m0, k_end - k0 - TK, aligned_a);
            fetch_tile(next_b, pb, TN, rb, kb, n1 - n0, k_end - k0 - TK, aligned_b);
            for (int q = 0; q < TK; q++) {
                float4 row[RN / 4];
                for (int v = 0; v < RN / 4; v++) row[v] = tile_b[q * LN + v * TX + ix];
                for (int u = 0; u < RM / 4; u++) {
                    const float4 x = tile_a[q * LM + u * TY + iy];
                    for (int v = 0; v < RN / 4; v++) {
                        acc[4 * u][v] += x.s0 * row[v];
                        acc[4 * u + 1][v] += x.s1 * row[v];
                        acc[4 * u + 2][v] += x.s2 * row[v];
                        acc[4 * u + 3][v] += x.s3 * row[v];
                    }
                }
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        for (int r = 0; r < RM; r++) {
            const int i = m0 + (r / 4 * TY + iy) * 4 + r % 4;
            for (int v = 0; v < RN / 4; v++) {
                const int j = n0 + (v * TX + ix) * 4;
                const ulong at = to + (ulong)i * ldc + j;
                if (i < m1 && j < n1)
                    store_quad(acc[r][v], c + at, bias_z + j, residual + at, pre + at, n1 - j, alpha, beta, epi);
            }
        }
#endif
    }
}

#if !WIDE

/* Rows of k that one work-item of gemm_pack moves. */
#define PACK_K 32

/* out[c * TILE_N + r] = in[r * ld + c] for a block of 16 x 16. */
inline void pack_transposed(__global float *out, __global const float *in, const int ld)
{
    float16 x[16];
#pragma unroll
    for (int r = 0; r < 16; r++) x[r] = ld16(in + (long)r * ld);
    transpose_16(x);
#pragma unroll
    for (int r = 0; r < 16; r++) st16(x[r], out + r * TILE_N);
}

/* Columns that one work-item of gemm_pack moves, in panels: enough to read whole stretches of a row. */
#define PACK_PANELS 64

/* Row i of one panel of `cols` columns: element j is at from[j sj]. */
inline void pack_row(__global float *to, __global const float *from, const int width, const int cols, const long sj)
{
    if (cols == TILE_N && sj == 1) {
        for (int v = 0; v < TILE_N; v += 16) st16(ld16(from + v), to + v);
    } else if (cols == TILE_M && width == TILE_M && sj == 1) {
        for (int v = 0; v < TILE_M; v += 2) vstore2(vload2(0, from + v), 0, to + v);
    } else {
        for (int j = 0; j < width; j++) to[j] = j < cols ? from[j * sj] : 0.0f;
    }
}

/* Group (k block, PACK_PANELS panels, matrix): columns of a matrix stored [k,n], or with trans [n,k]. */
__kernel void gemm_pack(ARG(out), ARG_CONST(in), const int n, const int k, const int ld, const int trans,
                        const int width, const ulong stride_in, const ulong stride_out)
{
    PTR(out);
    PTR_CONST(in);
    const int k0 = (int)get_group_id(0) * PACK_K, k1 = min(k, k0 + PACK_K);
    const int j0 = (int)get_group_id(1) * PACK_PANELS * width, j1 = min(n, j0 + PACK_PANELS * width);
    const long sj = trans ? ld : 1, si = trans ? 1 : ld;
    __global const float *from = in + get_group_id(2) * stride_in;
    __global float *to = out + get_group_id(2) * stride_out;
    /* along rows of the stored matrix, so that it is read in order */
    int k2 = k0;
    if (trans && width == TILE_N) {
        k2 = k0 + (k1 - k0) / 16 * 16;
        for (int j = j0; j < j1; j += TILE_N) {
            for (int i = k0; i < k2; i += 16) {
                __global float *q = to + (long)j * k + (long)i * TILE_N;
                if (n - j >= TILE_N) {
                    for (int v = 0; v < TILE_N; v += 16) pack_transposed(q + v, from + (j + v) * sj + i, ld);
                } else {
                    for (int c = 0; c < 16; c++) pack_row(q + c * TILE_N, from + j * sj + i + c, TILE_N, n - j, sj);
                }
            }
        }
    }
    for (int i = k2; i < k1; i++)
        for (int j = j0; j < j1; j += width)
            pack_row(to + (long)j * k + (long)i * width, from + j * sj + i * si, width, min(width, n - j), sj);
}

#endif

/* One group per row of C; parts of [matrices][parts][m][n] are added in order. */
__kernel void gemm_epilogue(ARG(c), ARG_CONST(p), ARG_CONST(bias), ARG_CONST(residual), ARG(pre), const int m,
                            const int n, const int ldc, const ulong stride_c, const ulong stride_bias, const int parts,
                            const float alpha, const float beta, const int epi)
{
    PTR(c);
    PTR_CONST(p);
    PTR_CONST(bias);
    PTR_CONST(residual);
    PTR(pre);
    const int row = (int)get_group_id(0) % m, matrix = (int)get_group_id(0) / m;
    const ulong at = matrix * stride_c + (ulong)row * ldc;
    __global const float *const bias_m = bias + matrix * stride_bias;
    __global const float *const part = p + ((ulong)matrix * parts * m + row) * n;
    ROW_FOR(j, n)
    {
        const int left = n - j;
        vf x;
        if (parts == 0) {
            x = ldv(c + at + j, left);
        } else {
            x = ldv(part + j, left);
            for (int s = 1; s < parts; s++) x += ldv(part + (ulong)s * m * n + j, left);
            x *= alpha;
            if (beta != 0.0f) x += beta * ldv(c + at + j, left);
        }
        if (epi & EPI_BIAS) x += ldv(bias_m + j, left);
        if (epi & EPI_PRE) stv(x, pre + at + j, left);
        x = act_fwd(ACT, x);
        if (epi & EPI_RESIDUAL) x += ldv(residual + at + j, left);
        stv(x, c + at + j, left);
    }
}
