/* Convolutions of small maps, which skip what is padding: see small_maps.c. */
#ifndef MINDCLF_SMALL_MAPS_H
#define MINDCLF_SMALL_MAPS_H

#include "gemm.h"

/* Whether this way takes less time than the product with the im2col matrix; it depends on the sizes alone. */
int small_maps_pay(const Convolution *conv);

/* Each computes its result as a kernel (threads.h), and returns DONE or NO_MEMORY. `packed`, the weights as `pack_weights` gives
 * them, and `bias` may be NULL. Weights that are not packed are packed as `packing` says, into memory of the kernel. */
int small_maps_forward(const Convolution *conv, const float *x, Packing packing, const float *packed, const float *bias,
                       int activation, float *y);
int small_maps_input_gradient(const Convolution *conv, const float *weight, const float *dy, float *dx);
int small_maps_weight_gradient(const Convolution *conv, const float *x, const float *dy, float *dweight);

#endif
