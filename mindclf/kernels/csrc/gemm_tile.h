/* The innermost product of matrices: TILE_ROWS x TILE_COLUMNS sums stay in registers. gemm_tile_float32.h and gemm_tile_amx.h each have
 *
 *   BLOCK_DEPTH, PACKED      depths are filled up with zeros to a multiple of the first; as many values as the second says,
 *                            neighbours in depth, lie in the place of a float
 *   begin_tiles, end_tiles   around the products of a task
 *   put_left                 puts a value into the left operand
 *   pack_right               makes the right operand of rows of floats
 *   neighbours               packs values that are neighbours in depth
 *   multiply_tile            the product
 *
 * A row of the right operand is one step in depth of a float's place: a value, or PACKED of them, for each column. */
#ifndef MINDCLF_GEMM_TILE_H
#define MINDCLF_GEMM_TILE_H

#include "vector.h"

enum { TILE_VECTORS = 3, TILE_COLUMNS = TILE_VECTORS * WIDTH };

#ifdef HAS_AMX
#include "gemm_tile_amx.h"
#else
#include "gemm_tile_float32.h"
#endif

/* How many floats of memory the left operand takes: whole tiles. */
INLINE long left_floats(long rows, long depth)
{
    return round_up(rows, TILE_ROWS) * round_up(depth, BLOCK_DEPTH) / PACKED;
}

#endif
