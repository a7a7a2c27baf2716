/* Depthwise convolution: each channel with its own kernel of 3 x 3 or 5 x 5, stride 1 or 2; forward and backward.
 *
 * There are two ways through the data. Wide maps go row by row: the lanes of a vector are neighbouring columns
 * (depthwise_planes.c). Narrow maps go WIDTH channels at a time: the lanes are channels (depthwise_lanes.c), which wastes no lane
 * on borders and makes no difference between strides. Both copy a map into memory with zero padding around, so that no loop asks
 * where the border is. ShuffleNet's channel shuffle, if one comes before, is only another place to copy from. */
#include "depthwise.h"

#include "custom_op.h"
#include "settings.h"
#include "threads.h"

static int describe(Depthwise *conv, const int64_t *x, const int64_t *weight, const int64_t *y, const int32_t *settings)
{
    long size = weight[2], stride = settings[DEPTHWISE_STRIDE], padding = settings[DEPTHWISE_PADDING];
    long groups = settings[DEPTHWISE_SHUFFLED_GROUPS];
    if ((size != 3 && size != 5) || weight[3] != size || (stride != 1 && stride != 2) || groups < 1 || x[1] % groups)
        return 0;
    conv->images = x[0];
    conv->channels = x[1];
    conv->height = x[2];
    conv->width = x[3];
    conv->out_height = y[2];
    conv->out_width = y[3];
    conv->kernel_size = size;
    conv->stride = (int)stride;
    conv->shuffled_groups = groups;
    conv->top = padding_before(padding, x[2], y[2], size, stride);
    conv->left = padding_before(padding, x[3], y[3], size, stride);
    return conv->top < size && conv->left < size && y[1] == x[1] && weight[0] == x[1] && weight[1] == 1;
}

/* Whether maps are narrower than `least` columns, in or out. */
static int is_narrow(const Depthwise *conv, long least) { return min_long(conv->width, conv->out_width) < least; }

static int run(const Depthwise *conv, Task task, long count, size_t scratch)
{
    if (!begin_kernel(scratch, 0))
        return NO_MEMORY;
    run_tasks(task, conv, count);
    end_kernel();
    return DONE;
}

/* Forward the narrow way pays below three quarters of a vector, backward below a whole one. */
static int forward(const Depthwise *conv)
{
    if (is_narrow(conv, WIDTH * 3 / 4))
        return run(conv, lanes_forward, conv->images * lane_blocks(conv), lanes_scratch(conv));
    return run(conv, planes_forward, conv->channels, planes_forward_scratch(conv));
}

static int backward(const Depthwise *conv)
{
    if (is_narrow(conv, WIDTH))
        return run(conv, lanes_backward, lane_blocks(conv), lanes_scratch(conv));
    return run(conv, planes_backward, conv->channels, planes_backward_scratch(conv));
}

/* x, weight, settings -> y */
KERNEL(depthwise_forward)
{
    Depthwise conv = {.x = data[0], .weight = data[1], .y = data[3]};
    return describe(&conv, shapes[0], shapes[1], shapes[3], data[2]) ? forward(&conv) : BAD_SHAPE;
}

/* x, weight, bias, settings -> y = activation(convolution + bias) */
KERNEL(depthwise_activated)
{
    const int32_t *settings = data[3];
    Depthwise conv = {.x = data[0], .weight = data[1], .bias = data[2], .activation = settings[DEPTHWISE_ACTIVATION],
                      .y = data[4]};
    int fits = describe(&conv, shapes[0], shapes[1], shapes[4], settings) && shapes[2][0] == conv.channels;
    return fits ? forward(&conv) : BAD_SHAPE;
}

/* x, weight, settings, dy -> dx, dweight */
KERNEL(depthwise_backward)
{
    Depthwise conv = {.x = data[0], .weight = data[1], .dy = data[3], .dx = data[4], .dweight = data[5]};
    return describe(&conv, shapes[0], shapes[1], shapes[3], data[2]) ? backward(&conv) : BAD_SHAPE;
}
