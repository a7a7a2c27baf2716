/* The gradient of a convolution's weights: dW = dy x seen(x)', a sum over every place of the window in every image.
 *
 * A task owns some columns of dW and one of `splits` parts of the sum. What the windows see and what dy has there are gathered
 * LENGTH places at a time and made operands of gemm_tile.h, whose depth is the places. */
#include "threads.h"
#include "gemm_tile.h"
#include "im2col.h"

enum { LENGTH = 256, PITCH = LENGTH + WIDTH };                   /* rows 1024 bytes apart would want the same places of a cache */
enum { BLOCK = 12 * TILE_COLUMNS, ENOUGH_TASKS = 16 };           /* columns of dW: what they need fits into 1 MiB of cache */

typedef struct {
    View seen, gradient;
    float *parts;                   /* `splits` gradients of the weights; their sum is the result */
    float *result;
    long groups, rows, depth;       /* of one group's weights */
    long seen_group, gradient_group;
    long blocks, splits, places;    /* places: all of them */
} Meeting;

/* Rows first ... first + rows - 1 of the matrix, WIDTH at most, as columns of an operand; they are 0 where there is no row.
 * `gathered` has room for WIDTH rows. The left operand on AMX wants rows as they are, all others a place's values beside each
 * other. */
static void gather_operand(const View *view, long first, long rows, const Piece *pieces, long piece_count, long places,
                           float *gathered, float *to, long pitch, int left)
{
    gather(view, first, rows, pieces, piece_count, gathered, PITCH);
    for (long k = 0; k < places; k += PACKED * WIDTH) {
        vec square[WIDTH];
        UNROLL for (int r = 0; r < WIDTH; r++)
            square[r] = r < rows ? neighbours(gathered + r * PITCH + k, places - k) : zeros();
        if (!left || PACKED == 1)
            transpose(square);
        for (long i = 0; i < WIDTH; i++)
            store(to + (k / PACKED + i) * pitch, square[i]);
    }
}

/* to[r][j] += over the places of gradient[place][r] * seen[place][j] */
INLINE void add_tile(const float *gradient, const float *seen, long places, float *to, long to_pitch, long rows, long columns,
                     const int vectors)
{
    vec sums[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < vectors; i++)
            sums[r][i] = zeros();
    multiply_tile(gradient, WIDTH, seen, TILE_COLUMNS, places, sums, vectors);
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        if (r < rows)
            UNROLL for (int i = 0; i < vectors; i++) {
                float *at = to + r * to_pitch + i * WIDTH;
                long count = min_long(WIDTH, columns - i * WIDTH);
                put(at, fetch(at, count) + sums[r][i], count);
            }
}

static void add_columns(const float *gradient, const float *seen, long places, float *to, long to_pitch, long rows, long columns)
{
    if (columns > 2 * WIDTH)
        add_tile(gradient, seen, places, to, to_pitch, rows, min_long(columns, TILE_COLUMNS), 3);
    else if (columns > WIDTH)
        add_tile(gradient, seen, places, to, to_pitch, rows, columns, 2);
    else
        add_tile(gradient, seen, places, to, to_pitch, rows, columns, 1);
}

static size_t meeting_scratch(void)
{
    return (size_t)(BLOCK * LENGTH + WIDTH * LENGTH + WIDTH * PITCH) + 2 * pieces_floats(LENGTH);
}

static void meet(const void *kernel, long index, float *scratch)
{
    const Meeting *meeting = kernel;
    long split = index % meeting->splits, block = index / meeting->splits % meeting->blocks;
    long group = index / meeting->splits / meeting->blocks;
    View seen = meeting->seen, gradient = meeting->gradient;
    seen.maps += group * meeting->seen_group;
    gradient.maps += group * meeting->gradient_group;
    long first_column = block * BLOCK, columns = min_long(BLOCK, meeting->depth - first_column);
    float *to = meeting->parts + (split * meeting->groups + group) * meeting->rows * meeting->depth + first_column;
    for (long r = 0; r < meeting->rows; r++)
        clear(to + r * meeting->depth, columns);

    float *tiles = scratch, *panel = tiles + BLOCK * LENGTH, *gathered = panel + WIDTH * LENGTH;
    Piece *seen_pieces = (Piece *)(void *)(gathered + WIDTH * PITCH), *gradient_pieces = seen_pieces + LENGTH;
    long lengths = (meeting->places + LENGTH - 1) / LENGTH;
    long first = lengths * split / meeting->splits * LENGTH;
    long last = min_long(meeting->places, lengths * (split + 1) / meeting->splits * LENGTH);
    begin_tiles();
    for (; first < last; first += LENGTH) {
        long places = min_long(LENGTH, last - first);
        long seen_count = cut_into_pieces(seen.rows, seen.columns, first, places, 0, seen_pieces);
        long gradient_count = cut_into_pieces(gradient.rows, gradient.columns, first, places, 0, gradient_pieces);
        for (long c = 0; c < columns; c += WIDTH)
            gather_operand(&seen, first_column + c, min_long(WIDTH, columns - c), seen_pieces, seen_count, places, gathered,
                           tiles + c / TILE_COLUMNS * TILE_COLUMNS * LENGTH + c % TILE_COLUMNS, TILE_COLUMNS, 0);
        for (long r = 0; r < meeting->rows; r += WIDTH) {
            long rows = min_long(WIDTH, meeting->rows - r);
            gather_operand(&gradient, r, rows, gradient_pieces, gradient_count, places, gathered, panel, WIDTH, 1);
            for (long c = 0; c < columns; c += TILE_COLUMNS)
                for (long p = 0; p < rows; p += TILE_ROWS)
                    add_columns(panel + p, tiles + c * LENGTH, places, to + (r + p) * meeting->depth + c, meeting->depth,
                                min_long(TILE_ROWS, rows - p), columns - c);
        }
    }
    end_tiles();
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
                       .places = conv.images * conv.out_height * conv.out_width};
    straighten(&meeting.gradient);
    meeting.blocks = (meeting.depth + BLOCK - 1) / BLOCK;
    long lengths = (meeting.places + LENGTH - 1) / LENGTH;
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
