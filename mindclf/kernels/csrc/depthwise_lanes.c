/* Depthwise convolution of narrow maps, WIDTH channels at a time: the lanes of a vector are channels, as in the layout nChw16c of
 * oneDNN. See depthwise.c. */
#include "activation.h"
#include "depthwise.h"

/* Where the planes of some channels begin, counted in floats from the first plane of their image. */
typedef struct {
    long at[WIDTH], lanes;
} Planes;

static Planes planes_of_y(const Depthwise *conv, long channel, long lanes)
{
    Planes planes = {.lanes = lanes};
    for (long lane = 0; lane < lanes; lane++)
        planes.at[lane] = (channel + lane) * conv->out_height * conv->out_width;
    return planes;
}

/* Those of x that the channels read. */
static Planes planes_of_x(const Depthwise *conv, long channel, long lanes)
{
    Planes planes = {.lanes = lanes};
    for (long lane = 0; lane < lanes; lane++)
        planes.at[lane] = source_channel(conv, channel + lane) * conv->height * conv->width;
    return planes;
}

/* Planes become one plane of vectors, whose rows are `pitch` vectors apart. */
static void planes_to_lanes(const float *image, const Planes *planes, long height, long width, float *to, long pitch)
{
    long size = height * width, y = 0, x = 0;
    for (long first = 0; first < size; first += WIDTH) {
        vec square[WIDTH];
        long count = min_long(WIDTH, size - first);
        for (long lane = 0; lane < WIDTH; lane++)
            square[lane] = lane < planes->lanes ? load_part(image + planes->at[lane] + first, count) : zeros();
        transpose(square);
        for (long i = 0; i < count; i++) {
            store(to + (y * pitch + x) * WIDTH, square[i]);
            if (++x == width) {
                x = 0;
                y++;
            }
        }
    }
}

static void lanes_to_planes(const float *from, long pitch, long height, long width, float *image, const Planes *planes)
{
    long size = height * width, y = 0, x = 0;
    for (long first = 0; first < size; first += WIDTH) {
        vec square[WIDTH];
        long count = min_long(WIDTH, size - first);
        for (long i = 0; i < WIDTH; i++) {
            square[i] = i < count ? load(from + (y * pitch + x) * WIDTH) : zeros();
            if (i < count && ++x == width) {
                x = 0;
                y++;
            }
        }
        transpose(square);
        for (long lane = 0; lane < planes->lanes; lane++)
            store_part(image + planes->at[lane] + first, square[lane], count);
    }
}

static void weights_to_lanes(const Depthwise *conv, long channel, long lanes, float *to)
{
    long elements = conv->kernel_size * conv->kernel_size;
    clear(to, elements * WIDTH);
    for (long lane = 0; lane < lanes; lane++)
        for (long t = 0; t < elements; t++)
            to[t * WIDTH + lane] = conv->weight[(channel + lane) * elements + t];
}

/* Where a plane of vectors lies in its zero padding. */
typedef struct {
    long rows, pitch, first; /* pitch in vectors; first: the index in floats where the plane begins */
} PaddedLanes;

static PaddedLanes padded_lanes(const Depthwise *conv)
{
    long rows = max_long((conv->out_height - 1) * conv->stride + conv->kernel_size, conv->top + conv->height);
    long pitch = max_long((conv->out_width - 1) * conv->stride + conv->kernel_size, conv->left + conv->width);
    return (PaddedLanes){rows, pitch, (conv->top * pitch + conv->left) * WIDTH};
}

static long padded_size(const PaddedLanes *padded) { return padded->rows * padded->pitch * WIDTH; }

size_t lanes_scratch(const Depthwise *conv)
{
    PaddedLanes padded = padded_lanes(conv);
    return (size_t)(2 * padded_size(&padded) + (MAX_DEPTHWISE_ELEMENTS + conv->out_height * conv->out_width) * WIDTH);
}

/* ---- Forward ---- */

typedef struct {
    const Depthwise *conv;
    const float *values;  /* of the padded plane of vectors */
    long pitch;
    const float *weights; /* as vectors */
    vec bias;
    float *to;            /* out_height x out_width vectors */
} Slide;

/* `columns` neighbouring values, at most 4: several sums at once hide the latency of an addition. */
INLINE void slide_columns(const Slide *slide, const float *at, float *to, const int columns, const int kernel_size,
                          const int stride)
{
    vec sums[4];
    UNROLL for (int i = 0; i < columns; i++)
        sums[i] = slide->bias;
    UNROLL for (int a = 0; a < kernel_size; a++)
        UNROLL for (int b = 0; b < kernel_size; b++) {
            vec weight = load(slide->weights + (a * kernel_size + b) * WIDTH);
            UNROLL for (int i = 0; i < columns; i++)
                sums[i] += weight * load(at + (a * slide->pitch + b + i * stride) * WIDTH);
        }
    UNROLL for (int i = 0; i < columns; i++)
        store(to + i * WIDTH, activate(sums[i], slide->conv->activation));
}

INLINE void slide_unrolled(const void *arguments, const int kernel_size, const int stride)
{
    const Slide slide = *(const Slide *)arguments; /* a copy: the compiler then knows that no store changes it */
    long out_height = slide.conv->out_height, out_width = slide.conv->out_width;
    float *to = slide.to;
    for (long y = 0; y < out_height; y++) {
        const float *at = slide.values + y * stride * slide.pitch * WIDTH;
        long x = 0;
        for (; x + 4 <= out_width; x += 4, to += 4 * WIDTH)
            slide_columns(&slide, at + x * stride * WIDTH, to, 4, kernel_size, stride);
        for (; x < out_width; x++, to += WIDTH)
            slide_columns(&slide, at + x * stride * WIDTH, to, 1, kernel_size, stride);
    }
}

/* A task is a block of WIDTH channels of an image. */
void lanes_forward(const void *arguments, long index, float *scratch)
{
    const Depthwise *conv = arguments;
    PaddedLanes padded = padded_lanes(conv);
    long n = index / lane_blocks(conv), channel = index % lane_blocks(conv) * WIDTH;
    long lanes = min_long(WIDTH, conv->channels - channel), first = n * conv->channels;
    Planes from = planes_of_x(conv, channel, lanes), to = planes_of_y(conv, channel, lanes);
    float *values = scratch, *weights = values + padded_size(&padded), *result = weights + MAX_DEPTHWISE_ELEMENTS * WIDTH;
    clear(values, padded_size(&padded));
    planes_to_lanes(conv->x + first * conv->height * conv->width, &from, conv->height, conv->width, values + padded.first,
                    padded.pitch);
    weights_to_lanes(conv, channel, lanes, weights);
    Slide slide = {.conv = conv, .values = values, .pitch = padded.pitch, .weights = weights,
                   .bias = conv->bias ? load_part(conv->bias + channel, lanes) : zeros(), .to = result};
    run_unrolled(slide_unrolled, &slide, conv->kernel_size, conv->stride);
    lanes_to_planes(result, conv->out_width, conv->out_height, conv->out_width,
                    conv->y + first * conv->out_height * conv->out_width, &to);
}

/* ---- Backward ---- */

typedef struct {
    const Depthwise *conv;
    const float *padded_x, *dy, *weights; /* all as vectors */
    float *padded_dx;
    long pitch;                           /* of padded_x and padded_dx */
    vec *sums;                            /* of each kernel element: its gradient */
} Backward;

/* Each value of dy adds to the gradient of kernel rows first ... first + rows - 1, and through them to dx. */
INLINE void backward_rows(const Backward *job, const int first, const int rows, const int kernel_size, const int stride)
{
    const Depthwise *conv = job->conv;
    vec local[MAX_DEPTHWISE_ELEMENTS];
    UNROLL for (int t = 0; t < rows * kernel_size; t++)
        local[t] = job->sums[first * kernel_size + t];
    for (long y = 0; y < conv->out_height; y++)
        for (long x = 0; x < conv->out_width; x++) {
            vec gradient = load(job->dy + (y * conv->out_width + x) * WIDTH);
            long at = ((y * stride + first) * job->pitch + x * stride) * WIDTH;
            UNROLL for (int a = 0; a < rows; a++)
                UNROLL for (int b = 0; b < kernel_size; b++) {
                    vec weight = load(job->weights + ((first + a) * kernel_size + b) * WIDTH);
                    const float *from = job->padded_x + at + (a * job->pitch + b) * WIDTH;
                    float *to = job->padded_dx + at + (a * job->pitch + b) * WIDTH;
                    local[a * kernel_size + b] += gradient * load(from);
                    store(to, load(to) + gradient * weight);
                }
        }
    UNROLL for (int t = 0; t < rows * kernel_size; t++)
        job->sums[first * kernel_size + t] = local[t];
}

INLINE void backward_unrolled(const void *arguments, const int kernel_size, const int stride)
{
    const Backward job = *(const Backward *)arguments;
    const int rows = rows_a_pass(kernel_size);
    UNROLL for (int first = 0; first < kernel_size; first += rows)
        backward_rows(&job, first, rows, kernel_size, stride);
}

/* A task is a block of WIDTH channels: their weight gradient is the sum over all images, in their order. */
void lanes_backward(const void *arguments, long index, float *scratch)
{
    const Depthwise *conv = arguments;
    PaddedLanes padded = padded_lanes(conv);
    long channel = index * WIDTH, lanes = min_long(WIDTH, conv->channels - channel), size = padded_size(&padded);
    long in_plane = conv->height * conv->width, out_plane = conv->out_height * conv->out_width;
    long elements = conv->kernel_size * conv->kernel_size;
    float *padded_x = scratch, *padded_dx = padded_x + size, *weights = padded_dx + size;
    float *dy = weights + MAX_DEPTHWISE_ELEMENTS * WIDTH;
    Planes in = planes_of_x(conv, channel, lanes), out = planes_of_y(conv, channel, lanes);
    vec sums[MAX_DEPTHWISE_ELEMENTS];
    for (long t = 0; t < elements; t++)
        sums[t] = zeros();
    weights_to_lanes(conv, channel, lanes, weights);
    clear(padded_x, size);
    for (long n = 0; n < conv->images; n++) {
        long first = n * conv->channels;
        planes_to_lanes(conv->x + first * in_plane, &in, conv->height, conv->width, padded_x + padded.first, padded.pitch);
        planes_to_lanes(conv->dy + first * out_plane, &out, conv->out_height, conv->out_width, dy, conv->out_width);
        clear(padded_dx, size);
        Backward job = {.conv = conv, .padded_x = padded_x, .dy = dy, .weights = weights, .padded_dx = padded_dx,
                        .pitch = padded.pitch, .sums = sums};
        run_unrolled(backward_unrolled, &job, conv->kernel_size, conv->stride);
        lanes_to_planes(padded_dx + padded.first, padded.pitch, conv->height, conv->width, conv->dx + first * in_plane, &in);
    }
    for (long lane = 0; lane < lanes; lane++)
        for (long t = 0; t < elements; t++)
            conv->dweight[(channel + lane) * elements + t] = sums[t][lane];
}
