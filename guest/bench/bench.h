// What the CPU kernels share: a scale on the command line, one line of result, no clock and no floating-point output.
#ifndef BENCH_H
#define BENCH_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The scale: argv[1], or `otherwise`. Exits with 2 when it is no number from 1 to 100000000. */
static inline long scale_of(int argc, char **argv, long otherwise) {
  if (argc < 2) return otherwise;
  char *end;
  long n = strtol(argv[1], &end, 10);
  if (argc > 2 || *end != 0 || end == argv[1] || n < 1 || n > 100000000) {
    fprintf(stderr, "usage: %s [SCALE]   SCALE is a number from 1 to 100000000\n", argv[0]);
    exit(2);
  }
  return n;
}

static inline int report(const char *name, uint64_t checksum) {
  printf("%s checksum=%016llx\n", name, (unsigned long long)checksum);
  return 0;
}

/** A generator of the xorshift family: the same numbers everywhere. */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

static inline uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x100000001b3ull; }

static inline uint64_t double_bits(double d) {
  uint64_t bits;
  memcpy(&bits, &d, sizeof bits);
  return bits;
}
#endif
