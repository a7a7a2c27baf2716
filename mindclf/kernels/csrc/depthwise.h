/* What the two ways of depthwise convolution share: depthwise_planes.c is for wide maps, depthwise_lanes.c for narrow ones. */
#ifndef MINDCLF_DEPTHWISE_H
#define MINDCLF_DEPTHWISE_H

#include <stddef.h>

#include "vector.h"

enum { MAX_DEPTHWISE_ELEMENTS = 25 }; /* of a 5 x 5 kernel */

typedef struct {
    const float *x, *weight, *bias, *dy; /* bias: NULL where there is none */
    int activation;
    float *y, *dx, *dweight;
    long images, channels, height, width, out_height, out_width;
    long top, left, kernel_size;
    long shuffled_groups; /* 1: channels in their order */
    int stride;
} Depthwise;

/* The tasks of a convolution (threads.h), and the floats of scratch that they take. */
void planes_forward(const void *conv, long index, float *scratch);
void planes_backward(const void *conv, long channel, float *scratch);
void lanes_forward(const void *conv, long index, float *scratch);
void lanes_backward(const void *conv, long index, float *scratch);
size_t planes_forward_scratch(const Depthwise *conv);
size_t planes_backward_scratch(const Depthwise *conv);
size_t lanes_scratch(const Depthwise *conv);

/* The channel of x that a channel reads. Of shuffled groups (ShuffleNet's channel shuffle) the channels of x take turns. */
INLINE long source_channel(const Depthwise *conv, long channel)
{
    long size = conv->channels / conv->shuffled_groups;
    return channel % size * conv->shuffled_groups + channel / size;
}

/* How many blocks of WIDTH channels an image has. */
INLINE long lane_blocks(const Depthwise *conv) { return divide_up(conv->channels, WIDTH); }

/* Code whose loops over kernel elements the compiler unrolls, because kernel size and stride are constants. */
typedef void Unrolled(const void *arguments, const int kernel_size, const int stride);

/* Runs `code` for a kernel size of 3 or 5 and a stride of 1 or 2. It is inlined once for each of the four pairs. */
INLINE void run_unrolled(Unrolled code, const void *arguments, long kernel_size, int stride)
{
    if (kernel_size == 3 && stride == 1)
        code(arguments, 3, 1);
    else if (kernel_size == 3)
        code(arguments, 3, 2);
    else if (stride == 1)
        code(arguments, 5, 1);
    else
        code(arguments, 5, 2);
}

/* How many rows of a kernel's weight gradient are summed in one pass: 25 sums fit into the registers of AVX-512 only. */
INLINE int rows_a_pass(const int kernel_size) { return kernel_size == 3 || WIDTH == 16 ? kernel_size : 1; }

#endif
