/* Time that never runs backwards, for measuring. */
#ifndef BF_BASE_CLOCK_H
#define BF_BASE_CLOCK_H

/* Seconds since some fixed moment; only differences mean something. */
double bf_seconds(void);

#endif
