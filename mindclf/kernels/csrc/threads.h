/* The threads that share a kernel's work.
 *
 * This is a pool of our own and not OpenMP: MindSpore starts kernels from several threads of its own, and OpenMP would give each
 * of them a team. Here one kernel runs at a time, on as many threads as the process may use processors. A forked child starts its
 * own pool.
 *
 * Each thread takes the next task when it is free. So a task must give the same result on any thread and at any time. */
#ifndef MINDCLF_THREADS_H
#define MINDCLF_THREADS_H

#include <stddef.h>

/* One task of a kernel: the part `index` of what `arguments` describes. `scratch` is the thread's own memory, as its last task
 * left it. */
typedef void (*Task)(const void *arguments, long index, float *scratch);

/* Waits until no other kernel runs and provides memory: `scratch` floats for each thread, and `shared` floats for all, whose
 * address it returns. NULL: not enough memory, and the kernel must not run. */
float *begin_kernel(size_t scratch, size_t shared);

/* Runs task(arguments, 0 ... count - 1, scratch) on all threads and returns when all tasks are done. */
void run_tasks(Task task, const void *arguments, long count);

/* Lets the next kernel run. */
void end_kernel(void);

/* How many threads run tasks. */
long thread_count(void);

/* Limits the pool to so many threads, before it starts: Python knows the quota of the control group (mindclf/utils/cores.py). */
__attribute__((visibility("default"))) void limit_threads(long count);

#endif
