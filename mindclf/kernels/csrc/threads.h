/* The threads that share a kernel's work.
 *
 * A pool of our own and not OpenMP: MindSpore starts kernels from several threads of its own, and OpenMP would give each of
 * them a team; here one kernel runs at a time, on as many threads as the process may use processors. The pool starts anew in
 * a forked child, where its threads are gone.
 *
 * Tasks are handed out as threads become free, so a task must give the same result whichever thread runs it, and whenever. */
#ifndef MINDCLF_THREADS_H
#define MINDCLF_THREADS_H

#include <stddef.h>

/* One task of a kernel. `scratch` is the running thread's own memory, left as the task before it left it. */
typedef void (*Task)(const void *kernel, long index, float *scratch);

/* Waits for the turn of this kernel and provides memory: `scratch` floats for each thread, and `shared` floats that all may
 * use, at the address that comes back. NULL: not enough memory, and no turn. */
float *begin_kernel(size_t scratch, size_t shared);

/* Runs task(kernel, 0 ... count - 1, scratch) on all threads and returns when all are done. */
void run_tasks(Task task, const void *kernel, long count);

/* Ends the turn. */
void end_kernel(void);

/* How many threads run tasks. */
long thread_count(void);

/* Keeps the pool, before it starts, to so many threads: Python knows the quota of the control group (mindclf/utils/cores.py). */
__attribute__((visibility("default"))) void limit_threads(long count);

#endif
