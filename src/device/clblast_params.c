/* The tuning parameters of CLBlast's two kernels for matrix products. device/tune.h */
#include <clblast_c.h>
#include <string.h>

#include "base/size.h"
#include "device/cl.h"
#include "device/tune.h"

#define CHOICES 4
#define TRIALS 4096 /* draws until one is legal */

typedef struct param {
    const char *name;
    size_t n, choice[CHOICES];
} param;

/* For large products: matrices are copied to a padded form first. Work-groups of MDIMC x NDIMC hold MWG x NWG. */
enum { GEMMK, KREG, KWG, KWI, MDIMA, MDIMC, MWG, NDIMB, NDIMC, NWG, SA, SB, STRM, STRN, VWM, VWN, XGEMM_PARAMS };
static const param xgemm[XGEMM_PARAMS] = {[GEMMK] = {"GEMMK", 1, {0}},
                                          [KREG] = {"KREG", 1, {1}},
                                          [KWG] = {"KWG", 2, {16, 32}},
                                          [KWI] = {"KWI", 2, {2, 8}},
                                          [MDIMA] = {"MDIMA", 3, {8, 16, 32}},
                                          [MDIMC] = {"MDIMC", 3, {8, 16, 32}},
                                          [MWG] = {"MWG", 4, {16, 32, 64, 128}},
                                          [NDIMB] = {"NDIMB", 3, {8, 16, 32}},
                                          [NDIMC] = {"NDIMC", 3, {8, 16, 32}},
                                          [NWG] = {"NWG", 4, {16, 32, 64, 128}},
                                          [SA] = {"SA", 2, {0, 1}},
                                          [SB] = {"SB", 2, {0, 1}},
                                          [STRM] = {"STRM", 2, {0, 1}},
                                          [STRN] = {"STRN", 2, {0, 1}},
                                          [VWM] = {"VWM", 4, {1, 2, 4, 8}},
                                          [VWN] = {"VWN", 4, {1, 2, 4, 8}}};

/* For small ones: reads the matrices as they are. Work-groups of MDIMCD x NDIMCD hold WGD x WGD. */
enum { KWID, MDIMAD, MDIMCD, NDIMBD, NDIMCD, PADA, PADB, VWMD, VWND, WGD, DIRECT_PARAMS };
static const param direct[DIRECT_PARAMS] = {
    [KWID] = {"KWID", 3, {2, 8, 16}},      [MDIMAD] = {"MDIMAD", 3, {8, 16, 32}}, [MDIMCD] = {"MDIMCD", 3, {8, 16, 32}},
    [NDIMBD] = {"NDIMBD", 3, {8, 16, 32}}, [NDIMCD] = {"NDIMCD", 3, {8, 16, 32}}, [PADA] = {"PADA", 2, {0, 1}},
    [PADB] = {"PADB", 2, {0, 1}},          [VWMD] = {"VWMD", 4, {1, 2, 4, 8}},    [VWND] = {"VWND", 4, {1, 2, 4, 8}},
    [WGD] = {"WGD", 4, {8, 16, 32, 64}}};

static const struct {
    const char *name;
    const param *params;
    size_t n;
} kernels[BF_CLBLAST_KERNELS] = {
    [BF_CLBLAST_XGEMM] = {"Xgemm", xgemm, XGEMM_PARAMS}, [BF_CLBLAST_DIRECT] = {"XgemmDirect", direct, DIRECT_PARAMS}};

const char *bf_clblast_kernel_name(bf_clblast_kernel kernel)
{
    return kernels[kernel].name;
}

const char *bf_clblast_param_name(bf_clblast_kernel kernel, int i)
{
    return i >= 0 && (size_t)i < kernels[kernel].n ? kernels[kernel].params[i].name : NULL;
}

/* The constraints of CLBlast's own tuner (kernels/level3/xgemm_part1.opencl). */
static bool legal_xgemm(const bf_ctx *ctx, const size_t *v)
{
    const size_t items = v[MDIMC] * v[NDIMC];
    const size_t local = sizeof(float) * v[KWG] * (v[SA] * v[MWG] + v[SB] * v[NWG]);
    return v[KWG] % v[KWI] == 0 && v[MWG] % (v[MDIMC] * v[VWM]) == 0 && v[NWG] % (v[NDIMC] * v[VWN]) == 0 &&
           v[MWG] % (v[MDIMA] * v[VWM]) == 0 && v[NWG] % (v[NDIMB] * v[VWN]) == 0 && items % v[MDIMA] == 0 &&
           items % v[NDIMB] == 0 && v[KWG] % (items / v[MDIMA]) == 0 && v[KWG] % (items / v[NDIMB]) == 0 &&
           items <= ctx->max_group && local <= ctx->local_bytes;
}

/* kernels/level3/xgemm_direct_part1.opencl */
static bool legal_direct(const bf_ctx *ctx, const size_t *v)
{
    const size_t items = v[MDIMCD] * v[NDIMCD];
    const size_t local = sizeof(float) * v[WGD] * (2 * v[WGD] + v[PADA] + v[PADB]);
    return v[WGD] % v[KWID] == 0 && v[WGD] % (v[MDIMCD] * v[VWMD]) == 0 && v[WGD] % (v[NDIMCD] * v[VWND]) == 0 &&
           v[WGD] % (v[MDIMAD] * v[VWMD]) == 0 && v[WGD] % (v[NDIMBD] * v[VWND]) == 0 && items % v[MDIMAD] == 0 &&
           items % v[NDIMBD] == 0 && v[WGD] % (items / v[MDIMAD]) == 0 && v[WGD] % (items / v[NDIMBD]) == 0 &&
           items <= ctx->max_group && local <= ctx->local_bytes;
}

bool bf_clblast_legal(const bf_ctx *ctx, bf_clblast_kernel kernel, const size_t *value)
{
    for (size_t i = 0; i < kernels[kernel].n; i++) {
        const param *p = &kernels[kernel].params[i];
        bool known = false;
        for (size_t j = 0; j < p->n; j++) known = known || value[i] == p->choice[j];
        if (!known) return false;
    }
    return kernel == BF_CLBLAST_XGEMM ? legal_xgemm(ctx, value) : legal_direct(ctx, value);
}

/* Below n, from a 64-bit linear congruential generator. */
static size_t pick(uint64_t *random, size_t n)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((*random >> 33) % n);
}

bool bf_clblast_draw(const bf_ctx *ctx, bf_clblast_kernel kernel, const size_t *near, uint64_t *random, size_t *value)
{
    const size_t n = kernels[kernel].n;
    for (int trial = 0; trial < TRIALS; trial++) {
        const size_t only = pick(random, n);
        for (size_t i = 0; i < n; i++) {
            const param *p = &kernels[kernel].params[i];
            value[i] = near != NULL && i != only ? near[i] : p->choice[pick(random, p->n)];
        }
        const bool same = near != NULL && memcmp(near, value, n * sizeof *value) == 0;
        if (!same && bf_clblast_legal(ctx, kernel, value)) return true;
    }
    return false;
}

bf_status bf_clblast_override(bf_ctx *ctx, bf_clblast_kernel kernel, const size_t *value, bf_err *err)
{
    bf_status st = BF_OK;
    const char *names[BF_CLBLAST_PARAMS];
    for (size_t i = 0; i < kernels[kernel].n; i++) names[i] = kernels[kernel].params[i].name;
    const CLBlastStatusCode code = CLBlastOverrideParameters(ctx->device.id, kernels[kernel].name,
                                                             CLBlastPrecisionSingle, kernels[kernel].n, names, value);
    BF_CHECK(code == CLBlastSuccess, BF_RUNTIME, "CLBlast does not take parameters of %s for %s: status %d",
             kernels[kernel].name, ctx->name, (int)code);
out:
    return st;
}
