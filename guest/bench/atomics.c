// Atomic operations of one thread: fetch-and-add, exchange, compare-and-swap loops, a spin lock.
#include "bench.h"
#include <stdatomic.h>

static _Atomic uint64_t counter, cell;
static _Atomic uint32_t word;
static atomic_flag lock = ATOMIC_FLAG_INIT;

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 10);
  uint64_t sum = 0, guarded = 0;
  for (long round = 0; round < scale; round++) {
    for (uint64_t i = 0; i < 500000; i++) {
      sum += atomic_fetch_add(&counter, i);
      atomic_fetch_or_explicit(&word, (uint32_t)i, memory_order_relaxed);
      uint64_t old = atomic_load_explicit(&cell, memory_order_relaxed);
      while (!atomic_compare_exchange_weak(&cell, &old, old * 3 + i)) {}
      while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) {}
      guarded += i;
      atomic_flag_clear_explicit(&lock, memory_order_release);
      if ((i & 1023) == 0) sum += atomic_exchange(&word, 0);
    }
    sum = mix(sum, cell + guarded);
  }
  return report("atomics", sum);
}
