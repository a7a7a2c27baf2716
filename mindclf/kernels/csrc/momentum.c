/* A step of gradient descent with momentum (Polyak, 1964), of all weights of a net in one call:
 *     moment = momentum * moment + gradient * scale + decay * weight;    weight = weight - rate * moment
 * It writes weights and moments where they lie, though MindSpore hands them over as inputs. */
#include "custom_op.h"
#include "settings.h"
#include "threads.h"
#include "vector.h"

enum { CHUNK = 1 << 14 }; /* values of a task, all of one weight */

typedef struct {
    float **weights, **moments, **gradients;
    const float *decays; /* one for each weight */
    long *sizes, *first; /* of each weight: its values, and its first task; behind the last weight the number of tasks */
    long count;
    float rate, momentum, scale;
} Step;

static long weight_of(const Step *step, long index)
{
    long low = 0, high = step->count;
    while (high - low > 1) {
        long middle = (low + high) / 2;
        if (step->first[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void update(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Step *step = arguments;
    long of = weight_of(step, index), start = (index - step->first[of]) * CHUNK;
    long end = min_long(step->sizes[of], start + CHUNK);
    float *weight = step->weights[of], *moment = step->moments[of], decay = step->decays[of];
    const float *gradient = step->gradients[of];
    for (long i = start; i < end; i += WIDTH) {
        long count = min_long(WIDTH, end - i);
        vec before = load_n(weight + i, count);
        vec moved = load_n(moment + i, count) * step->momentum + (load_n(gradient + i, count) * step->scale + before * decay);
        store_n(moment + i, moved, count);
        store_n(weight + i, before - moved * step->rate, count);
    }
}

static long size_of(int rank, const int64_t *shape)
{
    long size = 1;
    for (int axis = 0; axis < rank; axis++)
        size *= shape[axis];
    return size;
}

/* weights, moments, gradients, decays (weights,), rate, settings -> done (1,) */
KERNEL_OF_MANY(momentum_step)
{
    enum { OTHERS = 4 };
    int weights = (count - OTHERS) / 3;
    if (weights < 1 || count != 3 * weights + OTHERS || size_of(ranks[3 * weights], shapes[3 * weights]) != weights)
        return BAD_SHAPE;
    for (int i = 0; i < weights; i++) {
        long size = size_of(ranks[i], shapes[i]);
        if (size_of(ranks[weights + i], shapes[weights + i]) != size ||
            size_of(ranks[2 * weights + i], shapes[2 * weights + i]) != size)
            return BAD_SHAPE;
    }
    void **others = data + 3 * weights;
    const float *settings = others[2];
    long *table = (long *)begin_kernel(0, (size_t)(2 * weights + 1) * sizeof(long) / sizeof(float));
    if (!table)
        return NO_MEMORY;
    Step step = {(float **)data, (float **)data + weights, (float **)data + 2 * weights, others[0], table, table + weights, weights,
                 *(const float *)others[1], settings[MOMENTUM_MOMENTUM], settings[MOMENTUM_SCALE]};
    step.first[0] = 0;
    for (int i = 0; i < weights; i++) {
        step.sizes[i] = size_of(ranks[i], shapes[i]);
        step.first[i + 1] = step.first[i] + divide_up(step.sizes[i], CHUNK);
    }
    run_tasks(update, &step, step.first[weights]);
    end_kernel();
    *(float *)others[3] = 1;
    return DONE;
}
