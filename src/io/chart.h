/* Line charts as SVG, for loss curves. */
#ifndef BF_IO_CHART_H
#define BF_IO_CHART_H

#include "base/err.h"

typedef struct bf_series {
    const char *name;
    const double *x, *y; /* n points; those that are not finite (or not positive on a log axis) are left out */
    size_t n;
} bf_series;

typedef struct bf_chart {
    const char *title, *x_label, *y_label;
    bool log_x, log_y;
    const bf_series *series;
    size_t n_series;
} bf_chart;

/* Atomic. Series without any drawable point appear in the legend only. */
bf_status bf_chart_write(const char *path, const bf_chart *chart, bf_err *err);

#endif
