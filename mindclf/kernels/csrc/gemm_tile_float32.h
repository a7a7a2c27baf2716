/* The micro-kernel in float32, on vectors: see gemm_tile.h. */

enum { TILE_ROWS = WIDTH == 16 ? 8 : 4, BLOCK_DEPTH = 1, PACKED = 1, LEFT_BY_ROWS = 0 };

INLINE void begin_tiles(void) {}
INLINE void end_tiles(void) {}

/* Stores value (row, k) of a panel of the left operand, which lies column after column. */
INLINE void set_left(float *panel, long row, long k, float value) { panel[k * TILE_ROWS + row] = value; }

/* Packs a panel of the left operand from `rows` rows of `depth` neighbours, `pitch` apart; missing rows are 0. */
INLINE void pack_left(const float *from, long pitch, long rows, long depth, float *panel)
{
    for (long k = 0; k < depth; k += WIDTH) {
        vec square[WIDTH];
        long count = min_long(WIDTH, depth - k);
        UNROLL for (int r = 0; r < WIDTH; r++)
            square[r] = r < rows ? load_n(from + r * pitch + k, count) : zeros();
        transpose(square);
        for (long i = 0; i < count; i++)
            store_n(panel + (k + i) * TILE_ROWS, square[i], TILE_ROWS);
    }
}

/* The right operand, `depth` rows of `columns` floats, is used as it is. */
INLINE void pack_right(float *rows, long depth, long columns) { (void)rows, (void)depth, (void)columns; }

/* WIDTH values, of which the first `count` exist; the others become 0. */
INLINE vec load_packed(const float *from, long count) { return load_n(from, min_long(WIDTH, count)); }

/* sums[r][i] += over k of left[k * left_pitch + r] * right[k * right_pitch + lanes of vector i], for the first `vectors` of i. */
INLINE void multiply_tile(const float *left, long left_pitch, const float *right, long right_pitch, long depth,
                          vec sums[TILE_ROWS][TILE_VECTORS], const int vectors)
{
    for (long k = 0; k < depth; k++, left += left_pitch, right += right_pitch) {
        vec lanes[TILE_VECTORS];
        UNROLL for (int i = 0; i < vectors; i++)
            lanes[i] = load(right + i * WIDTH);
#ifdef __aarch64__ /* which multiplies by a lane of a register: one load for all rows */
        vec factors = load(left);
#else
        const float *factors = left;
#endif
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            vec factor = splat(factors[r]);
            UNROLL for (int i = 0; i < vectors; i++)
                sums[r][i] += factor * lanes[i];
        }
    }
}
