// Quicksort, our own, of random integers.
#include "bench.h"

#define N 400000
static int32_t v[N];

static void sort(int32_t *low, int32_t *high) {
  while (high - low > 12) {
    int32_t pivot = low[(high - low) / 2], *i = low, *j = high;
    while (i <= j) {
      while (*i < pivot) i++;
      while (*j > pivot) j--;
      if (i > j) break;
      int32_t t = *i;
      *i++ = *j;
      *j-- = t;
    }
    if (j - low < high - i) {
      sort(low, j);
      low = i;
    } else {
      sort(i, high);
      high = j;
    }
  }
  for (int32_t *i = low + 1; i <= high; i++) {
    int32_t x = *i, *j = i;
    for (; j > low && j[-1] > x; j--) *j = j[-1];
    *j = x;
  }
}

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 10);
  uint64_t sum = 0, state = 88172645463325252ull;
  for (long round = 0; round < scale; round++) {
    for (long i = 0; i < N; i++) v[i] = (int32_t)next_random(&state);
    sort(v, v + N - 1);
    for (long i = 0; i < N; i += 997) sum = mix(sum, (uint32_t)v[i]);
  }
  return report("qsort", sum);
}
