/* Max pooling with a square window and stride 1 or 2, forward and backward. What lies outside of the maps never is the largest.
 *
 * A task is a plane: it is copied into a frame of -infinity, so that no loop asks where the border is, and lanes are neighbouring
 * windows. Of equal values the first one, row by row, gets the gradient. Forward a NaN stays a NaN. */
#include <math.h>

#include "custom_op.h"
#include "threads.h"
#include "vector.h"

enum { WINDOW, STRIDE, PADDING };  /* places in `settings`, int32 */
enum { MAX_PLACE = 1 << 24 };      /* places in a window are kept as floats */

typedef struct {
    const float *x, *dy;
    float *y, *dx;
    long planes, height, width, out_height, out_width;
    long window, stride, top, left;
    long rows, pitch; /* of the frame; a row has room for the windows of a whole last vector */
} Pool;

static int describe(Pool *pool, const int64_t *x, const int64_t *y, const int32_t *settings)
{
    pool->planes = x[0] * x[1];
    pool->height = x[2];
    pool->width = x[3];
    pool->out_height = y[2];
    pool->out_width = y[3];
    pool->window = settings[WINDOW];
    pool->stride = settings[STRIDE];
    if (pool->window < 1 || pool->stride < 1 || pool->stride > 2 || y[0] != x[0] || y[1] != x[1] || y[2] < 1 || y[3] < 1)
        return 0;
    pool->top = padding_before(settings[PADDING], x[2], y[2], pool->window, pool->stride);
    pool->left = padding_before(settings[PADDING], x[3], y[3], pool->window, pool->stride);
    pool->rows = max_long((y[2] - 1) * pool->stride + pool->window, pool->top + x[2]);
    pool->pitch = max_long((round_up(y[3], WIDTH) - 1) * pool->stride + pool->window + WIDTH, pool->left + x[3]);
    return pool->top < pool->window && pool->left < pool->window && pool->window * pool->pitch < MAX_PLACE;
}

static size_t frame_size(const Pool *pool) { return (size_t)(pool->rows * pool->pitch); }

static void fill_frame(const Pool *pool, const float *plane, float *frame)
{
    for (long i = 0; i < pool->rows * pool->pitch; i++)
        frame[i] = -INFINITY;
    for (long y = 0; y < pool->height; y++)
        copy(frame + (y + pool->top) * pool->pitch + pool->left, plane + y * pool->width, pool->width);
}

/* What the windows of neighbouring lanes have in one place. */
INLINE vec load_windows(const float *at, const int stride)
{
    return stride == 1 ? load(at) : even_lanes(load(at), load(at + WIDTH));
}

INLINE vec larger(vec best, vec value)
{
    vec chosen = where_less(best, value, value, best);
    mask number = (mask)(value == value);
    return (vec)((number & (mask)chosen) | (~number & (mask)value));
}

INLINE void pool_plane(const Pool *pool, const float *frame, float *y, const int stride)
{
    for (long row = 0; row < pool->out_height; row++, y += pool->out_width)
        for (long column = 0; column < pool->out_width; column += WIDTH) {
            const float *at = frame + row * stride * pool->pitch + column * stride;
            vec best = all(-INFINITY);
            for (long a = 0; a < pool->window; a++)
                for (long b = 0; b < pool->window; b++)
                    best = larger(best, load_windows(at + a * pool->pitch + b, stride));
            store_part(y + column, best, min_long(WIDTH, pool->out_width - column));
        }
}

static void forward(const void *kernel, long plane, float *scratch)
{
    const Pool *pool = kernel;
    float *y = pool->y + plane * pool->out_height * pool->out_width;
    fill_frame(pool, pool->x + plane * pool->height * pool->width, scratch);
    if (pool->stride == 1)
        pool_plane(pool, scratch, y, 1);
    else
        pool_plane(pool, scratch, y, 2);
}

/* Adds each dy to the value of `spread`, a frame as well, that its window took. */
INLINE void spread_plane(const Pool *pool, const float *frame, const float *dy, float *spread, const int stride)
{
    for (long row = 0; row < pool->out_height; row++, dy += pool->out_width)
        for (long column = 0; column < pool->out_width; column += WIDTH) {
            long first = row * stride * pool->pitch + column * stride;
            vec best = load_windows(frame + first, stride), place = zeros();
            for (long a = 0; a < pool->window; a++)
                for (long b = 0; b < pool->window; b++) {
                    vec value = load_windows(frame + first + a * pool->pitch + b, stride);
                    place = where_less(best, value, all((float)(a * pool->pitch + b)), place);
                    best = where_less(best, value, value, best);
                }
            for (long lane = 0; lane < min_long(WIDTH, pool->out_width - column); lane++)
                spread[first + lane * stride + (long)place[lane]] += dy[column + lane];
        }
}

static void backward(const void *kernel, long plane, float *scratch)
{
    const Pool *pool = kernel;
    float *frame = scratch, *spread = frame + frame_size(pool), *dx = pool->dx + plane * pool->height * pool->width;
    const float *dy = pool->dy + plane * pool->out_height * pool->out_width;
    fill_frame(pool, pool->x + plane * pool->height * pool->width, frame);
    clear(spread, (long)frame_size(pool));
    if (pool->stride == 1)
        spread_plane(pool, frame, dy, spread, 1);
    else
        spread_plane(pool, frame, dy, spread, 2);
    for (long y = 0; y < pool->height; y++)
        copy(dx + y * pool->width, spread + (y + pool->top) * pool->pitch + pool->left, pool->width);
}

static int run(Task task, const Pool *pool, int frames)
{
    if (!begin_kernel((size_t)frames * frame_size(pool), 0))
        return NO_MEMORY;
    run_tasks(task, pool, pool->planes);
    end_kernel();
    return DONE;
}

/* x, settings -> y */
KERNEL(max_pool_forward)
{
    Pool pool = {.x = data[0], .y = data[2]};
    return describe(&pool, shapes[0], shapes[2], data[1]) ? run(forward, &pool, 1) : BAD_SHAPE;
}

/* x, settings, dy -> dx */
KERNEL(max_pool_backward)
{
    Pool pool = {.x = data[0], .dy = data[2], .dx = data[3]};
    return describe(&pool, shapes[0], shapes[2], data[1]) ? run(backward, &pool, 2) : BAD_SHAPE;
}
