/* Calls kernels of a library for tests/kernels/direct.py, which cannot load it: it is for another kind of processor, and this
 * program runs in an emulator. `make arm` builds it.
 *
 *   serve_kernels LIBRARY
 *
 * A call comes in through standard input: the name of a kernel, padded with zeros, how many parameters it has, and for each of
 * them a Header and its memory. What goes out is the status, and the memory of each parameter whose header says so. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef int Kernel(int, void **, int *, int64_t **, const char **, void *, void *);
enum { MAX_NAME = 64, MAX_PARAMETERS = 16, MAX_RANK = 4, ALIGNMENT = 64 };

/* `floats` of memory begin `behind` a multiple of 64 bytes; the parameter begins `before` later. */
typedef struct {
    int64_t rank, shape[MAX_RANK], is_integer, behind, floats, before, is_output;
} Header;

static void fail(const char *message)
{
    fprintf(stderr, "serve_kernels: %s\n", message);
    exit(1);
}

static void receive(void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes)
        fail("a call is not complete");
}

static void answer(Kernel *kernel, int count)
{
    Header headers[MAX_PARAMETERS];
    float *blocks[MAX_PARAMETERS], *memories[MAX_PARAMETERS];
    void *data[MAX_PARAMETERS];
    int ranks[MAX_PARAMETERS];
    int64_t *shapes[MAX_PARAMETERS];
    const char *types[MAX_PARAMETERS];
    for (int i = 0; i < count; i++) {
        Header *header = &headers[i];
        receive(header, sizeof *header);
        if (posix_memalign((void **)&blocks[i], ALIGNMENT, (size_t)(header->behind + header->floats + 1) * sizeof(float)))
            fail("there is no memory");
        memories[i] = blocks[i] + header->behind;
        receive(memories[i], (size_t)header->floats * sizeof(float));
        data[i] = memories[i] + header->before;
        ranks[i] = (int)header->rank;
        shapes[i] = header->shape;
        types[i] = header->is_integer ? "int32" : "float32";
    }
    int32_t status = kernel(count, data, ranks, shapes, types, NULL, NULL);
    fwrite(&status, sizeof status, 1, stdout);
    for (int i = 0; i < count; i++) {
        if (headers[i].is_output)
            fwrite(memories[i], sizeof(float), (size_t)headers[i].floats, stdout);
        free(blocks[i]);
    }
    fflush(stdout);
}

int main(int count, char **arguments)
{
    void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    if (!library)
        fail(count == 2 ? dlerror() : "name a library");
    char name[MAX_NAME];
    while (fread(name, 1, sizeof name, stdin) == sizeof name) {
        int64_t parameters;
        Kernel *kernel;
        *(void **)&kernel = dlsym(library, name);
        receive(&parameters, sizeof parameters);
        if (!kernel || parameters > MAX_PARAMETERS)
            fail("no such kernel, or too many parameters");
        answer(kernel, (int)parameters);
    }
    return 0;
}
