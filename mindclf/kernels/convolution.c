/* Convolution with any window, stride and number of groups, as a product of matrices; 1 x 1 is the simplest case.
 *
 * One operand is the weights. The other is what the windows see, one column for each place of the window and one row for each
 * channel and tap. That matrix is never made as a whole: a task gathers the columns that it multiplies, of one picture or of
 * several, into memory that the second-level cache holds. Three products give everything:
 *
 *   forward            y  = W  x seen(x)
 *   input gradient     dx = W' x seen(dy)        for each of stride x stride interleaved parts of dx
 *   weight gradient    dW = dy x seen(x)'
 *
 * Sums run in an order that depends on the shapes alone, never on the number of threads or on timing. */
#include <stdlib.h>

#include "entry.h"
#include "threads.h"
#include "vector.h"

enum { STRIDE, PADDING }; /* places in `settings`, int32 */
enum { MAX_TAPS = 128 };  /* 11 x 11 in AlexNet */

/* How the windows lie on maps: window (row, column) begins at map (row * step, column * step), and tap t is (down, right) of it. */
typedef struct {
    const float *maps;
    long picture, height, width; /* picture: how many values from one picture to the next */
    long pictures, rows, columns;
    long step, taps;
    long down[MAX_TAPS], right[MAX_TAPS];
} View;

/* Neighbouring columns of the matrix whose windows are in one row of one picture. */
typedef struct {
    long picture, row, column, count, at; /* at: the first one's place among the columns of the task */
} Piece;

/* A 1 x 1 window that visits every value may see each map as a single row. */
static void straighten(View *view)
{
    if (view->taps == 1 && view->step == 1 && !view->down[0] && !view->right[0] && view->rows == view->height &&
        view->columns == view->width) {
        view->columns = view->width = view->height * view->width;
        view->rows = view->height = 1;
    }
}

static long cut_into_pieces(const View *view, long first, long count, Piece *pieces)
{
    long made = 0;
    for (long at = 0; at < count; made++) {
        long index = first + at, row = index / view->columns, column = index % view->columns;
        long length = min_long(count - at, view->columns - column);
        pieces[made] = (Piece){row / view->rows, row % view->rows, column, length, at};
        at += length;
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
    if (step == 1)
        copy(to + begin, row + first + begin, end - begin);
    else
        for (long i = begin; i < end; i++)
            to[i] = row[first + i * step];
    for (long i = end; i < count; i++)
        to[i] = 0;
}

/* Rows first ... first + count - 1 of the matrix, at the columns of the pieces. */
static void gather(const View *view, long first, long count, const Piece *pieces, long piece_count, float *to, long pitch)
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
                gather_piece(channel + piece->picture * view->picture + y * view->width, view->width, x, view->step, piece->count,
                             to + piece->at);
        }
    }
}

/* ---- Weights times what the windows see ---- */

/* TILE_ROWS x TILE_COLUMNS sums stay in registers. */
enum { TILE_ROWS = WIDTH == 16 ? 8 : 4, TILE_COLUMNS = 3 * WIDTH };
enum { CACHED_FLOATS = 1 << 18, MAX_COLUMNS = 5 * TILE_COLUMNS }; /* what a task gathers fits into a second-level cache of 1 MiB */

/* The maps that a product writes: row r of it is channel r, column (row, column) is value (row * step, column * step). */
typedef struct {
    float *maps;
    long picture, plane, width, step;
} Target;

typedef struct {
    View view;
    Target target;
    const float *packed;            /* the weights of all groups */
    long groups, rows, depth;       /* of one group's product */
    long view_group, target_group;  /* how many values from one group's maps to the next */
    long columns;                   /* of a task */
    long column_blocks, row_blocks;
    int streamed;                   /* whether whole tiles go past the caches */
} Product;

/* Where weight (row, depth) is: at row * by_row + channel * by_channel + tap[t], where depth counts taps within channels. */
typedef struct {
    const float *weights;
    float *packed;
    long rows, channels, taps;
    long by_group, by_row, by_channel;
    long tap[MAX_TAPS];
} Packing;

static long packed_size(long rows, long depth) { return round_up(rows, TILE_ROWS) * depth; }

/* Weights in the order in which a tile reads them: TILE_ROWS rows beside each other. A task packs that many rows. */
static void pack_rows(const void *kernel, long index, float *scratch)
{
    (void)scratch;
    const Packing *packing = kernel;
    long panels = round_up(packing->rows, TILE_ROWS) / TILE_ROWS, depth = packing->channels * packing->taps;
    long group = index / panels, first = index % panels * TILE_ROWS, rows = min_long(TILE_ROWS, packing->rows - first);
    const float *from = packing->weights + group * packing->by_group + first * packing->by_row;
    float *to = packing->packed + index * TILE_ROWS * depth;
    for (long channel = 0; channel < packing->channels; channel++)
        for (long t = 0; t < packing->taps; t++, to += TILE_ROWS)
            for (long r = 0; r < TILE_ROWS; r++)
                to[r] = r < rows ? from[r * packing->by_row + channel * packing->by_channel + packing->tap[t]] : 0;
}

static void pack(const Packing *packing, long groups)
{
    run_tasks(pack_rows, packing, groups * round_up(packing->rows, TILE_ROWS) / TILE_ROWS);
}

/* A tile: to[r][j] = sum over k of weights[k][r] * seen[k][j]. */
INLINE void multiply_tile(const float *weights, const float *seen, long pitch, long depth, float *to, long to_pitch,
                          int streamed)
{
    vec sums[TILE_ROWS][3];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        sums[r][0] = sums[r][1] = sums[r][2] = zeros();
    for (long k = 0; k < depth; k++, weights += TILE_ROWS, seen += pitch) {
        vec first = load(seen), second = load(seen + WIDTH), third = load(seen + 2 * WIDTH);
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            vec weight = all(weights[r]);
            sums[r][0] += weight * first;
            sums[r][1] += weight * second;
            sums[r][2] += weight * third;
        }
    }
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < 3; i++) {
            if (streamed)
                stream(to + r * to_pitch + i * WIDTH, sums[r][i]);
            else
                store(to + r * to_pitch + i * WIDTH, sums[r][i]);
        }
}

INLINE float *target_of(const Target *target, const Piece *piece, long column)
{
    return target->maps + piece->picture * target->picture + piece->row * target->step * target->width + column * target->step;
}

/* Writes a tile whose columns are first ... first + TILE_COLUMNS - 1 of the task to where its pieces belong. */
static void deliver(const Target *target, const Piece *pieces, long piece_count, const float *tile, long first, long row, long rows)
{
    for (const Piece *piece = pieces; piece < pieces + piece_count; piece++) {
        long begin = max_long(first, piece->at), end = min_long(first + TILE_COLUMNS, piece->at + piece->count);
        if (begin >= end)
            continue;
        float *to = target_of(target, piece, piece->column + begin - piece->at) + row * target->plane;
        const float *from = tile + begin - first;
        for (long r = 0; r < rows; r++, to += target->plane, from += TILE_COLUMNS) {
            if (target->step == 1)
                copy(to, from, end - begin);
            else
                for (long i = 0; i < end - begin; i++)
                    to[i * target->step] = from[i];
        }
    }
}

/* The piece in which all columns of a tile lie beside each other, or NULL. */
static const Piece *piece_of_tile(const Target *target, const Piece *pieces, long piece_count, long first)
{
    for (const Piece *piece = pieces; piece < pieces + piece_count; piece++)
        if (first >= piece->at && first + TILE_COLUMNS <= piece->at + piece->count)
            return target->step == 1 ? piece : NULL;
    return NULL;
}

static size_t pieces_floats(long columns) { return ((size_t)columns * sizeof(Piece) + 63) / sizeof(float); }

/* A task: some columns of one group, and a part of its rows. */
static void multiply(const void *kernel, long index, float *scratch)
{
    const Product *product = kernel;
    long row_block = index % product->row_blocks, block = index / product->row_blocks;
    long group = block / product->column_blocks, first = block % product->column_blocks * product->columns;
    View view = product->view;
    Target target = product->target;
    view.maps += group * product->view_group;
    target.maps += group * product->target_group;
    long count = min_long(product->columns, view.pictures * view.rows * view.columns - first);
    long panels = round_up(product->rows, TILE_ROWS) / TILE_ROWS;
    long first_panel = panels * row_block / product->row_blocks, last_panel = panels * (row_block + 1) / product->row_blocks;
    const float *packed = product->packed + group * packed_size(product->rows, product->depth);

    float *seen = scratch, tile[TILE_ROWS * TILE_COLUMNS];
    Piece *pieces = (Piece *)(void *)(seen + product->depth * product->columns);
    long piece_count = cut_into_pieces(&view, first, count, pieces);
    gather(&view, 0, product->depth, pieces, piece_count, seen, product->columns);
    for (long column = 0; column < count; column += TILE_COLUMNS) {
        const Piece *whole = piece_of_tile(&target, pieces, piece_count, column);
        float *direct = whole ? target_of(&target, whole, whole->column + column - whole->at) : NULL;
        for (long panel = first_panel; panel < last_panel; panel++) {
            long row = panel * TILE_ROWS, rows = min_long(TILE_ROWS, product->rows - row);
            const float *weights = packed + row * product->depth;
            if (direct && rows == TILE_ROWS) {
                multiply_tile(weights, seen + column, product->columns, product->depth, direct + row * target.plane, target.plane,
                              product->streamed);
            } else {
                multiply_tile(weights, seen + column, product->columns, product->depth, tile, TILE_COLUMNS, 0);
                deliver(&target, pieces, piece_count, tile, column, row, rows);
            }
        }
    }
    finish_streams();
}

/* Decides what a task is. How rows and columns are cut changes no sum, so the number of threads may count. */
static void cut_into_tasks(Product *product)
{
    const View *view = &product->view;
    long fitting = CACHED_FLOATS / max_long(product->depth, 1) / TILE_COLUMNS * TILE_COLUMNS;
    long all_columns = view->pictures * view->rows * view->columns;
    product->columns = max_long(TILE_COLUMNS, min_long(fitting, MAX_COLUMNS));
    product->columns = min_long(product->columns, round_up(all_columns, TILE_COLUMNS));
    product->column_blocks = (all_columns + product->columns - 1) / product->columns;
    long blocks = product->groups * product->column_blocks, panels = round_up(product->rows, TILE_ROWS) / TILE_ROWS;
    product->row_blocks = max_long(1, min_long(panels, 2 * thread_count() / blocks));
    product->streamed = view->columns % WIDTH == 0 &&
                        streams(product->target.maps, product->groups * product->rows * all_columns, product->target.plane);
}

static size_t product_scratch(long depth)
{
    long columns = max_long(TILE_COLUMNS, min_long(CACHED_FLOATS / max_long(depth, 1), MAX_COLUMNS));
    return (size_t)(depth * columns) + pieces_floats(columns);
}

static void run_product(Product *product)
{
    cut_into_tasks(product);
    run_tasks(multiply, product, product->groups * product->column_blocks * product->row_blocks);
}

/* ---- What a gradient of y and the windows give together ---- */

/* DOT_ROWS x DOT_COLUMNS sums of WIDTH lanes stay in registers; the lanes are added at the end. */
enum { DOT_ROWS = WIDTH == 16 ? 4 : 3, DOT_COLUMNS = WIDTH == 16 ? 6 : 4 };
enum { DOT_LENGTH = 1024, DOT_BLOCK = 96 }; /* columns gathered at a time, and rows of either operand: 2 x 384 KiB */
enum { DOT_PITCH = DOT_LENGTH + 16 }; /* rows 4096 bytes apart would all want the same places of the first-level cache */
enum { ENOUGH_TASKS = 16 };

typedef struct {
    View seen, gradient;
    float *parts;                   /* `splits` gradients of the weights; their sum is the result */
    float *result;
    long groups, rows, depth;       /* of one group's weights */
    long seen_group, gradient_group;
    long blocks, splits, columns;   /* columns: all of them */
} Meeting;

INLINE void dot_tile(const float *a, const float *b, long length, float *to, long to_pitch, long rows, long columns)
{
    vec sums[DOT_ROWS][DOT_COLUMNS];
    UNROLL for (int i = 0; i < DOT_ROWS; i++)
        UNROLL for (int j = 0; j < DOT_COLUMNS; j++)
            sums[i][j] = zeros();
    for (long k = 0; k < length; k += WIDTH) {
        vec right[DOT_COLUMNS];
        UNROLL for (int j = 0; j < DOT_COLUMNS; j++)
            right[j] = load(b + j * DOT_PITCH + k);
        UNROLL for (int i = 0; i < DOT_ROWS; i++) {
            vec left = load(a + i * DOT_PITCH + k);
            UNROLL for (int j = 0; j < DOT_COLUMNS; j++)
                sums[i][j] += left * right[j];
        }
    }
    float added[DOT_ROWS][DOT_COLUMNS];
    UNROLL for (int i = 0; i < DOT_ROWS; i++)
        UNROLL for (int j = 0; j < DOT_COLUMNS; j++)
            added[i][j] = sum(sums[i][j]);
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < columns; j++)
            to[i * to_pitch + j] += added[i][j];
}

static void dot_block(const float *a, long rows, const float *b, long columns, long length, float *to, long to_pitch)
{
    for (long i = 0; i < rows; i += DOT_ROWS)
        for (long j = 0; j < columns; j += DOT_COLUMNS)
            dot_tile(a + i * DOT_PITCH, b + j * DOT_PITCH, length, to + i * to_pitch + j, to_pitch,
                     min_long(DOT_ROWS, rows - i), min_long(DOT_COLUMNS, columns - j));
}

/* Gathers rows DOT_PITCH apart, with zeros up to a whole vector. */
static void gather_padded(const View *view, long first, long rows, const Piece *pieces, long piece_count, long count, float *to)
{
    gather(view, first, rows, pieces, piece_count, to, DOT_PITCH);
    for (long r = 0; r < rows; r++)
        clear(to + r * DOT_PITCH + count, round_up(count, WIDTH) - count);
}

static size_t meeting_scratch(void)
{
    return (size_t)(2 * (DOT_BLOCK + DOT_COLUMNS) * DOT_PITCH) + pieces_floats(DOT_LENGTH);
}

/* A task: DOT_BLOCK columns of one group's weight gradient, from one of `splits` parts of the windows. */
static void meet(const void *kernel, long index, float *scratch)
{
    const Meeting *meeting = kernel;
    long split = index % meeting->splits, block = index / meeting->splits % meeting->blocks;
    long group = index / meeting->splits / meeting->blocks;
    View seen = meeting->seen, gradient = meeting->gradient;
    seen.maps += group * meeting->seen_group;
    gradient.maps += group * meeting->gradient_group;
    long first_depth = block * DOT_BLOCK, depth = min_long(DOT_BLOCK, meeting->depth - first_depth);
    float *to = meeting->parts + (split * meeting->groups + group) * meeting->rows * meeting->depth + first_depth;
    for (long r = 0; r < meeting->rows; r++)
        clear(to + r * meeting->depth, depth);

    float *b = scratch, *a = b + (DOT_BLOCK + DOT_COLUMNS) * DOT_PITCH;
    Piece *pieces = (Piece *)(void *)(a + (DOT_BLOCK + DOT_COLUMNS) * DOT_PITCH);
    long lengths = (meeting->columns + DOT_LENGTH - 1) / DOT_LENGTH;
    long first = lengths * split / meeting->splits * DOT_LENGTH;
    long last = min_long(meeting->columns, lengths * (split + 1) / meeting->splits * DOT_LENGTH);
    for (; first < last; first += DOT_LENGTH) {
        long count = min_long(DOT_LENGTH, last - first), length = round_up(count, WIDTH);
        long piece_count = cut_into_pieces(&seen, first, count, pieces);
        gather_padded(&seen, first_depth, depth, pieces, piece_count, count, b);
        for (long row = 0; row < meeting->rows; row += DOT_BLOCK) {
            long rows = min_long(DOT_BLOCK, meeting->rows - row);
            gather_padded(&gradient, row, rows, pieces, piece_count, count, a);
            dot_block(a, rows, b, depth, length, to + row * meeting->depth, meeting->depth);
        }
    }
}

enum { ADDED_AT_ONCE = 4096 };

static void add_parts(const void *kernel, long index, float *scratch)
{
    (void)scratch;
    const Meeting *meeting = kernel;
    long size = meeting->groups * meeting->rows * meeting->depth, end = min_long(size, (index + 1) * ADDED_AT_ONCE);
    for (long i = index * ADDED_AT_ONCE; i < end; i++) {
        float total = 0;
        for (long split = 0; split < meeting->splits; split++)
            total += meeting->parts[split * size + i];
        meeting->result[i] = total;
    }
}

/* ---- Entry points ---- */

typedef struct {
    long pictures, channels, height, width;
    long out_channels, out_height, out_width;
    long window_height, window_width, stride, top, left;
    long groups, group_in, group_out; /* channels of a group */
} Convolution;

static int describe(Convolution *conv, const int64_t *x, const int64_t *weight, const int64_t *y, const int32_t *settings)
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
static View view_of_input(const Convolution *conv, const float *x)
{
    View view = {.maps = x, .picture = conv->channels * conv->height * conv->width, .height = conv->height, .width = conv->width,
                 .pictures = conv->pictures, .rows = conv->out_height, .columns = conv->out_width, .step = conv->stride,
                 .taps = conv->window_height * conv->window_width};
    for (long t = 0; t < view.taps; t++) {
        view.down[t] = t / conv->window_width - conv->top;
        view.right[t] = t % conv->window_width - conv->left;
    }
    straighten(&view);
    return view;
}

/* dy, seen as by a 1 x 1 window. */
static View view_of_gradient(const Convolution *conv, const float *dy)
{
    return (View){.maps = dy, .picture = conv->out_channels * conv->out_height * conv->out_width, .height = conv->out_height,
                  .width = conv->out_width, .pictures = conv->pictures, .rows = conv->out_height, .columns = conv->out_width,
                  .step = 1, .taps = 1};
}

/* x, weight, settings -> y */
KERNEL(convolution_forward)
{
    Convolution conv;
    if (!describe(&conv, shapes[0], shapes[1], shapes[3], data[2]))
        return BAD_SHAPE;
    long taps = conv.window_height * conv.window_width, depth = conv.group_in * taps, plane = conv.out_height * conv.out_width;
    float *packed = begin_kernel(product_scratch(depth), (size_t)(conv.groups * packed_size(conv.group_out, depth)));
    if (!packed)
        return NO_MEMORY;
    Packing packing = {.weights = data[1], .packed = packed, .rows = conv.group_out, .channels = conv.group_in, .taps = taps,
                       .by_group = conv.group_out * depth, .by_row = depth, .by_channel = taps};
    for (long t = 0; t < taps; t++)
        packing.tap[t] = t;
    pack(&packing, conv.groups);
    Product product = {.view = view_of_input(&conv, data[0]), .packed = packed, .groups = conv.groups, .rows = conv.group_out,
                       .depth = depth, .view_group = conv.group_in * conv.height * conv.width,
                       .target = {data[3], conv.out_channels * plane, plane, conv.out_width, 1},
                       .target_group = conv.group_out * plane};
    run_product(&product);
    end_kernel();
    return DONE;
}

/* One of the interleaved parts of dx: the values (row, column), (row + stride, column), ... Only taps that can have met them count:
 * as seen from dx, tap (a, b) carried the gradient of the window that begins a - top above and b - left before it. */
static void input_gradient_part(const Convolution *conv, const float *weight, const float *dy, float *dx, float *packed, long row,
                                long column)
{
    long all_taps = conv->window_height * conv->window_width, plane = conv->height * conv->width;
    View view = view_of_gradient(conv, dy);
    Packing packing = {.weights = weight, .packed = packed, .rows = conv->group_in, .channels = conv->group_out,
                       .by_group = conv->group_out * conv->group_in * all_taps, .by_row = all_taps,
                       .by_channel = conv->group_in * all_taps};
    view.taps = 0;
    view.rows = (conv->height - row + conv->stride - 1) / conv->stride;
    view.columns = (conv->width - column + conv->stride - 1) / conv->stride;
    for (long t = 0; t < all_taps; t++) {
        long above = row + conv->top - t / conv->window_width, before = column + conv->left - t % conv->window_width;
        if (above % conv->stride || before % conv->stride)
            continue;
        view.down[view.taps] = above / conv->stride;
        view.right[view.taps] = before / conv->stride;
        packing.tap[view.taps++] = t;
    }
    packing.taps = view.taps;
    if (conv->stride == 1) /* else the values that are written do not lie in one row */
        straighten(&view);
    pack(&packing, conv->groups);
    Product product = {.view = view, .packed = packed, .groups = conv->groups, .rows = conv->group_in,
                       .depth = conv->group_out * view.taps, .view_group = conv->group_out * conv->out_height * conv->out_width,
                       .target = {dx + row * conv->width + column, conv->channels * plane, plane, conv->width, conv->stride},
                       .target_group = conv->group_in * plane};
    if (view.rows > 0 && view.columns > 0)
        run_product(&product);
}

/* x (only its shape counts), weight, settings, dy -> dx */
KERNEL(convolution_input_gradient)
{
    Convolution conv;
    if (!describe(&conv, shapes[0], shapes[1], shapes[3], data[2]))
        return BAD_SHAPE;
    long depth = conv.group_out * conv.window_height * conv.window_width;
    float *packed = begin_kernel(product_scratch(depth), (size_t)(conv.groups * packed_size(conv.group_in, depth)));
    if (!packed)
        return NO_MEMORY;
    for (long row = 0; row < conv.stride; row++)
        for (long column = 0; column < conv.stride; column++)
            input_gradient_part(&conv, data[1], data[3], data[4], packed, row, column);
    end_kernel();
    return DONE;
}

/* x, weight (only its shape counts), settings, dy -> dweight */
KERNEL(convolution_weight_gradient)
{
    Convolution conv;
    if (!describe(&conv, shapes[0], shapes[1], shapes[3], data[2]))
        return BAD_SHAPE;
    Meeting meeting = {.seen = view_of_input(&conv, data[0]), .gradient = view_of_gradient(&conv, data[3]), .result = data[4],
                       .groups = conv.groups, .rows = conv.group_out,
                       .depth = conv.group_in * conv.window_height * conv.window_width,
                       .seen_group = conv.group_in * conv.height * conv.width,
                       .gradient_group = conv.group_out * conv.out_height * conv.out_width,
                       .columns = conv.pictures * conv.out_height * conv.out_width};
    if (meeting.seen.rows != meeting.gradient.rows)
        straighten(&meeting.gradient);
    meeting.blocks = (meeting.depth + DOT_BLOCK - 1) / DOT_BLOCK;
    long lengths = (meeting.columns + DOT_LENGTH - 1) / DOT_LENGTH;
    meeting.splits = max_long(1, min_long(lengths, ENOUGH_TASKS / (meeting.blocks * meeting.groups)));
    long size = meeting.groups * meeting.rows * meeting.depth;
    meeting.parts = begin_kernel(meeting_scratch(), (size_t)(meeting.splits * size));
    if (!meeting.parts)
        return NO_MEMORY;
    run_tasks(meet, &meeting, meeting.groups * meeting.blocks * meeting.splits);
    run_tasks(add_parts, &meeting, (size + ADDED_AT_ONCE - 1) / ADDED_AT_ONCE);
    end_kernel();
    return DONE;
}
