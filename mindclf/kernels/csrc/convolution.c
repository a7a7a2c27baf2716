/* Convolution with any window, stride and number of groups, as a product of matrices; 1 x 1 is the simplest case.
 *
 * One operand is the weights, the other what the windows see (im2col.h). Three products give everything:
 *
 *   forward            y  = W  x seen(x)         with a bias and an activation where batch norm was folded
 *   input gradient     dx = W' x seen(dy)        for each of stride x stride interleaved parts of dx
 *   weight gradient    dW = dy x seen(x)'        in convolution_weight.c
 *
 * Sums run in an order that depends on the shapes alone, never on the number of threads or on timing. */
#include "activation.h"
#include "threads.h"
#include "gemm_tile.h"
#include "im2col.h"

/* ---- Weights times what the windows see ---- */

/* What a task gathers fits into a second-level cache of 1 MiB. */
enum { CACHED_FLOATS = 1 << 18, MAX_COLUMNS = 10 * TILE_COLUMNS };

/* The maps that a product writes: row r of it is channel r, column (row, column) is value (row * step, column * step). With a
 * step of 1 the columns of an image lie beside each other, as one row. */
typedef struct {
    float *maps;
    long image, plane, width, step, rows, columns;
} Target;

typedef struct {
    View view;
    Target target;
    const float *packed;            /* the weights of all groups */
    const float *bias;              /* of every packed row, or NULL */
    int activation;
    long groups, rows, depth;       /* of one group's product */
    long view_group, target_group;  /* how many values from one group's maps to the next */
    long columns;                   /* of a task; its tiles begin at multiples of TILE_COLUMNS */
    long skipped;                   /* columns of the first task that do not exist, so that all tiles are aligned in memory */
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

/* Weights as the left operand of gemm_tile.h. A task packs TILE_ROWS rows. */
static void pack_rows(const void *kernel, long index, float *scratch)
{
    (void)scratch;
    const Packing *packing = kernel;
    long panels = round_up(packing->rows, TILE_ROWS) / TILE_ROWS, depth = packing->channels * packing->taps;
    long group = index / panels, first = index % panels * TILE_ROWS, rows = min_long(TILE_ROWS, packing->rows - first);
    const float *from = packing->weights + group * packing->by_group + first * packing->by_row;
    float *to = packing->packed + index * left_floats(TILE_ROWS, depth);
    long k = 0;
    for (long channel = 0; channel < packing->channels; channel++)
        for (long t = 0; t < packing->taps; t++, k++)
            for (long r = 0; r < TILE_ROWS; r++)
                put_left(to, r, k, r < rows ? from[r * packing->by_row + channel * packing->by_channel + packing->tap[t]] : 0);
    for (; k < round_up(depth, BLOCK_DEPTH); k++)
        for (long r = 0; r < TILE_ROWS; r++)
            put_left(to, r, k, 0);
}

static void pack(const Packing *packing, long groups)
{
    run_tasks(pack_rows, packing, groups * round_up(packing->rows, TILE_ROWS) / TILE_ROWS);
}

/* A tile of the result, written to `to`: sums that begin at the rows' `bias`, and then the activation. */
INLINE void write_tile(const float *weights, const float *seen, long pitch, long depth, const float *bias, int activation,
                       float *to, long to_pitch, int streamed)
{
    vec sums[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < TILE_VECTORS; i++)
            sums[r][i] = all(bias[r]);
    multiply_tile(weights, TILE_ROWS, seen, pitch, depth, sums, TILE_VECTORS);
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < TILE_VECTORS; i++) {
            vec value = activate(sums[r][i], activation);
            if (streamed)
                stream(to + r * to_pitch + i * WIDTH, value);
            else
                store(to + r * to_pitch + i * WIDTH, value);
        }
}

INLINE float *target_of(const Target *target, const Piece *piece, long column)
{
    return target->maps + piece->image * target->image + piece->row * target->step * target->width + column * target->step;
}

/* Writes a tile whose columns are first ... first + TILE_COLUMNS - 1 of the task to where its pieces belong. */
static void deliver(const Target *target, const Piece *pieces, long piece_count, const float *tile, long first, long row,
                    long rows)
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

/* Where all columns of a tile belong if they lie beside each other, or NULL. */
static float *place_of_tile(const Target *target, const Piece *pieces, long piece_count, long first)
{
    for (const Piece *piece = pieces; piece < pieces + piece_count && target->step == 1; piece++)
        if (first >= piece->at && first + TILE_COLUMNS <= piece->at + piece->count)
            return target_of(target, piece, piece->column + first - piece->at);
    return NULL;
}

/* A task: some columns of one group, and a part of its rows. */
static void multiply(const void *kernel, long index, float *scratch)
{
    const Product *product = kernel;
    long row_block = index % product->row_blocks, block = index / product->row_blocks;
    long group = block / product->column_blocks, begin = block % product->column_blocks * product->columns;
    long skipped = begin ? 0 : product->skipped, first = begin ? begin - product->skipped : 0;
    View view = product->view;
    Target target = product->target;
    view.maps += group * product->view_group;
    target.maps += group * product->target_group;
    long count = min_long(product->columns - skipped, view.images * view.rows * view.columns - first);
    long panels = round_up(product->rows, TILE_ROWS) / TILE_ROWS;
    long first_panel = panels * row_block / product->row_blocks, last_panel = panels * (row_block + 1) / product->row_blocks;
    const float *packed = product->packed + group * left_floats(product->rows, product->depth);

    float *seen = scratch, tile[TILE_ROWS * TILE_COLUMNS];
    Piece *pieces = (Piece *)(void *)(seen + round_up(product->depth, BLOCK_DEPTH) * product->columns);
    long piece_count = cut_into_pieces(view.rows, view.columns, first, count, skipped, pieces);
    gather(&view, 0, product->depth, pieces, piece_count, seen, product->columns);
    pack_right(seen, product->depth, product->columns);
    begin_tiles();
    piece_count = cut_into_pieces(target.rows, target.columns, first, count, skipped, pieces);
    const float no_bias[TILE_ROWS] = {0}, *bias = product->bias ? product->bias + group * panels * TILE_ROWS : NULL;
    for (long column = 0; column < skipped + count; column += TILE_COLUMNS) {
        float *direct = place_of_tile(&target, pieces, piece_count, column);
        for (long panel = first_panel; panel < last_panel; panel++) {
            long row = panel * TILE_ROWS, rows = min_long(TILE_ROWS, product->rows - row);
            const float *weights = packed + left_floats(row, product->depth), *row_bias = bias ? bias + row : no_bias;
            if (direct && rows == TILE_ROWS) {
                write_tile(weights, seen + column, product->columns, product->depth, row_bias, product->activation,
                           direct + row * target.plane, target.plane, product->streamed);
            } else {
                write_tile(weights, seen + column, product->columns, product->depth, row_bias, product->activation, tile,
                           TILE_COLUMNS, 0);
                deliver(&target, pieces, piece_count, tile, column, row, rows);
            }
        }
    }
    end_tiles();
    finish_streams();
}

/* Decides what a task is. How rows and columns are cut changes no sum, so the number of threads may count. */
static void cut_into_tasks(Product *product)
{
    const View *view = &product->view;
    long fitting = CACHED_FLOATS / round_up(max_long(product->depth, 1), BLOCK_DEPTH) / TILE_COLUMNS * TILE_COLUMNS;
    Target *target = &product->target;
    int joined = target->step == 1, aligned = joined && view->rows * view->columns % WIDTH == 0;
    target->rows = joined ? 1 : view->rows;
    target->columns = joined ? view->rows * view->columns : view->columns;
    product->skipped = aligned ? misalignment(target->maps) : 0;
    long all_columns = product->skipped + view->images * view->rows * view->columns;
    product->columns = max_long(TILE_COLUMNS, min_long(fitting, MAX_COLUMNS));
    product->columns = min_long(product->columns, round_up(all_columns, TILE_COLUMNS));
    product->column_blocks = (all_columns + product->columns - 1) / product->columns;
    long blocks = product->groups * product->column_blocks, panels = round_up(product->rows, TILE_ROWS) / TILE_ROWS;
    product->row_blocks = max_long(1, min_long(panels, 2 * thread_count() / blocks));
    product->streamed = aligned && product->groups * product->rows * all_columns > STREAMED_FLOATS;
}

/* Enough for products of any depth up to `depth`: less depth means more columns. */
static size_t product_scratch(long depth)
{
    return (size_t)max_long(CACHED_FLOATS, round_up(depth, BLOCK_DEPTH) * TILE_COLUMNS) + pieces_floats(MAX_COLUMNS);
}

static void run_product(Product *product)
{
    cut_into_tasks(product);
    run_tasks(multiply, product, product->groups * product->column_blocks * product->row_blocks);
}

/* ---- Entry points ---- */

/* Every packed row's bias: groups are filled up to whole tiles. */
static void pack_bias(const Convolution *conv, const float *bias, float *to)
{
    long rows = round_up(conv->group_out, TILE_ROWS);
    for (long group = 0; group < conv->groups; group++)
        for (long r = 0; r < rows; r++)
            to[group * rows + r] = r < conv->group_out ? bias[group * conv->group_out + r] : 0;
}

static int convolve(const Convolution *conv, const float *x, const float *weight, const float *bias, int activation, float *y)
{
    long taps = conv->window_height * conv->window_width, depth = conv->group_in * taps;
    long plane = conv->out_height * conv->out_width;
    long weights = conv->groups * left_floats(conv->group_out, depth), rows = conv->groups * round_up(conv->group_out, TILE_ROWS);
    float *packed = begin_kernel(product_scratch(depth), (size_t)(weights + rows));
    if (!packed)
        return NO_MEMORY;
    Packing packing = {.weights = weight, .packed = packed, .rows = conv->group_out, .channels = conv->group_in, .taps = taps,
                       .by_group = conv->group_out * depth, .by_row = depth, .by_channel = taps};
    for (long t = 0; t < taps; t++)
        packing.tap[t] = t;
    pack(&packing, conv->groups);
    if (bias)
        pack_bias(conv, bias, packed + weights);
    Product product = {.view = view_of_input(conv, x), .packed = packed, .bias = bias ? packed + weights : NULL,
                       .activation = activation, .groups = conv->groups, .rows = conv->group_out, .depth = depth,
                       .view_group = conv->group_in * conv->height * conv->width,
                       .target = {.maps = y, .image = conv->out_channels * plane, .plane = plane, .width = conv->out_width,
                                  .step = 1},
                       .target_group = conv->group_out * plane};
    run_product(&product);
    end_kernel();
    return DONE;
}

/* x, weight, settings -> y */
KERNEL(convolution_forward)
{
    Convolution conv;
    if (!describe(&conv, shapes[0], shapes[1], shapes[3], data[2]))
        return BAD_SHAPE;
    return convolve(&conv, data[0], data[1], NULL, NO_ACTIVATION, data[3]);
}

/* x, weight, bias, settings -> y, the activation of the convolution with a bias */
KERNEL(convolution_activated)
{
    Convolution conv;
    const int32_t *settings = data[3];
    if (!describe(&conv, shapes[0], shapes[1], shapes[4], settings) || shapes[2][0] != conv.out_channels)
        return BAD_SHAPE;
    return convolve(&conv, data[0], data[1], data[2], settings[ACTIVATION], data[4]);
}

/* One of the interleaved parts of dx: the values (row, column), (row + stride, column), ... Only taps that can have met them
 * count: as seen from dx, tap (a, b) carried the gradient of the window that begins a - top above and b - left before it. */
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
                       .target = {.maps = dx + row * conv->width + column, .image = conv->channels * plane, .plane = plane,
                                  .width = conv->width, .step = conv->stride},
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
    float *packed = begin_kernel(product_scratch(depth), (size_t)(conv.groups * left_floats(conv.group_in, depth)));
    if (!packed)
        return NO_MEMORY;
    for (long row = 0; row < conv.stride; row++)
        for (long column = 0; column < conv.stride; column++)
            input_gradient_part(&conv, data[1], data[3], data[4], packed, row, column);
    end_kernel();
    return DONE;
}
