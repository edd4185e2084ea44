// Recursive calls.
#include "bench.h"

static __attribute__((noinline)) long fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 4);
  uint64_t sum = 0;
  for (long i = 0; i < scale; i++) sum = mix(sum, fib(34 + (i & 1)));
  return report("fib", sum);
}
