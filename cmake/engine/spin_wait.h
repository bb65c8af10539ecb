/* Put before ggml's thread pool. Its threads wait for each other by spinning alone: where another program has one of the cores, a waiting thread
 * burns the time that the thread it waits for needs, and two threads become many times slower than one. This one gives the core away after a short
 * while of spinning, which costs nothing where a core is free. */
#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#include <sched.h>

enum { FATHOM_SPINS_BEFORE_YIELD = 512 }; /* about 10 to 20 microseconds */

static inline void fathom_spin_wait(void) {
    static _Thread_local unsigned spins;
    __builtin_ia32_pause();
    if (++spins % FATHOM_SPINS_BEFORE_YIELD == 0) sched_yield();
}
#define _mm_pause() fathom_spin_wait()
#endif
