/* What vector.h makes of lanes, for test_compilers.py to look at: compiled with one compiler after another. */
#include "../../mindclf/kernels/vector.h"

#define SEEN __attribute__((visibility("default")))

SEEN long width(void);
SEEN void shuffled(const float *a, const float *b, float *to);
SEEN void transposed(const float *from, float *to);

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
