/* A depthwise kernel that slides over a plane, row by row: the lanes of a vector are neighbouring columns. */
#ifndef MINDCLF_DEPTHWISE_SLIDE_H
#define MINDCLF_DEPTHWISE_SLIDE_H

#include "activation.h"
#include "depthwise.h"

/* Where a plane lies in its zero padding. With stride 2 the even columns of a row come first and the odd ones `half` later: what
 * one kernel element meets along a row is then contiguous. */
typedef struct {
    long height, width, top, left; /* of the plane, and how many zeros are before it */
    long rows, pitch, half;
    int stride;
} PaddedPlane;

INLINE PaddedPlane padded_plane(long height, long width, long top, long left, long rows, long columns, int stride)
{
    long half = divide_up(columns, stride);
    return (PaddedPlane){height, width, top, left, rows, half * stride, half, stride};
}

INLINE size_t padded_size(const PaddedPlane *padded) { return (size_t)(round_up(padded->rows * padded->pitch, WIDTH) + WIDTH); }

/* Copies a plane between its zeros, which are there already; what the kernel never reaches is left out. */
INLINE void pad_plane(const PaddedPlane *padded, const float *plane, float *to)
{
    long rows = min_long(padded->height, padded->rows - padded->top);
    for (long y = 0; y < rows; y++) {
        const float *from = plane + y * padded->width;
        float *row = to + (y + padded->top) * padded->pitch;
        if (padded->stride == 1) {
            copy(row + padded->left, from, min_long(padded->width, padded->pitch - padded->left));
            continue;
        }
        long left = padded->left, columns = min_long(padded->width, padded->pitch - left);
        float *first = row + (left & 1 ? padded->half : 0) + left / 2;
        float *second = row + (left & 1 ? 0 : padded->half) + (left + 1) / 2;
        for (long i = 0; i < columns / 2; i++) {
            first[i] = from[2 * i];
            second[i] = from[2 * i + 1];
        }
        if (columns & 1)
            first[columns / 2] = from[columns - 1];
    }
}

/* Where column b of the kernel finds its first value in a row of the padded plane. */
INLINE long element_column(const PaddedPlane *padded, int b, const int stride)
{
    return stride == 1 ? b : (b & 1) * padded->half + b / 2;
}

/* ---- Sliding a kernel over a padded plane ---- */

typedef struct {
    const PaddedPlane *padded;
    const float *values; /* of the padded plane */
    const float *weight;
    float bias;
    int activation;
    float *to;           /* out_height x out_width */
    long out_height, out_width;
} Slide;

/* `count` values, at most WIDTH, of `rows` rows of the result below each other. With stride 1 all of them use each value that is
 * loaded. */
INLINE void slide_column(const Slide *slide, const float *at, float *to, long count, const int rows, const int kernel_size,
                         const int stride)
{
    vec sums[4];
    UNROLL for (int r = 0; r < rows; r++)
        sums[r] = splat(slide->bias);
    UNROLL for (int a = 0; a < (rows - 1) * stride + kernel_size; a++)
        UNROLL for (int b = 0; b < kernel_size; b++) {
            vec value = load(at + a * slide->padded->pitch + element_column(slide->padded, b, stride));
            UNROLL for (int r = 0; r < rows; r++)
                if (a >= r * stride && a < r * stride + kernel_size)
                    sums[r] += value * slide->weight[(a - r * stride) * kernel_size + b];
        }
    UNROLL for (int r = 0; r < rows; r++)
        store_n(to + r * slide->out_width, activate(sums[r], slide->activation), count);
}

/* `rows` rows of the result from row y on. The last vector of a row overlaps the one before. */
INLINE void slide_rows(const Slide *slide, long y, const int rows, const int kernel_size, const int stride)
{
    long count = min_long(WIDTH, slide->out_width);
    for (long x = 0; x < slide->out_width; x += WIDTH) {
        long first = min_long(x, slide->out_width - count);
        slide_column(slide, slide->values + y * stride * slide->padded->pitch + first, slide->to + y * slide->out_width + first,
                     count, rows, kernel_size, stride);
    }
}

INLINE void slide_unrolled(const void *arguments, const int kernel_size, const int stride)
{
    const Slide slide = *(const Slide *)arguments; /* a copy: the compiler then knows that no store changes it */
    const int rows = 4;
    long y = 0;
    for (; y + rows <= slide.out_height; y += rows)
        slide_rows(&slide, y, rows, kernel_size, stride);
    for (; y < slide.out_height; y++)
        slide_rows(&slide, y, 1, kernel_size, stride);
}

INLINE void slide_kernel(const Slide *slide, long kernel_size)
{
    run_unrolled(slide_unrolled, slide, kernel_size, slide->padded->stride);
}

#endif
