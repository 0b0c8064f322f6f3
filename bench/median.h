/* median: figures in order, and the middle one. */
#ifndef KH_BENCH_MEDIAN_H
#define KH_BENCH_MEDIAN_H
#include <stddef.h>
#include <stdlib.h>

static inline int median_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static inline void sort_figures(double *values, size_t n) { qsort(values, n, sizeof *values, median_order); }
/* median sorts values. */
static inline double median(double *values, size_t n)
{
    sort_figures(values, n);
    return values[n / 2];
}
#endif
