/* Activations, value by value. A NaN stays a NaN. */
#ifndef MINDCLF_ACTIVATION_H
#define MINDCLF_ACTIVATION_H

#include "vector.h"

enum { NO_ACTIVATION, RELU, RELU6, HSWISH }; /* as ACTIVATIONS of mindclf/kernels/operators.py */

INLINE vec activate(vec value, const int activation)
{
    switch (activation) {
    case RELU: return at_least(value, 0);
    case RELU6: return at_most(at_least(value, 0), 6);
    case HSWISH: return value * at_most(at_least(value + 3.0f, 0), 6) * (1 / 6.0f);
    default: return value;
    }
}

#endif
