/* The sum of two arrays and then an activation, as at the end of a residual block; and the gradient of the ReLU there. */
#include "activation.h"
#include "custom_op.h"
#include "settings.h"
#include "threads.h"
#include "vector.h"

enum { CHUNK = 1 << 14 }; /* values of a task */

typedef struct {
    const float *a, *b;
    float *to;
    long size, skipped; /* skipped: values before the first, which do not exist, so that all vectors are aligned in memory */
    int activation, nontemporal;
} Pair;

static Pair pair_of(const float *a, const float *b, float *to, int activation, const int64_t *shape)
{
    long size = shape[0] * shape[1] * shape[2] * shape[3];
    return (Pair){a, b, to, size, misalignment(to), activation, size > NONTEMPORAL_FLOATS};
}

/* What becomes of a vector of a and one of b. */
typedef vec Rule(vec a, vec b);

INLINE vec sum_of(vec a, vec b) { return a + b; }
INLINE vec relu_of_sum(vec a, vec b) { return activate(a + b, RELU); }
INLINE vec where_positive(vec a, vec b) { return where_less(zeros(), a, b, zeros()); }

INLINE void apply(const Pair *pair, long index, Rule rule)
{
    long first = max_long(0, index * CHUNK - pair->skipped), last = min_long(pair->size, (index + 1) * CHUNK - pair->skipped);
    long i = first;
    while (i < last) {
        long count = min_long(WIDTH - (i + pair->skipped) % WIDTH, last - i);
        if (count < WIDTH) {
            store_part(pair->to + i, rule(load_part(pair->a + i, count), load_part(pair->b + i, count)), count);
            i += count;
            continue;
        }
        for (; i + WIDTH <= last; i += WIDTH) {
            vec value = rule(load(pair->a + i), load(pair->b + i));
            if (pair->nontemporal)
                store_nontemporal(pair->to + i, value);
            else
                store(pair->to + i, value);
        }
    }
    fence_nontemporal();
}

static void add(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Pair *pair = arguments;
    if (pair->activation == RELU)
        apply(pair, index, relu_of_sum);
    else
        apply(pair, index, sum_of);
}

static void relu_gradient(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    apply(arguments, index, where_positive);
}

static int run(Task task, const Pair *pair)
{
    if (!begin_kernel(0, 0))
        return NO_MEMORY;
    run_tasks(task, pair, divide_up(pair->size + pair->skipped, CHUNK));
    end_kernel();
    return DONE;
}

/* a, b, settings -> y, the activation of a + b: NO_ACTIVATION or RELU */
KERNEL(add_forward)
{
    const int32_t *settings = data[2];
    int activation = settings[ADD_ACTIVATION];
    Pair pair = pair_of(data[0], data[1], data[3], activation, shapes[0]);
    return activation == NO_ACTIVATION || activation == RELU ? run(add, &pair) : BAD_SHAPE;
}

/* y, a ReLU's output, and dy -> the gradient of the ReLU's input */
KERNEL(relu_backward)
{
    Pair pair = pair_of(data[0], data[1], data[2], RELU, shapes[0]);
    return run(relu_gradient, &pair);
}
