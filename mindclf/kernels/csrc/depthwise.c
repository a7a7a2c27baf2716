/* Depthwise convolution: each channel with its own 3 x 3 or 5 x 5 window, stride 1 or 2; forward and backward.
 *
 * There are two ways through the data. Wide maps go row by row: lanes are neighbouring columns (`plane_*`). Maps narrower than a
 * vector, or forward than three quarters of one, go WIDTH channels at a time: they are transposed so that lanes are channels
 * (`lanes_*`), which wastes no lane on borders and knows no difference between strides.
 *
 * Both copy what a window slides over into a frame with its zeros around, so that no loop asks where the border is. */
#include "activation.h"
#include "custom_op.h"
#include "threads.h"
#include "vector.h"

enum { STRIDE, PADDING, ACTIVATION }; /* places in `settings`, int32 */
enum { MAX_TAPS = 25 };

typedef struct {
    const float *x, *weight, *bias, *dy; /* bias: NULL where there is none */
    int activation;
    float *y, *dx, *dweight;
    long images, channels, height, width, out_height, out_width;
    long top, left, window;
    int stride;
} Depthwise;

/* Where a plane lies in a frame of zeros. With stride 2 the even columns of a row come first and its odd columns after them,
 * `half` later, so that what one tap of the window meets along a row lies side by side. */
typedef struct {
    long height, width, top, left; /* of the plane, and how many zeros are before it */
    long rows, pitch, half;
    int stride;
} Frame;

static Frame frame_of(long height, long width, long top, long left, long rows, long columns, int stride)
{
    long half = (columns + stride - 1) / stride;
    return (Frame){height, width, top, left, rows, half * stride, half, stride};
}

static size_t frame_size(const Frame *frame) { return (size_t)(round_up(frame->rows * frame->pitch, WIDTH) + WIDTH); }

/* Copies a plane into its frame, whose border is zero already; what no window reaches is left out. */
static void fill_frame(const Frame *frame, const float *plane, float *to)
{
    long rows = min_long(frame->height, frame->rows - frame->top);
    for (long y = 0; y < rows; y++) {
        const float *from = plane + y * frame->width;
        float *row = to + (y + frame->top) * frame->pitch;
        if (frame->stride == 1) {
            copy(row + frame->left, from, min_long(frame->width, frame->pitch - frame->left));
            continue;
        }
        long left = frame->left, columns = min_long(frame->width, frame->pitch - left);
        float *first = row + (left & 1 ? frame->half : 0) + left / 2;
        float *second = row + (left & 1 ? 0 : frame->half) + (left + 1) / 2;
        for (long i = 0; i < columns / 2; i++) {
            first[i] = from[2 * i];
            second[i] = from[2 * i + 1];
        }
        if (columns & 1)
            first[columns / 2] = from[columns - 1];
    }
}

/* Where the tap in column b of the window finds its first value in a row of the frame. */
INLINE long tap_column(const Frame *frame, int b, const int stride)
{
    return stride == 1 ? b : (b & 1) * frame->half + b / 2;
}

/* ---- Wide maps, row by row ---- */

/* `count` values, at most WIDTH, of `rows` rows of the result below each other. With stride 1 each value that is read serves all
 * of them. */
INLINE void slide_column(const Frame *frame, const float *at, const float *weight, float bias, int activation, float *to,
                         long to_pitch, long count, const int window, const int rows, const int stride)
{
    vec sums[4];
    UNROLL for (int r = 0; r < rows; r++)
        sums[r] = all(bias);
    UNROLL for (int a = 0; a < (rows - 1) * stride + window; a++)
        UNROLL for (int b = 0; b < window; b++) {
            vec value = load(at + a * frame->pitch + tap_column(frame, b, stride));
            UNROLL for (int r = 0; r < rows; r++)
                if (a >= r * stride && a < r * stride + window)
                    sums[r] += value * weight[(a - r * stride) * window + b];
        }
    UNROLL for (int r = 0; r < rows; r++)
        put(to + r * to_pitch, activate(sums[r], activation), count);
}

/* The result, out_height x out_width, of sliding a window over a frame. The last vector of a row overlaps the one before. */
INLINE void slide(const Frame *frame, const float *framed, const float *weight, float bias, int activation, float *to,
                  long out_height, long out_width, const int window, const int stride)
{
    const int rows = 4;
    long y = 0, count = min_long(WIDTH, out_width);
    for (; y + rows <= out_height; y += rows)
        for (long x = 0; x < out_width; x += WIDTH) {
            long first = min_long(x, out_width - count);
            slide_column(frame, framed + y * stride * frame->pitch + first, weight, bias, activation, to + y * out_width + first,
                         out_width, count, window, rows, stride);
        }
    for (; y < out_height; y++)
        for (long x = 0; x < out_width; x += WIDTH) {
            long first = min_long(x, out_width - count);
            slide_column(frame, framed + y * stride * frame->pitch + first, weight, bias, activation, to + y * out_width + first,
                         out_width, count, window, 1, stride);
        }
}

/* Compiles call(window, stride) once for each kind of window. */
#define FOR_THE_WINDOW(window, stride, call)                                                                                \
    if ((window) == 3 && (stride) == 1)                                                                                     \
        call(3, 1);                                                                                                         \
    else if ((window) == 3)                                                                                                 \
        call(3, 2);                                                                                                         \
    else if ((stride) == 1)                                                                                                 \
        call(5, 1);                                                                                                         \
    else                                                                                                                    \
        call(5, 2);

static void slide_window(const Frame *frame, const float *framed, const float *weight, float bias, int activation, float *to,
                         long out_height, long out_width, long size)
{
#define SLIDE(window, stride) slide(frame, framed, weight, bias, activation, to, out_height, out_width, window, stride)
    FOR_THE_WINDOW(size, frame->stride, SLIDE)
}

/* Adds to sums[t], for the taps in rows first ... first + rows - 1 of the window, dy times what the tap met. */
INLINE void meet(const Frame *frame, const float *framed, const float *dy, long out_height, long out_width, vec *sums,
                 const int window, const int first, const int rows, const int stride)
{
    vec local[MAX_TAPS];
    UNROLL for (int t = 0; t < rows * window; t++)
        local[t] = sums[first * window + t];
    for (long y = 0; y < out_height; y++) {
        const float *at = framed + (y * stride + first) * frame->pitch;
        long x = 0;
        for (; x + WIDTH <= out_width; x += WIDTH) {
            vec gradient = load(dy + y * out_width + x);
            UNROLL for (int a = 0; a < rows; a++)
                UNROLL for (int b = 0; b < window; b++)
                    local[a * window + b] += gradient * load(at + a * frame->pitch + tap_column(frame, b, stride) + x);
        }
        if (x < out_width) {
            vec gradient = load_part(dy + y * out_width + x, out_width - x);
            UNROLL for (int a = 0; a < rows; a++)
                UNROLL for (int b = 0; b < window; b++)
                    local[a * window + b] +=
                        gradient * load_part(at + a * frame->pitch + tap_column(frame, b, stride) + x, out_width - x);
        }
    }
    UNROLL for (int t = 0; t < rows * window; t++)
        sums[first * window + t] = local[t];
}

/* 25 sums fit into the registers of AVX-512 only: elsewhere one row of a 5 x 5 window after the other. */
INLINE void meet_window_of(const Frame *frame, const float *framed, const float *dy, long out_height, long out_width, vec *sums,
                           const int window, const int stride)
{
    const int rows = window == 3 || WIDTH == 16 ? window : 1;
    UNROLL for (int first = 0; first < window; first += rows)
        meet(frame, framed, dy, out_height, out_width, sums, window, first, rows, stride);
}

static void meet_window(const Frame *frame, const float *framed, const float *dy, long out_height, long out_width, vec *sums,
                        long size)
{
#define MEET(window, stride) meet_window_of(frame, framed, dy, out_height, out_width, sums, window, stride)
    FOR_THE_WINDOW(size, frame->stride, MEET)
}

/* Every second value of one row of the input gradient: the sum over `taps` of what lies at `offset` of the framed dy. */
INLINE void sum_taps(const float *at, const long *offset, const float *weight, int taps, float *to, long count)
{
    for (long x = 0; x < count; x += WIDTH) {
        vec total = zeros();
        for (int t = 0; t < taps; t++)
            total += load(at + offset[t] + x) * weight[t];
        store(to + x, total);
    }
}

/* The input gradient with stride 2. Of the window's taps a value of even coordinates met others than one of odd coordinates.
 * `framed` is dy with `margin` zeros around; `row` has room for two half rows. */
static void spread_back(const Depthwise *conv, const Frame *frame, const float *framed, const float *weight, float *dx,
                        float *row)
{
    long window = conv->window, half = (conv->width + 1) / 2, room = round_up(half, WIDTH);
    for (long y = 0; y < conv->height; y++) {
        for (long odd = 0; odd < 2; odd++) {
            long offset[MAX_TAPS];
            float tap_weight[MAX_TAPS];
            int taps = 0;
            for (long a = (y + conv->top) & 1; a < window; a += 2)
                for (long b = (odd + conv->left) & 1; b < window; b += 2) {
                    long down = (y + conv->top - a) / 2 + frame->top, right = (odd + conv->left - b) / 2 + frame->left;
                    offset[taps] = down * frame->pitch + right;
                    tap_weight[taps++] = weight[a * window + b];
                }
            sum_taps(framed, offset, tap_weight, taps, row + odd * room, half);
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

static Frame input_frame(const Depthwise *conv)
{
    return frame_of(conv->height, conv->width, conv->top, conv->left, (conv->out_height - 1) * conv->stride + conv->window,
                    (conv->out_width - 1) * conv->stride + conv->window, conv->stride);
}

/* dy with the zeros that its own sliding needs. With stride 1 that gives dx, under the reversed window; with stride 2 the margin
 * is what the outermost taps reach, and half a row may end anywhere within a vector. */
static Frame gradient_frame(const Depthwise *conv)
{
    if (conv->stride == 1)
        return frame_of(conv->out_height, conv->out_width, conv->window - 1 - conv->top, conv->window - 1 - conv->left,
                        conv->height + conv->window - 1, conv->width + conv->window - 1, 1);
    long margin = conv->window;
    return frame_of(conv->out_height, conv->out_width, margin, margin, max_long(conv->out_height, conv->height / 2) + 2 * margin,
                    max_long(conv->out_width, round_up((conv->width + 1) / 2, WIDTH)) + 2 * margin, 1);
}

/* A task is as many planes as there are images, whichever they are: the frame's border need only be cleared once. */
static void plane_forward(const void *kernel, long index, float *scratch)
{
    const Depthwise *conv = kernel;
    Frame frame = input_frame(conv);
    long first = index * conv->images, window = conv->window;
    clear(scratch, (long)frame_size(&frame));
    for (long i = first; i < first + conv->images; i++) {
        long channel = i % conv->channels;
        fill_frame(&frame, conv->x + i * conv->height * conv->width, scratch);
        slide_window(&frame, scratch, conv->weight + channel * window * window, conv->bias ? conv->bias[channel] : 0,
                     conv->activation, conv->y + i * conv->out_height * conv->out_width, conv->out_height, conv->out_width,
                     window);
    }
}

static size_t plane_backward_scratch(const Depthwise *conv)
{
    Frame input = input_frame(conv), gradient = gradient_frame(conv);
    return frame_size(&input) + frame_size(&gradient) + 2 * (size_t)round_up(conv->width, WIDTH);
}

/* A task is a channel: its weight gradient is the sum over all images, in their order. */
static void plane_backward(const void *kernel, long channel, float *scratch)
{
    const Depthwise *conv = kernel;
    Frame input = input_frame(conv), gradient = gradient_frame(conv);
    float *framed_x = scratch, *framed_dy = framed_x + frame_size(&input), *row = framed_dy + frame_size(&gradient);
    long taps = conv->window * conv->window;
    long in_plane = conv->height * conv->width, out_plane = conv->out_height * conv->out_width;
    const float *weight = conv->weight + channel * taps;
    float reversed[MAX_TAPS];
    vec sums[MAX_TAPS];
    for (long t = 0; t < taps; t++) {
        reversed[t] = weight[taps - 1 - t];
        sums[t] = zeros();
    }
    clear(scratch, row - scratch);
    for (long n = 0; n < conv->images; n++) {
        long plane = n * conv->channels + channel;
        const float *dy = conv->dy + plane * out_plane;
        float *dx = conv->dx + plane * in_plane;
        fill_frame(&input, conv->x + plane * in_plane, framed_x);
        fill_frame(&gradient, dy, framed_dy);
        meet_window(&input, framed_x, dy, conv->out_height, conv->out_width, sums, conv->window);
        if (conv->stride == 1)
            slide_window(&gradient, framed_dy, reversed, 0, NO_ACTIVATION, dx, conv->height, conv->width, conv->window);
        else
            spread_back(conv, &gradient, framed_dy, weight, dx, row);
    }
    for (long t = 0; t < taps; t++)
        conv->dweight[channel * taps + t] = sum(sums[t]);
}

/* ---- Narrow maps, WIDTH channels at a time ---- */

/* `lanes` planes become one plane of vectors. It lies in a frame of its own: rows `pitch` vectors apart. */
static void planes_to_lanes(const float *planes, long lanes, long height, long width, float *to, long pitch)
{
    long size = height * width, y = 0, x = 0;
    for (long first = 0; first < size; first += WIDTH) {
        vec square[WIDTH];
        long count = min_long(WIDTH, size - first);
        for (long lane = 0; lane < WIDTH; lane++)
            square[lane] = lane < lanes ? load_part(planes + lane * size + first, count) : zeros();
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

static void lanes_to_planes(const float *from, long pitch, long lanes, long height, long width, float *planes)
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
        for (long lane = 0; lane < lanes; lane++)
            store_part(planes + lane * size + first, square[lane], count);
    }
}

/* In the frame of a narrow map nothing is sorted by even and odd: lanes are channels. */
typedef struct {
    long rows, pitch, first; /* pitch in vectors; first: where the plane begins */
} LaneFrame;

static LaneFrame lane_frame(const Depthwise *conv)
{
    long rows = max_long((conv->out_height - 1) * conv->stride + conv->window, conv->top + conv->height);
    long pitch = max_long((conv->out_width - 1) * conv->stride + conv->window, conv->left + conv->width);
    return (LaneFrame){rows, pitch, (conv->top * pitch + conv->left) * WIDTH};
}

static long lane_frame_size(const LaneFrame *frame) { return frame->rows * frame->pitch * WIDTH; }

static void weights_to_lanes(const Depthwise *conv, long channel, long lanes, float *to)
{
    long taps = conv->window * conv->window;
    clear(to, taps * WIDTH);
    for (long lane = 0; lane < lanes; lane++)
        for (long t = 0; t < taps; t++)
            to[t * WIDTH + lane] = conv->weight[(channel + lane) * taps + t];
}

/* The four sums at once hide how long each addition takes. */
INLINE void lanes_window(const float *at, long pitch, const float *weight, vec bias, int activation, float *to,
                         const int window, const int columns, const int stride)
{
    vec sums[4];
    UNROLL for (int i = 0; i < columns; i++)
        sums[i] = bias;
    UNROLL for (int a = 0; a < window; a++)
        UNROLL for (int b = 0; b < window; b++) {
            vec tap = load(weight + (a * window + b) * WIDTH);
            UNROLL for (int i = 0; i < columns; i++)
                sums[i] += tap * load(at + (a * pitch + b + i * stride) * WIDTH);
        }
    UNROLL for (int i = 0; i < columns; i++)
        store(to + i * WIDTH, activate(sums[i], activation));
}

INLINE void lanes_slide(const Depthwise *conv, const float *framed, long pitch, const float *weight, vec bias, float *to,
                        const int window, const int stride)
{
    for (long y = 0; y < conv->out_height; y++) {
        const float *at = framed + y * stride * pitch * WIDTH;
        long x = 0;
        for (; x + 4 <= conv->out_width; x += 4, to += 4 * WIDTH)
            lanes_window(at + x * stride * WIDTH, pitch, weight, bias, conv->activation, to, window, 4, stride);
        for (; x < conv->out_width; x++, to += WIDTH)
            lanes_window(at + x * stride * WIDTH, pitch, weight, bias, conv->activation, to, window, 1, stride);
    }
}

static long lane_blocks(const Depthwise *conv) { return (conv->channels + WIDTH - 1) / WIDTH; }

static void lanes_forward(const void *kernel, long index, float *scratch)
{
    const Depthwise *conv = kernel;
    LaneFrame frame = lane_frame(conv);
    long n = index / lane_blocks(conv), channel = index % lane_blocks(conv) * WIDTH;
    long lanes = min_long(WIDTH, conv->channels - channel), plane = n * conv->channels + channel;
    float *framed = scratch, *weight = framed + lane_frame_size(&frame), *result = weight + MAX_TAPS * WIDTH;
    clear(framed, lane_frame_size(&frame));
    planes_to_lanes(conv->x + plane * conv->height * conv->width, lanes, conv->height, conv->width, framed + frame.first,
                    frame.pitch);
    weights_to_lanes(conv, channel, lanes, weight);
    vec bias = conv->bias ? load_part(conv->bias + channel, lanes) : zeros();
#define SLIDE_LANES(window, stride) lanes_slide(conv, framed, frame.pitch, weight, bias, result, window, stride)
    FOR_THE_WINDOW(conv->window, conv->stride, SLIDE_LANES)
    lanes_to_planes(result, conv->out_width, lanes, conv->out_height, conv->out_width,
                    conv->y + plane * conv->out_height * conv->out_width);
}

/* For each value of dy: what its window met adds to the weight gradient, and the window itself to the input gradient. */
INLINE void lanes_meet(const Depthwise *conv, const float *framed_x, float *framed_dx, long pitch, const float *dy,
                       const float *weight, vec *sums, const int window, const int first, const int rows)
{
    vec local[MAX_TAPS];
    UNROLL for (int t = 0; t < rows * window; t++)
        local[t] = sums[first * window + t];
    for (long y = 0; y < conv->out_height; y++)
        for (long x = 0; x < conv->out_width; x++) {
            vec gradient = load(dy + (y * conv->out_width + x) * WIDTH);
            long at = ((y * conv->stride + first) * pitch + x * conv->stride) * WIDTH;
            UNROLL for (int a = 0; a < rows; a++)
                UNROLL for (int b = 0; b < window; b++) {
                    const long tap = at + (a * pitch + b) * WIDTH;
                    local[a * window + b] += gradient * load(framed_x + tap);
                    store(framed_dx + tap, load(framed_dx + tap) + gradient * load(weight + ((first + a) * window + b) * WIDTH));
                }
        }
    UNROLL for (int t = 0; t < rows * window; t++)
        sums[first * window + t] = local[t];
}

INLINE void lanes_meet_window(const Depthwise *conv, const float *framed_x, float *framed_dx, long pitch, const float *dy,
                              const float *weight, vec *sums, const int window)
{
    const int rows = window == 3 || WIDTH == 16 ? window : 1;
    UNROLL for (int first = 0; first < window; first += rows)
        lanes_meet(conv, framed_x, framed_dx, pitch, dy, weight, sums, window, first, rows);
}

static size_t lanes_scratch(const Depthwise *conv)
{
    LaneFrame frame = lane_frame(conv);
    return (size_t)(2 * lane_frame_size(&frame) + (MAX_TAPS + conv->out_height * conv->out_width) * WIDTH);
}

static void lanes_backward(const void *kernel, long index, float *scratch)
{
    const Depthwise *conv = kernel;
    LaneFrame frame = lane_frame(conv);
    long channel = index * WIDTH, lanes = min_long(WIDTH, conv->channels - channel), size = lane_frame_size(&frame);
    float *framed_x = scratch, *framed_dx = framed_x + size, *weight = framed_dx + size, *dy = weight + MAX_TAPS * WIDTH;
    vec sums[MAX_TAPS];
    for (int t = 0; t < MAX_TAPS; t++)
        sums[t] = zeros();
    weights_to_lanes(conv, channel, lanes, weight);
    clear(framed_x, size);
    for (long n = 0; n < conv->images; n++) {
        long plane = n * conv->channels + channel;
        planes_to_lanes(conv->x + plane * conv->height * conv->width, lanes, conv->height, conv->width, framed_x + frame.first,
                        frame.pitch);
        planes_to_lanes(conv->dy + plane * conv->out_height * conv->out_width, lanes, conv->out_height, conv->out_width, dy,
                        conv->out_width);
        clear(framed_dx, size);
        if (conv->window == 3)
            lanes_meet_window(conv, framed_x, framed_dx, frame.pitch, dy, weight, sums, 3);
        else
            lanes_meet_window(conv, framed_x, framed_dx, frame.pitch, dy, weight, sums, 5);
        lanes_to_planes(framed_dx + frame.first, frame.pitch, lanes, conv->height, conv->width,
                        conv->dx + plane * conv->height * conv->width);
    }
    long taps = conv->window * conv->window;
    for (long lane = 0; lane < lanes; lane++)
        for (long t = 0; t < taps; t++)
            conv->dweight[(channel + lane) * taps + t] = sums[t][lane];
}

/* ---- Entry points ---- */

/* Whether maps are narrower than `least` columns, in or out. */
static int is_narrow(const Depthwise *conv, long least) { return min_long(conv->width, conv->out_width) < least; }

static int describe(Depthwise *conv, const int64_t *x, const int64_t *weight, const int64_t *y, const int32_t *settings)
{
    conv->images = x[0];
    conv->channels = x[1];
    conv->height = x[2];
    conv->width = x[3];
    conv->out_height = y[2];
    conv->out_width = y[3];
    conv->window = weight[2];
    conv->stride = settings[STRIDE];
    conv->top = padding_before(settings[PADDING], x[2], y[2], conv->window, conv->stride);
    conv->left = padding_before(settings[PADDING], x[3], y[3], conv->window, conv->stride);
    int fits = (conv->window == 3 || conv->window == 5) && weight[2] == weight[3] && (conv->stride == 1 || conv->stride == 2);
    return fits && conv->top < conv->window && conv->left < conv->window && y[1] == x[1] && weight[0] == x[1] && weight[1] == 1;
}

static int forward(const Depthwise *conv)
{
    Frame frame = input_frame(conv);
    int narrow = is_narrow(conv, WIDTH * 3 / 4);
    if (!begin_kernel(narrow ? lanes_scratch(conv) : frame_size(&frame), 0))
        return NO_MEMORY;
    run_tasks(narrow ? lanes_forward : plane_forward, conv, narrow ? conv->images * lane_blocks(conv) : conv->channels);
    end_kernel();
    return DONE;
}

/* x, weight, settings -> y */
KERNEL(depthwise_forward)
{
    Depthwise conv = {.x = data[0], .weight = data[1], .y = data[3]};
    return describe(&conv, shapes[0], shapes[1], shapes[3], data[2]) ? forward(&conv) : BAD_SHAPE;
}

/* x, weight, bias, settings -> y, the activation of the convolution with a bias */
KERNEL(depthwise_activated)
{
    const int32_t *settings = data[3];
    Depthwise conv = {.x = data[0], .weight = data[1], .bias = data[2], .activation = settings[ACTIVATION], .y = data[4]};
    int fits = describe(&conv, shapes[0], shapes[1], shapes[4], settings) && shapes[2][0] == conv.channels;
    return fits ? forward(&conv) : BAD_SHAPE;
}

/* x, weight, settings, dy -> dx, dweight */
KERNEL(depthwise_backward)
{
    Depthwise conv = {.x = data[0], .weight = data[1], .dy = data[3], .dx = data[4], .dweight = data[5]};
    if (!describe(&conv, shapes[0], shapes[1], shapes[3], data[2]))
        return BAD_SHAPE;
    int narrow = is_narrow(&conv, WIDTH);
    if (!begin_kernel(narrow ? lanes_scratch(&conv) : plane_backward_scratch(&conv), 0))
        return NO_MEMORY;
    run_tasks(narrow ? lanes_backward : plane_backward, &conv, narrow ? lane_blocks(&conv) : conv.channels);
    end_kernel();
    return DONE;
}
