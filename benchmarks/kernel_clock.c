/* Stands between MindSpore and the kernels: each function calls the kernel of its name, and notes its shapes and how long it took.
 * benchmarks/roofline.py adds a line CLOCKED(name) for each kernel, and compiles it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <time.h>

enum { CALLS = 1 << 14, PARAMETERS = 12, AXES = 4 };

typedef int Kernel(int count, void **data, int *ranks, int64_t **shapes, const char **types, void *stream, void *extra);

/* An axis that is not there is 0. */
struct call {
    const char *name;
    double seconds;
    int64_t values; /* of all parameters, also of those behind the first PARAMETERS */
    int64_t shapes[PARAMETERS][AXES];
};

struct call calls[CALLS];
int64_t call_count;
static void *library;

/* 0 if the library at `path` was opened. */
int open_kernels(const char *path)
{
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return library == NULL;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

static void note(const char *name, double seconds, int count, const int *ranks, int64_t **shapes)
{
    int64_t place = __atomic_fetch_add(&call_count, 1, __ATOMIC_RELAXED);
    if (place >= CALLS)
        return;
    struct call *call = &calls[place];
    call->name = name;
    call->seconds = seconds;
    call->values = 0;
    for (int i = 0; i < count; i++) {
        int64_t size = 1;
        for (int axis = 0; axis < ranks[i]; axis++)
            size *= shapes[i][axis];
        call->values += size;
    }
    for (int i = 0; i < PARAMETERS; i++)
        for (int axis = 0; axis < AXES; axis++)
            call->shapes[i][axis] = i < count && axis < ranks[i] ? shapes[i][axis] : 0;
}

#define CLOCKED(kernel_name)                                                                                              \
    int kernel_name(int count, void **data, int *ranks, int64_t **shapes, const char **types, void *stream, void *extra)  \
    {                                                                                                                     \
        static Kernel *kernel;                                                                                            \
        if (!kernel)                                                                                                      \
            kernel = (Kernel *)dlsym(library, #kernel_name);                                                              \
        double started = now();                                                                                           \
        int result = kernel(count, data, ranks, shapes, types, stream, extra);                                            \
        note(#kernel_name, now() - started, count, ranks, shapes);                                                        \
        return result;                                                                                                    \
    }
