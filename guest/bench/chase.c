// A pointer chase over 8 MiB in an order that no prefetcher guesses.
#include "bench.h"

#define NODES (8 * 1024 * 1024 / 64)
struct node { struct node *next; char rest[56]; };
static struct node nodes[NODES];
static uint32_t order[NODES];

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 12);
  uint64_t state = 99991, sum = 0;
  for (uint32_t i = 0; i < NODES; i++) order[i] = i;
  for (uint32_t i = NODES - 1; i > 0; i--) {
    uint32_t j = next_random(&state) % (i + 1), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (uint32_t i = 0; i < NODES; i++) nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
  struct node *p = &nodes[0];
  for (long round = 0; round < scale; round++) {
    for (long i = 0; i < NODES + 3; i++) p = p->next;
    sum = mix(sum, p - nodes);
  }
  return report("chase", sum);
}
