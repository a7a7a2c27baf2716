/* Runs every kernel over many small and odd shapes, for the sanitizers to watch: make sanitize. What is computed is checked in
 * Python; here a kernel has to stay within arrays of exactly the right size, which malloc gives. Also runs kernels from several
 * threads at once and in a forked child. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../mindclf/kernels/csrc/custom_op.h"
#include "../../mindclf/kernels/csrc/view.h"

typedef int Kernel(int, void **, int *, int64_t **, const char **, void *, void *);
Kernel depthwise_forward, depthwise_activated, depthwise_backward, convolution_forward, convolution_activated,
    convolution_input_gradient, convolution_weight_gradient, max_pool_forward, max_pool_backward,
    average_pool_forward, average_pool_backward, add_forward, relu_backward,
    gate_forward, gate_backward, global_average_forward, global_average_backward, batch_norm_train, batch_norm_train_backward,
    batch_norm_infer, batch_norm_infer_backward, concat_forward, concat_backward, momentum_step, pack_weights,
    separable, inverted_residual;

int permitted(void);

enum { MAX = 16 };

/* The parameters of a call: each an array of its own, filled with small numbers. */
typedef struct {
    int count;
    void *data[MAX];
    int ranks[MAX];
    int64_t *shapes[MAX], sizes[MAX][4];
    const char *types[MAX];
} Call;

static void *add(Call *call, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    int64_t sizes[4] = {a, rank > 1 ? b : 1, rank > 2 ? c : 1, rank > 3 ? d : 1};
    int64_t size = sizes[0] * sizes[1] * sizes[2] * sizes[3];
    float *values = malloc((size_t)size * sizeof(float));
    for (int64_t i = 0; i < size; i++)
        values[i] = (float)(i % 13) / 13 + 0.1f;
    int at = call->count++;
    for (int i = 0; i < 4; i++)
        call->sizes[at][i] = sizes[i];
    call->data[at] = values;
    call->ranks[at] = rank;
    call->shapes[at] = call->sizes[at];
    call->types[at] = "float32";
    return values;
}

static void add_integers(Call *call, int first, int second, int third)
{
    int32_t *values = add(call, 1, 3, 1, 1, 1);
    values[0] = first;
    values[1] = second;
    values[2] = third;
    call->types[call->count - 1] = "int32";
}

/* The settings of a convolution; a depthwise one shuffles its channels in two groups where they are an even number. */
static void add_geometry(Call *call, int depthwise, int channels, int stride, int padding, int activation)
{
    if (!depthwise) {
        add_integers(call, stride, padding, activation);
        return;
    }
    int32_t *values = add(call, 1, 4, 1, 1, 1);
    for (int i = 0; i < 4; i++)
        values[i] = (int[]){stride, padding, activation, channels % 2 ? 1 : 2}[i];
    call->types[call->count - 1] = "int32";
}

/* Calls a kernel, which refuses arrays without values and takes all others. */
static void run(Kernel *kernel, Call *call)
{
    int status = kernel(call->count, call->data, call->ranks, call->shapes, call->types, NULL, NULL), expected = 0;
    for (int i = 0; i < call->count; i++)
        for (int axis = 0; axis < call->ranks[i]; axis++)
            if (call->sizes[i][axis] < 1)
                expected = BAD_SHAPE;
    if (status != expected) {
        fprintf(stderr, "a kernel returned %d\n", status);
        exit(1);
    }
    for (int i = 0; i < call->count; i++)
        free(call->data[i]);
}

/* Adds the weights of a convolution to a call as `pack_weights` gives them: rows filled up to 16 and depths to 32. */
static void add_packed(Call *call, int outs, int group_in, int kernel_size, int groups)
{
    int depth = group_in * kernel_size * kernel_size;
    Call packing = {0};
    add(&packing, 4, outs, group_in, kernel_size, kernel_size);
    add_integers(&packing, groups, 0, 0);
    packing.data[2] = add(call, 1, (int64_t)groups * ((outs / groups + 15) / 16 * 16) * ((depth + 31) / 32 * 32), 1, 1, 1);
    packing.ranks[2] = 1;
    packing.shapes[2] = call->shapes[call->count - 1];
    packing.types[2] = "float32";
    if (pack_weights(3, packing.data, packing.ranks, packing.shapes, packing.types, NULL, NULL) != (depth ? DONE : BAD_SHAPE)) {
        fprintf(stderr, "weights were not packed\n");
        exit(1);
    }
    free(packing.data[0]);
    free(packing.data[1]);
}

/* A convolution, forward and backward, where the kernel fits. */
static void check_convolution(int n, int c, int h, int w, int outs, int group_in, int kernel_size, int stride, int padding)
{
    int before = padding < 0 ? 0 : 2 * padding - kernel_size + 1;
    int rows = padding < 0 ? (h + stride - 1) / stride : (h + before - 1) / stride + 1;
    int columns = padding < 0 ? (w + stride - 1) / stride : (w + before - 1) / stride + 1;
    int depthwise = group_in == 1 && outs == c && (kernel_size == 3 || kernel_size == 5) && stride < 3;
    Kernel *backward[2][2] = {{convolution_input_gradient, convolution_weight_gradient}, {depthwise_backward, NULL}};
    if (h + before < 1 || w + before < 1)
        return;
    Call forward = {0};
    add(&forward, 4, n, c, h, w);
    add(&forward, 4, outs, group_in, kernel_size, kernel_size);
    add_geometry(&forward, depthwise, c, stride, padding, 0);
    add(&forward, 4, n, outs, rows, columns);
    run(depthwise ? depthwise_forward : convolution_forward, &forward);
    Call activated = {0};
    add(&activated, 4, n, c, h, w);
    add(&activated, 4, outs, group_in, kernel_size, kernel_size);
    if (!depthwise)
        add_packed(&activated, outs, group_in, kernel_size, group_in ? c / group_in : 1);
    add(&activated, 1, outs, 1, 1, 1);
    add_geometry(&activated, depthwise, c, stride, padding, kernel_size % 4);
    add(&activated, 4, n, outs, rows, columns);
    run(depthwise ? depthwise_activated : convolution_activated, &activated);
    for (int i = 0; i < 2 && backward[depthwise][i]; i++) {
        Call call = {0};
        add(&call, 4, n, c, h, w);
        add(&call, 4, outs, group_in, kernel_size, kernel_size);
        add_geometry(&call, depthwise, c, stride, padding, 0);
        add(&call, 4, n, outs, rows, columns);
        if (depthwise || i == 0)
            add(&call, 4, n, c, h, w);
        if (depthwise || i == 1)
            add(&call, 4, outs, group_in, kernel_size, kernel_size);
        run(backward[depthwise][i], &call);
    }
}

/* A depthwise convolution of `hidden` channels between 1 x 1 convolutions; without the first one if hidden is 0. */
static void check_separable(int n, int c, int h, int w, int hidden, int outs, int kernel_size, int stride, int padding)
{
    int before = padding < 0 ? 0 : 2 * padding - kernel_size + 1, all = hidden ? hidden : c;
    int rows = padding < 0 ? (h + stride - 1) / stride : (h + before - 1) / stride + 1;
    int columns = padding < 0 ? (w + stride - 1) / stride : (w + before - 1) / stride + 1;
    if (h + before < 1 || w + before < 1)
        return;
    Call call = {0};
    add(&call, 4, n, c, h, w);
    if (hidden) {
        add_packed(&call, hidden, c, 1, 1);
        add(&call, 1, hidden, 1, 1, 1);
    }
    add(&call, 4, all, 1, kernel_size, kernel_size);
    add(&call, 1, all, 1, 1, 1);
    add_packed(&call, outs, all, 1, 1);
    add(&call, 1, outs, 1, 1, 1);
    int32_t *settings = add(&call, 1, 6, 1, 1, 1);
    for (int i = 0; i < 6; i++)
        settings[i] = (int[]){stride, padding, 2, 3, 0, outs == c && rows == h && columns == w}[i];
    call.types[call.count - 1] = "int32";
    add(&call, 4, n, outs, rows, columns);
    run(hidden ? inverted_residual : separable, &call);
}

static void check_pools(int n, int c, int h, int w, int kernel_size, int stride, int padding)
{
    int before = padding < 0 ? 0 : 2 * padding - kernel_size + 1;
    int rows = padding < 0 ? (h + stride - 1) / stride : (h + before - 1) / stride + 1;
    int columns = padding < 0 ? (w + stride - 1) / stride : (w + before - 1) / stride + 1;
    if (h + before < 1 || w + before < 1)
        return;
    Kernel *kernels[] = {max_pool_forward, average_pool_forward, max_pool_backward, average_pool_backward};
    for (int i = 0; i < 4; i++) {
        Call call = {0};
        add(&call, 4, n, c, h, w);
        add_integers(&call, kernel_size, stride, padding);
        add(&call, 4, n, c, rows, columns);
        if (i >= 2)
            add(&call, 4, n, c, h, w);
        run(kernels[i], &call);
    }
}

static void check_add(int n, int c, int h, int w, int activation)
{
    Call forward = {0}, backward = {0};
    for (int i = 0; i < 2; i++)
        add(&forward, 4, n, c, h, w);
    add_integers(&forward, activation, 0, 0);
    add(&forward, 4, n, c, h, w);
    run(add_forward, &forward);
    for (int i = 0; i < 3; i++)
        add(&backward, 4, n, c, h, w);
    run(relu_backward, &backward);
}

static void check_global_average(int n, int c, int h, int w)
{
    Call forward = {0}, backward = {0};
    add(&forward, 4, n, c, h, w);
    add(&forward, 2, n, c, 1, 1);
    run(global_average_forward, &forward);
    add(&backward, 4, n, c, h, w);
    add(&backward, 2, n, c, 1, 1);
    add(&backward, 4, n, c, h, w);
    run(global_average_backward, &backward);
}

static void check_gate(int n, int c, int h, int w)
{
    Call forward = {0}, backward = {0};
    add(&forward, 4, n, c, h, w);
    add(&forward, 4, n, c, 1, 1);
    add(&forward, 4, n, c, h, w);
    run(gate_forward, &forward);
    add(&backward, 4, n, c, h, w);
    add(&backward, 4, n, c, 1, 1);
    add(&backward, 4, n, c, h, w);
    add(&backward, 4, n, c, h, w);
    add(&backward, 4, n, c, 1, 1);
    run(gate_backward, &backward);
}

static void check_batch_norm(int n, int c, int h, int w, int activation)
{
    Kernel *kernels[] = {batch_norm_train, batch_norm_infer, batch_norm_train_backward, batch_norm_infer_backward};
    for (int i = 0; i < 4; i++) {
        Call call = {0};
        add(&call, 4, n, c, h, w);
        for (int channel_values = 0; channel_values < 4; channel_values++)
            add(&call, 1, c, 1, 1, 1);
        float *settings = add(&call, 1, 3, 1, 1, 1);
        settings[0] = 1e-5f;
        settings[1] = 0.9f;
        settings[2] = (float)activation;
        add(&call, 4, n, c, h, w); /* y, or dy */
        if (i >= 2)
            add(&call, 4, n, c, h, w);
        for (int output = 0; output < (int[]){4, 0, 2, 2}[i]; output++)
            add(&call, 1, c, 1, 1, 1);
        run(kernels[i], &call);
    }
}

/* x, five maps more, and x again. */
static void check_concat(int n, int c, int h, int w)
{
    Kernel *kernels[] = {concat_forward, concat_backward};
    for (int i = 0; i < 2; i++) {
        Call call = {0};
        add(&call, 4, n, c, h, w);
        add(&call, 4, n, 5, h, w);
        add_integers(&call, 0, 1, 0);
        add(&call, 4, n, 2 * c + 5, h, w);
        if (i) {
            add(&call, 4, n, c, h, w);
            add(&call, 4, n, 5, h, w);
        }
        run(kernels[i], &call);
    }
}

/* A step of three weights: maps, a vector and a number. */
static void check_momentum(int n, int c, int h, int w)
{
    Call call = {0};
    for (int array = 0; array < 3; array++) {
        add(&call, 4, n, c, h, w);
        add(&call, 1, c, 1, 1, 1);
        add(&call, 1, 1, 1, 1, 1);
    }
    add(&call, 1, 3, 1, 1, 1);
    add(&call, 1, 1, 1, 1, 1);
    add(&call, 1, 2, 1, 1, 1);
    add(&call, 1, 1, 1, 1, 1);
    run(momentum_step, &call);
}

/* Two views of an image, one of them rotated so that corners lie outside. */
static void check_views(int rows, int columns, int height, int width)
{
    uint8_t *source = malloc((size_t)(rows * columns * 3));
    float *to = malloc((size_t)(2 * 3 * height * width) * sizeof(float));
    for (int i = 0; i < rows * columns * 3; i++)
        source[i] = (uint8_t)(i * 7);
    View views[2] = {0};
    const uint8_t *sources[2] = {source, source};
    float across = (float)columns / (float)width, down = (float)rows / (float)height;
    for (int i = 0; i < 2; i++) {
        float rotated = i ? 0.6f : 0;
        double grid[6] = {i ? -0.8f * across : across, rotated * across, across / 2 - 0.5f, -rotated * down, down, down / 2 - 0.5f};
        views[i] = (View){.rows = rows, .columns = columns, .height = height, .width = width, .colour = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                          .pivot = (float)i, .scale = {1, 1, 1}};
        for (int j = 0; j < 6; j++)
            views[i].grid[j] = grid[j];
    }
    int is_empty = rows < 1 || columns < 1 || height < 1 || width < 1;
    if (render_views(2, views, sources, to) != (is_empty ? EMPTY_VIEW : 0)) {
        fprintf(stderr, "render_views failed\n");
        exit(1);
    }
    free(source);
    free(to);
}

/* The argument tells how many of the shapes. */
static void *check_shapes(void *argument)
{
    static const int sides[][2] = {{1, 1}, {2, 3}, {4, 4}, {7, 7}, {7, 9}, {14, 14}, {16, 17}, {3, 40}, {33, 5}, {33, 35}};
    static const int channels[] = {1, 3, 8, 17};
    for (long s = 0; s < (long)argument; s++)
        for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
            int c = channels[i], h = sides[s][0], w = sides[s][1];
            for (int kernel_size = 1; kernel_size <= 7; kernel_size += 2)
                for (int stride = 1; stride <= 3; stride++)
                    for (int padding = -1; padding < kernel_size; padding++) {
                        check_convolution(2, c, h, w, c, 1, kernel_size, stride, padding);
                        check_convolution(2, c, h, w, 5, c, kernel_size, stride, padding);
                        if (stride < 3)
                            check_pools(2, c, h, w, kernel_size, stride, padding);
                        if (stride < 3 && (kernel_size == 3 || kernel_size == 5)) {
                            check_separable(2, c, h, w, 0, 5, kernel_size, stride, padding);
                            check_separable(2, c, h, w, 3 * c, c, kernel_size, stride, padding);
                        }
                    }
            for (int activation = 0; activation < 4; activation++)
                check_batch_norm(3, c, h, w, activation);
            for (int activation = 0; activation < 2; activation++)
                check_add(3, c, h, w, activation);
            check_global_average(3, c, h, w);
            check_gate(3, c, h, w);
            check_concat(3, c, h, w);
            check_momentum(3, c, h, w);
            check_views(h, w, c, 2 * c + 1);
        }
    for (int empty = 0; empty < 4; empty++) {
        int n = empty != 0, c = 3 * (empty != 1), h = 4 * (empty != 2), w = 5 * (empty != 3);
        for (int padding = -1; padding < 3; padding++) {
            check_convolution(n, c, h, w, c, 1, 3, 1, padding);
            check_convolution(n, c, h, w, 5, c, 3, 1, padding);
            check_pools(n, c, h, w, 3, 2, padding);
            check_separable(n, c, h, w, 4, 3, 3, 1, padding);
        }
        check_batch_norm(n, c, h, w, 1);
        check_add(n, c, h, w, 1);
        check_global_average(n, c, h, w);
        check_gate(n, c, h, w);
        check_concat(n, c, h, w);
        check_momentum(n, c, h, w);
        check_views(c, n, h, w);
    }
    check_convolution(1, 320, 7, 7, 640, 320, 1, 1, 0);
    check_convolution(2, 2, 32, 32, 546, 2, 3, 2, 1); /* the parts of dx have more columns than the whole */
    for (int padding = 0; padding < 3; padding++)
        check_convolution(3, 33, 27, 31, 35, 33, 3, 1, padding); /* Winograd's way */
    for (int side = 1; side < 9; side += side) { /* small maps, of several images at once */
        check_convolution(50, 33, side, side, 35, 33, 3, 1, 1);
        check_convolution(50, 33, side, side, 35, 33, 3, 2, 1);
        check_separable(25, 33, side, side, 40, 35, 3, 1, 1);
    }
    check_separable(1, 16, 112, 112, 96, 24, 3, 2, 1); /* several strips */
    check_convolution(6, 4, 112, 112, 64, 4, 1, 1, 0); /* large enough for non-temporal stores: see vector.h */
    check_batch_norm(6, 64, 112, 112, 2);
    check_add(6, 64, 112, 112, 1);
    check_concat(2, 17, 112, 112);
    check_momentum(6, 64, 112, 112);
    return NULL;
}

int main(void)
{
    if (!permitted()) {
        puts("skipped: the system does not let programs use this part of the processor");
        return 0;
    }
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, check_shapes, (void *)(i == 0 ? 10L : 2L));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    pid_t child = fork();
    if (!child) {
        check_convolution(2, 40, 14, 14, 40, 1, 3, 1, 1);
        check_batch_norm(2, 40, 7, 7, 1);
        _exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status) {
        fprintf(stderr, "the kernels failed in a forked child\n");
        return 1;
    }
    puts("every kernel ran over every shape");
    return 0;
}
