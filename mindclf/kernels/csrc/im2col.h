/* im2col: a convolution as a product of matrices. The im2col matrix has a column for each output position, and a row for each
 * input channel and kernel element: a column holds the receptive field of its position.
 *
 * The matrix is never made as a whole. A task makes the columns that it needs, of one image or of several, in memory that a
 * second-level cache holds. */
#ifndef MINDCLF_IM2COL_H
#define MINDCLF_IM2COL_H

#include "custom_op.h"
#include "settings.h"
#include "vector.h"

enum { MAX_KERNEL_ELEMENTS = 128 }; /* the largest known is 11 x 11, in AlexNet; as in mindclf/kernels/operators.py */

/* Describes an im2col matrix. The receptive field of position (row, column) begins at (row * step, column * step) of the map, and
 * kernel element t lies `down[t]` rows and `right[t]` columns from there. */
typedef struct {
    const float *maps;
    long image, height, width; /* image: how many values from one image to the next */
    long images, rows, columns;
    long step, elements;
    long down[MAX_KERNEL_ELEMENTS], right[MAX_KERNEL_ELEMENTS];
} Im2col;

/* Neighbouring columns of the matrix whose positions are in one row of one image. */
typedef struct {
    long image, row, column, count, at; /* at: which column of the task the first one is */
} Segment;

/* Where a kernel of 1 x 1 visits every value, each map counts as a single row. */
INLINE void flatten(Im2col *matrix)
{
    if (matrix->elements == 1 && matrix->step == 1 && !matrix->down[0] && !matrix->right[0] &&
        matrix->rows == matrix->height && matrix->columns == matrix->width) {
        matrix->columns = matrix->width = matrix->height * matrix->width;
        matrix->rows = matrix->height = 1;
    }
}

/* Cuts columns first ... first + count - 1, the first of which is column `at` of the task, into segments; returns their number.
 * An image has `rows` rows of `columns` positions. */
INLINE long cut_into_segments(long rows, long columns, long first, long count, long at, Segment *segments)
{
    long made = 0;
    for (long done = 0; done < count; made++) {
        long index = first + done, row = index / columns, column = index % columns;
        long length = min_long(count - done, columns - column);
        segments[made] = (Segment){row / rows, row % rows, column, length, at + done};
        done += length;
    }
    return made;
}

/* to[i] = row[first + i * step], or 0 outside of the row's `width` values. */
INLINE void im2col_segment(const float *row, long width, long first, long step, long count, float *to)
{
    long begin = first < 0 ? min_long(count, (step - 1 - first) / step) : 0;
    long end = first >= width ? begin : max_long(begin, min_long(count, (width - first + step - 1) / step));
    for (long i = 0; i < begin; i++)
        to[i] = 0;
    long i = begin;
    if (step == 1) {
        copy(to + begin, row + first + begin, end - begin);
        i = end;
    } else if (step == 2) {
        for (; i + WIDTH < end; i += WIDTH) /* not the last ones: the vectors reach one value further */
            store(to + i, even_lanes(load(row + first + 2 * i), load(row + first + 2 * i + WIDTH)));
    }
    for (; i < end; i++)
        to[i] = row[first + i * step];
    for (; i < count; i++)
        to[i] = 0;
}

/* Makes rows first ... first + count - 1 of the matrix, at the columns of the segments. */
INLINE void im2col_rows(const Im2col *matrix, long first, long count, const Segment *segments, long segment_count, float *to,
                        long pitch)
{
    long plane = matrix->height * matrix->width;
    for (long r = first; r < first + count; r++, to += pitch) {
        long element = r % matrix->elements, down = matrix->down[element], right = matrix->right[element];
        const float *channel = matrix->maps + r / matrix->elements * plane;
        for (const Segment *segment = segments; segment < segments + segment_count; segment++) {
            long y = segment->row * matrix->step + down, x = segment->column * matrix->step + right;
            if (y < 0 || y >= matrix->height)
                clear(to + segment->at, segment->count);
            else
                im2col_segment(channel + segment->image * matrix->image + y * matrix->width, matrix->width, x, matrix->step,
                               segment->count, to + segment->at);
        }
    }
}

/* How many floats of scratch the segments of so many columns take. */
INLINE size_t segments_floats(long columns) { return ((size_t)columns * sizeof(Segment) + 63) / sizeof(float); }

/* ---- The geometry of a convolution ---- */

typedef struct {
    long images, channels, height, width;
    long out_channels, out_height, out_width;
    long kernel_height, kernel_width, stride, top, left;
    long groups, group_in, group_out; /* channels of a group */
} Convolution;

/* Fills `conv` from shapes and settings; returns whether they fit together. */
INLINE int describe(Convolution *conv, const int64_t *x, const int64_t *weight, const int64_t *y, const int32_t *settings)
{
    long padding = settings[CONVOLUTION_PADDING];
    *conv = (Convolution){.images = x[0], .channels = x[1], .height = x[2], .width = x[3], .out_channels = y[1],
                          .out_height = y[2], .out_width = y[3], .kernel_height = weight[2], .kernel_width = weight[3],
                          .stride = settings[CONVOLUTION_STRIDE], .group_in = weight[1]};
    conv->top = padding_before(padding, x[2], y[2], weight[2], conv->stride);
    conv->left = padding_before(padding, x[3], y[3], weight[3], conv->stride);
    if (weight[1] < 1 || x[1] % weight[1] || weight[2] * weight[3] > MAX_KERNEL_ELEMENTS || conv->stride < 1 || weight[0] != y[1])
        return 0;
    conv->groups = x[1] / weight[1];
    conv->group_out = y[1] / conv->groups;
    return y[1] % conv->groups == 0;
}

/* The im2col matrix of x, for the forward pass and the weight gradient. */
INLINE Im2col im2col_of_input(const Convolution *conv, const float *x)
{
    Im2col matrix = {.maps = x, .image = conv->channels * conv->height * conv->width, .height = conv->height,
                     .width = conv->width, .images = conv->images, .rows = conv->out_height, .columns = conv->out_width,
                     .step = conv->stride, .elements = conv->kernel_height * conv->kernel_width};
    for (long t = 0; t < matrix.elements; t++) {
        matrix.down[t] = t / conv->kernel_width - conv->top;
        matrix.right[t] = t % conv->kernel_width - conv->left;
    }
    flatten(&matrix);
    return matrix;
}

/* dy as the im2col matrix of a 1 x 1 kernel. */
INLINE Im2col im2col_of_gradient(const Convolution *conv, const float *dy)
{
    return (Im2col){.maps = dy, .image = conv->out_channels * conv->out_height * conv->out_width, .height = conv->out_height,
                    .width = conv->out_width, .images = conv->images, .rows = conv->out_height, .columns = conv->out_width,
                    .step = 1, .elements = 1};
}

#endif
