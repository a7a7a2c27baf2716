/* Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray, arXiv:1509.09308): a tile of 4 x 4 outputs from a patch of 6 x 6
 * inputs, with 36 multiplications a channel where the definition has 144.
 *
 *   V = B' x B     each patch of each channel, transformed
 *   U = G w G'     each kernel, transformed
 *   M = U V        for each of the 36 points a product of matrices: outputs x channels times channels x tiles
 *   y = A' M A     each tile of each output
 *
 * A task makes a block of tiles: their V, and for one panel of outputs after the other M and y. The lanes of a vector are
 * neighbouring tiles of a row of tiles.
 *
 * V and U have larger numbers than x and w, so the sums are less exact than those of the definition. By how much depends on the
 * points at which the polynomials behind B, G and A are evaluated: 0, infinity, and here NEAR, -NEAR, FAR, -FAR. Of 15 pairs 5/8
 * and 3/2 had the least error, half of that of the usual 1 and 2; tests/kernels/test_winograd.py says how large it is. */
#include "winograd.h"

#include "custom_op.h"
#include "gemm.h"
#include "im2col.h"
#include "threads.h"

enum { SIZE = 4, PATCH = SIZE + 2, POINTS = PATCH * PATCH };     /* of a tile, and of what it depends on */
enum { LEAST_CHANNELS = 32, LEAST_SIDE = 7, LEAST_TILES = 128 }; /* where it pays: fewer tiles do not repay U */
enum { PHASE_FLOATS = TILE_COLUMNS + 2 * WIDTH, LINE_FLOATS = SIZE * PHASE_FLOATS };

static const float NEAR = 0.625f, FAR = 1.5f;
#define NEAR2 (NEAR * NEAR)
#define FAR2 (FAR * FAR)

typedef struct {
    const WinogradConvolution *conv;
    long tiles_down, tiles_across;
    float *packed;     /* U: for each point its panels */
    long row_blocks;
} Winograd;

static long tile_count(const Winograd *job) { return job->conv->images * job->tiles_down * job->tiles_across; }

static Winograd plan(const WinogradConvolution *conv)
{
    return (Winograd){.conv = conv, .tiles_down = divide_up(conv->out_height, SIZE),
                      .tiles_across = divide_up(conv->out_width, SIZE)};
}

int winograd_pays(const WinogradConvolution *conv)
{
    Winograd job = plan(conv);
    int exact = PACKED == 1; /* bfloat16 would spoil the transformed numbers */
    return exact && min_long(conv->channels, conv->out_channels) >= LEAST_CHANNELS &&
           min_long(conv->out_height, conv->out_width) >= LEAST_SIDE && tile_count(&job) >= LEAST_TILES;
}

/* ---- The transforms along one axis. The values lie `step` apart, the results `to_step`. ---- */

/* B': six inputs become six values. */
INLINE void transform_input(const vec *d, const int step, vec *to, const int to_step)
{
    vec d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    vec near_even = d4 - FAR2 * d2, near_odd = NEAR * (d3 - FAR2 * d1);
    vec far_even = d4 - NEAR2 * d2, far_odd = FAR * (d3 - NEAR2 * d1);
    vec first = NEAR2 * FAR2 * d[0] - (NEAR2 + FAR2) * d2 + d4, last = NEAR2 * FAR2 * d1 - (NEAR2 + FAR2) * d3 + d[5 * step];
    vec values[PATCH] = {first, near_even + near_odd, near_even - near_odd, far_even + far_odd, far_even - far_odd, last};
    UNROLL for (int i = 0; i < PATCH; i++)
        to[i * to_step] = values[i];
}

/* G: the three values of a kernel become six. */
INLINE void transform_weight(const vec *g, const int step, vec *to, const int to_step)
{
    const float near_scale = 1 / (2 * NEAR2 * (NEAR2 - FAR2)), far_scale = 1 / (2 * FAR2 * (FAR2 - NEAR2));
    vec g0 = g[0], g1 = g[step], g2 = g[2 * step];
    vec near_even = near_scale * (g0 + NEAR2 * g2), near_odd = near_scale * NEAR * g1;
    vec far_even = far_scale * (g0 + FAR2 * g2), far_odd = far_scale * FAR * g1;
    vec values[PATCH] = {1 / (NEAR2 * FAR2) * g0, near_even + near_odd, near_even - near_odd, far_even + far_odd,
                         far_even - far_odd, g2};
    UNROLL for (int i = 0; i < PATCH; i++)
        to[i * to_step] = values[i];
}

/* A': six values become four outputs. */
INLINE void transform_output(const vec *m, const int step, vec *to, const int to_step)
{
    vec near_sum = m[step] + m[2 * step], near_difference = m[step] - m[2 * step];
    vec far_sum = m[3 * step] + m[4 * step], far_difference = m[3 * step] - m[4 * step];
    to[0] = m[0] + near_sum + far_sum;
    to[to_step] = NEAR * near_difference + FAR * far_difference;
    to[2 * to_step] = NEAR2 * near_sum + FAR2 * far_sum;
    to[3 * to_step] = NEAR2 * NEAR * near_difference + FAR2 * FAR * far_difference + m[5 * step];
}

/* ---- U: the weights ---- */

/* The lanes of a vector are the rows of a panel, for as many channels as fit. */
static void make_panel(const void *arguments, long panel, float *scratch)
{
    (void)scratch;
    const Winograd *job = arguments;
    const WinogradConvolution *conv = job->conv;
    long first = panel * TILE_ROWS, panels = divide_up(conv->out_channels, TILE_ROWS), channels = WIDTH / TILE_ROWS;
    long panel_floats = left_floats(TILE_ROWS, conv->channels);
    for (long channel = 0; channel < conv->channels; channel += channels) {
        float lanes[9][WIDTH];
        memset(lanes, 0, sizeof lanes);
        for (long lane = 0; lane < WIDTH; lane++) {
            long row = first + lane % TILE_ROWS, c = channel + lane / TILE_ROWS;
            if (row >= conv->out_channels || c >= conv->channels)
                continue;
            const float *from = conv->weight + row * conv->by_out + c * conv->by_channel;
            for (int t = 0; t < 9; t++)
                lanes[t][lane] = from[conv->reversed ? 8 - t : t];
        }
        vec kernel[9], half[3 * PATCH], u[POINTS];
        UNROLL for (int t = 0; t < 9; t++)
            kernel[t] = load(lanes[t]);
        UNROLL for (int b = 0; b < 3; b++)
            transform_weight(kernel + b, 3, half + b, 3);
        UNROLL for (int a = 0; a < PATCH; a++)
            transform_weight(half + 3 * a, 1, u + a * PATCH, 1);
        long count = min_long(channels, conv->channels - channel) * TILE_ROWS;
        float *to = job->packed + panel * panel_floats + channel * TILE_ROWS;
        for (int p = 0; p < POINTS; p++, to += panels * panel_floats)
            store_n(to, u[p], count);
    }
}

/* ---- V: the inputs ---- */

/* Splits a row: phase j has values j, j + SIZE, j + 2 SIZE, ... */
INLINE void split_phases(const float *line, long count, float *phases)
{
    for (long t = 0; t < count; t += WIDTH) {
        vec a = load(line + t * SIZE), b = load(line + t * SIZE + WIDTH);
        vec c = load(line + t * SIZE + 2 * WIDTH), d = load(line + t * SIZE + 3 * WIDTH);
        vec even = even_lanes(a, b), odd = odd_lanes(a, b), even2 = even_lanes(c, d), odd2 = odd_lanes(c, d);
        store(phases + t, even_lanes(even, even2));
        store(phases + PHASE_FLOATS + t, even_lanes(odd, odd2));
        store(phases + 2 * PHASE_FLOATS + t, odd_lanes(even, even2));
        store(phases + 3 * PHASE_FLOATS + t, odd_lanes(odd, odd2));
    }
}

/* The rows of the patches of a segment, a row of tiles, in phases: of one channel. `line` has room for a row and zeros. */
INLINE void load_patches(const WinogradConvolution *conv, const Segment *segment, const float *map, float *line, float *phases)
{
    long first_row = segment->row * SIZE - conv->top, first = segment->column * SIZE - conv->left;
    long all = (segment->count + 1) * SIZE; /* the last patch reaches into the tile behind it */
    long begin = min_long(all, max_long(0, -first)), end = max_long(begin, min_long(all, conv->width - first));
    clear(line, begin);
    clear(line + end, all - end);
    for (long row = first_row; row < first_row + PATCH; row++, phases += LINE_FLOATS) {
        if (row < 0 || row >= conv->height)
            clear(phases, LINE_FLOATS);
        else {
            copy(line + begin, map + row * conv->width + first + begin, end - begin);
            split_phases(line, segment->count + 1, phases);
        }
    }
}

INLINE void transform_patches(const float *phases, long count, float *to, long point_floats)
{
    for (long t = 0; t < count; t += WIDTH) {
        vec values[POINTS], half[POINTS];
        UNROLL for (int a = 0; a < PATCH; a++)
            UNROLL for (int b = 0; b < PATCH; b++)
                values[a * PATCH + b] = load(phases + (a * SIZE + b % SIZE) * PHASE_FLOATS + t + b / SIZE);
        UNROLL for (int b = 0; b < PATCH; b++)
            transform_input(values + b, PATCH, half + b, PATCH);
        UNROLL for (int a = 0; a < PATCH; a++)
            transform_input(half + a * PATCH, 1, values + a * PATCH, 1);
        long some = min_long(WIDTH, count - t);
        UNROLL for (int p = 0; p < POINTS; p++)
            store_n(to + p * point_floats + t, values[p], some);
    }
}

/* V of a block of tiles: for each point and channel TILE_COLUMNS tiles. */
static void make_inputs(const WinogradConvolution *conv, const Segment *segments, long segment_count, float *line, float *phases,
                        float *v)
{
    for (long channel = 0; channel < conv->channels; channel++)
        for (const Segment *segment = segments; segment < segments + segment_count; segment++) {
            load_patches(conv, segment, conv->x + (segment->image * conv->channels + channel) * conv->height * conv->width, line,
                         phases);
            transform_patches(phases, segment->count, v + channel * TILE_COLUMNS + segment->at, conv->channels * TILE_COLUMNS);
        }
}

/* ---- M and y ---- */

/* The product at each point, for a panel of outputs. */
static void multiply_points(const Winograd *job, long panel, const float *v, long vectors, float *m)
{
    const float no_bias[TILE_ROWS] = {0};
    long channels = job->conv->channels, panels = divide_up(job->conv->out_channels, TILE_ROWS);
    long panel_floats = left_floats(TILE_ROWS, channels);
    const float *packed = job->packed + panel * panel_floats;
    for (long point = 0; point < POINTS; point++, m += TILE_ROWS * TILE_COLUMNS)
        write_vectors(packed + point * panels * panel_floats, v + point * channels * TILE_COLUMNS, TILE_COLUMNS, channels,
                      no_bias, NO_ACTIVATION, m, TILE_COLUMNS, vectors);
}

/* Interleaves a row of outputs of WIDTH tiles: `line` gets output j of tile t at t * SIZE + j. */
INLINE void join_phases(const vec *outputs, float *line)
{
    vec even = interleave_first(outputs[0], outputs[2]), odd = interleave_first(outputs[1], outputs[3]);
    vec even2 = interleave_second(outputs[0], outputs[2]), odd2 = interleave_second(outputs[1], outputs[3]);
    store(line, interleave_first(even, odd));
    store(line + WIDTH, interleave_second(even, odd));
    store(line + 2 * WIDTH, interleave_first(even2, odd2));
    store(line + 3 * WIDTH, interleave_second(even2, odd2));
}

/* The outputs of one channel from its row of M. `lines` has room for SIZE rows of all tiles, a row after the other. */
static void make_outputs(const Winograd *job, const Segment *segments, long segment_count, const float *m, long channel,
                         long vectors, float *lines)
{
    const WinogradConvolution *conv = job->conv;
    vec bias = splat(conv->bias ? conv->bias[channel] : 0);
    for (long t = 0; t < vectors * WIDTH; t += WIDTH) {
        vec values[POINTS], half[SIZE * PATCH], outputs[SIZE];
        UNROLL for (int p = 0; p < POINTS; p++)
            values[p] = load(m + p * TILE_ROWS * TILE_COLUMNS + t);
        UNROLL for (int b = 0; b < PATCH; b++)
            transform_output(values + b, PATCH, half + b, PATCH);
        UNROLL for (int a = 0; a < SIZE; a++) {
            transform_output(half + a * PATCH, 1, outputs, 1);
            UNROLL for (int b = 0; b < SIZE; b++)
                outputs[b] = activate(outputs[b] + bias, conv->activation);
            join_phases(outputs, lines + a * LINE_FLOATS + t * SIZE);
        }
    }
    for (const Segment *segment = segments; segment < segments + segment_count; segment++) {
        long row = segment->row * SIZE, column = segment->column * SIZE;
        float *map = conv->y + (segment->image * conv->out_channels + channel) * conv->out_height * conv->out_width;
        float *to = map + row * conv->out_width + column;
        long count = min_long(segment->count * SIZE, conv->out_width - column);
        for (long a = 0; a < min_long(SIZE, conv->out_height - row); a++)
            copy(to + a * conv->out_width, lines + a * LINE_FLOATS + segment->at * SIZE, count);
    }
}

/* ---- Tasks ---- */

static size_t task_floats(const WinogradConvolution *conv)
{
    return (size_t)(POINTS * (conv->channels + TILE_ROWS) * TILE_COLUMNS + (SIZE + PATCH) * LINE_FLOATS);
}

/* A task is a block of tiles, and a block of the outputs. */
static void make_block(const void *arguments, long index, float *scratch)
{
    const Winograd *job = arguments;
    const WinogradConvolution *conv = job->conv;
    long panels = divide_up(conv->out_channels, TILE_ROWS), row_block = index % job->row_blocks;
    long first_panel = panels * row_block / job->row_blocks, last_panel = panels * (row_block + 1) / job->row_blocks;
    long first = index / job->row_blocks * TILE_COLUMNS, count = min_long(TILE_COLUMNS, tile_count(job) - first);
    long vectors = divide_up(count, WIDTH);
    Segment segments[TILE_COLUMNS];
    long segment_count = cut_into_segments(job->tiles_down, job->tiles_across, first, count, 0, segments);
    float *v = scratch, *m = v + POINTS * conv->channels * TILE_COLUMNS, *lines = m + POINTS * TILE_ROWS * TILE_COLUMNS;
    make_inputs(conv, segments, segment_count, lines, lines + SIZE * LINE_FLOATS, v);
    for (long panel = first_panel; panel < last_panel; panel++) {
        multiply_points(job, panel, v, vectors, m);
        for (long r = 0; r < min_long(TILE_ROWS, conv->out_channels - panel * TILE_ROWS); r++)
            make_outputs(job, segments, segment_count, m + r * TILE_COLUMNS, panel * TILE_ROWS + r, vectors, lines);
    }
}

int winograd_convolve(const WinogradConvolution *conv)
{
    Winograd job = plan(conv);
    long panels = divide_up(conv->out_channels, TILE_ROWS), blocks = divide_up(tile_count(&job), TILE_COLUMNS);
    job.packed = begin_kernel(task_floats(conv), (size_t)(POINTS * panels * left_floats(TILE_ROWS, conv->channels)));
    if (!job.packed)
        return NO_MEMORY;
    run_tasks(make_panel, &job, panels);
    job.row_blocks = max_long(1, min_long(panels / 8, thread_count() / blocks));
    run_tasks(make_block, &job, blocks * job.row_blocks);
    end_kernel();
    return DONE;
}
