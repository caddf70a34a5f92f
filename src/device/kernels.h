/* The kernel files of cl/, embedded at build time by src/device/embed.sh. */
#ifndef BF_DEVICE_KERNELS_H
#define BF_DEVICE_KERNELS_H

#include <stddef.h>

typedef struct bf_kernel_file {
    const char *name;           /* "norm.cl", without the folder */
    const unsigned char *bytes; /* followed by a 0 that size does not count */
    size_t size;
} bf_kernel_file;

extern const bf_kernel_file bf_kernel_files[];
extern const size_t bf_kernel_file_count;

#endif
