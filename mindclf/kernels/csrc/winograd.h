/* Winograd's convolution of 3 x 3 kernels and stride 1: fewer multiplications, for float32. See winograd.c. */
#ifndef MINDCLF_WINOGRAD_H
#define MINDCLF_WINOGRAD_H

#include <stddef.h>

/* y = activation(convolution of x + bias). Weight (o, c, t), of output o, channel c and kernel element t, is at o * by_out +
 * c * by_channel + t, or with `reversed` at ... + 8 - t. */
typedef struct {
    const float *x, *weight, *bias; /* bias: NULL where there is none */
    float *y;
    int activation, reversed;
    long images, channels, height, width, out_channels, out_height, out_width, top, left;
    long by_out, by_channel;
} WinogradConvolution;

/* Whether Winograd's way takes less time than the product with the im2col matrix; it depends on the sizes alone. */
int winograd_pays(const WinogradConvolution *conv);

/* Computes it as a kernel (threads.h); returns DONE or NO_MEMORY. */
int winograd_convolve(const WinogradConvolution *conv);

#endif
