/* What the micro-kernels in bfloat16 share: two values, neighbours in depth, take the memory of one float. Values are rounded to
 * the nearest bfloat16, which keeps 8 of the 24 significant bits of float32. */
#ifndef MINDCLF_BFLOAT16_H
#define MINDCLF_BFLOAT16_H

enum { PACKED = 2 };

INLINE uint16_t round_to_bfloat16(float value)
{
    return (uint16_t)_mm_extract_epi16((__m128i)_mm_cvtneps_pbh(_mm_set_ss(value)), 0);
}

/* Packs the right operand, `depth` rows of `columns` floats, in place: two rows become one, and zeros fill up the depth. */
INLINE void pack_right(float *rows, long depth, long columns)
{
    const __m512i interleaved = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                                 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    long packed_rows = round_up(depth, BLOCK_DEPTH) / PACKED;
    for (long row = 0; row < packed_rows; row++)
        for (long column = 0; column < columns; column += WIDTH) {
            const float *first = rows + PACKED * row * columns + column;
            vec even = PACKED * row < depth ? load(first) : zeros();
            vec odd = PACKED * row + 1 < depth ? load(first + columns) : zeros();
            __m512bh both = _mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
            store(rows + row * columns + column, (vec)_mm512_permutexvar_epi16(interleaved, (__m512i)both));
        }
}

/* 2 * WIDTH values, of which the first `count` exist; the others become 0. */
INLINE vec load_packed(const float *from, long count)
{
    vec first = load_n(from, min_long(WIDTH, count));
    vec second = count > WIDTH ? load_n(from + WIDTH, min_long(WIDTH, count - WIDTH)) : zeros();
    return (vec)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}

#endif
