/* Convolution with any kernel size, stride and number of groups, as a product of matrices. README.md draws how it is cut into
 * tasks.
 *
 * One operand is the weights W, the other an im2col matrix (im2col.h). There are three products:
 *
 *   forward            y  = W  x im2col(x)       with a bias and an activation where batch norm was folded
 *   input gradient     dx = W' x im2col(dy)      for each of stride x stride interleaved parts of dx
 *   weight gradient    dW = dy x im2col(x)'      in convolution_weight.c
 *
 * The order of a sum depends on the shapes alone, never on the number of threads or on timing. */
#include "gemm.h"
#include "im2col.h"
#include "small_maps.h"
#include "threads.h"
#include "winograd.h"

/* ---- Weights x im2col matrix ---- */

/* The columns of the im2col matrix that a task makes fit into a second-level cache of 1 MiB. */
enum { CACHED_FLOATS = 1 << 18, MAX_COLUMNS = 10 * TILE_COLUMNS };

/* The maps that a product writes. Its row r is channel r; its column of position (row, column) is value (row * step,
 * column * step) of the map. With a step of 1 all columns of an image are contiguous, and count as one row. */
typedef struct {
    float *maps;
    long image, plane, width, step, rows, columns;
} Target;

typedef struct {
    Im2col input;
    Target target;
    const float *packed;            /* the weights of all groups, in panels */
    const float *bias;              /* of every packed row, or NULL */
    int activation;
    long groups, rows, depth;       /* of one group's product */
    long input_group, target_group; /* how many values from one group's maps to the next */
    long columns;                   /* of a task; its tiles begin at multiples of TILE_COLUMNS */
    long skipped;                   /* unused columns at the start of the first task, which align all tiles in memory */
    long column_blocks, row_blocks;
    int nontemporal;                /* whether whole tiles are written by non-temporal stores */
} Product;

/* Where a column of a segment belongs in the target's first channel. */
INLINE float *target_of(const Target *target, const Segment *segment, long column)
{
    return target->maps + segment->image * target->image + segment->row * target->step * target->width + column * target->step;
}

/* Copies a tile, whose columns are first ... first + TILE_COLUMNS - 1 of the task, to where its segments belong. */
static void scatter_tile(const Target *target, const Segment *segments, long segment_count, const float *tile, long first,
                         long row, long rows)
{
    for (const Segment *segment = segments; segment < segments + segment_count; segment++) {
        long begin = max_long(first, segment->at), end = min_long(first + TILE_COLUMNS, segment->at + segment->count);
        if (begin >= end)
            continue;
        float *to = target_of(target, segment, segment->column + begin - segment->at) + row * target->plane;
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

/* Where a whole tile belongs if its columns are contiguous there, or NULL. */
static float *contiguous_target(const Target *target, const Segment *segments, long segment_count, long first)
{
    for (const Segment *segment = segments; segment < segments + segment_count && target->step == 1; segment++)
        if (first >= segment->at && first + TILE_COLUMNS <= segment->at + segment->count)
            return target_of(target, segment, segment->column + first - segment->at);
    return NULL;
}

/* A task: a block of columns of one group's product, and a block of its rows. */
static void multiply(const void *arguments, long index, float *scratch)
{
    const Product *product = arguments;
    long row_block = index % product->row_blocks, block = index / product->row_blocks;
    long group = block / product->column_blocks, begin = block % product->column_blocks * product->columns;
    long skipped = begin ? 0 : product->skipped, first = begin ? begin - product->skipped : 0;
    Im2col input = product->input;
    Target target = product->target;
    input.maps += group * product->input_group;
    target.maps += group * product->target_group;
    long count = min_long(product->columns - skipped, input.images * input.rows * input.columns - first);
    long panels = divide_up(product->rows, TILE_ROWS);
    long first_panel = panels * row_block / product->row_blocks, last_panel = panels * (row_block + 1) / product->row_blocks;
    const float *packed = product->packed + group * left_floats(product->rows, product->depth);

    float *matrix = scratch, tile[TILE_ROWS * TILE_COLUMNS];
    Segment *segments = (Segment *)(void *)(matrix + round_up(product->depth, BLOCK_DEPTH) * product->columns);
    long segment_count = cut_into_segments(input.rows, input.columns, first, count, skipped, segments);
    im2col_rows(&input, 0, product->depth, segments, segment_count, matrix, product->columns);
    pack_right(matrix, product->depth, product->columns);
    begin_tiles();
    segment_count = cut_into_segments(target.rows, target.columns, first, count, skipped, segments);
    const float no_bias[TILE_ROWS] = {0}, *bias = product->bias ? product->bias + group * panels * TILE_ROWS : NULL;
    for (long column = 0; column < skipped + count; column += TILE_COLUMNS) {
        float *direct = contiguous_target(&target, segments, segment_count, column);
        for (long panel = first_panel; panel < last_panel; panel++) {
            long row = panel * TILE_ROWS, rows = min_long(TILE_ROWS, product->rows - row);
            const float *rows_packed = packed + left_floats(row, product->depth), *row_bias = bias ? bias + row : no_bias;
            if (direct && rows == TILE_ROWS) {
                write_tile(rows_packed, matrix + column, product->columns, product->depth, row_bias, product->activation,
                           direct + row * target.plane, target.plane, TILE_VECTORS, product->nontemporal);
            } else {
                long vectors = min_long(TILE_VECTORS, divide_up(skipped + count - column, WIDTH));
                write_vectors(rows_packed, matrix + column, product->columns, product->depth, row_bias, product->activation,
                              tile, TILE_COLUMNS, vectors);
                scatter_tile(&target, segments, segment_count, tile, column, row, rows);
            }
        }
    }
    end_tiles();
    fence_nontemporal();
}

/* Decides the size of a task. It may depend on the number of threads, because it changes the order of no sum. */
static void cut_into_tasks(Product *product)
{
    const Im2col *input = &product->input;
    long fitting = CACHED_FLOATS / round_up(max_long(product->depth, 1), BLOCK_DEPTH) / TILE_COLUMNS * TILE_COLUMNS;
    Target *target = &product->target;
    int joined = target->step == 1, aligned = joined && input->rows * input->columns % WIDTH == 0;
    target->rows = joined ? 1 : input->rows;
    target->columns = joined ? input->rows * input->columns : input->columns;
    product->skipped = aligned ? misalignment(target->maps) : 0;
    long all_columns = product->skipped + input->images * input->rows * input->columns;
    product->columns = max_long(TILE_COLUMNS, min_long(fitting, MAX_COLUMNS));
    product->columns = min_long(product->columns, round_up(all_columns, TILE_COLUMNS));
    product->column_blocks = divide_up(all_columns, product->columns);
    long blocks = product->groups * product->column_blocks, panels = divide_up(product->rows, TILE_ROWS);
    product->row_blocks = max_long(1, min_long(panels, 2 * thread_count() / blocks));
    product->nontemporal = aligned && product->groups * product->rows * all_columns > NONTEMPORAL_FLOATS;
}

/* Enough for products of any depth up to `depth`: tasks of less depth have more columns. */
static size_t product_scratch(long depth)
{
    return (size_t)max_long(CACHED_FLOATS, round_up(depth, BLOCK_DEPTH) * TILE_COLUMNS) + segments_floats(MAX_COLUMNS);
}

static void run_product(Product *product)
{
    cut_into_tasks(product);
    run_tasks(multiply, product, product->groups * product->column_blocks * product->row_blocks);
}

/* ---- Operators ---- */

/* Whether Winograd's way (winograd.c) may compute a convolution or its input gradient. */
static int is_plain_3x3(const Convolution *conv)
{
    return conv->kernel_height == 3 && conv->kernel_width == 3 && conv->stride == 1 && conv->groups == 1;
}

/* How the weights of the forward pass are packed. */
static Packing forward_packing(const Convolution *conv, const float *weight, float *packed)
{
    long elements = conv->kernel_height * conv->kernel_width, depth = conv->group_in * elements;
    Packing packing = {.weights = weight, .packed = packed, .rows = conv->group_out, .channels = conv->group_in,
                       .elements = elements, .by_group = conv->group_out * depth, .by_row = depth, .by_channel = elements};
    for (long t = 0; t < elements; t++)
        packing.element[t] = t;
    return packing;
}

/* `packed`: the weights as `pack_weights` gives them, or NULL. */
static int convolve(const Convolution *conv, const float *x, const float *weight, const float *packed, const float *bias,
                    int activation, float *y)
{
    long elements = conv->kernel_height * conv->kernel_width, depth = conv->group_in * elements;
    long plane = conv->out_height * conv->out_width;
    WinogradConvolution winograd = {.x = x, .weight = weight, .bias = bias, .y = y, .activation = activation,
                                    .images = conv->images, .channels = conv->channels, .height = conv->height,
                                    .width = conv->width, .out_channels = conv->out_channels, .out_height = conv->out_height,
                                    .out_width = conv->out_width, .top = conv->top, .left = conv->left, .by_out = depth,
                                    .by_channel = elements};
    if (is_plain_3x3(conv) && winograd_pays(&winograd))
        return winograd_convolve(&winograd);
    if (small_maps_pay(conv))
        return small_maps_forward(conv, x, forward_packing(conv, weight, NULL), packed, bias, activation, y);
    long weights = packed ? 0 : conv->groups * left_floats(conv->group_out, depth);
    long rows = conv->groups * round_up(conv->group_out, TILE_ROWS);
    float *shared = begin_kernel(product_scratch(depth), (size_t)(weights + rows));
    if (!shared)
        return NO_MEMORY;
    if (!packed) {
        Packing packing = forward_packing(conv, weight, shared);
        pack(&packing, conv->groups);
    }
    if (bias)
        pack_bias(bias, conv->groups, conv->group_out, shared + weights);
    Product product = {.input = im2col_of_input(conv, x), .packed = packed ? packed : shared,
                       .bias = bias ? shared + weights : NULL,
                       .activation = activation, .groups = conv->groups, .rows = conv->group_out, .depth = depth,
                       .input_group = conv->group_in * conv->height * conv->width,
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
    return convolve(&conv, data[0], data[1], NULL, NULL, NO_ACTIVATION, data[3]);
}

/* x, weight, packed weight, bias, settings -> y = activation(convolution + bias) */
KERNEL(convolution_activated)
{
    Convolution conv;
    const int32_t *settings = data[4];
    if (!describe(&conv, shapes[0], shapes[1], shapes[5], settings) || shapes[3][0] != conv.out_channels)
        return BAD_SHAPE;
    if (shapes[2][0] != packed_floats(conv.groups, conv.group_out, conv.group_in * conv.kernel_height * conv.kernel_width))
        return BAD_SHAPE;
    return convolve(&conv, data[0], data[1], data[2], data[3], settings[CONVOLUTION_ACTIVATION], data[5]);
}

/* weight, settings -> packed weight, for `convolution_activated`, `separable` and `inverted_residual` */
KERNEL(pack_weights)
{
    const int32_t *settings = data[1];
    const int64_t *weight = shapes[0];
    long groups = settings[PACK_GROUPS], elements = weight[2] * weight[3];
    if (groups < 1 || weight[0] % groups || elements > MAX_KERNEL_ELEMENTS)
        return BAD_SHAPE;
    Convolution conv = {.group_in = weight[1], .group_out = weight[0] / groups, .kernel_height = weight[2], .kernel_width = weight[3]};
    long needed = packed_floats(groups, conv.group_out, conv.group_in * elements);
    if (shapes[2][0] != needed)
        return BAD_SHAPE;
    if (!begin_kernel(0, 0))
        return NO_MEMORY;
    float *packed = data[2];
    long used = groups * left_floats(conv.group_out, conv.group_in * elements);
    clear(packed + used, needed - used);
    Packing packing = forward_packing(&conv, data[0], packed);
    pack(&packing, groups);
    end_kernel();
    return DONE;
}

/* One of the interleaved parts of dx: its rows row + m * stride, and its columns likewise. Through kernel element (a, b) output
 * row o reads row o * stride - top + a of x. So row + m * stride of dx receives from output row m + (row + top - a) / stride, by
 * those elements for which the quotient is whole. */
static void input_gradient_part(const Convolution *conv, const float *weight, const float *dy, float *dx, float *packed, long row,
                                long column)
{
    long all_elements = conv->kernel_height * conv->kernel_width, plane = conv->height * conv->width;
    Im2col input = im2col_of_gradient(conv, dy);
    Packing packing = {.weights = weight, .packed = packed, .rows = conv->group_in, .channels = conv->group_out,
                       .by_group = conv->group_out * conv->group_in * all_elements, .by_row = all_elements,
                       .by_channel = conv->group_in * all_elements};
    input.elements = 0;
    input.rows = (conv->height - row + conv->stride - 1) / conv->stride;
    input.columns = (conv->width - column + conv->stride - 1) / conv->stride;
    for (long t = 0; t < all_elements; t++) {
        long above = row + conv->top - t / conv->kernel_width, before = column + conv->left - t % conv->kernel_width;
        if (above % conv->stride || before % conv->stride)
            continue;
        input.down[input.elements] = above / conv->stride;
        input.right[input.elements] = before / conv->stride;
        packing.element[input.elements++] = t;
    }
    packing.elements = input.elements;
    if (conv->stride == 1) /* otherwise the values of the part are not contiguous */
        flatten(&input);
    pack(&packing, conv->groups);
    Product product = {.input = input, .packed = packed, .groups = conv->groups, .rows = conv->group_in,
                       .depth = conv->group_out * input.elements,
                       .input_group = conv->group_out * conv->out_height * conv->out_width,
                       .target = {.maps = dx + row * conv->width + column, .image = conv->channels * plane, .plane = plane,
                                  .width = conv->width, .step = conv->stride},
                       .target_group = conv->group_in * plane};
    if (input.rows > 0 && input.columns > 0)
        run_product(&product);
}

/* x (only its shape counts), weight, settings, dy -> dx */
KERNEL(convolution_input_gradient)
{
    Convolution conv;
    if (!describe(&conv, shapes[0], shapes[1], shapes[3], data[2]))
        return BAD_SHAPE;
    long depth = conv.group_out * conv.kernel_height * conv.kernel_width;
    WinogradConvolution winograd = {.x = data[3], .weight = data[1], .y = data[4], .reversed = 1, .images = conv.images,
                                    .channels = conv.out_channels, .height = conv.out_height, .width = conv.out_width,
                                    .out_channels = conv.channels, .out_height = conv.height, .out_width = conv.width,
                                    .top = 2 - conv.top, .left = 2 - conv.left, .by_out = 9, .by_channel = 9 * conv.channels};
    if (is_plain_3x3(&conv) && winograd_pays(&winograd))
        return winograd_convolve(&winograd);
    if (small_maps_pay(&conv))
        return small_maps_input_gradient(&conv, data[1], data[3], data[4]);
    float *packed = begin_kernel(product_scratch(depth), (size_t)(conv.groups * left_floats(conv.group_in, depth)));
    if (!packed)
        return NO_MEMORY;
    for (long row = 0; row < conv.stride; row++)
        for (long column = 0; column < conv.stride; column++)
            input_gradient_part(&conv, data[1], data[3], data[4], packed, row, column);
    end_kernel();
    return DONE;
}
