/* A vector of floats as wide as the instruction set allows, in the vector extensions that GCC and Clang share: vec + vec,
 * vec * vec and so on work as they stand, and the compiler fuses multiplication and addition. What the extensions lack is below.
 * The same source is compiled once for each variant of mindclf/kernels/variants.py, so WIDTH, the floats of a vector, is a
 * constant. */
#ifndef MINDCLF_VECTOR_H
#define MINDCLF_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define WIDTH 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define WIDTH 8
#else
#define WIDTH 4
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif
#if defined(__AMX_BF16__) || defined(__AMXBF16__) /* the second is Clang's name up to 15 */
#define HAS_AMX
#endif

enum { NONTEMPORAL_FLOATS = 1 << 20 }; /* larger outputs get non-temporal stores: 4 MiB exceed a second-level cache */

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 32")

typedef float vec __attribute__((vector_size(WIDTH * 4), may_alias));
typedef float vec_unaligned __attribute__((vector_size(WIDTH * 4), may_alias, aligned(4)));
typedef int32_t mask __attribute__((vector_size(WIDTH * 4), may_alias));

INLINE long min_long(long a, long b) { return a < b ? a : b; }
INLINE long max_long(long a, long b) { return a > b ? a : b; }
INLINE long divide_up(long value, long divisor) { return (value + divisor - 1) / divisor; }
INLINE long round_up(long value, long multiple) { return divide_up(value, multiple) * multiple; }

INLINE vec load(const float *from) { return *(const vec_unaligned *)from; }
INLINE void store(float *to, vec value) { *(vec_unaligned *)to = value; }
INLINE vec zeros(void) { return (vec){0}; }
INLINE vec splat(float value) { return value - zeros(); } /* value + 0 would turn -0 into 0 */

/* A non-temporal store writes past the caches. An output that is too large for them then evicts nothing, and its memory is not
 * read before it is written. `to` must be a multiple of a vector's bytes; fence_nontemporal follows the last store of a task. */
INLINE void store_nontemporal(float *to, vec value)
{
#if WIDTH == 16
    _mm512_stream_ps(to, (__m512)value);
#elif WIDTH == 8
    _mm256_stream_ps(to, (__m256)value);
#else
    store(to, value);
#endif
}

INLINE void fence_nontemporal(void)
{
#if WIDTH > 4
    _mm_sfence();
#endif
}

/* How many floats `at` lies behind a multiple of a vector's bytes. MindSpore's memory begins 16 bytes behind one. A loop over
 * much of it begins with a part of a vector, because a vector that crosses a cache line costs twice. */
INLINE long misalignment(const float *at) { return (long)((uintptr_t)at / sizeof(float) % WIDTH); }

/* The first `count` (0 to WIDTH) floats of `from`, then zeros; nothing behind them is read. */
INLINE vec load_part(const float *from, long count)
{
#if WIDTH == 16
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#else
    vec value = zeros();
    memcpy(&value, from, (size_t)count * sizeof(float));
    return value;
#endif
}

/* Writes the first `count` (0 to WIDTH) floats of `value`, and nothing behind them. */
INLINE void store_part(float *to, vec value, long count)
{
#if WIDTH == 16
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)value);
#else
    memcpy(to, &value, (size_t)count * sizeof(float));
#endif
}

/* load or load_part, store or store_part, as `count` says. Where it is a constant, the compiler drops the other. */
INLINE vec load_n(const float *from, long count) { return count == WIDTH ? load(from) : load_part(from, count); }

INLINE void store_n(float *to, vec value, long count)
{
    if (count == WIDTH)
        store(to, value);
    else
        store_part(to, value, count);
}

/* Lane by lane: a < b ? yes : no. A NaN in a or b gives `no`. */
INLINE vec where_less(vec a, vec b, vec yes, vec no)
{
#if WIDTH == 16
    return (vec)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ), (__m512)no, (__m512)yes);
#else
    mask less = (mask)(a < b);
    return (vec)((less & (mask)yes) | (~less & (mask)no));
#endif
}

/* `value`, but no less than `low` or no more than `high`. A NaN stays a NaN. */
INLINE vec at_least(vec value, float low) { return where_less(value, splat(low), splat(low), value); }
INLINE vec at_most(vec value, float high) { return where_less(splat(high), value, splat(high), value); }

/* a * b + c, rounded once where the processor can: by itself the compiler fuses them in one loop and not in another. */
INLINE vec multiply_add(vec a, vec b, vec c)
{
#if WIDTH == 16
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif WIDTH == 8
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* The sum of the lanes, halves first: always in the same order. */
INLINE float sum(vec value)
{
    float lanes[WIDTH];
    memcpy(lanes, &value, sizeof lanes);
    for (int half = WIDTH / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++)
            lanes[lane] += lanes[lane + half];
    return lanes[0];
}

/* Copies `count` floats; for the short rows of small maps a call of memcpy costs more than the copy. */
INLINE void copy(float *to, const float *from, long count)
{
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        store(to + i, load(from + i));
#if WIDTH == 16
    if (i < count)
        store_part(to + i, load_part(from + i, count - i), count - i);
#else
    for (; i < count; i++)
        to[i] = from[i];
#endif
}

INLINE void clear(float *to, long count) { memset(to, 0, (size_t)count * sizeof(float)); }

/* Takes lanes by number: 0 to WIDTH - 1 are those of a, the next ones those of b. Clang has one builtin for that, GCC before 12
 * another. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (mask){__VA_ARGS__})
#endif
#if WIDTH == 16
#define FIRST_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif WIDTH == 8
#define FIRST_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15
#else
#define FIRST_HALVES 0, 4, 1, 5
#define SECOND_HALVES 2, 6, 3, 7
#define EVEN_LANES 0, 2, 4, 6
#define ODD_LANES 1, 3, 5, 7
#endif

/* Lanes of a and b by turns: of their first halves, or of their second halves. */
INLINE vec interleave_first(vec a, vec b) { return SHUFFLE(a, b, FIRST_HALVES); }
INLINE vec interleave_second(vec a, vec b) { return SHUFFLE(a, b, SECOND_HALVES); }

/* Lanes 0, 2, 4, ... of a and then of b; or lanes 1, 3, 5, ... */
INLINE vec even_lanes(vec a, vec b) { return SHUFFLE(a, b, EVEN_LANES); }
INLINE vec odd_lanes(vec a, vec b) { return SHUFFLE(a, b, ODD_LANES); }

/* Transposes a square of WIDTH vectors: log2(WIDTH) perfect shuffles of its rows. */
INLINE void transpose(vec square[WIDTH])
{
    UNROLL for (int round = 1; round < WIDTH; round *= 2) {
        vec shuffled[WIDTH];
        UNROLL for (int i = 0; i < WIDTH / 2; i++) {
            shuffled[2 * i] = interleave_first(square[i], square[i + WIDTH / 2]);
            shuffled[2 * i + 1] = interleave_second(square[i], square[i + WIDTH / 2]);
        }
        UNROLL for (int i = 0; i < WIDTH; i++)
            square[i] = shuffled[i];
    }
}

#endif
