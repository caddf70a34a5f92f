/* Everything a driver gets wrong, in one table. Decisions elsewhere follow capabilities and these flags, never names.
 */
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "device/cl.h"

typedef struct quirk {
    const char *platform;  /* part of the platform name, any case; NULL: every platform */
    const char *device;    /* part of the device name; NULL: every device */
    int from[2], below[2]; /* driver versions [from, below); {0,0} in `below`: no end known */
    unsigned flags;
    const char *name, *reason;
} quirk;

/* The version is the first "N.M" in the driver version. Drop a row when no supported system ships its range. */
static const quirk quirks[] = {
    {"clover",
     NULL,
     {0, 0},
     {0, 0},
     BF_QUIRK_REFUSE,
     "refused",
     "Clover is OpenCL 1.1 and ends the process while building kernels with vector loads or atomics; use rusticl"},
    {"portable computing language",
     NULL,
     {0, 0},
     {0, 0},
     BF_QUIRK_HOST_PTR,
     "host allocation",
     "plain buffers are allocated at first use, where a failure ends the process (pocl_create_migration_commands)"},
    {"portable computing language",
     NULL,
     {0, 0},
     {0, 0},
     BF_QUIRK_SLOW_BINARY,
     "binaries are kept at the end",
     "asked for a binary it first compiles every kernel for work-groups of any size, 1 to 2 s per program (POCL 3.1)"},
    /* Known of POCL 3.1: cl/edge_attention.cl is wrong in groups of 16 items and more, cl/edge_gate.cl in groups of 64
     * and more. Of the latter everything is right but `slope`, and that only in groups after the first: the sum of
     * rows_slope is right, but what it is added to is not the zeros that the same items wrote seven barriers before
     * (assigned instead of added to, it is right). More barriers, a barrier between the zeros and what follows, other
     * loop forms and no condition around rows_slope change nothing; -cl-opt-disable does, and rusticl and Oclgrind,
     * which looks for races, find nothing wrong. POCL makes a second copy of that region for its first item there and
     * lets that item's branches stand for all others'. */
    {"portable computing language",
     NULL,
     {0, 0},
     {0, 0},
     BF_QUIRK_BARRIERS,
     "few barriers",
     "work-groups of 16 items and more lose values in kernels of many barriers (POCL 3.1)"},
    {"rusticl",
     NULL,
     {0, 0},
     {24, 0},
     BF_QUIRK_NO_PROFILING,
     "wall clock timers",
     "event START and END differ by 1 ns whatever ran (Mesa 22.3)"},
    {"rusticl",
     NULL,
     {0, 0},
     {24, 0},
     BF_QUIRK_GROUP_HINT,
     "group size of kernels ignored",
     "CL_KERNEL_WORK_GROUP_SIZE says 32 where 256 runs (Mesa 22.3)"},
    {"rusticl",
     NULL,
     {0, 0},
     {0, 0},
     BF_QUIRK_FINISH,
     "a marker before clFinish",
     "clFinish returns at once after a clFlush, while commands still run (Mesa 22.3)"},
    {NULL,
     "llvmpipe",
     {0, 0},
     {0, 0},
     BF_QUIRK_LAST,
     "last choice",
     "software rasteriser: correct, but far slower than POCL on the same processor"},
    {NULL,
     "llvmpipe",
     {0, 0},
     {0, 0},
     BF_QUIRK_WIDE,
     "wide kernels",
     "float16 register blocks become hundreds of scalars that take minutes to compile"},
    {"oclgrind",
     NULL,
     {0, 0},
     {0, 0},
     BF_QUIRK_LAST | BF_QUIRK_IS_CPU,
     "last choice, a CPU",
     "a simulator for checking kernels that says it is GPU, CPU and accelerator at once"},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool bf_contains(const char *text, const char *part)
{
    const size_t n = strlen(part);
    for (; *text != '\0' || n == 0; text++) {
        size_t i = 0;
        while (i < n && text[i] != '\0' && lower(text[i]) == lower(part[i])) i++;
        if (i == n) return true;
    }
    return false;
}

/* First "N.M" of a version text; 0.0 when there is none. */
static void parse_version(const char *text, int version[2])
{
    version[0] = version[1] = 0;
    for (; *text != '\0'; text++) {
        if (*text >= '0' && *text <= '9' && sscanf(text, "%4d.%4d", &version[0], &version[1]) == 2) return;
    }
}

static bool before(const int a[2], const int b[2])
{
    return a[0] < b[0] || (a[0] == b[0] && a[1] < b[1]);
}

unsigned bf_quirks(const char *platform, const char *device, const char *version, char *text, size_t size)
{
    unsigned flags = 0;
    int v[2];
    parse_version(version, v);
    text[0] = '\0';
    for (size_t i = 0; i < BF_COUNT(quirks); i++) {
        const quirk *q = &quirks[i];
        if (q->platform != NULL && !bf_contains(platform, q->platform)) continue;
        if (q->device != NULL && !bf_contains(device, q->device)) continue;
        if (before(v, q->from) || (q->below[0] != 0 && !before(v, q->below))) continue;
        flags |= q->flags;
        bf_append(text, size, "%s%s: %s", text[0] ? "\n" : "", q->name, q->reason);
    }
    return flags;
}
