#include <base/error.h>
#include <base/memory.h>
#include <base/thread.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

/* Workers look for the next loop this often before they sleep: loops of a training step follow each other
 * within microseconds, and a sleep and a wake cost several of them. */
enum { SPINS = 2000 };

struct fathom__team {
    pthread_mutex_t lock;
    pthread_cond_t started, finished;
    atomic_uint generation; /* counts loops; a change is the signal to start */
    atomic_uint running;    /* workers that have not finished the present loop */
    bool closing;           /* under lock; read after a change of generation */
    fathom__team_fn fn;     /* these two are written before generation changes */
    void *payload;
    uint32_t size;
    uint32_t n_threads; /* beside the caller */
    struct worker *workers;
};

struct worker {
    struct fathom__team *team;
    pthread_t thread;
    uint32_t number;
};

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wait_for_start(struct fathom__team *team, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&team->generation, memory_order_acquire) != seen) return;
        pause_briefly();
    }
    pthread_mutex_lock(&team->lock);
    while (atomic_load_explicit(&team->generation, memory_order_acquire) == seen)
        pthread_cond_wait(&team->started, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

static void *work(void *payload) {
    struct worker *worker = payload;
    struct fathom__team *team = worker->team;
    for (unsigned seen = 0;; seen++) {
        wait_for_start(team, seen);
        if (team->closing) return NULL;
        team->fn(worker->number, team->size, team->payload);
        if (atomic_fetch_sub_explicit(&team->running, 1, memory_order_acq_rel) == 1) {
            /* Taking the lock puts the signal after the caller's check, or the check after the count. */
            pthread_mutex_lock(&team->lock);
            pthread_cond_signal(&team->finished);
            pthread_mutex_unlock(&team->lock);
        }
    }
}

static void start(struct fathom__team *team, bool closing) {
    pthread_mutex_lock(&team->lock);
    team->closing = closing;
    atomic_fetch_add_explicit(&team->generation, 1, memory_order_release);
    pthread_cond_broadcast(&team->started);
    pthread_mutex_unlock(&team->lock);
}

uint32_t fathom__cores(void) {
#ifdef __linux__
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) > 0)
        return (uint32_t)CPU_COUNT(&usable);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

int fathom__team_open(fathom__team **out, uint32_t n_threads) {
    fathom__team *team = NULL;
    int status = fathom__alloc(&team, 1, sizeof *team);
    if (status) return status;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->started, NULL);
    pthread_cond_init(&team->finished, NULL);
    team->size = n_threads ? n_threads : fathom__cores();
    status = fathom__alloc(&team->workers, team->size, sizeof *team->workers);
    for (uint32_t i = 1; i < team->size && !status; i++) {
        struct worker *worker = &team->workers[team->n_threads];
        *worker = (struct worker){.team = team, .number = i};
        if (pthread_create(&worker->thread, NULL, work, worker))
            status = fathom__fail(FATHOM_ERROR_MEMORY, "thread %u of %u could not be started", i + 1, team->size);
        else
            team->n_threads++;
    }
    if (status)
        fathom__team_close(team);
    else
        *out = team;
    return status;
}

void fathom__team_close(fathom__team *team) {
    if (!team) return;
    start(team, true);
    for (uint32_t i = 0; i < team->n_threads; i++)
        pthread_join(team->workers[i].thread, NULL);
    pthread_cond_destroy(&team->finished);
    pthread_cond_destroy(&team->started);
    pthread_mutex_destroy(&team->lock);
    fathom_free(team->workers);
    fathom_free(team);
}

uint32_t fathom__team_size(const fathom__team *team) {
    return team->size;
}

void fathom__team_run(fathom__team *team, fathom__team_fn fn, void *payload) {
    if (team->size == 1) {
        fn(0, 1, payload);
        return;
    }
    team->fn = fn;
    team->payload = payload;
    atomic_store_explicit(&team->running, team->n_threads, memory_order_relaxed);
    start(team, false);
    fn(0, team->size, payload);
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&team->running, memory_order_acquire) == 0) return;
        pause_briefly();
    }
    pthread_mutex_lock(&team->lock);
    while (atomic_load_explicit(&team->running, memory_order_acquire) != 0)
        pthread_cond_wait(&team->finished, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

void fathom__team_share(size_t *first, size_t *last, size_t n, size_t grain, uint32_t worker, uint32_t n_workers) {
    if (grain == 0) grain = 1;
    size_t grains = n / grain + (n % grain != 0);
    size_t each = grains / n_workers, rest = grains % n_workers;
    size_t from = each * worker + (worker < rest ? worker : rest);
    size_t to = from + each + (worker < rest);
    *first = from * grain < n ? from * grain : n;
    *last = to * grain < n ? to * grain : n;
}

double fathom__seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
