// Records on the heap: a hash table with chains, and a tree, filled, searched and emptied.
#include "bench.h"

struct record { struct record *chain, *left, *right; uint32_t key; int16_t kind; uint8_t flags, used; uint64_t value; char name[16]; };
#define BUCKETS 4096
#define RECORDS 20000
static struct record *bucket[BUCKETS];

static uint64_t tree_sum(const struct record *r) { return r == NULL ? 0 : tree_sum(r->left) + r->value * (r->kind + 1) + tree_sum(r->right); }

static uint64_t one_round(uint64_t *state) {
  struct record *root = NULL;
  uint64_t sum = 0;
  for (int i = 0; i < RECORDS; i++) {
    struct record *r = calloc(1, sizeof *r);
    if (r == NULL) exit(1);
    r->key = next_random(state) >> 20;
    r->kind = r->key % 7;
    r->flags = r->key & 1 ? 2 : 5;
    r->value = (uint64_t)r->key * 3 + i;
    memcpy(r->name, "record name", 12);
    r->chain = bucket[r->key % BUCKETS];
    bucket[r->key % BUCKETS] = r;
    struct record **at = &root;
    while (*at != NULL) at = r->key < (*at)->key ? &(*at)->left : &(*at)->right;
    *at = r;
  }
  for (int i = 0; i < RECORDS * 4; i++) {
    uint32_t key = next_random(state) >> 20;
    for (struct record *r = bucket[key % BUCKETS]; r != NULL; r = r->chain) {
      if ((r->flags & 2) != 0) r->used++;
      if (r->key > key) sum += r->value;
    }
  }
  sum += tree_sum(root);
  for (int b = 0; b < BUCKETS; b++) {
    while (bucket[b] != NULL) {
      struct record *r = bucket[b];
      bucket[b] = r->chain;
      sum = mix(sum, r->used + r->name[3]);
      free(r);
    }
  }
  return sum;
}

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 15);
  uint64_t sum = 0, state = 2718281828;
  for (long round = 0; round < scale; round++) sum = mix(sum, one_round(&state));
  return report("records", sum);
}
