// The product of two matrices of doubles, column strides and all.
#include "bench.h"

#define N 300
static double a[N][N], b[N][N], c[N][N];

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 10);
  uint64_t sum = 0, state = 1234567;
  for (long i = 0; i < N; i++)
    for (long j = 0; j < N; j++) {
      a[i][j] = (double)(next_random(&state) >> 40) / 1000.0;
      b[i][j] = (double)(next_random(&state) >> 40) / 777.0;
    }
  for (long round = 0; round < scale; round++) {
    for (long i = 0; i < N; i++)
      for (long j = 0; j < N; j++) {
        double s = 0;
        for (long k = 0; k < N; k++) s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
    sum = mix(sum, double_bits(c[round % N][7]));
    a[round % N][3] += 1.5;
  }
  return report("matmul", sum);
}
