/* Batch norm and then an activation, in training and in inference, forward and backward.
 *
 * The work is shared by blocks of channels. One image's part of a block lies together in memory and is read in runs of up to
 * RUN values; what differs between channels (mean, scale, ...) is spread over arrays as long as a run, so that a vector may
 * hold values of several channels and small maps cost no more a value than large ones. A block's values of all images
 * mostly stay in the second-level cache from the pass that sums to the pass that writes. */
#include <math.h>

#include "activation.h"
#include "custom_op.h"
#include "threads.h"
#include "vector.h"

enum { RUN = 512, MAX_CHANNELS = 64 };
enum { EPSILON, MOMENTUM, ACTIVATION };       /* places in `settings`, float32 */

typedef struct {
    const float *x, *gamma, *beta, *dy;
    const float *mean, *variance;            /* the moving ones, read */
    const float *batch_mean, *batch_inverse; /* what the forward pass in training kept, for its backward pass */
    const float *settings;
    float *y, *new_mean, *new_variance, *kept_mean, *kept_inverse;
    float *dx, *dgamma, *dbeta;
    long images, channels, plane, block;   /* block: channels a task */
    long lead;                               /* values before the first whole vector of a run, where memory is not aligned */
    int streams;                             /* whether y or dx goes past the caches */
} Norm;

/* One block: `channels` from `first`, `extent` values an image. */
typedef struct {
    long first, channels, extent, image;
} Block;

static long channels_a_block(long plane)
{
    return plane >= RUN ? 1 : min_long(MAX_CHANNELS, RUN / plane);
}

static Block block_of(const Norm *norm, long index)
{
    long first = index * norm->block, channels = min_long(norm->block, norm->channels - first);
    return (Block){first, channels, channels * norm->plane, norm->channels * norm->plane};
}

/* Spreads one value a channel over the values of a run. */
static void spread(const Norm *norm, const Block *block, const float *values, float *run)
{
    if (block->channels == 1) {
        for (long j = 0; j < RUN; j++)
            run[j] = values[0];
        return;
    }
    for (long c = 0, j = 0; c < block->channels; c++)
        for (long i = 0; i < norm->plane; i++, j++)
            run[j] = values[c];
}

/* Adds up what lies in a run, channel by channel. A run of one channel's plane may be shorter than the plane. */
static void gather_sums(const Norm *norm, const Block *block, const float *run, double *sums)
{
    long length = block->channels == 1 ? min_long(RUN, norm->plane) : norm->plane;
    for (long c = 0; c < block->channels; c++) {
        sums[c] = 0;
        for (long i = 0; i < length; i++)
            sums[c] += run[c * length + i];
    }
}

/* What is known value by value of a run. Its whole vectors are as aligned as those of the run, and it may be read a vector beyond
 * its end. */
#define RUN_OF(norm, name)                                                                                                  \
    float name##_[RUN + 2 * WIDTH] __attribute__((aligned(64)));                                                            \
    float *const name = name##_ + ((norm)->lead ? WIDTH - (norm)->lead : 0)

/* Visits the values of a block: `offset` counts from x, y, dx or dy, `j` within a run; the first and the last visit of a run
 * may be of fewer than WIDTH values. The body is the last argument. */
#define FOR_EACH_VECTOR(norm, block, offset, j, count, ...)                                                                 \
    for (long image_ = 0; image_ < (norm)->images; image_++)                                                         \
        for (long run_ = 0; run_ < (block)->extent; run_ += RUN) {                                                          \
            long start_ = image_ * (block)->image + (block)->first * (norm)->plane + run_;                              \
            long length_ = min_long(RUN, (block)->extent - run_), j = 0;                                                    \
            if ((norm)->lead) {                                                                                             \
                const long offset = start_, count = min_long((norm)->lead, length_);                                        \
                __VA_ARGS__                                                                                                  \
                j = count;                                                                                                  \
            }                                                                                                               \
            for (; j + WIDTH <= length_; j += WIDTH) {                                                                      \
                const long offset = start_ + j, count = WIDTH;                                                              \
                __VA_ARGS__                                                                                                  \
            }                                                                                                               \
            if (j < length_) {                                                                                              \
                const long offset = start_ + j, count = length_ - j;                                                        \
                __VA_ARGS__                                                                                                  \
            }                                                                                                               \
        }

INLINE void put_result(const Norm *norm, float *to, vec value, long count)
{
    if (norm->streams && count == WIDTH)
        stream(to, value);
    else
        put(to, value, count);
}

/* The gradient before the activation, from the one behind it and the value that went in; at kinks as MindSpore has it. */
INLINE vec gradient_before(vec value, vec dy, const int activation)
{
    switch (activation) {
    case RELU: return where_less(zeros(), value, dy, zeros());
    case RELU6: return where_less(zeros(), value, where_less(all(6), value, zeros(), dy), zeros());
    case HSWISH:
        return where_less(all(-3), value,
                          where_less(all(3), value, dy, dy * multiply_add(value, all(1 / 3.0f), all(0.5f))), zeros());
    default: return dy;
    }
}

/* Compiles `call` once for each activation, so that none is decided value by value. */
#define FOR_THE_ACTIVATION(norm, call)                                                                                      \
    switch ((int)(norm)->settings[ACTIVATION]) {                                                                            \
    case RELU: call(RELU); break;                                                                                           \
    case RELU6: call(RELU6); break;                                                                                         \
    case HSWISH: call(HSWISH); break;                                                                                       \
    default: call(NO_ACTIVATION);                                                                                           \
    }

INLINE void write_outputs(const Norm *norm, const Block *block, const float *means, const float *scales, const int activation)
{
    RUN_OF(norm, mean);
    RUN_OF(norm, scale);
    RUN_OF(norm, beta);
    spread(norm, block, means, mean);
    spread(norm, block, scales, scale);
    spread(norm, block, norm->beta + block->first, beta);
    FOR_EACH_VECTOR(norm, block, at, j, count, {
        vec value = multiply_add(fetch(norm->x + at, count) - load(mean + j), load(scale + j), load(beta + j));
        put_result(norm, norm->y + at, activate(value, activation), count);
    })
    finish_streams();
}

/* The mean of each channel of the first image: close enough to all to sum squares around it without losing digits. */
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

static void batch_statistics(const Norm *norm, const Block *block, double *mean, double *variance)
{
    float start[MAX_CHANNELS];
    RUN_OF(norm, shift);
    RUN_OF(norm, sums);
    RUN_OF(norm, squares);
    clear(sums, RUN);
    clear(squares, RUN);
    first_means(norm, block, start);
    spread(norm, block, start, shift);
    FOR_EACH_VECTOR(norm, block, at, j, count, {
        vec difference = fetch(norm->x + at, count) - load(shift + j);
        put(sums + j, load(sums + j) + difference, count);
        put(squares + j, multiply_add(difference, difference, load(squares + j)), count);
    })
    double values = (double)norm->images * (double)norm->plane;
    gather_sums(norm, block, sums, mean);
    gather_sums(norm, block, squares, variance);
    for (long c = 0; c < block->channels; c++) {
        mean[c] /= values;
        variance[c] = fmax(variance[c] / values - mean[c] * mean[c], 0) + 0 * variance[c]; /* fmax would drop a NaN */
        mean[c] += start[c];
    }
}

static void train_block(const void *kernel, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = kernel;
    Block block = block_of(norm, index);
    double mean[MAX_CHANNELS], variance[MAX_CHANNELS];
    float scale[MAX_CHANNELS];
    batch_statistics(norm, &block, mean, variance);
    double values = (double)norm->images * (double)norm->plane, unbiased = values > 1 ? values / (values - 1) : 1;
    float momentum = norm->settings[MOMENTUM];
    for (long c = 0; c < block.channels; c++) {
        long channel = block.first + c;
        norm->kept_mean[channel] = (float)mean[c];
        norm->kept_inverse[channel] = (float)(1 / sqrt(variance[c] + norm->settings[EPSILON]));
        norm->new_mean[channel] = momentum * norm->mean[channel] + (1 - momentum) * (float)mean[c];
        norm->new_variance[channel] = momentum * norm->variance[channel] + (1 - momentum) * (float)(variance[c] * unbiased);
        scale[c] = norm->gamma[channel] * norm->kept_inverse[channel];
    }
#define WRITE(activation) write_outputs(norm, &block, norm->kept_mean + block.first, scale, activation)
    FOR_THE_ACTIVATION(norm, WRITE)
}

static void inverse_deviations(const Norm *norm, const Block *block, float *inverse)
{
    for (long c = 0; c < block->channels; c++)
        inverse[c] = (float)(1 / sqrt((double)norm->variance[block->first + c] + norm->settings[EPSILON]));
}

static void infer_block(const void *kernel, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = kernel;
    Block block = block_of(norm, index);
    float scale[MAX_CHANNELS];
    inverse_deviations(norm, &block, scale);
    for (long c = 0; c < block.channels; c++)
        scale[c] *= norm->gamma[block.first + c];
#define INFER(activation) write_outputs(norm, &block, norm->mean + block.first, scale, activation)
    FOR_THE_ACTIVATION(norm, INFER)
}

/* For each channel the sums of dz and of dz * (x - mean), where dz is the gradient before the activation. */
INLINE void sum_gradients(const Norm *norm, const Block *block, const float *means, const float *scales, double *sums,
                          double *products, const int activation)
{
    RUN_OF(norm, mean);
    RUN_OF(norm, scale);
    RUN_OF(norm, beta);
    RUN_OF(norm, sum_run);
    RUN_OF(norm, product_run);
    clear(sum_run, RUN);
    clear(product_run, RUN);
    spread(norm, block, means, mean);
    spread(norm, block, scales, scale);
    spread(norm, block, norm->beta + block->first, beta);
    FOR_EACH_VECTOR(norm, block, at, j, count, {
        vec centred = fetch(norm->x + at, count) - load(mean + j);
        vec dz = gradient_before(multiply_add(centred, load(scale + j), load(beta + j)), fetch(norm->dy + at, count), activation);
        put(sum_run + j, load(sum_run + j) + dz, count);
        put(product_run + j, multiply_add(dz, centred, load(product_run + j)), count);
    })
    gather_sums(norm, block, sum_run, sums);
    gather_sums(norm, block, product_run, products);
}

/* dx = scale * dz + slope * (x - mean) + shift */
INLINE void write_gradients(const Norm *norm, const Block *block, const float *means, const float *scales,
                            const float *slopes, const float *shifts, const int activation)
{
    RUN_OF(norm, mean);
    RUN_OF(norm, scale);
    RUN_OF(norm, beta);
    RUN_OF(norm, slope);
    RUN_OF(norm, shift);
    spread(norm, block, means, mean);
    spread(norm, block, scales, scale);
    spread(norm, block, norm->beta + block->first, beta);
    spread(norm, block, slopes, slope);
    spread(norm, block, shifts, shift);
    FOR_EACH_VECTOR(norm, block, at, j, count, {
        vec centred = fetch(norm->x + at, count) - load(mean + j);
        vec dz = gradient_before(multiply_add(centred, load(scale + j), load(beta + j)), fetch(norm->dy + at, count), activation);
        vec correction = multiply_add(load(slope + j), centred, load(shift + j));
        put_result(norm, norm->dx + at, multiply_add(load(scale + j), dz, correction), count);
    })
    finish_streams();
}

/* In training the mean and the variance depend on x too, which adds the slope and the shift; in inference they do not. */
static void block_gradients(const Norm *norm, const Block *block, const float *mean, const float *inverse, int training)
{
    double sums[MAX_CHANNELS], products[MAX_CHANNELS], values = (double)norm->images * (double)norm->plane;
    float scale[MAX_CHANNELS], slope[MAX_CHANNELS] = {0}, shift[MAX_CHANNELS] = {0};
    for (long c = 0; c < block->channels; c++)
        scale[c] = norm->gamma[block->first + c] * inverse[c];
#define SUM(activation) sum_gradients(norm, block, mean, scale, sums, products, activation)
    FOR_THE_ACTIVATION(norm, SUM)
    for (long c = 0; c < block->channels; c++) {
        norm->dbeta[block->first + c] = (float)sums[c];
        norm->dgamma[block->first + c] = (float)(products[c] * inverse[c]);
        if (training) {
            slope[c] = (float)(-scale[c] * ((double)inverse[c] * inverse[c]) * products[c] / values);
            shift[c] = (float)(-scale[c] * sums[c] / values);
        }
    }
#define DIFFERENTIATE(activation) write_gradients(norm, block, mean, scale, slope, shift, activation)
    FOR_THE_ACTIVATION(norm, DIFFERENTIATE)
}

static void train_block_backward(const void *kernel, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = kernel;
    Block block = block_of(norm, index);
    block_gradients(norm, &block, norm->batch_mean + block.first, norm->batch_inverse + block.first, 1);
}

static void infer_block_backward(const void *kernel, long index, float *scratch)
{
    (void)scratch;
    const Norm *norm = kernel;
    Block block = block_of(norm, index);
    float inverse[MAX_CHANNELS];
    inverse_deviations(norm, &block, inverse);
    block_gradients(norm, &block, norm->mean + block.first, inverse, 0);
}

static int run_blocks(Task task, Norm *norm, const int64_t *shape)
{
    norm->images = shape[0];
    norm->channels = shape[1];
    norm->plane = shape[2] * shape[3];
    norm->block = channels_a_block(norm->plane);
    int rows_are_alike = norm->plane % WIDTH == 0;
    norm->lead = rows_are_alike ? (WIDTH - misalignment(norm->y ? norm->y : norm->dx)) % WIDTH : 0;
    norm->streams = rows_are_alike && norm->images * norm->channels * norm->plane > STREAMED_FLOATS;
    if (!begin_kernel(0, 0))
        return NO_MEMORY;
    run_tasks(task, norm, (norm->channels + norm->block - 1) / norm->block);
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
