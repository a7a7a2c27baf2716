/* What every product with weights shares: the weights packed in panels, their bias, and a tile of the result. README.md draws it. */
#ifndef MINDCLF_GEMM_H
#define MINDCLF_GEMM_H

#include "activation.h"
#include "gemm_tile.h"
#include "im2col.h"
#include "threads.h"

/* Where weight (row, k) is: at row * by_row + channel * by_channel + element[t], where k = channel * elements + t. */
typedef struct {
    const float *weights;
    float *packed;
    long rows, channels, elements;
    long by_group, by_row, by_channel;
    long element[MAX_KERNEL_ELEMENTS];
} Packing;

/* Whether the weights of a row are neighbours in memory, in their order. */
INLINE int is_contiguous(const Packing *packing)
{
    for (long t = 0; t < packing->elements; t++)
        if (packing->element[t] != t)
            return 0;
    return packing->by_channel == packing->elements;
}

/* Packs weights as the left operand of gemm_tile.h. A task makes one panel. */
static __attribute__((unused)) void pack_panel(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Packing *packing = arguments;
    long panels = divide_up(packing->rows, TILE_ROWS), depth = packing->channels * packing->elements;
    long group = index / panels, first = index % panels * TILE_ROWS, rows = min_long(TILE_ROWS, packing->rows - first);
    const float *from = packing->weights + group * packing->by_group + first * packing->by_row;
    float *to = packing->packed + index * left_floats(TILE_ROWS, depth);
    if (is_contiguous(packing)) {
        pack_left(from, packing->by_row, rows, depth, to);
        return;
    }
    long k = 0;
    for (long channel = 0; channel < packing->channels; channel++)
        for (long t = 0; t < packing->elements; t++, k++) {
            const float *column = from + channel * packing->by_channel + packing->element[t];
            for (long r = 0; r < TILE_ROWS; r++)
                set_left(to, r, k, r < rows ? column[r * packing->by_row] : 0);
        }
    for (; k < round_up(depth, BLOCK_DEPTH); k++)
        for (long r = 0; r < TILE_ROWS; r++)
            set_left(to, r, k, 0);
}

INLINE void pack(const Packing *packing, long groups)
{
    run_tasks(pack_panel, packing, groups * divide_up(packing->rows, TILE_ROWS));
}

/* The memory of packed weights that outlive a kernel has the same size in all variants: what the largest tiles take. */
enum { PACKED_ROWS = 16, PACKED_DEPTH = 32 };
_Static_assert(PACKED_ROWS % TILE_ROWS == 0 && PACKED_DEPTH % BLOCK_DEPTH == 0, "packed weights would not fit");

INLINE long packed_floats(long groups, long rows, long depth)
{
    return groups * round_up(rows, PACKED_ROWS) * round_up(depth, PACKED_DEPTH);
}

/* The bias of every packed row: the last panel of a group has rows that do not exist. */
INLINE void pack_bias(const float *bias, long groups, long group_rows, float *to)
{
    long rows = round_up(group_rows, TILE_ROWS);
    for (long group = 0; group < groups; group++)
        for (long r = 0; r < rows; r++)
            to[group * rows + r] = r < group_rows ? bias[group * group_rows + r] : 0;
}

/* Computes a tile of the result, or its first `vectors`, and writes it to `to`: sums that begin at the rows' `bias`, and then the
 * activation. */
INLINE void write_tile(const float *panel, const float *matrix, long pitch, long depth, const float *bias, int activation,
                       float *to, long to_pitch, const int vectors, int nontemporal)
{
    vec sums[TILE_ROWS][TILE_VECTORS];
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < vectors; i++)
            sums[r][i] = splat(bias[r]);
    multiply_tile(panel, TILE_ROWS, matrix, pitch, depth, sums, vectors);
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int i = 0; i < vectors; i++) {
            vec value = activate(sums[r][i], activation);
            if (nontemporal)
                store_nontemporal(to + r * to_pitch + i * WIDTH, value);
            else
                store(to + r * to_pitch + i * WIDTH, value);
        }
}

/* The same for a number of vectors, 1 to TILE_VECTORS, that is not constant, and without non-temporal stores. */
static __attribute__((unused)) void write_vectors(const float *panel, const float *matrix, long pitch, long depth,
                                                  const float *bias, int activation, float *to, long to_pitch, long vectors)
{
    if (vectors == TILE_VECTORS) {
        write_tile(panel, matrix, pitch, depth, bias, activation, to, to_pitch, TILE_VECTORS, 0);
        return;
    }
    for (; vectors > 1; vectors -= 2, matrix += 2 * WIDTH, to += 2 * WIDTH)
        write_tile(panel, matrix, pitch, depth, bias, activation, to, to_pitch, 2, 0);
    if (vectors)
        write_tile(panel, matrix, pitch, depth, bias, activation, to, to_pitch, 1, 0);
}

#endif
