/* How MindSpore calls a C function: ops.Custom(func_type="aot") finds it by its name in the library and hands it the inputs and
 * then the outputs, with their shapes and types. A result other than 0 makes MindSpore raise an error. */
#ifndef MINDCLF_CUSTOM_OP_H
#define MINDCLF_CUSTOM_OP_H

#include <stdint.h>
#include <string.h>

enum { DONE = 0, NO_MEMORY = 1, BAD_SHAPE = 2, BAD_TYPE = 3 };
enum { INTERFACE_VERSION = 6 }; /* of the C functions, their inputs and settings: raise it, here and in dispatch.py, with each change */
enum { SAME = -1 }; /* as a padding: that of TensorFlow, also SAME of mindclf/kernels/operators.py */

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

/* Runs `body` on parameters that are in order; the first input has 4 axes. */
typedef int KernelBody(void **data, int64_t **shapes);

static inline int run_checked(KernelBody body, int count, void **data, const int *ranks, int64_t **shapes, const char **types)
{
    if (count < 1 || ranks[0] != 4 || !none_is_empty(count, ranks, shapes))
        return BAD_SHAPE;
    return known_types(count, types) ? body(data, shapes) : BAD_TYPE;
}

/* KERNEL(name) { body } defines the C function that MindSpore finds by this name; the body knows `data` and `shapes`. */
#define KERNEL(name)                                                                                                      \
    static KernelBody name##_body;                                                                                        \
    __attribute__((visibility("default"))) int name(int count, void **data, int *ranks, int64_t **shapes,                 \
                                                    const char **types, void *stream, void *extra);                       \
    int name(int count, void **data, int *ranks, int64_t **shapes, const char **types, void *stream, void *extra)         \
    {                                                                                                                     \
        (void)stream, (void)extra;                                                                                        \
        return run_checked(name##_body, count, data, ranks, shapes, types);                                               \
    }                                                                                                                     \
    static int name##_body(void **data, int64_t **shapes)

/* The same for a kernel that takes any number of arrays, with any number of axes: the body knows their `count` and `ranks` too. */
#define KERNEL_OF_MANY(name)                                                                                              \
    static int name##_body(int count, void **data, const int *ranks, int64_t **shapes);                                   \
    __attribute__((visibility("default"))) int name(int count, void **data, int *ranks, int64_t **shapes,                 \
                                                    const char **types, void *stream, void *extra);                       \
    int name(int count, void **data, int *ranks, int64_t **shapes, const char **types, void *stream, void *extra)         \
    {                                                                                                                     \
        (void)stream, (void)extra;                                                                                        \
        if (!none_is_empty(count, ranks, shapes))                                                                         \
            return BAD_SHAPE;                                                                                             \
        return known_types(count, types) ? name##_body(count, data, ranks, shapes) : BAD_TYPE;                            \
    }                                                                                                                     \
    static int name##_body(int count, void **data, const int *ranks, int64_t **shapes)

/* Zeros before the first of `size` rows or columns, from which `outputs` rows or columns are computed. With SAME they are half of
 * all zeros that the receptive fields need, rounded down. */
static inline long padding_before(long padding, long size, long outputs, long kernel_size, long stride)
{
    if (padding > SAME)
        return padding;
    long needed = (outputs - 1) * stride + kernel_size - size;
    return needed > 0 ? needed / 2 : 0;
}

#endif
