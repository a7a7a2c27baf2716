/* Batch norm and then an activation, in training and in inference, forward and backward.
 *
 * A task is a block of channels. One image's part of a block is contiguous and is read in runs of up to RUN values. What differs
 * between channels (mean, scale, ...) is broadcast over arrays as long as a run, so that a vector may hold values of several
 * channels: a value of a small map costs no more than one of a large map. The values of a block mostly stay in the second-level
 * cache from the pass that sums to the pass that writes. */
#include <math.h>

#include "activation.h"
#include "custom_op.h"
#include "settings.h"
#include "threads.h"
#include "vector.h"

enum { RUN = 512, MAX_CHANNELS = 64, AT_ONCE = 4 };

typedef struct {
    const float *x, *gamma, *beta, *dy;
    const float *mean, *variance;            /* the moving ones, read */
    const float *batch_mean, *batch_inverse; /* what the forward pass in training kept, for its backward pass */
    const float *settings;
    float *y, *new_mean, *new_variance, *kept_mean, *kept_inverse;
    float *dx, *dgamma, *dbeta;
    long images, channels, plane;
    long block;                              /* channels of a task */
    long offset;                             /* where a run begins in a Run, so that whole vectors are aligned in y or dx */
    int nontemporal;                         /* whether y or dx is written by non-temporal stores */
} Norm;

/* One block: `channels` from `first`, `extent` values an image. */
typedef struct {
    long first, channels, extent, image;
} Block;

/* One number for each value of a run, from index `offset` of Norm. A vector may be read that begins at its end. */
typedef float Run[RUN + 2 * WIDTH] __attribute__((aligned(64)));

typedef struct {
    Run mean, scale, beta, slope, shift; /* broadcast from channels */
    Run sums, products;                  /* of what is visited, before sum_channels */
    long ahead;                          /* how far behind the values of a run those of the next one lie */
} Runs;

static long channels_a_block(long plane)
{
    return plane >= RUN ? 1 : min_long(MAX_CHANNELS, RUN / plane);
}

static Block block_of(const Norm *norm, long index)
{
    long first = index * norm->block, channels = min_long(norm->block, norm->channels - first);
    return (Block){first, channels, channels * norm->plane, norm->channels * norm->plane};
}

/* Broadcasts one value a channel over the values of a run. */
static void broadcast(const Norm *norm, const Block *block, const float *values, Run run)
{
    float *to = run + norm->offset;
    if (block->channels == 1) {
        for (long j = 0; j < RUN; j++)
            to[j] = values[0];
        return;
    }
    for (long c = 0, j = 0; c < block->channels; c++)
        for (long i = 0; i < norm->plane; i++, j++)
            to[j] = values[c];
}

/* Adds up a run, channel by channel. A run of one channel's plane may be shorter than the plane. */
static void sum_channels(const Norm *norm, const Block *block, const Run run, double *sums)
{
    const float *from = run + norm->offset;
    long length = block->channels == 1 ? min_long(RUN, norm->plane) : norm->plane;
    for (long c = 0; c < block->channels; c++) {
        sums[c] = 0;
        for (long i = 0; i < length; i++)
            sums[c] += from[c * length + i];
    }
}

/* ---- Visiting the values of a block ---- */

/* What a visit needs of a vector's channels, and what it adds to. */
typedef struct {
    vec mean, scale, beta, slope, shift, sum, product;
} Values;

/* Does something with `count` values, at most WIDTH. `at` is their index in x, y, dx and dy. */
typedef void Visit(const Norm *norm, Values *values, long at, long count, const int activation);

/* The values of a run from its index j on. A visit that uses some of them has only those loaded: it is inlined. */
INLINE Values load_values(const Runs *runs, long j)
{
    return (Values){load(runs->mean + j), load(runs->scale + j), load(runs->beta + j), load(runs->slope + j),
                    load(runs->shift + j), load(runs->sums + j), load(runs->products + j)};
}

/* Visits `count` values of a run from its index j on. */
INLINE void visit_part(const Norm *norm, Runs *runs, Visit visit, long at, long j, long count, const int activation, const int sums)
{
    Values values = load_values(runs, j);
    if (sums) { /* the next run is often in another page, where no processor looks ahead by itself */
        __builtin_prefetch(norm->x + at + runs->ahead);
        if (norm->dy)
            __builtin_prefetch(norm->dy + at + runs->ahead);
    }
    visit(norm, &values, at, count, activation);
    if (sums) {
        store_n(runs->sums + j, values.sum, count);
        store_n(runs->products + j, values.product, count);
    }
}

/* Visits values of one channel from index j of a run on, AT_ONCE vectors at a time; returns the index behind them. What is the same
 * for all of them stays in registers. */
INLINE long visit_channel(const Norm *norm, Runs *runs, Visit visit, long start, long j, long end, const int activation,
                          const int sums)
{
    Values values[AT_ONCE];
    UNROLL for (int i = 0; i < AT_ONCE; i++)
        values[i] = load_values(runs, norm->offset + i * WIDTH);
    for (; j + AT_ONCE * WIDTH <= end; j += AT_ONCE * WIDTH)
        UNROLL for (int i = 0; i < AT_ONCE; i++)
            visit(norm, &values[i], start + j + i * WIDTH, WIDTH, activation);
    if (sums)
        UNROLL for (int i = 0; i < AT_ONCE; i++) {
            store(runs->sums + norm->offset + i * WIDTH, values[i].sum);
            store(runs->products + norm->offset + i * WIDTH, values[i].product);
        }
    return j;
}

/* Visits all values of a block. Only the first and the last visit of a run may have fewer than WIDTH values: `visit` is inlined
 * with count == WIDTH, a constant, for all others. `sums`: whether it adds to sums. */
INLINE void visit_values(const Norm *norm, const Block *block, Runs *runs, Visit visit, const int activation, const int sums)
{
    for (long image = 0; image < norm->images; image++)
        for (long run = 0; run < block->extent; run += RUN) {
            long j = norm->offset, end = j + min_long(RUN, block->extent - run);
            long start = image * block->image + block->first * norm->plane + run - j;
            runs->ahead = run + RUN < block->extent ? 0 : block->image - run;
            if (j && !(sums && block->channels == 1)) { /* sums of a channel must not depend on where memory begins */
                long count = min_long(WIDTH - j, end - j);
                visit_part(norm, runs, visit, start + j, j, count, activation, sums);
                j += count;
            }
            if (block->channels == 1)
                j = visit_channel(norm, runs, visit, start, j, end, activation, sums);
            for (; j + WIDTH <= end; j += WIDTH)
                visit_part(norm, runs, visit, start + j, j, WIDTH, activation, sums);
            if (j < end)
                visit_part(norm, runs, visit, start + j, j, end - j, activation, sums);
        }
}

/* The same with the activation of the settings as a constant, so that it is not decided value by value. */
INLINE void visit_activated(const Norm *norm, const Block *block, Runs *runs, Visit visit, const int sums)
{
    switch ((int)norm->settings[BATCH_NORM_ACTIVATION]) {
    case RELU: visit_values(norm, block, runs, visit, RELU, sums); break;
    case RELU6: visit_values(norm, block, runs, visit, RELU6, sums); break;
    case HSWISH: visit_values(norm, block, runs, visit, HSWISH, sums); break;
    default: visit_values(norm, block, runs, visit, NO_ACTIVATION, sums);
    }
}

INLINE vec load_centred(const Norm *norm, const Values *values, long at, long count)
{
    return load_n(norm->x + at, count) - values->mean;
}

/* The value before the activation. */
INLINE vec normalised(const Values *values, vec centred) { return multiply_add(centred, values->scale, values->beta); }

INLINE void store_result(const Norm *norm, float *to, vec value, long count)
{
    if (norm->nontemporal && count == WIDTH)
        store_nontemporal(to, value);
    else
        store_n(to, value, count);
}

/* ---- Forward ---- */

INLINE void write_output(const Norm *norm, Values *values, long at, long count, const int activation)
{
    vec value = normalised(values, load_centred(norm, values, at, count));
    store_result(norm, norm->y + at, activate(value, activation), count);
}

static void write_outputs(const Norm *norm, const Block *block, const float *mean, const float *scale)
{
    Runs runs;
    broadcast(norm, block, mean, runs.mean);
    broadcast(norm, block, scale, runs.scale);
    broadcast(norm, block, norm->beta + block->first, runs.beta);
    visit_activated(norm, block, &runs, write_output, 0);
    fence_nontemporal();
}

/* The mean of each channel of the first image: near enough to the batch's for sums of squares around it to keep their digits. */
static void first_means(const Norm *norm, const Block *block, float *means)
{
    for (long c = 0; c < block->channels; c++) {
        const float *plane = norm->x + (block->first + c) * norm->plane;
        vec sums = zeros();
        long j = 0;
        for (; j + WIDTH <= norm->plane; j += WIDTH)
            sums += load(plane + j);
        sums += load_part(plane + j, norm->plane - j);
        means[c] = sum(sums) / (float)norm->plane;
    }
}

/* Adds differences from the run's mean, which is that of the first image, and their squares. */
INLINE void add_statistics(const Norm *norm, Values *values, long at, long count, const int activation)
{
    (void)activation;
    vec difference = load_centred(norm, values, at, count);
    values->sum += difference;
    values->product = multiply_add(difference, difference, values->product);
}

static void batch_statistics(const Norm *norm, const Block *block, double *mean, double *variance)
{
    float start[MAX_CHANNELS];
    Runs runs;
    clear(runs.sums, sizeof runs.sums / sizeof(float));
    clear(runs.products, sizeof runs.products / sizeof(float));
    first_means(norm, block, start);
    broadcast(norm, block, start, runs.mean);
    visit_values(norm, block, &runs, add_statistics, NO_ACTIVATION, 1);
    double values = (double)norm->images * (double)norm->plane;
    sum_channels(norm, block, runs.sums, mean);
    sum_channels(norm, block, runs.products, variance);
    for (long c = 0; c < block->channels; c++) {
        mean[c] /= values;
        variance[c] = fmax(variance[c] / values - mean[c] * mean[c], 0) + 0 * variance[c]; /* fmax would drop a NaN */
        mean[c] += start[c];
    }
}

static void train_block(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = arguments;
    Block block = block_of(norm, index);
    double mean[MAX_CHANNELS], variance[MAX_CHANNELS];
    float scale[MAX_CHANNELS];
    batch_statistics(norm, &block, mean, variance);
    double values = (double)norm->images * (double)norm->plane, unbiased = values > 1 ? values / (values - 1) : 1;
    float momentum = norm->settings[BATCH_NORM_MOMENTUM];
    for (long c = 0; c < block.channels; c++) {
        long channel = block.first + c;
        norm->kept_mean[channel] = (float)mean[c];
        norm->kept_inverse[channel] = (float)(1 / sqrt(variance[c] + norm->settings[BATCH_NORM_EPSILON]));
        norm->new_mean[channel] = momentum * norm->mean[channel] + (1 - momentum) * (float)mean[c];
        norm->new_variance[channel] = momentum * norm->variance[channel] + (1 - momentum) * (float)(variance[c] * unbiased);
        scale[c] = norm->gamma[channel] * norm->kept_inverse[channel];
    }
    write_outputs(norm, &block, norm->kept_mean + block.first, scale);
}

static void inverse_deviations(const Norm *norm, const Block *block, float *inverse)
{
    for (long c = 0; c < block->channels; c++)
        inverse[c] = (float)(1 / sqrt((double)norm->variance[block->first + c] + norm->settings[BATCH_NORM_EPSILON]));
}

static void infer_block(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = arguments;
    Block block = block_of(norm, index);
    float scale[MAX_CHANNELS];
    inverse_deviations(norm, &block, scale);
    for (long c = 0; c < block.channels; c++)
        scale[c] *= norm->gamma[block.first + c];
    write_outputs(norm, &block, norm->mean + block.first, scale);
}

/* ---- Backward ---- */

/* The gradient before an activation, from the one behind it and the value that went in; at kinks as MindSpore has it. */
INLINE vec activation_gradient(vec value, vec dy, const int activation)
{
    switch (activation) {
    case RELU: return where_less(zeros(), value, dy, zeros());
    case RELU6: return where_less(zeros(), value, where_less(splat(6), value, zeros(), dy), zeros());
    case HSWISH:
        return where_less(splat(-3), value,
                          where_less(splat(3), value, dy, dy * multiply_add(value, splat(1 / 3.0f), splat(0.5f))), zeros());
    default: return dy;
    }
}

/* dz, the gradient before the activation. */
INLINE vec load_gradient(const Norm *norm, const Values *values, vec centred, long at, long count, const int activation)
{
    return activation_gradient(normalised(values, centred), load_n(norm->dy + at, count), activation);
}

/* Adds dz and dz * (x - mean). */
INLINE void add_gradients(const Norm *norm, Values *values, long at, long count, const int activation)
{
    vec centred = load_centred(norm, values, at, count);
    vec dz = load_gradient(norm, values, centred, at, count, activation);
    values->sum += dz;
    values->product = multiply_add(dz, centred, values->product);
}

/* dx = scale * dz + slope * (x - mean) + shift */
INLINE void write_gradient(const Norm *norm, Values *values, long at, long count, const int activation)
{
    vec centred = load_centred(norm, values, at, count);
    vec dz = load_gradient(norm, values, centred, at, count, activation);
    vec correction = multiply_add(values->slope, centred, values->shift);
    store_result(norm, norm->dx + at, multiply_add(values->scale, dz, correction), count);
}

/* In training the mean and the variance depend on x too, which adds the slope and the shift; in inference they do not. */
static void block_gradients(const Norm *norm, const Block *block, const float *mean, const float *inverse, int training)
{
    double sums[MAX_CHANNELS], products[MAX_CHANNELS], values = (double)norm->images * (double)norm->plane;
    float scale[MAX_CHANNELS], slope[MAX_CHANNELS] = {0}, shift[MAX_CHANNELS] = {0};
    Runs runs;
    for (long c = 0; c < block->channels; c++)
        scale[c] = norm->gamma[block->first + c] * inverse[c];
    broadcast(norm, block, mean, runs.mean);
    broadcast(norm, block, scale, runs.scale);
    broadcast(norm, block, norm->beta + block->first, runs.beta);
    clear(runs.sums, sizeof runs.sums / sizeof(float));
    clear(runs.products, sizeof runs.products / sizeof(float));
    visit_activated(norm, block, &runs, add_gradients, 1);
    sum_channels(norm, block, runs.sums, sums);
    sum_channels(norm, block, runs.products, products);
    for (long c = 0; c < block->channels; c++) {
        norm->dbeta[block->first + c] = (float)sums[c];
        norm->dgamma[block->first + c] = (float)(products[c] * inverse[c]);
        if (training) {
            slope[c] = (float)(-scale[c] * ((double)inverse[c] * inverse[c]) * products[c] / values);
            shift[c] = (float)(-scale[c] * sums[c] / values);
        }
    }
    broadcast(norm, block, slope, runs.slope);
    broadcast(norm, block, shift, runs.shift);
    visit_activated(norm, block, &runs, write_gradient, 0);
    fence_nontemporal();
}

static void train_block_backward(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = arguments;
    Block block = block_of(norm, index);
    block_gradients(norm, &block, norm->batch_mean + block.first, norm->batch_inverse + block.first, 1);
}

static void infer_block_backward(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = arguments;
    Block block = block_of(norm, index);
    float inverse[MAX_CHANNELS];
    inverse_deviations(norm, &block, inverse);
    block_gradients(norm, &block, norm->mean + block.first, inverse, 0);
}

/* ---- Operators ---- */

static int run_blocks(Task task, Norm *norm, const int64_t *shape)
{
    norm->images = shape[0];
    norm->channels = shape[1];
    norm->plane = shape[2] * shape[3];
    norm->block = channels_a_block(norm->plane);
    int planes_are_aligned_alike = norm->plane % WIDTH == 0;
    norm->offset = planes_are_aligned_alike ? misalignment(norm->y ? norm->y : norm->dx) : 0;
    norm->nontemporal = planes_are_aligned_alike && norm->images * norm->channels * norm->plane > NONTEMPORAL_FLOATS;
    if (!begin_kernel(0, 0))
        return NO_MEMORY;
    run_tasks(task, norm, divide_up(norm->channels, norm->block));
    end_kernel();
    return DONE;
}

/* x, gamma, beta, moving mean, moving variance, settings
 * -> y, the batch's mean and inverse deviation, the new moving mean and variance */
KERNEL(batch_norm_train)
{
    Norm norm = {.x = data[0], .gamma = data[1], .beta = data[2], .mean = data[3], .variance = data[4], .settings = data[5],
                 .y = data[6], .kept_mean = data[7], .kept_inverse = data[8], .new_mean = data[9], .new_variance = data[10]};
    return run_blocks(train_block, &norm, shapes[0]);
}

/* x, gamma, beta, the batch's mean and inverse deviation, settings, dy -> dx, dgamma, dbeta */
KERNEL(batch_norm_train_backward)
{
    Norm norm = {.x = data[0], .gamma = data[1], .beta = data[2], .batch_mean = data[3], .batch_inverse = data[4],
                 .settings = data[5], .dy = data[6], .dx = data[7], .dgamma = data[8], .dbeta = data[9]};
    return run_blocks(train_block_backward, &norm, shapes[0]);
}

/* x, gamma, beta, moving mean, moving variance, settings -> y */
KERNEL(batch_norm_infer)
{
    Norm norm = {.x = data[0], .gamma = data[1], .beta = data[2], .mean = data[3], .variance = data[4], .settings = data[5],
                 .y = data[6]};
    return run_blocks(infer_block, &norm, shapes[0]);
}

/* x, gamma, beta, moving mean, moving variance, settings, dy -> dx, dgamma, dbeta */
KERNEL(batch_norm_infer_backward)
{
    Norm norm = {.x = data[0], .gamma = data[1], .beta = data[2], .mean = data[3], .variance = data[4], .settings = data[5],
                 .dy = data[6], .dx = data[7], .dgamma = data[8], .dbeta = data[9]};
    return run_blocks(infer_block_backward, &norm, shapes[0]);
}
