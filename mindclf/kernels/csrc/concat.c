/* Parts with the same maps after one another along the channels, a part also several times; and the gradients of the parts. */
#include "custom_op.h"
#include "threads.h"
#include "vector.h"

enum { CHUNK = 1 << 14, MOST = 16 }; /* CHUNK: values of a task, all of one place and one image; MOST: places */

typedef struct {
    float **parts;        /* or their gradients, which are written then */
    float *whole;         /* (N, channels of all places, H, W) */
    const int32_t *order; /* the part at each place */
    long images, places, part_count;
    long sizes[MOST], starts[MOST + 1]; /* of each place: values of an image, and values before it */
    long part_sizes[MOST];
    long image_tasks;
} Concat;

/* Which of `count` sizes the task `index` of an image is about, and from which value on; sizes[which] is where it ends. */
static long find_chunk(const long *sizes, long count, long index, long *start)
{
    long which = 0;
    while (which < count - 1 && index >= divide_up(sizes[which], CHUNK))
        index -= divide_up(sizes[which++], CHUNK);
    *start = index * CHUNK;
    return which;
}

static void forward(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Concat *concat = arguments;
    long image = index / concat->image_tasks, start;
    long place = find_chunk(concat->sizes, concat->places, index % concat->image_tasks, &start);
    long size = concat->sizes[place], count = min_long(CHUNK, size - start);
    const float *from = concat->parts[concat->order[place]] + image * size + start;
    float *to = concat->whole + image * concat->starts[concat->places] + concat->starts[place] + start;
    memcpy(to, from, (size_t)count * sizeof(float));
}

static void backward(const void *arguments, long index, float *scratch)
{
    (void)scratch;
    const Concat *concat = arguments;
    long image = index / concat->image_tasks, start, found = 0;
    long part = find_chunk(concat->part_sizes, concat->part_count, index % concat->image_tasks, &start);
    long size = concat->part_sizes[part], count = min_long(CHUNK, size - start);
    float *to = concat->parts[part] + image * size + start;
    for (long place = 0; place < concat->places; place++) {
        if (concat->order[place] != part)
            continue;
        const float *from = concat->whole + image * concat->starts[concat->places] + concat->starts[place] + start;
        if (found++)
            for (long i = 0; i < count; i += WIDTH) {
                long lanes = min_long(WIDTH, count - i);
                store_n(to + i, load_n(to + i, lanes) + load_n(from + i, lanes), lanes);
            }
        else
            memcpy(to, from, (size_t)count * sizeof(float));
    }
}

/* Fills all but the arrays; 0 if the shapes do not fit, or a part has no place. */
static int describe(Concat *concat, long parts, long places, const int32_t *order, const int *ranks, int64_t **shapes,
                    const int64_t *whole)
{
    if (parts < 1 || places < parts || places > MOST)
        return 0;
    concat->order = order;
    concat->images = whole[0];
    concat->places = places;
    concat->part_count = parts;
    long area = whole[2] * whole[3], used[MOST] = {0};
    for (long part = 0; part < parts; part++) {
        const int64_t *shape = shapes[part];
        if (ranks[part] != 4 || shape[0] != whole[0] || shape[2] != whole[2] || shape[3] != whole[3])
            return 0;
        concat->part_sizes[part] = shape[1] * area;
    }
    concat->starts[0] = 0;
    for (long place = 0; place < places; place++) {
        if (order[place] < 0 || order[place] >= parts)
            return 0;
        used[order[place]] = 1;
        concat->sizes[place] = concat->part_sizes[order[place]];
        concat->starts[place + 1] = concat->starts[place] + concat->sizes[place];
    }
    for (long part = 0; part < parts; part++)
        if (!used[part])
            return 0;
    return concat->starts[places] == whole[1] * area;
}

static int run(Task task, Concat *concat, const long *sizes, long count)
{
    concat->image_tasks = 0;
    for (long i = 0; i < count; i++)
        concat->image_tasks += divide_up(sizes[i], CHUNK);
    if (!begin_kernel(0, 0))
        return NO_MEMORY;
    run_tasks(task, concat, concat->images * concat->image_tasks);
    end_kernel();
    return DONE;
}

/* parts, order (places,) -> whole */
KERNEL_OF_MANY(concat_forward)
{
    int parts = count - 2;
    if (parts < 1 || ranks[parts] != 1 || ranks[parts + 1] != 4)
        return BAD_SHAPE;
    Concat concat = {.parts = (float **)data, .whole = data[parts + 1]};
    if (!describe(&concat, parts, shapes[parts][0], data[parts], ranks, shapes, shapes[parts + 1]))
        return BAD_SHAPE;
    return run(forward, &concat, concat.sizes, concat.places);
}

/* parts, order (places,), gradient of the whole -> gradients of the parts */
KERNEL_OF_MANY(concat_backward)
{
    int parts = (count - 2) / 2;
    if (parts < 1 || count != 2 * parts + 2 || ranks[parts] != 1 || ranks[parts + 1] != 4)
        return BAD_SHAPE;
    Concat concat = {.parts = (float **)data + parts + 2, .whole = data[parts + 1]};
    if (!describe(&concat, parts, shapes[parts][0], data[parts], ranks, shapes, shapes[parts + 1]))
        return BAD_SHAPE;
    for (int part = 0; part < parts; part++)
        for (int axis = 0; axis < 4; axis++)
            if (ranks[parts + 2 + part] != 4 || shapes[parts + 2 + part][axis] != shapes[part][axis])
                return BAD_SHAPE;
    return run(backward, &concat, concat.part_sizes, concat.part_count);
}
