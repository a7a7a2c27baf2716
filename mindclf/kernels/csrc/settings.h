/* The order of the numbers in each operator's input `settings`: SETTINGS of mindclf/kernels/operators.py has the same. */
#ifndef MINDCLF_SETTINGS_H
#define MINDCLF_SETTINGS_H

enum { CONVOLUTION_STRIDE, CONVOLUTION_PADDING, CONVOLUTION_ACTIVATION };       /* int32 */
enum { PACK_GROUPS };                                                           /* int32 */
enum { DEPTHWISE_STRIDE, DEPTHWISE_PADDING, DEPTHWISE_ACTIVATION, DEPTHWISE_SHUFFLED_GROUPS }; /* int32 */
enum { SEPARABLE_STRIDE, SEPARABLE_PADDING, SEPARABLE_EXPAND_ACTIVATION, SEPARABLE_DEPTHWISE_ACTIVATION,
       SEPARABLE_PROJECT_ACTIVATION, SEPARABLE_RESIDUAL };                      /* int32 */
enum { POOL_KERNEL_SIZE, POOL_STRIDE, POOL_PADDING };                           /* int32 */
enum { ADD_ACTIVATION };                                                        /* int32 */
enum { BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, BATCH_NORM_ACTIVATION };        /* float32 */
enum { MOMENTUM_MOMENTUM, MOMENTUM_SCALE };                                     /* float32 */

#endif
