/* The gate of a squeeze-and-excite block (MobileNetV3, arXiv:1905.02244): each plane of x times the hard sigmoid of a number,
 * clip(g + 3, 0, 6) / 6. Forward and backward. */
#include "custom_op.h"
#include "threads.h"
#include "vector.h"

enum { TASK_FLOATS = 1 << 14 };

typedef struct {
    const float *x, *gates, *dy;
    float *to, *dgates; /* to: y or dx */
    long planes, size, task_planes;
} Gate;

static long last_plane(const Gate *gate, long index) { return min_long(gate->planes, (index + 1) * gate->task_planes); }

static void forward(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Gate *gate = arguments;
    for (long plane = index * gate->task_planes; plane < last_plane(gate, index); plane++) {
        vec factor = at_most(at_least(splat(gate->gates[plane]) + 3.0f, 0), 6) * (1 / 6.0f);
        const float *x = gate->x + plane * gate->size;
        float *y = gate->to + plane * gate->size;
        for (long i = 0; i < gate->size; i += WIDTH) {
            long count = min_long(WIDTH, gate->size - i);
            store_n(y + i, load_n(x + i, count) * factor, count);
        }
    }
}

static void backward(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Gate *gate = arguments;
    for (long plane = index * gate->task_planes; plane < last_plane(gate, index); plane++) {
        float number = gate->gates[plane];
        vec factor = at_most(at_least(splat(number) + 3.0f, 0), 6) * (1 / 6.0f), sums = zeros();
        const float *x = gate->x + plane * gate->size, *dy = gate->dy + plane * gate->size;
        float *dx = gate->to + plane * gate->size;
        for (long i = 0; i < gate->size; i += WIDTH) {
            long count = min_long(WIDTH, gate->size - i);
            vec gradient = load_n(dy + i, count);
            sums += gradient * load_n(x + i, count);
            store_n(dx + i, gradient * factor, count);
        }
        gate->dgates[plane] = number > -3 && number <= 3 ? sum(sums) / 6 : 0; /* at the kinks as MindSpore has it */
    }
}

/* Fills the sizes from the shapes of x and the gates, and runs the task on all planes. */
static int run(Task task, Gate *gate, const int64_t *x, const int64_t *gates)
{
    if (gates[0] != x[0] || gates[1] != x[1] || gates[2] != 1 || gates[3] != 1)
        return BAD_SHAPE;
    gate->planes = x[0] * x[1];
    gate->size = x[2] * x[3];
    gate->task_planes = max_long(1, TASK_FLOATS / gate->size);
    if (!begin_kernel(0, 0))
        return NO_MEMORY;
    run_tasks(task, gate, divide_up(gate->planes, gate->task_planes));
    end_kernel();
    return DONE;
}

/* x, gates (N, C, 1, 1) -> y */
KERNEL(gate_forward)
{
    Gate gate = {.x = data[0], .gates = data[1], .to = data[2]};
    return run(forward, &gate, shapes[0], shapes[1]);
}

/* x, gates, dy -> dx, dgates */
KERNEL(gate_backward)
{
    Gate gate = {.x = data[0], .gates = data[1], .dy = data[2], .to = data[3], .dgates = data[4]};
    return run(backward, &gate, shapes[0], shapes[1]);
}
