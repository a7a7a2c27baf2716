/* The micro-kernel in bfloat16 with float32 sums, on the matrix unit AMX: see gemm_tile.h. */

enum { TILE_ROWS = 16, BLOCK_DEPTH = 32, LEFT_BY_ROWS = 1 };

#include "bfloat16.h"

/* The unit's tile registers have 16 rows of 64 bytes here: 0 to 2 hold sums, 3 the left operand, 4 to 6 the right one. The number
 * of a register is part of the instruction's text, so these are macros. */
#define LOAD_TILE(tile, from, floats) \
    __asm__ volatile("tileloadd (%0,%1), %%tmm" #tile ::"r"(from), "r"((long)sizeof(float) * (floats)) : "memory")
#define STORE_TILE(tile, to, floats) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1)" ::"r"(to), "r"((long)sizeof(float) * (floats)) : "memory")
#define MULTIPLY_TILES(sums, left, right) \
    __asm__ volatile("tdpbf16ps %%tmm" #right ", %%tmm" #left ", %%tmm" #sums ::: "memory")

/* Tile registers belong to a thread, which first sets their shapes. */
INLINE void begin_tiles(void)
{
    struct {
        uint8_t palette, first_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    for (int tile = 0; tile < 7; tile++) {
        shapes.bytes[tile] = 64;
        shapes.rows[tile] = 16;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
}

INLINE void end_tiles(void) { __asm__ volatile("tilerelease"); }

/* Stores value (row, k) of a panel of the left operand: it lies in blocks of BLOCK_DEPTH, each of them row after row. */
INLINE void set_left(float *panel, long row, long k, float value)
{
    uint16_t *block = (uint16_t *)panel + k / BLOCK_DEPTH * TILE_ROWS * BLOCK_DEPTH;
    block[row * BLOCK_DEPTH + k % BLOCK_DEPTH] = round_to_bfloat16(value);
}

/* Packs a panel of the left operand from `rows` rows of `depth` neighbours, `pitch` apart; missing rows are 0. */
INLINE void pack_left(const float *from, long pitch, long rows, long depth, float *panel)
{
    for (long k = 0; k < depth; k += BLOCK_DEPTH)
        for (long r = 0; r < TILE_ROWS; r++, panel += WIDTH)
            store(panel, r < rows ? load_packed(from + r * pitch + k, min_long(BLOCK_DEPTH, depth - k)) : zeros());
}

/* sums[r][i] += over the depth of row r of `left` times lane after lane of vector i of `right`, for the first `vectors` of i. */
INLINE void multiply_tile(const float *left, long left_pitch, const float *right, long right_pitch, long depth,
                          vec sums[TILE_ROWS][TILE_VECTORS], const int vectors)
{
    (void)left_pitch; /* the blocks of a panel lie one after the other */
    float *first = (float *)sums;
    LOAD_TILE(0, first, TILE_COLUMNS);
    LOAD_TILE(1, first + WIDTH, TILE_COLUMNS);
    LOAD_TILE(2, first + 2 * WIDTH, TILE_COLUMNS);
    for (long k = 0; k < depth; k += BLOCK_DEPTH, left += TILE_ROWS * WIDTH, right += WIDTH * right_pitch) {
        LOAD_TILE(3, left, WIDTH);
        LOAD_TILE(4, right, right_pitch);
        MULTIPLY_TILES(0, 3, 4);
        if (vectors > 1) {
            LOAD_TILE(5, right + WIDTH, right_pitch);
            MULTIPLY_TILES(1, 3, 5);
        }
        if (vectors > 2) {
            LOAD_TILE(6, right + 2 * WIDTH, right_pitch);
            MULTIPLY_TILES(2, 3, 6);
        }
    }
    STORE_TILE(0, first, TILE_COLUMNS);
    STORE_TILE(1, first + WIDTH, TILE_COLUMNS);
    STORE_TILE(2, first + 2 * WIDTH, TILE_COLUMNS);
}
