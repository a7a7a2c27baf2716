/* The innermost product of matrices: TILE_ROWS x TILE_COLUMNS sums stay in registers. */
#ifndef MINDCLF_TILE_H
#define MINDCLF_TILE_H

#include "vector.h"

enum { TILE_ROWS = WIDTH == 16 ? 8 : 4, TILE_VECTORS = 3, TILE_COLUMNS = TILE_VECTORS * WIDTH };

/* sums[r][i] += over k of left[k * left_pitch + r] * right[k * right_pitch + lanes of vector i], for the first `vectors` of i. */
INLINE void multiply_tile(const float *left, long left_pitch, const float *right, long right_pitch, long depth,
                          vec sums[TILE_ROWS][TILE_VECTORS], const int vectors)
{
    for (long k = 0; k < depth; k++, left += left_pitch, right += right_pitch) {
        vec lanes[TILE_VECTORS];
        UNROLL for (int i = 0; i < vectors; i++)
            lanes[i] = load(right + i * WIDTH);
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            vec factor = all(left[r]);
            UNROLL for (int i = 0; i < vectors; i++)
                sums[r][i] += factor * lanes[i];
        }
    }
}

#endif
