/* Convolutions of small maps. In a map of 2 x 2 a position of the result meets 4 of the 9 elements of a 3 x 3 kernel; the others lie
 * in the padding. Here the columns of a product are the images at one position, so that its depth is the elements that count there:
 *
 *   forward            y at q    = sum over (t, s) of W[t]  x (x at s)
 *   input gradient     dx at s   = sum over (t, q) of W[t]' x (dy at q)
 *   weight gradient    dW[t]     = sum over (q, s) of (dy at q) x (x at s)'
 *
 * where element t at output position q meets input position s. For that the maps are rewritten: the lanes of a vector are images for
 * the first two, and channels for the third. */
#include "small_maps.h"

#include "threads.h"

enum { MAX_POSITIONS = 64, MAX_ELEMENTS = 25, LEAST_CHANNELS = 32 };
enum { MAX_DEPTH = 1 << 14 }; /* images x positions: beyond it a block of channels is far larger than a second-level cache */
enum { LENGTH = 256 };        /* terms that a sum of a weight gradient takes before it is added to the others: long sums lose digits */

/* What meets: element t, output position q, input position s. */
typedef struct {
    int t, q, s;
} Meeting;

/* The meetings of one position of the result, or of one element. */
typedef struct {
    long count;
    Meeting of[MAX_POSITIONS];
} Meetings;

/* Takes each meeting of a convolution. */
typedef void Take(Meetings *groups, Meeting meeting);

static void by_output(Meetings *groups, Meeting meeting) { groups[meeting.q].of[groups[meeting.q].count++] = meeting; }
static void by_input(Meetings *groups, Meeting meeting) { groups[meeting.s].of[groups[meeting.s].count++] = meeting; }
static void by_element(Meetings *groups, Meeting meeting) { groups[meeting.t].of[groups[meeting.t].count++] = meeting; }
static void count_only(Meetings *groups, Meeting meeting) { (void)meeting, groups->count++; }

static void find_meetings(const Convolution *conv, Meetings *groups, Take take)
{
    for (long row = 0; row < conv->out_height; row++)
        for (long column = 0; column < conv->out_width; column++)
            for (long a = 0; a < conv->kernel_height; a++)
                for (long b = 0; b < conv->kernel_width; b++) {
                    long y = row * conv->stride - conv->top + a, x = column * conv->stride - conv->left + b;
                    if (y >= 0 && y < conv->height && x >= 0 && x < conv->width)
                        take(groups, (Meeting){.t = (int)(a * conv->kernel_width + b), .q = (int)(row * conv->out_width + column),
                                               .s = (int)(y * conv->width + x)});
                }
}

int small_maps_pay(const Convolution *conv)
{
    long elements = conv->kernel_height * conv->kernel_width, positions = conv->out_height * conv->out_width;
    if (PACKED > 1 || conv->groups > 1 || elements == 1 || elements > MAX_ELEMENTS || positions > MAX_POSITIONS ||
        conv->height * conv->width > MAX_POSITIONS || min_long(conv->channels, conv->out_channels) < LEAST_CHANNELS ||
        conv->images * max_long(positions, conv->height * conv->width) > MAX_DEPTH)
        return 0;
    Meetings all = {0};
    find_meetings(conv, &all, count_only);
    return all.count * round_up(conv->images, WIDTH) <= positions * elements * conv->images;
}

/* ---- Forward and input gradient: the lanes are images ---- */

typedef struct {
    const float *maps, *packed, *bias;
    float *lanes, *result;             /* lanes: for each block of images and each position the channels, TILE_COLUMNS images each */
    int activation;
    long images, channels, positions;  /* of the maps that are read */
    long rows, results, elements;      /* results: positions of the result */
    long row_blocks;
    Meetings groups[MAX_POSITIONS];
    int reads_output;                  /* whether the maps are dy */
} ByImages;

static float *lanes_of(const ByImages *job, long block, long position)
{
    return job->lanes + (block * job->positions + position) * job->channels * TILE_COLUMNS;
}

/* A task rewrites the maps of WIDTH images. */
static void images_to_lanes(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const ByImages *job = arguments;
    long first = index * WIDTH, values = job->channels * job->positions, channel = 0, position = 0;
    float *to = lanes_of(job, first / TILE_COLUMNS, 0) + first % TILE_COLUMNS;
    for (long value = 0; value < values; value += WIDTH) {
        vec square[WIDTH];
        long count = min_long(WIDTH, values - value);
        for (long i = 0; i < WIDTH; i++)
            square[i] = first + i < job->images ? load_n(job->maps + (first + i) * values + value, count) : zeros();
        transpose(square);
        for (long i = 0; i < count; i++) {
            store(to + (position * job->channels + channel) * TILE_COLUMNS, square[i]);
            if (++position == job->positions) {
                position = 0;
                channel++;
            }
        }
    }
}

/* A panel of channels at one position, for `vectors` vectors of images from image `first` of the block on. */
INLINE void multiply_meetings(const ByImages *job, long panel, long block, long position, long first, float *to, const int vectors)
{
    const float *packed = job->packed + panel * left_floats(TILE_ROWS, job->channels * job->elements);
    const Meetings *group = &job->groups[position];
    vec sums[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < vectors; i++)
            sums[r][i] = splat(job->bias[panel * TILE_ROWS + r]);
    for (const Meeting *meeting = group->of; meeting < group->of + group->count; meeting++)
        multiply_tile(packed + meeting->t * TILE_ROWS, job->elements * TILE_ROWS,
                      lanes_of(job, block, job->reads_output ? meeting->q : meeting->s) + first, TILE_COLUMNS, job->channels, sums,
                      vectors);
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < vectors; i++)
            store(to + (r * job->results + position) * TILE_COLUMNS + first + i * WIDTH, activate(sums[r][i], job->activation));
}

/* Writes channels row ... row + rows - 1 of the images of a block, from lanes. */
static void lanes_to_images(const ByImages *job, const float *lanes, long block, long row, long rows)
{
    long values = rows * job->results;
    for (long first = block * TILE_COLUMNS; first < min_long(job->images, (block + 1) * TILE_COLUMNS); first += WIDTH)
        for (long value = 0; value < values; value += WIDTH) {
            vec square[WIDTH];
            long count = min_long(WIDTH, values - value);
            for (long i = 0; i < WIDTH; i++)
                square[i] = i < count ? load(lanes + (value + i) * TILE_COLUMNS + first % TILE_COLUMNS) : zeros();
            transpose(square);
            for (long i = 0; i < min_long(WIDTH, job->images - first); i++)
                store_n(job->result + ((first + i) * job->rows + row) * job->results + value, square[i], count);
        }
}

/* A task makes a block of images, and a block of the channels of the result. */
static void multiply_images(const void *arguments, long index, float *scratch)
{
    const ByImages *job = arguments;
    long block = index / job->row_blocks, row_block = index % job->row_blocks, panels = divide_up(job->rows, TILE_ROWS);
    long first = panels * row_block / job->row_blocks, last = panels * (row_block + 1) / job->row_blocks;
    long images = min_long(TILE_COLUMNS, job->images - block * TILE_COLUMNS);
    for (long panel = first; panel < last; panel++) {
        for (long position = 0; position < job->results; position++) {
            if (images > (TILE_VECTORS - 1) * WIDTH) {
                multiply_meetings(job, panel, block, position, 0, scratch, TILE_VECTORS);
                continue;
            }
            long image = 0;
            for (; image + WIDTH < images; image += 2 * WIDTH)
                multiply_meetings(job, panel, block, position, image, scratch, 2);
            if (image < images)
                multiply_meetings(job, panel, block, position, image, scratch, 1);
        }
        lanes_to_images(job, scratch, block, panel * TILE_ROWS, min_long(TILE_ROWS, job->rows - panel * TILE_ROWS));
    }
}

static int run_by_images(ByImages *job, Packing packing, const float *bias)
{
    long blocks = divide_up(job->images, TILE_COLUMNS), panels = divide_up(job->rows, TILE_ROWS);
    long weights = job->packed ? 0 : left_floats(job->rows, job->channels * job->elements), rows = panels * TILE_ROWS;
    long lanes = blocks * job->positions * job->channels * TILE_COLUMNS;
    float *shared = begin_kernel((size_t)(TILE_ROWS * job->results * TILE_COLUMNS), (size_t)(weights + rows + lanes));
    if (!shared)
        return NO_MEMORY;
    float *packed_bias = shared + weights;
    if (!job->packed) {
        packing.packed = shared;
        pack(&packing, 1);
        job->packed = shared;
    }
    if (bias)
        pack_bias(bias, 1, job->rows, packed_bias);
    else
        clear(packed_bias, rows);
    job->bias = packed_bias;
    job->lanes = packed_bias + rows;
    run_tasks(images_to_lanes, job, divide_up(job->images, WIDTH));
    job->row_blocks = max_long(1, min_long(panels, 8 * thread_count() / blocks));
    run_tasks(multiply_images, job, blocks * job->row_blocks);
    end_kernel();
    return DONE;
}

int small_maps_forward(const Convolution *conv, const float *x, Packing packing, const float *packed, const float *bias,
                       int activation, float *y)
{
    ByImages job = {.maps = x, .packed = packed, .result = y, .activation = activation, .images = conv->images,
                    .channels = conv->channels,
                    .positions = conv->height * conv->width, .rows = conv->out_channels,
                    .results = conv->out_height * conv->out_width, .elements = conv->kernel_height * conv->kernel_width};
    find_meetings(conv, job.groups, by_output);
    return run_by_images(&job, packing, bias);
}

int small_maps_input_gradient(const Convolution *conv, const float *weight, const float *dy, float *dx)
{
    long elements = conv->kernel_height * conv->kernel_width;
    ByImages job = {.maps = dy, .result = dx, .images = conv->images, .channels = conv->out_channels,
                    .positions = conv->out_height * conv->out_width, .rows = conv->channels,
                    .results = conv->height * conv->width, .elements = elements, .reads_output = 1};
    Packing packing = {.weights = weight, .rows = conv->channels, .channels = conv->out_channels, .elements = elements,
                       .by_row = elements, .by_channel = conv->channels * elements};
    for (long t = 0; t < elements; t++)
        packing.element[t] = t;
    find_meetings(conv, job.groups, by_input);
    return run_by_images(&job, packing, NULL);
}

/* ---- Weight gradient: the lanes are channels ---- */

typedef struct {
    const float *x, *dy;
    float *input, *gradient, *result;
    long images, channels, positions, out_channels, out_positions, elements;
    long row_blocks;
    Meetings groups[MAX_ELEMENTS];
} ByChannels;

/* The maps of a block of `block` channels at a position: for each image `block` neighbours. */
static float *channels_of(float *lanes, long images, long positions, long block, long index, long position)
{
    return lanes + (index * positions + position) * images * block;
}

/* Rewrites WIDTH channels of all images; blocks have a multiple of WIDTH channels. */
static void channels_to_lanes(const float *maps, long images, long channels, long positions, long first, float *lanes, long block)
{
    long count = min_long(WIDTH, channels - first);
    for (long image = 0; image < images; image++)
        for (long position = 0; position < positions; position += WIDTH) {
            vec square[WIDTH];
            long some = min_long(WIDTH, positions - position);
            for (long lane = 0; lane < WIDTH; lane++)
                square[lane] = lane < count ? load_n(maps + (image * channels + first + lane) * positions + position, some) : zeros();
            transpose(square);
            for (long i = 0; i < some; i++)
                store(channels_of(lanes, images, positions, block, first / block, position + i) + image * block + first % block,
                      square[i]);
        }
}

/* A task rewrites WIDTH channels of x, or then of dy. */
static void both_to_lanes(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const ByChannels *job = arguments;
    long of_x = divide_up(job->channels, TILE_COLUMNS) * TILE_VECTORS;
    if (index < of_x)
        channels_to_lanes(job->x, job->images, job->channels, job->positions, index * WIDTH, job->input, TILE_COLUMNS);
    else
        channels_to_lanes(job->dy, job->images, job->out_channels, job->out_positions, (index - of_x) * WIDTH, job->gradient, WIDTH);
}

/* Adds a tile of some meetings of an element to `to`, whose rows are `pitch` apart. */
INLINE void add_meetings(const ByChannels *job, long block, long row, const Meeting *meetings, long count, float *to, long pitch)
{
    vec sums[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < TILE_VECTORS; i++)
            sums[r][i] = zeros();
    for (const Meeting *meeting = meetings; meeting < meetings + count; meeting++)
        multiply_tile(channels_of(job->gradient, job->images, job->out_positions, WIDTH, row / WIDTH, meeting->q) + row % WIDTH,
                      WIDTH, channels_of(job->input, job->images, job->positions, TILE_COLUMNS, block, meeting->s), TILE_COLUMNS,
                      job->images, sums, TILE_VECTORS);
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < TILE_VECTORS; i++)
            store(to + r * pitch + i * WIDTH, load(to + r * pitch + i * WIDTH) + sums[r][i]);
}

/* A task makes a block of input channels, and a block of the rows of the weights. */
static void multiply_channels(const void *arguments, long index, float *scratch)
{
    const ByChannels *job = arguments;
    long block = index / job->row_blocks, row_block = index % job->row_blocks, panels = divide_up(job->out_channels, TILE_ROWS);
    long first = panels * row_block / job->row_blocks, last = panels * (row_block + 1) / job->row_blocks;
    long channel = block * TILE_COLUMNS, channels = min_long(TILE_COLUMNS, job->channels - channel);
    long at_once = divide_up(LENGTH, job->images);
    for (long row = first * TILE_ROWS; row < min_long(job->out_channels, last * TILE_ROWS); row += TILE_ROWS) {
        clear(scratch, TILE_ROWS * job->elements * TILE_COLUMNS);
        for (long t = 0; t < job->elements; t++)
            for (long i = 0; i < job->groups[t].count; i += at_once)
                add_meetings(job, block, row, job->groups[t].of + i, min_long(at_once, job->groups[t].count - i),
                             scratch + t * TILE_COLUMNS, job->elements * TILE_COLUMNS);
        for (long r = 0; r < min_long(TILE_ROWS, job->out_channels - row); r++) {
            float *to = job->result + ((row + r) * job->channels + channel) * job->elements;
            const float *from = scratch + r * job->elements * TILE_COLUMNS;
            for (long c = 0; c < channels; c++)
                for (long t = 0; t < job->elements; t++)
                    *to++ = from[t * TILE_COLUMNS + c];
        }
    }
}

int small_maps_weight_gradient(const Convolution *conv, const float *x, const float *dy, float *dweight)
{
    ByChannels job = {.x = x, .dy = dy, .result = dweight, .images = conv->images, .channels = conv->channels,
                      .positions = conv->height * conv->width, .out_channels = conv->out_channels,
                      .out_positions = conv->out_height * conv->out_width, .elements = conv->kernel_height * conv->kernel_width};
    long blocks = divide_up(conv->channels, TILE_COLUMNS), groups = divide_up(conv->out_channels, WIDTH);
    long input = blocks * TILE_COLUMNS * job.positions * job.images, gradient = groups * WIDTH * job.out_positions * job.images;
    job.input = begin_kernel((size_t)(TILE_ROWS * job.elements * TILE_COLUMNS), (size_t)(input + gradient));
    if (!job.input)
        return NO_MEMORY;
    job.gradient = job.input + input;
    find_meetings(conv, job.groups, by_element);
    run_tasks(both_to_lanes, &job, blocks * TILE_VECTORS + groups);
    job.row_blocks = max_long(1, min_long(divide_up(conv->out_channels, TILE_ROWS), 8 * thread_count() / blocks));
    run_tasks(multiply_channels, &job, blocks * job.row_blocks);
    end_kernel();
    return DONE;
}
