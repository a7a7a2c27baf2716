/* Depthwise convolution of wide maps, row by row: the lanes of a vector are neighbouring columns. See depthwise.c. */
#include "depthwise_slide.h"

/* x as the kernel slides over it. */
static PaddedPlane padded_input(const Depthwise *conv)
{
    return padded_plane(conv->height, conv->width, conv->top, conv->left,
                        (conv->out_height - 1) * conv->stride + conv->kernel_size,
                        (conv->out_width - 1) * conv->stride + conv->kernel_size, conv->stride);
}

/* dy with the padding that dx needs. With stride 1 the reversed kernel slides over it; with stride 2 the margin is what the
 * outermost kernel elements reach, and half a row may end anywhere within a vector. */
static PaddedPlane padded_gradient(const Depthwise *conv)
{
    long size = conv->kernel_size;
    if (conv->stride == 1)
        return padded_plane(conv->out_height, conv->out_width, size - 1 - conv->top, size - 1 - conv->left,
                            conv->height + size - 1, conv->width + size - 1, 1);
    return padded_plane(conv->out_height, conv->out_width, size, size, max_long(conv->out_height, conv->height / 2) + 2 * size,
                        max_long(conv->out_width, round_up(divide_up(conv->width, 2), WIDTH)) + 2 * size, 1);
}

/* ---- The weight gradient ---- */

typedef struct {
    const PaddedPlane *padded;
    const float *values, *dy; /* values: of the padded plane of x */
    long out_height, out_width;
    vec *sums;                /* of each kernel element */
} Accumulation;

/* Adds dy times x to the sums of the kernel elements in rows first ... first + rows - 1. */
INLINE void accumulate_rows(const Accumulation *job, const int first, const int rows, const int kernel_size, const int stride)
{
    const PaddedPlane *padded = job->padded;
    long out_width = job->out_width;
    vec local[MAX_DEPTHWISE_ELEMENTS];
    UNROLL for (int t = 0; t < rows * kernel_size; t++)
        local[t] = job->sums[first * kernel_size + t];
    for (long y = 0; y < job->out_height; y++) {
        const float *at = job->values + (y * stride + first) * padded->pitch, *dy = job->dy + y * out_width;
        long x = 0;
        for (; x + WIDTH <= out_width; x += WIDTH) {
            vec gradient = load(dy + x);
            UNROLL for (int a = 0; a < rows; a++)
                UNROLL for (int b = 0; b < kernel_size; b++)
                    local[a * kernel_size + b] += gradient * load(at + a * padded->pitch + element_column(padded, b, stride) + x);
        }
        if (x < out_width) {
            vec gradient = load_part(dy + x, out_width - x);
            UNROLL for (int a = 0; a < rows; a++)
                UNROLL for (int b = 0; b < kernel_size; b++)
                    local[a * kernel_size + b] +=
                        gradient * load_part(at + a * padded->pitch + element_column(padded, b, stride) + x, out_width - x);
        }
    }
    UNROLL for (int t = 0; t < rows * kernel_size; t++)
        job->sums[first * kernel_size + t] = local[t];
}

INLINE void accumulate_unrolled(const void *arguments, const int kernel_size, const int stride)
{
    const Accumulation job = *(const Accumulation *)arguments;
    const int rows = rows_a_pass(kernel_size);
    UNROLL for (int first = 0; first < kernel_size; first += rows)
        accumulate_rows(&job, first, rows, kernel_size, stride);
}

/* ---- The input gradient of stride 2 ---- */

/* Every second value of a row of dx: the sum over kernel elements of what lies at `offset` from `at` in the padded dy. */
INLINE void sum_elements(const float *at, const long *offset, const float *weight, int elements, float *to, long count)
{
    for (long x = 0; x < count; x += WIDTH) {
        vec total = zeros();
        for (int t = 0; t < elements; t++)
            total += load(at + offset[t] + x) * weight[t];
        store(to + x, total);
    }
}

/* A value of dx receives from every second row and column of the kernel: which ones depends on whether its row and its column are
 * even or odd. `values` is dy in its padding; `row` has room for two half rows. */
static void input_gradient_stride_2(const Depthwise *conv, const PaddedPlane *padded, const float *values, const float *weight,
                                    float *dx, float *row)
{
    long kernel_size = conv->kernel_size, half = divide_up(conv->width, 2), room = round_up(half, WIDTH);
    for (long y = 0; y < conv->height; y++) {
        for (long odd = 0; odd < 2; odd++) {
            long offset[MAX_DEPTHWISE_ELEMENTS];
            float element_weight[MAX_DEPTHWISE_ELEMENTS];
            int elements = 0;
            for (long a = (y + conv->top) & 1; a < kernel_size; a += 2)
                for (long b = (odd + conv->left) & 1; b < kernel_size; b += 2) {
                    long down = (y + conv->top - a) / 2 + padded->top, right = (odd + conv->left - b) / 2 + padded->left;
                    offset[elements] = down * padded->pitch + right;
                    element_weight[elements++] = weight[a * kernel_size + b];
                }
            sum_elements(values, offset, element_weight, elements, row + odd * room, half);
        }
        float *to = dx + y * conv->width;
        for (long i = 0; i < conv->width / 2; i++) {
            to[2 * i] = row[i];
            to[2 * i + 1] = row[room + i];
        }
        if (conv->width & 1)
            to[conv->width - 1] = row[conv->width / 2];
    }
}

/* ---- Tasks ---- */

size_t planes_forward_scratch(const Depthwise *conv)
{
    PaddedPlane padded = padded_input(conv);
    return padded_size(&padded);
}

/* A task is as many planes as there are images, whichever they are: their padding is cleared once. */
void planes_forward(const void *arguments, long index, float *scratch)
{
    const Depthwise *conv = arguments;
    PaddedPlane padded = padded_input(conv);
    long first = index * conv->images, elements = conv->kernel_size * conv->kernel_size;
    clear(scratch, (long)padded_size(&padded));
    for (long i = first; i < first + conv->images; i++) {
        long channel = i % conv->channels;
        long source = i - channel + source_channel(conv, channel);
        pad_plane(&padded, conv->x + source * conv->height * conv->width, scratch);
        Slide slide = {.padded = &padded, .values = scratch, .weight = conv->weight + channel * elements,
                       .bias = conv->bias ? conv->bias[channel] : 0, .activation = conv->activation,
                       .to = conv->y + i * conv->out_height * conv->out_width, .out_height = conv->out_height,
                       .out_width = conv->out_width};
        slide_kernel(&slide, conv->kernel_size);
    }
}

size_t planes_backward_scratch(const Depthwise *conv)
{
    PaddedPlane input = padded_input(conv), gradient = padded_gradient(conv);
    return padded_size(&input) + padded_size(&gradient) + 2 * (size_t)round_up(conv->width, WIDTH);
}

/* A task is a channel: its weight gradient is the sum over all images, in their order. */
void planes_backward(const void *arguments, long channel, float *scratch)
{
    const Depthwise *conv = arguments;
    PaddedPlane input = padded_input(conv), gradient = padded_gradient(conv);
    float *padded_x = scratch, *padded_dy = padded_x + padded_size(&input), *row = padded_dy + padded_size(&gradient);
    long elements = conv->kernel_size * conv->kernel_size;
    long in_plane = conv->height * conv->width, out_plane = conv->out_height * conv->out_width;
    const float *weight = conv->weight + channel * elements;
    float reversed[MAX_DEPTHWISE_ELEMENTS];
    vec sums[MAX_DEPTHWISE_ELEMENTS];
    for (long t = 0; t < elements; t++) {
        reversed[t] = weight[elements - 1 - t];
        sums[t] = zeros();
    }
    clear(scratch, row - scratch);
    for (long n = 0; n < conv->images; n++) {
        long source = n * conv->channels + source_channel(conv, channel);
        const float *dy = conv->dy + (n * conv->channels + channel) * out_plane;
        float *dx = conv->dx + source * in_plane;
        pad_plane(&input, conv->x + source * in_plane, padded_x);
        pad_plane(&gradient, dy, padded_dy);
        Accumulation accumulation = {.padded = &input, .values = padded_x, .dy = dy, .out_height = conv->out_height,
                                     .out_width = conv->out_width, .sums = sums};
        run_unrolled(accumulate_unrolled, &accumulation, conv->kernel_size, conv->stride);
        Slide slide = {.padded = &gradient, .values = padded_dy, .weight = reversed, .activation = NO_ACTIVATION,
                       .to = dx, .out_height = conv->height, .out_width = conv->width};
        if (conv->stride == 1)
            slide_kernel(&slide, conv->kernel_size);
        else
            input_gradient_stride_2(conv, &gradient, padded_dy, weight, dx, row);
    }
    for (long t = 0; t < elements; t++)
        conv->dweight[channel * elements + t] = sum(sums[t]);
}
