/* Memory that the process holds. */
#ifndef BF_BASE_RESIDENT_H
#define BF_BASE_RESIDENT_H

#include <stdint.h>

/* The most that was resident at any time so far, in bytes; 0 when the system does not say. */
uint64_t bf_resident_peak(void);

#endif
