/* The gradient of a convolution's weights: dW = dy x im2col(x)', a sum over every output position of every image.
 *
 * A task owns a block of columns of dW, and one of `splits` parts of the sum. It takes LENGTH positions at a time, makes their
 * columns of both im2col matrices, and packs them as operands of gemm_tile.h whose depth is the positions. */
#include "gemm_tile.h"
#include "im2col.h"
#include "small_maps.h"
#include "threads.h"

enum { LENGTH = 256, PITCH = LENGTH + WIDTH };         /* rows that are 1024 bytes apart would share the sets of a cache */
enum { BLOCK = 12 * TILE_COLUMNS, ENOUGH_TASKS = 16 }; /* BLOCK: columns of dW whose operands fit into 1 MiB of cache */
enum { ADDED_AT_ONCE = 4096 };

typedef struct {
    Im2col input, gradient;         /* of x, and of dy */
    float *parts;                   /* `splits` gradients of the weights; their sum is the result */
    float *result;
    long groups, rows, depth;       /* of one group's weights */
    long input_group, gradient_group;
    long blocks, splits, positions; /* positions: all of them */
} WeightGradient;

/* Where row `first` of the matrix lies in memory as it is: each row a map of its own, of one image. Otherwise NULL. */
static const float *contiguous_rows(const Im2col *matrix, long first, const Segment *segments, long segment_count)
{
    int flat = matrix->elements == 1 && matrix->step == 1 && matrix->rows == 1 && matrix->height == 1 &&
               matrix->columns == matrix->width && !matrix->right[0];
    return flat && segment_count == 1 && matrix->width > LENGTH ? matrix->maps + segments->image * matrix->image + first * matrix->width + segments->column : NULL;
}

/* Packs rows first ... first + rows - 1 of the matrix, at most WIDTH, as columns of an operand; columns without a row are 0.
 * `unpacked` has room for WIDTH rows. */
static void pack_operand(const Im2col *matrix, long first, long rows, const Segment *segments, long segment_count, long positions,
                         float *unpacked, float *to, long pitch, int left)
{
    const float *from = contiguous_rows(matrix, first, segments, segment_count);
    long from_pitch = matrix->height * matrix->width;
    if (!from) {
        im2col_rows(matrix, first, rows, segments, segment_count, unpacked, PITCH);
        from = unpacked;
        from_pitch = PITCH;
    }
    for (long k = 0; k < positions; k += PACKED * WIDTH) {
        vec square[WIDTH];
        UNROLL for (int r = 0; r < WIDTH; r++)
            square[r] = r < rows ? load_packed(from + r * from_pitch + k, positions - k) : zeros();
        if (!left || !LEFT_BY_ROWS)
            transpose(square);
        for (long i = 0; i < WIDTH; i++)
            store(to + (k / PACKED + i) * pitch, square[i]);
    }
}

/* to[r][j] += over the positions of gradient[position][r] * input[position][j] */
INLINE void add_tile(const float *gradient, const float *input, long positions, float *to, long to_pitch, long rows,
                     long columns, const int vectors)
{
    vec sums[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < vectors; i++)
            sums[r][i] = zeros();
    multiply_tile(gradient, WIDTH, input, TILE_COLUMNS, positions, sums, vectors);
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        if (r < rows)
            UNROLL for (int i = 0; i < vectors; i++) {
                float *at = to + r * to_pitch + i * WIDTH;
                long count = min_long(WIDTH, columns - i * WIDTH);
                store_n(at, load_n(at, count) + sums[r][i], count);
            }
}

static void add_columns(const float *gradient, const float *input, long positions, float *to, long to_pitch, long rows,
                        long columns)
{
    if (columns > (TILE_VECTORS - 1) * WIDTH) {
        add_tile(gradient, input, positions, to, to_pitch, rows, min_long(columns, TILE_COLUMNS), TILE_VECTORS);
        return;
    }
    for (; columns > WIDTH; columns -= 2 * WIDTH, input += 2 * WIDTH, to += 2 * WIDTH)
        add_tile(gradient, input, positions, to, to_pitch, rows, min_long(columns, 2 * WIDTH), 2);
    if (columns > 0)
        add_tile(gradient, input, positions, to, to_pitch, rows, columns, 1);
}

static size_t weight_gradient_scratch(void)
{
    return (size_t)(BLOCK * LENGTH + WIDTH * LENGTH + WIDTH * PITCH) + 2 * segments_floats(LENGTH);
}

/* A task: a block of columns of one group's gradient, summed over one split of the positions. */
static void accumulate(const void *arguments, long index, float *scratch)
{
    const WeightGradient *job = arguments;
    long split = index % job->splits, block = index / job->splits % job->blocks;
    long group = index / job->splits / job->blocks;
    Im2col input = job->input, gradient = job->gradient;
    input.maps += group * job->input_group;
    gradient.maps += group * job->gradient_group;
    long first_column = block * BLOCK, columns = min_long(BLOCK, job->depth - first_column);
    float *to = job->parts + (split * job->groups + group) * job->rows * job->depth + first_column;
    for (long r = 0; r < job->rows; r++)
        clear(to + r * job->depth, columns);

    float *tiles = scratch, *panel = tiles + BLOCK * LENGTH, *unpacked = panel + WIDTH * LENGTH;
    Segment *input_segments = (Segment *)(void *)(unpacked + WIDTH * PITCH), *gradient_segments = input_segments + LENGTH;
    long lengths = divide_up(job->positions, LENGTH);
    long first = lengths * split / job->splits * LENGTH;
    long last = min_long(job->positions, lengths * (split + 1) / job->splits * LENGTH);
    begin_tiles();
    for (; first < last; first += LENGTH) {
        long positions = min_long(LENGTH, last - first);
        long input_count = cut_into_segments(input.rows, input.columns, first, positions, 0, input_segments);
        long gradient_count = cut_into_segments(gradient.rows, gradient.columns, first, positions, 0, gradient_segments);
        for (long c = 0; c < columns; c += WIDTH)
            pack_operand(&input, first_column + c, min_long(WIDTH, columns - c), input_segments, input_count, positions, unpacked,
                         tiles + c / TILE_COLUMNS * TILE_COLUMNS * LENGTH + c % TILE_COLUMNS, TILE_COLUMNS, 0);
        for (long r = 0; r < job->rows; r += WIDTH) {
            long rows = min_long(WIDTH, job->rows - r);
            pack_operand(&gradient, r, rows, gradient_segments, gradient_count, positions, unpacked, panel, WIDTH, 1);
            for (long c = 0; c < columns; c += TILE_COLUMNS)
                for (long p = 0; p < rows; p += TILE_ROWS)
                    add_columns(panel + p, tiles + c * LENGTH, positions, to + (r + p) * job->depth + c, job->depth,
                                min_long(TILE_ROWS, rows - p), columns - c);
        }
    }
    end_tiles();
}

static void add_parts(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const WeightGradient *job = arguments;
    long size = job->groups * job->rows * job->depth, end = min_long(size, (index + 1) * ADDED_AT_ONCE);
    for (long i = index * ADDED_AT_ONCE; i < end; i++) {
        float total = 0;
        for (long split = 0; split < job->splits; split++)
            total += job->parts[split * size + i];
        job->result[i] = total;
    }
}

/* x, weight (only its shape counts), settings, dy -> dweight */
KERNEL(convolution_weight_gradient)
{
    Convolution conv;
    if (!describe(&conv, shapes[0], shapes[1], shapes[3], data[2]))
        return BAD_SHAPE;
    if (small_maps_pay(&conv))
        return small_maps_weight_gradient(&conv, data[0], data[3], data[4]);
    WeightGradient job = {.input = im2col_of_input(&conv, data[0]), .gradient = im2col_of_gradient(&conv, data[3]),
                          .result = data[4], .groups = conv.groups, .rows = conv.group_out,
                          .depth = conv.group_in * conv.kernel_height * conv.kernel_width,
                          .input_group = conv.group_in * conv.height * conv.width,
                          .gradient_group = conv.group_out * conv.out_height * conv.out_width,
                          .positions = conv.images * conv.out_height * conv.out_width};
    flatten(&job.gradient);
    job.blocks = divide_up(job.depth, BLOCK);
    long lengths = divide_up(job.positions, LENGTH);
    job.splits = max_long(1, min_long(lengths, ENOUGH_TASKS / (job.blocks * job.groups)));
    long size = job.groups * job.rows * job.depth;
    job.parts = begin_kernel(weight_gradient_scratch(), (size_t)(job.splits * size));
    if (!job.parts)
        return NO_MEMORY;
    run_tasks(accumulate, &job, job.groups * job.blocks * job.splits);
    run_tasks(add_parts, &job, divide_up(size, ADDED_AT_ONCE));
    end_kernel();
    return DONE;
}
