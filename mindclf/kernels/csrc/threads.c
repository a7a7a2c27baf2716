#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_THREADS = 256, SPINS = 2000 };

typedef struct {
    float *data;
    size_t size;
} Memory;

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* held from begin_kernel to end_kernel */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of everything below */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER, left = PTHREAD_COND_INITIALIZER;
static long threads;                        /* 0: not started; the caller counts as one */
static long max_threads = MAX_THREADS;
static Memory scratches[MAX_THREADS], shared_memory;
static struct {
    Task task;
    const void *arguments;
    long count, helpers_inside;
    int open;                               /* helpers may join */
} job;
static atomic_long next_task, job_number;

static void do_tasks(long thread)
{
    for (long index; (index = atomic_fetch_add(&next_task, 1)) < job.count;)
        job.task(job.arguments, index, scratches[thread].data);
}

/* A new job often follows within microseconds: spinning for a moment saves the time of falling asleep. */
static void wait_for_job_after(long last)
{
    for (int spin = 0; spin < SPINS && atomic_load(&job_number) == last; spin++)
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#else
        ;
#endif
    pthread_mutex_lock(&lock);
    while (atomic_load(&job_number) == last)
        pthread_cond_wait(&wake, &lock);
}

/* A helper that wakes too late finds the job closed: nobody waits for a thread that has not joined. */
static void *help(void *argument)
{
    long thread = (long)argument;
    for (long last = 0;;) {
        wait_for_job_after(last);
        last = atomic_load(&job_number);
        if (job.open) {
            job.helpers_inside++;
            pthread_mutex_unlock(&lock);
            do_tasks(thread);
            pthread_mutex_lock(&lock);
            if (--job.helpers_inside == 0)
                pthread_cond_signal(&left);
        }
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/* The processors that this process may use. OMP_NUM_THREADS does not count: MindSpore itself sets it to 1. */
static long usable_processors(void)
{
    cpu_set_t processors;
    long usable = sched_getaffinity(getpid(), sizeof processors, &processors) == 0 ? CPU_COUNT(&processors) : 1;
    return usable < max_threads ? usable : max_threads;
}

void limit_threads(long count)
{
    max_threads = count < 1 ? 1 : count < MAX_THREADS ? count : MAX_THREADS;
}

/* In a forked child: the helpers do not exist, and a lock may be held by a thread that does not exist either. */
static void start_anew(void)
{
    pthread_mutex_init(&turn, NULL);
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&wake, NULL);
    pthread_cond_init(&left, NULL);
    threads = 0;
    job.open = 0;
    job.helpers_inside = 0;
    atomic_store(&job_number, 0);
}

static void start_threads(void)
{
    static int handler_set;
    if (!handler_set)
        handler_set = !pthread_atfork(NULL, NULL, start_anew);
    long wanted = usable_processors();
    sigset_t every, before;
    sigfillset(&every); /* signals are for MindSpore's and Python's threads */
    pthread_sigmask(SIG_SETMASK, &every, &before);
    for (threads = 1; threads < wanted; threads++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, help, (void *)threads))
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Under the address sanitizer memory has exactly the size that is asked for, so that it notices accesses behind the end. GCC
 * announces the sanitizer by a macro, Clang by a feature. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { EXACT = 1 };
#else
enum { EXACT = 0 };
#endif

static int provide(Memory *memory, size_t size)
{
    if (size == memory->size || (size < memory->size && !EXACT))
        return 1;
    free(memory->data);
    memory->size = 0;
    if (posix_memalign((void **)&memory->data, 64, size * sizeof(float))) {
        memory->data = NULL;
        return 0;
    }
    memory->size = size;
    return 1;
}

float *begin_kernel(size_t scratch, size_t shared)
{
    pthread_mutex_lock(&turn);
    if (!threads)
        start_threads();
    int enough = provide(&shared_memory, shared + 1);
    for (long thread = 0; thread < threads && enough; thread++)
        enough = provide(&scratches[thread], scratch + 1);
    if (enough)
        return shared_memory.data;
    pthread_mutex_unlock(&turn);
    return NULL;
}

void run_tasks(Task task, const void *arguments, long count)
{
    if (threads == 1 || count == 1) {
        for (long index = 0; index < count; index++)
            task(arguments, index, scratches[0].data);
        return;
    }
    pthread_mutex_lock(&lock);
    job.task = task;
    job.arguments = arguments;
    job.count = count;
    job.open = 1;
    atomic_store(&next_task, 0);
    atomic_fetch_add(&job_number, 1);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    do_tasks(0);
    pthread_mutex_lock(&lock);
    job.open = 0;
    while (job.helpers_inside)
        pthread_cond_wait(&left, &lock);
    pthread_mutex_unlock(&lock);
}

void end_kernel(void) { pthread_mutex_unlock(&turn); }

long thread_count(void) { return threads; }
