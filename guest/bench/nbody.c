// Planets: doubles, square roots and divisions.
#include "bench.h"
#include <math.h>

#define BODIES 5
static double x[BODIES][3], v[BODIES][3], mass[BODIES];

static void advance(double dt) {
  for (int i = 0; i < BODIES; i++)
    for (int j = i + 1; j < BODIES; j++) {
      double d[3], r2 = 0;
      for (int k = 0; k < 3; k++) {
        d[k] = x[i][k] - x[j][k];
        r2 += d[k] * d[k];
      }
      double f = dt / (r2 * __builtin_sqrt(r2));
      for (int k = 0; k < 3; k++) {
        v[i][k] -= d[k] * mass[j] * f;
        v[j][k] += d[k] * mass[i] * f;
      }
    }
  for (int i = 0; i < BODIES; i++)
    for (int k = 0; k < 3; k++) x[i][k] += dt * v[i][k];
}

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 30);
  uint64_t state = 31337, sum = 0;
  for (int i = 0; i < BODIES; i++) {
    mass[i] = i == 0 ? 39.5 : 0.03 / (i + 1);
    for (int k = 0; k < 3; k++) {
      x[i][k] = i == 0 ? 0 : (double)(next_random(&state) >> 44) / 60000.0 + 3 * i;
      v[i][k] = i == 0 ? 0 : (double)(next_random(&state) >> 44) / 900000.0;
    }
  }
  for (long round = 0; round < scale; round++) {
    for (int step = 0; step < 20000; step++) advance(0.0005);
    for (int i = 0; i < BODIES; i++) sum = mix(sum, double_bits(x[i][0]));
  }
  return report("nbody", sum);
}
