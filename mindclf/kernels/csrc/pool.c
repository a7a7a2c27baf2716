/* Max and average pooling with a square window and stride 1 or 2, forward and backward. What lies outside of the maps is never
 * the largest, and counts for nothing in a mean.
 *
 * A task is a plane. It is copied into a padding of -infinity or 0, so that no loop asks where the border is. The lanes of a
 * vector are neighbouring windows. Of equal values the first one, row by row, gets the gradient. Forward a NaN stays a NaN. */
#include <math.h>

#include "custom_op.h"
#include "settings.h"
#include "threads.h"
#include "vector.h"

enum { MAX_POSITION = 1 << 24 }; /* positions within a window are kept as floats, which are exact up to here */

typedef struct {
    const float *x, *dy;
    float *y, *dx;
    long planes, height, width, out_height, out_width;
    long kernel_size, stride, top, left;
    long rows, pitch; /* of the padded plane; a row has room for the windows of a whole last vector */
} Pool;

static int describe(Pool *pool, const int64_t *x, const int64_t *y, const int32_t *settings)
{
    long size = settings[POOL_KERNEL_SIZE], stride = settings[POOL_STRIDE], padding = settings[POOL_PADDING];
    if (size < 1 || stride < 1 || stride > 2 || y[0] != x[0] || y[1] != x[1])
        return 0;
    pool->planes = x[0] * x[1];
    pool->height = x[2];
    pool->width = x[3];
    pool->out_height = y[2];
    pool->out_width = y[3];
    pool->kernel_size = size;
    pool->stride = stride;
    pool->top = padding_before(padding, x[2], y[2], size, stride);
    pool->left = padding_before(padding, x[3], y[3], size, stride);
    pool->rows = max_long((y[2] - 1) * stride + size, pool->top + x[2]);
    pool->pitch = max_long((round_up(y[3], WIDTH) - 1) * stride + size + WIDTH, pool->left + x[3]);
    return pool->top < size && pool->left < size && size * pool->pitch < MAX_POSITION;
}

static size_t padded_size(const Pool *pool) { return (size_t)(pool->rows * pool->pitch); }

static void pad_plane(const Pool *pool, const float *plane, float *padded, float outside)
{
    for (long i = 0; i < pool->rows * pool->pitch; i++)
        padded[i] = outside;
    for (long y = 0; y < pool->height; y++)
        copy(padded + (y + pool->top) * pool->pitch + pool->left, plane + y * pool->width, pool->width);
}

/* The values at one position of neighbouring windows. */
INLINE vec load_strided(const float *at, const int stride)
{
    return stride == 1 ? load(at) : even_lanes(load(at), load(at + WIDTH));
}

INLINE vec larger(vec best, vec value)
{
    vec chosen = where_less(best, value, value, best);
    mask number = (mask)(value == value);
    return (vec)((number & (mask)chosen) | (~number & (mask)value));
}

INLINE void pool_plane(const Pool *pool, const float *padded, float *y, const int stride)
{
    for (long row = 0; row < pool->out_height; row++, y += pool->out_width)
        for (long column = 0; column < pool->out_width; column += WIDTH) {
            const float *at = padded + row * stride * pool->pitch + column * stride;
            vec best = splat(-INFINITY);
            for (long a = 0; a < pool->kernel_size; a++)
                for (long b = 0; b < pool->kernel_size; b++)
                    best = larger(best, load_strided(at + a * pool->pitch + b, stride));
            store_part(y + column, best, min_long(WIDTH, pool->out_width - column));
        }
}

static void forward(const void *arguments, long plane, float *scratch)
{
    const Pool *pool = arguments;
    float *y = pool->y + plane * pool->out_height * pool->out_width;
    pad_plane(pool, pool->x + plane * pool->height * pool->width, scratch, -INFINITY);
    if (pool->stride == 1)
        pool_plane(pool, scratch, y, 1);
    else
        pool_plane(pool, scratch, y, 2);
}

/* Adds each dy to the value of `gradient`, also padded, that is the largest of its window. */
INLINE void scatter_gradient(const Pool *pool, const float *padded, const float *dy, float *gradient, const int stride)
{
    for (long row = 0; row < pool->out_height; row++, dy += pool->out_width)
        for (long column = 0; column < pool->out_width; column += WIDTH) {
            long first = row * stride * pool->pitch + column * stride;
            vec best = load_strided(padded + first, stride), position = zeros();
            for (long a = 0; a < pool->kernel_size; a++)
                for (long b = 0; b < pool->kernel_size; b++) {
                    vec value = load_strided(padded + first + a * pool->pitch + b, stride);
                    position = where_less(best, value, splat((float)(a * pool->pitch + b)), position);
                    best = where_less(best, value, value, best);
                }
            for (long lane = 0; lane < min_long(WIDTH, pool->out_width - column); lane++)
                gradient[first + lane * stride + (long)position[lane]] += dy[column + lane];
        }
}

static void backward(const void *arguments, long plane, float *scratch)
{
    const Pool *pool = arguments;
    float *padded = scratch, *gradient = padded + padded_size(pool), *dx = pool->dx + plane * pool->height * pool->width;
    const float *dy = pool->dy + plane * pool->out_height * pool->out_width;
    pad_plane(pool, pool->x + plane * pool->height * pool->width, padded, -INFINITY);
    clear(gradient, (long)padded_size(pool));
    if (pool->stride == 1)
        scatter_gradient(pool, padded, dy, gradient, 1);
    else
        scatter_gradient(pool, padded, dy, gradient, 2);
    for (long y = 0; y < pool->height; y++)
        copy(dx + y * pool->width, gradient + (y + pool->top) * pool->pitch + pool->left, pool->width);
}

/* How many of the window's rows, or columns, with this number lie in the map. */
INLINE float inside(long number, long stride, long before, long kernel_size, long size)
{
    long first = number * stride - before;
    return (float)(min_long(first + kernel_size, size) - max_long(first, 0));
}

/* Scratch of an average: the padded plane, then sums over the rows of windows, then the part of each window's column in its mean. */
static size_t average_scratch(const Pool *pool) { return padded_size(pool) + (size_t)(2 * pool->pitch); }

static void weigh_columns(const Pool *pool, float *parts)
{
    for (long column = 0; column < pool->out_width; column++)
        parts[column] = 1 / inside(column, pool->stride, pool->left, pool->kernel_size, pool->width);
}

INLINE void average_plane(const Pool *pool, const float *padded, float *sums, const float *parts, float *y, const int stride)
{
    for (long row = 0; row < pool->out_height; row++, y += pool->out_width) {
        const float *top = padded + row * stride * pool->pitch;
        for (long i = 0; i < pool->pitch; i += WIDTH) {
            long count = min_long(WIDTH, pool->pitch - i);
            vec sum = load_n(top + i, count);
            for (long a = 1; a < pool->kernel_size; a++)
                sum += load_n(top + a * pool->pitch + i, count);
            store_n(sums + i, sum, count);
        }
        float part = 1 / inside(row, stride, pool->top, pool->kernel_size, pool->height);
        for (long column = 0; column < pool->out_width; column += WIDTH) {
            vec sum = load_strided(sums + column * stride, stride);
            for (long b = 1; b < pool->kernel_size; b++)
                sum += load_strided(sums + column * stride + b, stride);
            long count = min_long(WIDTH, pool->out_width - column);
            store_part(y + column, sum * load_part(parts + column, count) * part, count);
        }
    }
}

static void average_forward(const void *arguments, long plane, float *scratch)
{
    const Pool *pool = arguments;
    float *sums = scratch + padded_size(pool), *parts = sums + pool->pitch;
    float *y = pool->y + plane * pool->out_height * pool->out_width;
    weigh_columns(pool, parts);
    pad_plane(pool, pool->x + plane * pool->height * pool->width, scratch, 0);
    if (pool->stride == 1)
        average_plane(pool, scratch, sums, parts, y, 1);
    else
        average_plane(pool, scratch, sums, parts, y, 2);
}

/* Each dy goes to the values of its window in equal parts: first along the row, then along the columns. */
static void average_backward(const void *arguments, long plane, float *scratch)
{
    const Pool *pool = arguments;
    float *gradient = scratch, *along = scratch + padded_size(pool), *parts = along + pool->pitch;
    const float *dy = pool->dy + plane * pool->out_height * pool->out_width;
    float *dx = pool->dx + plane * pool->height * pool->width;
    weigh_columns(pool, parts);
    clear(gradient, (long)padded_size(pool));
    for (long row = 0; row < pool->out_height; row++, dy += pool->out_width) {
        float part = 1 / inside(row, pool->stride, pool->top, pool->kernel_size, pool->height);
        clear(along, pool->pitch);
        for (long column = 0; column < pool->out_width; column++)
            for (long b = 0; b < pool->kernel_size; b++)
                along[column * pool->stride + b] += dy[column] * parts[column] * part;
        for (long a = 0; a < pool->kernel_size; a++) {
            float *to = gradient + (row * pool->stride + a) * pool->pitch;
            for (long i = 0; i < pool->pitch; i += WIDTH) {
                long count = min_long(WIDTH, pool->pitch - i);
                store_n(to + i, load_n(to + i, count) + load_n(along + i, count), count);
            }
        }
    }
    for (long y = 0; y < pool->height; y++)
        copy(dx + y * pool->width, gradient + (y + pool->top) * pool->pitch + pool->left, pool->width);
}

static int run(Task task, const Pool *pool, size_t scratch)
{
    if (!begin_kernel(scratch, 0))
        return NO_MEMORY;
    run_tasks(task, pool, pool->planes);
    end_kernel();
    return DONE;
}

/* x, settings -> y */
KERNEL(max_pool_forward)
{
    Pool pool = {.x = data[0], .y = data[2]};
    return describe(&pool, shapes[0], shapes[2], data[1]) ? run(forward, &pool, padded_size(&pool)) : BAD_SHAPE;
}

/* x, settings, dy -> dx */
KERNEL(max_pool_backward)
{
    Pool pool = {.x = data[0], .dy = data[2], .dx = data[3]};
    return describe(&pool, shapes[0], shapes[2], data[1]) ? run(backward, &pool, 2 * padded_size(&pool)) : BAD_SHAPE;
}

/* x, settings -> y */
KERNEL(average_pool_forward)
{
    Pool pool = {.x = data[0], .y = data[2]};
    return describe(&pool, shapes[0], shapes[2], data[1]) ? run(average_forward, &pool, average_scratch(&pool)) : BAD_SHAPE;
}

/* x, settings, dy -> dx */
KERNEL(average_pool_backward)
{
    Pool pool = {.dy = data[2], .dx = data[3]};
    return describe(&pool, shapes[0], shapes[2], data[1]) ? run(average_backward, &pool, average_scratch(&pool)) : BAD_SHAPE;
}
