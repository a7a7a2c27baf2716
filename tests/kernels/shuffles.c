/* The shuffles of vector.h, which test_compilers.py compiles with one compiler after another. */
#include "../../mindclf/kernels/csrc/vector.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT long width(void);
EXPORT void shuffled(const float *a, const float *b, float *to);
EXPORT void transposed(const float *from, float *to);

long width(void) { return WIDTH; }

void shuffled(const float *a, const float *b, float *to)
{
    store(to, interleave_first(load(a), load(b)));
    store(to + WIDTH, interleave_second(load(a), load(b)));
    store(to + 2 * WIDTH, even_lanes(load(a), load(b)));
}

void transposed(const float *from, float *to)
{
    vec square[WIDTH];
    for (int i = 0; i < WIDTH; i++)
        square[i] = load(from + i * WIDTH);
    transpose(square);
    for (int i = 0; i < WIDTH; i++)
        store(to + i * WIDTH, square[i]);
}
