/* How MindSpore calls a kernel: ops.Custom(func_type="aot") finds the function by its name in the library and hands it the
 * inputs and then the outputs, with their shapes and types. What it returns, unless 0, makes MindSpore raise an error. */
#ifndef MINDCLF_CUSTOM_OP_H
#define MINDCLF_CUSTOM_OP_H

#include <stdint.h>
#include <string.h>

enum { DONE = 0, NO_MEMORY = 1, BAD_SHAPE = 2, BAD_TYPE = 3 };

/* All data are contiguous float32 or int32. In float16 a kernel would read behind the end. */
static inline int known_types(int count, const char **types)
{
    for (int i = 0; i < count; i++)
        if (strcmp(types[i], "float32") && strcmp(types[i], "int32"))
            return 0;
    return 1;
}

/* Whether each axis of each array has a value. Kernels divide by numbers of values, and the mean of none is no number. */
static inline int none_is_empty(int count, const int *ranks, int64_t **shapes)
{
    for (int i = 0; i < count; i++)
        for (int axis = 0; axis < ranks[i]; axis++)
            if (shapes[i][axis] < 1)
                return 0;
    return 1;
}

/* KERNEL(name) { body } is a function that MindSpore finds; the body knows `data` and `shapes`. The first input has 4 axes. */
#define KERNEL(name)                                                                                                      \
    static int name##_of_float32(void **data, int64_t **shapes);                                                          \
    __attribute__((visibility("default"))) int name(int count, void **data, int *ranks, int64_t **shapes,                 \
                                                    const char **types, void *stream, void *extra);                       \
    int name(int count, void **data, int *ranks, int64_t **shapes, const char **types, void *stream, void *extra)         \
    {                                                                                                                     \
        (void)stream, (void)extra;                                                                                        \
        if (count < 1 || ranks[0] != 4 || !none_is_empty(count, ranks, shapes))                                           \
            return BAD_SHAPE;                                                                                             \
        return known_types(count, types) ? name##_of_float32(data, shapes) : BAD_TYPE;                                    \
    }                                                                                                                     \
    static int name##_of_float32(void **data, int64_t **shapes)

/* Zeros before the first row or column of `size` values. `padding` -1 is TensorFlow's "same": what is needed so that every
 * window fits, half of it before, rounded down. */
static inline long padding_before(long padding, long size, long windows, long window, long stride)
{
    if (padding >= 0)
        return padding;
    long needed = (windows - 1) * stride + window - size;
    return needed > 0 ? needed / 2 : 0;
}

#endif
