/* The micro-kernel in bfloat16 with float32 sums, on vectors (AVX512_BF16): see gemm_tile.h. */

enum { TILE_ROWS = 8, BLOCK_DEPTH = 2, LEFT_BY_ROWS = 0 };

#include "bfloat16.h"

INLINE void begin_tiles(void) {}
INLINE void end_tiles(void) {}

/* Stores value (row, k) of a panel of the left operand: for each two steps in depth a pair of values of each row. */
INLINE void set_left(float *panel, long row, long k, float value)
{
    uint16_t *pair = (uint16_t *)(panel + k / PACKED * TILE_ROWS + row);
    pair[k % PACKED] = round_to_bfloat16(value);
}

/* Packs a panel of the left operand from `rows` rows of `depth` neighbours, `pitch` apart; missing rows are 0. */
INLINE void pack_left(const float *from, long pitch, long rows, long depth, float *panel)
{
    for (long k = 0; k < depth; k += PACKED * WIDTH) {
        vec square[WIDTH];
        long count = min_long(PACKED * WIDTH, depth - k), pairs = divide_up(count, PACKED);
        UNROLL for (int r = 0; r < WIDTH; r++)
            square[r] = r < rows ? load_packed(from + r * pitch + k, count) : zeros();
        transpose(square);
        for (long i = 0; i < pairs; i++)
            store_n(panel + (k / PACKED + i) * TILE_ROWS, square[i], TILE_ROWS);
    }
}

/* A pair in all lanes. An addition, as in splat, might change its bits. */
INLINE __m512bh splat_pair(const float *pair)
{
    int32_t bits;
    memcpy(&bits, pair, sizeof bits);
    return (__m512bh)_mm512_set1_epi32(bits);
}

/* sums[r][i] += over pairs k of left[k * left_pitch + r] * right[k * right_pitch + lanes of vector i], for the first `vectors`. */
INLINE void multiply_tile(const float *left, long left_pitch, const float *right, long right_pitch, long depth,
                          vec sums[TILE_ROWS][TILE_VECTORS], const int vectors)
{
    for (long k = 0; k < depth; k += PACKED, left += left_pitch, right += right_pitch) {
        vec lanes[TILE_VECTORS];
        UNROLL for (int i = 0; i < vectors; i++)
            lanes[i] = load(right + i * WIDTH);
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            __m512bh factor = splat_pair(left + r);
            UNROLL for (int i = 0; i < vectors; i++)
                sums[r][i] = (vec)_mm512_dpbf16_ps((__m512)sums[r][i], factor, (__m512bh)lanes[i]);
        }
    }
}
