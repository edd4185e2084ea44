// One word of each page of 64 MiB, in order and at random: misses of the TLB.
#include "bench.h"

#define PAGES (64 * 1024 * 1024 / 4096)
#define WORDS (4096 / 8)
static uint64_t memory[PAGES * WORDS];

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 40);
  uint64_t state = 424242, sum = 0;
  for (long i = 0; i < PAGES; i++) memory[i * WORDS + i % WORDS] = i;
  for (long round = 0; round < scale; round++) {
    for (long i = 0; i < PAGES; i++) sum += memory[i * WORDS + i % WORDS];
    for (long i = 0; i < PAGES; i++) {
      uint64_t page = (next_random(&state) >> 20) % PAGES;
      sum = sum * 3 + memory[page * WORDS + page % WORDS];
    }
  }
  return report("tlb", sum);
}
