/* What the windows of a convolution see, as a matrix: one column for each place of the window, one row for each channel and tap.
 * It is never made as a whole: a task gathers the columns that it needs, of one image or of several, into memory that the
 * second-level cache holds. */
#ifndef MINDCLF_IM2COL_H
#define MINDCLF_IM2COL_H

#include "custom_op.h"
#include "vector.h"

enum { MAX_TAPS = 128 };  /* 11 x 11 in AlexNet */

/* How the windows lie on maps: window (row, column) begins at map (row * step, column * step), and tap t is (down, right) of
 * it. */
typedef struct {
    const float *maps;
    long image, height, width; /* image: how many values from one image to the next */
    long images, rows, columns;
    long step, taps;
    long down[MAX_TAPS], right[MAX_TAPS];
} View;

/* Neighbouring columns of the matrix whose windows are in one row of one image. */
typedef struct {
    long image, row, column, count, at; /* at: the first one's place among the columns of the task */
} Piece;

/* A 1 x 1 window that visits every value may see each map as a single row. */
INLINE void straighten(View *view)
{
    if (view->taps == 1 && view->step == 1 && !view->down[0] && !view->right[0] && view->rows == view->height &&
        view->columns == view->width) {
        view->columns = view->width = view->height * view->width;
        view->rows = view->height = 1;
    }
}

/* Cuts columns first ... first + count - 1, the first of which is column `at` of the task; returns how many pieces that gives.
 * An image has `rows` rows of `columns` windows. */
INLINE long cut_into_pieces(long rows, long columns, long first, long count, long at, Piece *pieces)
{
    long made = 0;
    for (long done = 0; done < count; made++) {
        long index = first + done, row = index / columns, column = index % columns;
        long length = min_long(count - done, columns - column);
        pieces[made] = (Piece){row / rows, row % rows, column, length, at + done};
        done += length;
    }
    return made;
}

/* to[i] = row[first + i * step], or 0 outside of the row's `width` values. */
INLINE void gather_piece(const float *row, long width, long first, long step, long count, float *to)
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

/* Rows first ... first + count - 1 of the matrix, at the columns of the pieces. */
INLINE void gather(const View *view, long first, long count, const Piece *pieces, long piece_count, float *to, long pitch)
{
    long plane = view->height * view->width;
    for (long r = first; r < first + count; r++, to += pitch) {
        long tap = r % view->taps;
        const float *channel = view->maps + r / view->taps * plane;
        for (const Piece *piece = pieces; piece < pieces + piece_count; piece++) {
            long y = piece->row * view->step + view->down[tap], x = piece->column * view->step + view->right[tap];
            if (y < 0 || y >= view->height)
                clear(to + piece->at, piece->count);
            else
                gather_piece(channel + piece->image * view->image + y * view->width, view->width, x, view->step, piece->count,
                             to + piece->at);
        }
    }
}

/* How many floats of scratch the pieces of so many columns take. */
INLINE size_t pieces_floats(long columns) { return ((size_t)columns * sizeof(Piece) + 63) / sizeof(float); }

/* ---- The geometry of a convolution ---- */

enum { STRIDE, PADDING, ACTIVATION }; /* places in `settings`, int32 */

typedef struct {
    long images, channels, height, width;
    long out_channels, out_height, out_width;
    long window_height, window_width, stride, top, left;
    long groups, group_in, group_out; /* channels of a group */
} Convolution;

INLINE int describe(Convolution *conv, const int64_t *x, const int64_t *weight, const int64_t *y, const int32_t *settings)
{
    *conv = (Convolution){x[0], x[1], x[2], x[3], y[1], y[2], y[3], weight[2], weight[3], settings[STRIDE], 0, 0, 0, 0, 0};
    conv->top = padding_before(settings[PADDING], x[2], y[2], weight[2], conv->stride);
    conv->left = padding_before(settings[PADDING], x[3], y[3], weight[3], conv->stride);
    conv->group_in = weight[1];
    if (weight[1] < 1 || x[1] % weight[1] || weight[2] * weight[3] > MAX_TAPS || conv->stride < 1 || weight[0] != y[1])
        return 0;
    conv->groups = x[1] / weight[1];
    conv->group_out = y[1] / conv->groups;
    return y[1] % conv->groups == 0;
}

/* What the windows of the convolution see of x. */
INLINE View view_of_input(const Convolution *conv, const float *x)
{
    View view = {.maps = x, .image = conv->channels * conv->height * conv->width, .height = conv->height, .width = conv->width,
                 .images = conv->images, .rows = conv->out_height, .columns = conv->out_width, .step = conv->stride,
                 .taps = conv->window_height * conv->window_width};
    for (long t = 0; t < view.taps; t++) {
        view.down[t] = t / conv->window_width - conv->top;
        view.right[t] = t % conv->window_width - conv->left;
    }
    straighten(&view);
    return view;
}

/* dy, seen as by a 1 x 1 window. */
INLINE View view_of_gradient(const Convolution *conv, const float *dy)
{
    return (View){.maps = dy, .image = conv->out_channels * conv->out_height * conv->out_width, .height = conv->out_height,
                  .width = conv->out_width, .images = conv->images, .rows = conv->out_height, .columns = conv->out_width,
                  .step = 1, .taps = 1};
}

#endif
