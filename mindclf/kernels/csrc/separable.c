/* Depthwise separable convolutions in one pass, for inference: a depthwise convolution and the 1 x 1 convolution behind it
 * (MobileNetV1, arXiv:1704.04861), and with a 1 x 1 convolution before it and the input added an inverted residual (MobileNetV2,
 * arXiv:1801.04381). Each convolution has a bias, in which its batch norm was folded, and an activation.
 *
 * What is between the convolutions is the largest part of the data: six times the input of an inverted residual. It never reaches
 * the main memory. A task makes a strip of rows of one image:
 *
 *   input      all channels of x, the rows that the strip depends on, with zero padding
 *   planes     a panel of the expanded channels on those rows, or one channel of x
 *   filtered   the depthwise convolution of each channel, on the rows of the strip: the right operand of the last product
 *
 * Strips overlap in what they expand: a strip of r rows expands (r - 1) * stride + kernel_size rows. Maps smaller than a vector are
 * not cut: a task makes those of several images, side by side in `filtered`: alone they would not fill a vector of the last product. */
#include "custom_op.h"
#include "depthwise_slide.h"
#include "gemm.h"
#include "settings.h"
#include "threads.h"

/* The scratch of a task fits into a second-level cache; strips are not lower than that, for what they expand twice. */
enum { SCRATCH_FLOATS = 1 << 17, LEAST_ROWS = 4 };

typedef struct {
    long images, channels, height, width, hidden, out_channels, out_height, out_width;
    long kernel_size, stride, top, left;
    int expand_activation, depthwise_activation, project_activation, residual;
    const float *x, *expand, *expand_bias; /* expand: packed weights, or NULL */
    const float *weight, *bias;            /* of the depthwise convolution */
    const float *project, *project_bias;   /* project: packed weights */
    float *y;
    long strip_rows, strips, together;     /* together: images of a task, 1 where there are several strips */
} Separable;

/* Rows of the input on which a strip depends, in their zero padding. With stride 1 the padding on the right of a row is that on the
 * left of the next one. */
static PaddedPlane strip_input(const Separable *block, long first_row, long rows)
{
    long first = first_row * block->stride - block->top, all = (rows - 1) * block->stride + block->kernel_size;
    long begin = max_long(first, 0), end = min_long(first + all, block->height);
    long columns = (block->out_width - 1) * block->stride + block->kernel_size;
    if (block->stride == 1)
        columns = block->width + max_long(block->left, columns - block->left - block->width);
    return padded_plane(end - begin, block->width, begin - first, block->left, all, columns, (int)block->stride);
}

/* How many floats a plane takes: vectors reach behind its end. */
static long plane_floats(const PaddedPlane *plane, long left) { return round_up(plane->rows * plane->pitch + left, WIDTH) + WIDTH; }

static long filtered_floats(const Separable *block, long rows)
{
    return round_up(block->together * rows * block->out_width, WIDTH);
}

/* How many floats the planes before `filtered` take. */
static long planes_floats(const Separable *block, const PaddedPlane *padded)
{
    long planes = block->expand ? round_up(block->channels, BLOCK_DEPTH) + TILE_ROWS : 1;
    return planes * plane_floats(padded, block->left);
}

static long scratch_floats(const Separable *block, long rows)
{
    PaddedPlane padded = strip_input(block, 0, rows);
    return planes_floats(block, &padded) + round_up(block->hidden, BLOCK_DEPTH) * filtered_floats(block, rows);
}

/* Sets the padding of a plane to zero, where the expansion has written its bias. */
static void clear_padding(const PaddedPlane *padded, long size, float *plane)
{
    long begin = padded->top * padded->pitch, end = (padded->top + padded->height) * padded->pitch;
    clear(plane, begin);
    clear(plane + end, size - end);
    for (long column = 0; column < padded->pitch; column++) {
        if (column == padded->left)
            column += padded->width;
        if (column >= padded->pitch)
            break;
        long at = padded->stride == 1 ? column : (column & 1) * padded->half + column / 2;
        for (float *to = plane + begin + at; to < plane + end; to += padded->pitch)
            *to = 0;
    }
}

/* Makes the planes of a panel of expanded channels. */
static void expand(const Separable *block, const PaddedPlane *padded, long size, long channel, const float *input, float *planes)
{
    long begin = padded->top * padded->pitch / WIDTH * WIDTH;
    long end = round_up((padded->top + padded->height) * padded->pitch, WIDTH);
    const float *panel = block->expand + left_floats(channel, block->channels);
    for (long column = begin; column < end; column += TILE_COLUMNS)
        write_vectors(panel, input + column, size, block->channels, block->expand_bias + channel, block->expand_activation,
                      planes + column, size, min_long(TILE_VECTORS, (end - column) / WIDTH));
    for (long r = 0; r < min_long(TILE_ROWS, block->hidden - channel); r++)
        clear_padding(padded, size, planes + r * size);
}

static void filter(const Separable *block, const PaddedPlane *padded, long rows, long channel, const float *plane, float *to)
{
    Slide slide = {.padded = padded, .values = plane, .weight = block->weight + channel * block->kernel_size * block->kernel_size,
                   .bias = block->bias[channel], .activation = block->depthwise_activation, .to = to, .out_height = rows,
                   .out_width = block->out_width};
    slide_kernel(&slide, block->kernel_size);
}

/* The last product, of `count` columns for each of `images` images; `x` and `y` begin at the first of them. */
static void project(const Separable *block, const float *filtered, long pitch, long images, long count, const float *x, float *y)
{
    long plane = block->out_height * block->out_width, columns = images * count;
    float tile[TILE_ROWS * TILE_COLUMNS + WIDTH]; /* vectors reach behind its end */
    for (long column = 0; column < columns; column += TILE_COLUMNS) {
        Segment segments[TILE_COLUMNS];
        long vectors = min_long(TILE_VECTORS, divide_up(columns - column, WIDTH));
        long made = cut_into_segments(1, count, column, min_long(TILE_COLUMNS, columns - column), 0, segments);
        for (long row = 0; row < block->out_channels; row += TILE_ROWS) {
            write_vectors(block->project + left_floats(row, block->hidden), filtered + column, pitch, block->hidden,
                          block->project_bias + row, block->project_activation, tile, TILE_COLUMNS, vectors);
            for (long r = 0; r < min_long(TILE_ROWS, block->out_channels - row); r++)
                for (const Segment *segment = segments; segment < segments + made; segment++) {
                    long at = (segment->image * block->out_channels + row + r) * plane + segment->column;
                    const float *from = tile + r * TILE_COLUMNS + segment->at;
                    for (long i = 0; i < segment->count; i += WIDTH) {
                        long some = min_long(WIDTH, segment->count - i);
                        vec value = load(from + i);
                        if (block->residual)
                            value += load_n(x + at + i, some);
                        store_n(y + at + i, value, some);
                    }
                }
        }
    }
}

/* Makes the columns of `filtered` of a strip of one image. */
static void filter_strip(const Separable *block, const PaddedPlane *padded, long first_row, long rows, long image, float *scratch,
                         float *filtered, long pitch)
{
    long size = plane_floats(padded, block->left), in_plane = block->height * block->width;
    const float *from = block->x + image * block->channels * in_plane;
    from += max_long(first_row * block->stride - block->top, 0) * block->width;
    long inputs = block->expand ? block->channels : 0, panel = block->expand ? TILE_ROWS : 1;
    float *input = scratch, *planes = input + round_up(inputs, BLOCK_DEPTH) * size;

    clear(input, (inputs ? inputs : 1) * size);
    for (long channel = 0; channel < inputs; channel++)
        pad_plane(padded, from + channel * in_plane, input + channel * size);
    if (inputs)
        pack_right(input, inputs, size);
    for (long channel = 0; channel < block->hidden; channel += panel) {
        if (inputs)
            expand(block, padded, size, channel, input, planes);
        else
            pad_plane(padded, from + channel * in_plane, planes);
        for (long r = 0; r < min_long(panel, block->hidden - channel); r++)
            filter(block, padded, rows, channel + r, planes + r * size, filtered + (channel + r) * pitch);
    }
}

/* A task is a strip of rows of an image, or the whole of several images. */
static void make_strip(const void *arguments, long index, float *scratch)
{
    const Separable *block = arguments;
    long image = index / block->strips * block->together, first_row = index % block->strips * block->strip_rows;
    long images = min_long(block->together, block->images - image);
    long rows = min_long(block->strip_rows, block->out_height - first_row), count = rows * block->out_width;
    PaddedPlane padded = strip_input(block, first_row, rows);
    long pitch = filtered_floats(block, rows);
    float *filtered = scratch + planes_floats(block, &padded);

    begin_tiles();
    for (long i = 0; i < images; i++)
        filter_strip(block, &padded, first_row, rows, image + i, scratch, filtered + i * count, pitch);
    pack_right(filtered, block->hidden, pitch);
    long in_image = block->channels * block->height * block->width, out_plane = block->out_height * block->out_width;
    project(block, filtered, pitch, images, count, block->x + image * in_image + first_row * block->width,
            block->y + image * block->out_channels * out_plane + first_row * block->out_width);
    end_tiles();
}

static long rows_that_fit(const Separable *block)
{
    long rows = block->out_height;
    while (rows > LEAST_ROWS && scratch_floats(block, rows) > SCRATCH_FLOATS)
        rows--;
    return rows;
}

/* The biases of the block are as they came; here they get the panels' rows. */
static int run(Separable *block)
{
    long expanded = block->expand ? round_up(block->hidden, TILE_ROWS) : 0;
    long plane = block->out_height * block->out_width;
    block->together = plane < WIDTH ? min_long(block->images, TILE_COLUMNS / plane) : 1;
    long most = rows_that_fit(block);
    float *biases = begin_kernel((size_t)scratch_floats(block, most), (size_t)(expanded + round_up(block->out_channels, TILE_ROWS)));
    if (!biases)
        return NO_MEMORY;
    if (block->expand)
        pack_bias(block->expand_bias, 1, block->hidden, biases);
    pack_bias(block->project_bias, 1, block->out_channels, biases + expanded);
    block->expand_bias = biases;
    block->project_bias = biases + expanded;
    long strips = max_long(divide_up(block->out_height, most), divide_up(thread_count(), block->images));
    block->strip_rows = divide_up(block->out_height, min_long(strips, block->out_height));
    block->strips = divide_up(block->out_height, block->strip_rows);
    long tasks = block->strips > 1 ? block->images : round_up(divide_up(block->images, block->together), thread_count());
    block->together = divide_up(block->images, min_long(tasks, block->images)); /* the same for all threads */
    run_tasks(make_strip, block, divide_up(block->images, block->together) * block->strips);
    end_kernel();
    return DONE;
}

/* Fills the sizes from the shapes of x, the depthwise weight, the packed projecting weight and y; returns whether they fit. */
static int describe_block(Separable *block, const int64_t *x, const int64_t *weight, const int64_t *projecting,
                          const int64_t *y, const int32_t *settings)
{
    long size = weight[2], stride = settings[SEPARABLE_STRIDE], padding = settings[SEPARABLE_PADDING];
    if ((size != 3 && size != 5) || weight[3] != size || (stride != 1 && stride != 2))
        return 0;
    block->images = x[0];
    block->channels = x[1];
    block->height = x[2];
    block->width = x[3];
    block->hidden = weight[0];
    block->out_channels = y[1];
    block->out_height = y[2];
    block->out_width = y[3];
    block->kernel_size = size;
    block->stride = stride;
    block->top = padding_before(padding, x[2], y[2], size, stride);
    block->left = padding_before(padding, x[3], y[3], size, stride);
    block->expand_activation = settings[SEPARABLE_EXPAND_ACTIVATION];
    block->depthwise_activation = settings[SEPARABLE_DEPTHWISE_ACTIVATION];
    block->project_activation = settings[SEPARABLE_PROJECT_ACTIVATION];
    block->residual = settings[SEPARABLE_RESIDUAL];
    int same = x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
    return block->top < size && block->left < size && weight[1] == 1 && projecting[0] == packed_floats(1, y[1], weight[0]) &&
           y[0] == x[0] && (same || !block->residual);
}

/* x, depthwise weight and bias, packed projecting weight and bias, settings -> y */
KERNEL(separable)
{
    Separable block = {.x = data[0], .weight = data[1], .bias = data[2], .project = data[3], .project_bias = data[4], .y = data[6]};
    int fits = describe_block(&block, shapes[0], shapes[1], shapes[3], shapes[6], data[5]) && block.hidden == block.channels;
    return fits && shapes[2][0] == block.hidden && shapes[4][0] == block.out_channels ? run(&block) : BAD_SHAPE;
}

/* x, packed expanding weight and bias, depthwise weight and bias, packed projecting weight and bias, settings -> y */
KERNEL(inverted_residual)
{
    Separable block = {.x = data[0], .expand = data[1], .expand_bias = data[2], .weight = data[3], .bias = data[4],
                       .project = data[5], .project_bias = data[6], .y = data[8]};
    int fits = describe_block(&block, shapes[0], shapes[3], shapes[5], shapes[8], data[7]) &&
               shapes[1][0] == packed_floats(1, block.hidden, block.channels);
    fits = fits && shapes[2][0] == block.hidden && shapes[4][0] == block.hidden && shapes[6][0] == block.out_channels;
    return fits ? run(&block) : BAD_SHAPE;
}
