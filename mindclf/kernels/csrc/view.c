/* Renders a training view: samples an image along a grid that may be rotated and mirrored, changes its light and normalises it,
 * plane after plane. mindclf/dataset/views.py says what the numbers mean, and computes the same in NumPy. The threads of the data
 * pipeline run it, an image each, and not those of threads.c. */
#include "view.h"

#include <stdlib.h>

enum { CHANNELS = 3, LANES = 8 };

static inline float clip(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

static inline double clamp(double position, int64_t size)
{
    return position < 0 ? 0 : position > (double)(size - 1) ? (double)(size - 1) : position;
}

static inline float lerp(float first, float second, float fraction)
{
    return first + fraction * (second - first);
}

/* A row of a grid that is not rotated: two rows of the source are blended as a whole, and then neighbouring columns. */
static void sample_aligned(const View *view, const uint8_t *source, int64_t y, float *blended, const int32_t *index,
                           const float *weight, float *const plane[CHANNELS])
{
    int64_t length = CHANNELS * view->columns;
    double row = clamp(view->grid[4] * (double)y + view->grid[5], view->rows);
    int64_t above = (int64_t)row, below = above + (above < view->rows - 1);
    const uint8_t *first = source + above * length, *second = source + below * length;
    float fraction = (float)(row - (double)above);
    for (int64_t i = 0; i < length; i++)
        blended[i] = lerp(first[i], second[i], fraction);
    for (int c = 0; c < CHANNELS; c++)
        blended[length + c] = blended[length - CHANNELS + c]; /* the last column has itself for a neighbour */
    for (int64_t x = 0; x < view->width; x++)
        for (int c = 0; c < CHANNELS; c++)
            plane[c][x] = lerp(blended[index[x] + c], blended[index[x] + CHANNELS + c], weight[x]);
}

static void sample_rotated(const View *view, const uint8_t *source, int64_t y, float *const plane[CHANNELS])
{
    for (int64_t x = 0; x < view->width; x++) {
        double column = view->grid[0] * (double)x + view->grid[1] * (double)y + view->grid[2];
        double row = view->grid[3] * (double)x + view->grid[4] * (double)y + view->grid[5];
        if (column < -0.5 || row < -0.5 || column > (double)view->columns - 0.5 || row > (double)view->rows - 0.5) {
            for (int c = 0; c < CHANNELS; c++)
                plane[c][x] = view->fill[c];
            continue;
        }
        column = clamp(column, view->columns);
        row = clamp(row, view->rows);
        int64_t left = (int64_t)column, above = (int64_t)row;
        int64_t right = left < view->columns - 1 ? CHANNELS : 0, below = above < view->rows - 1 ? CHANNELS * view->columns : 0;
        const uint8_t *pixel = source + CHANNELS * (above * view->columns + left);
        float across = (float)(column - (double)left), down = (float)(row - (double)above);
        for (int c = 0; c < CHANNELS; c++, pixel++)
            plane[c][x] = lerp(lerp(pixel[0], pixel[below], down), lerp(pixel[right], pixel[right + below], down), across);
    }
}

static double sum(const float *values, int64_t size)
{
    double parts[LANES] = {0}, total = 0;
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            parts[lane] += values[i + lane];
    for (; i < size; i++)
        total += values[i];
    for (int lane = 0; lane < LANES; lane++)
        total += parts[lane];
    return total;
}

static float mean_luma(const float *pixels, int64_t size)
{
    double luma = 0.299 * sum(pixels, size) + 0.587 * sum(pixels + size, size) + 0.114 * sum(pixels + 2 * size, size);
    return (float)(luma / (double)size);
}

static int render(const View *view, const uint8_t *source, float *to)
{
    int64_t size = view->height * view->width;
    int is_aligned = view->grid[1] == 0 && view->grid[3] == 0;
    float *blended = malloc(((size_t)(CHANNELS * (view->columns + 1)) + (size_t)view->width) * sizeof(float));
    int32_t *index = malloc((size_t)view->width * sizeof(int32_t));
    if (!blended || !index) {
        free(blended);
        free(index);
        return 1;
    }
    float *weight = blended + CHANNELS * (view->columns + 1);
    for (int64_t x = 0; x < view->width; x++) {
        double column = clamp(view->grid[0] * (double)x + view->grid[2], view->columns);
        index[x] = CHANNELS * (int32_t)column;
        weight[x] = (float)(column - (double)(int32_t)column);
    }
    for (int64_t y = 0; y < view->height; y++) {
        float *plane[CHANNELS] = {to + y * view->width, to + size + y * view->width, to + 2 * size + y * view->width};
        if (is_aligned)
            sample_aligned(view, source, y, blended, index, weight, plane);
        else
            sample_rotated(view, source, y, plane);
    }
    free(blended);
    free(index);
    float offset = view->pivot ? view->pivot * mean_luma(to, size) : 0;
    const float *m = view->colour, *scale = view->scale, *shift = view->shift;
    for (int64_t i = 0; i < size; i++) {
        float r = to[i], g = to[size + i], b = to[2 * size + i];
        to[i] = clip(m[0] * r + m[1] * g + m[2] * b + offset, 0, 255) * scale[0] + shift[0];
        to[size + i] = clip(m[3] * r + m[4] * g + m[5] * b + offset, 0, 255) * scale[1] + shift[1];
        to[2 * size + i] = clip(m[6] * r + m[7] * g + m[8] * b + offset, 0, 255) * scale[2] + shift[2];
    }
    return 0;
}

int render_views(int64_t count, const View *views, const uint8_t *const *sources, float *to)
{
    for (int64_t i = 0; i < count; i++)
        if (views[i].rows < 1 || views[i].columns < 1 || views[i].height < 1 || views[i].width < 1)
            return EMPTY_VIEW;
    for (int64_t i = 0; i < count; i++)
        if (render(views + i, sources[i], to + i * CHANNELS * views[i].height * views[i].width))
            return NO_MEMORY_FOR_VIEW;
    return 0;
}
