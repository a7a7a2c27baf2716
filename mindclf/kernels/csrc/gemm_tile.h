/* The micro-kernel of a matrix product (GEMM): a tile of TILE_ROWS x TILE_COLUMNS sums that stays in registers. README.md draws
 * it. gemm_tile_float32.h, gemm_tile_bfloat16.h and gemm_tile_amx.h each define
 *
 *   TILE_ROWS                the rows of a tile, and of a panel, which is the packed left operand of a row of tiles
 *   PACKED                   how many values, neighbours in depth, take the memory of one float
 *   BLOCK_DEPTH              depths are filled up with zeros to a multiple of it
 *   LEFT_BY_ROWS             whether the left operand keeps the depths of a row together; else the rows of a depth
 *   begin_tiles, end_tiles   called around the products of a task
 *   set_left                 stores one value in a panel of the left operand
 *   pack_left                packs a panel whose rows are contiguous in memory
 *   pack_right               packs the right operand, in place
 *   load_packed              loads values that are neighbours in depth, and packs them
 *   multiply_tile            the product: adds panel x right operand to the sums of a tile
 *
 * The right operand has a row for each PACKED steps in depth, and in it PACKED values for each column. */
#ifndef MINDCLF_GEMM_TILE_H
#define MINDCLF_GEMM_TILE_H

#include "vector.h"

#ifdef __aarch64__
enum { TILE_VECTORS = 6 }; /* 32 registers of 4 floats: 24 sums, 6 of the right operand, 1 of the left one */
#else
enum { TILE_VECTORS = 3 };
#endif
enum { TILE_COLUMNS = TILE_VECTORS * WIDTH };

#ifdef HAS_AMX
#include "gemm_tile_amx.h"
#elif defined(__AVX512BF16__)
#include "gemm_tile_bfloat16.h"
#else
#include "gemm_tile_float32.h"
#endif

/* How many floats of memory the panels of a left operand take. */
INLINE long left_floats(long rows, long depth)
{
    return round_up(rows, TILE_ROWS) * round_up(depth, BLOCK_DEPTH) / PACKED;
}

#endif
