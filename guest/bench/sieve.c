// The sieve of Eratosthenes over bytes.
#include "bench.h"

#define SIZE 2000000
static unsigned char composite[SIZE];

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 25);
  uint64_t sum = 0;
  for (long round = 0; round < scale; round++) {
    memset(composite, 0, SIZE);
    long count = 0;
    for (long i = 2; i < SIZE; i++) {
      if (composite[i]) continue;
      count++;
      for (long j = 2 * i; j < SIZE; j += i) composite[j] = 1;
    }
    sum = mix(sum, count);
  }
  return report("sieve", sum);
}
