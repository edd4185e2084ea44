// A mix like that of embedded benchmarks: linked lists, integer matrices, a state machine over text, checksums.
#include "bench.h"

static uint16_t crc(uint8_t data, uint16_t sum) {
  for (int i = 0; i < 8; i++) {
    int bit = (data ^ sum) & 1;
    sum >>= 1;
    if (bit) sum ^= 0xa001;
    data >>= 1;
  }
  return sum;
}

static uint16_t crc16(uint16_t v, uint16_t sum) { return crc(v >> 8, crc(v & 255, sum)); }

struct item { struct item *next; int16_t value, index; };
#define ITEMS 120
static struct item items[ITEMS];

static struct item *list_make(int seed) {
  for (int i = 0; i < ITEMS; i++) {
    items[i].next = i + 1 < ITEMS ? &items[i + 1] : NULL;
    items[i].value = (int16_t)((i * 7919 + seed * 31) & 0x7fff);
    items[i].index = i;
  }
  return items;
}

static struct item *list_find(struct item *l, int value) {
  while (l != NULL && (l->value & 255) != value) l = l->next;
  return l;
}

static struct item *list_reverse(struct item *l) {
  struct item *out = NULL;
  while (l != NULL) {
    struct item *next = l->next;
    l->next = out;
    out = l;
    l = next;
  }
  return out;
}

static int by_value(const struct item *a, const struct item *b) { return a->value - b->value; }
static int by_index(const struct item *a, const struct item *b) { return a->index - b->index; }

static struct item *list_sort(struct item *list, int (*compare)(const struct item *, const struct item *)) {
  for (int width = 1;; width *= 2) {
    struct item *p = list, *tail = NULL;
    int merges = 0;
    list = NULL;
    while (p != NULL) {
      struct item *q = p;
      int np = 0, nq = width;
      merges++;
      for (; np < width && q != NULL; np++) q = q->next;
      while (np > 0 || (nq > 0 && q != NULL)) {
        struct item *e;
        if (np == 0) { e = q; q = q->next; nq--; }
        else if (nq == 0 || q == NULL || compare(p, q) <= 0) { e = p; p = p->next; np--; }
        else { e = q; q = q->next; nq--; }
        if (tail != NULL) tail->next = e;
        else list = e;
        tail = e;
      }
      p = q;
    }
    tail->next = NULL;
    if (merges <= 1) return list;
  }
}

#define N 24
static int16_t a[N][N], b[N][N];
static int32_t c[N][N];

static uint16_t matrix(int seed, uint16_t sum) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      a[i][j] = (int16_t)((i * j + seed) & 0xff);
      b[i][j] = (int16_t)(a[i][j] + i);
    }
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      int32_t s = 0;
      for (int k = 0; k < N; k++) s += a[i][k] * b[k][j];
      c[i][j] = s;
    }
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      int32_t s = 0;
      for (int k = 0; k < N; k++) {
        int32_t t = a[i][k] * b[k][j];
        s += ((t >> 2) & 15) * ((t >> 5) & 127);
      }
      sum = crc16((uint16_t)(c[i][j] ^ s), sum);
    }
  return sum;
}

enum state { START, INTEGER, FRACTION, EXPONENT, SIGN, INVALID, STATES };

static enum state scan(const char **text) {
  enum state s = START;
  const char *p = *text;
  for (; *p && *p != ','; p++) {
    int digit = *p >= '0' && *p <= '9';
    switch (s) {
    case START: s = digit ? INTEGER : *p == '+' || *p == '-' ? SIGN : *p == '.' ? FRACTION : INVALID; break;
    case SIGN: s = digit ? INTEGER : *p == '.' ? FRACTION : INVALID; break;
    case INTEGER: s = digit ? INTEGER : *p == '.' ? FRACTION : *p == 'e' ? EXPONENT : INVALID; break;
    case FRACTION: s = digit ? FRACTION : *p == 'e' ? EXPONENT : INVALID; break;
    case EXPONENT: s = digit || *p == '-' || *p == '+' ? EXPONENT : INVALID; break;
    default: break;
    }
  }
  *text = *p ? p + 1 : p;
  return s;
}

static uint16_t machine(uint16_t sum, int seed) {
  char text[] = "5012,1.5,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^";
  uint32_t counts[STATES] = { 0 };
  text[seed % (sizeof text - 1)] ^= seed & 3;
  for (const char *p = text; *p;) counts[scan(&p)]++;
  for (int i = 0; i < STATES; i++) sum = crc16((uint16_t)counts[i], sum);
  return sum;
}

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 1500);
  uint16_t sum = 0;
  for (long round = 0; round < scale; round++) {
    struct item *list = list_make((int)round);
    for (int i = 0; i < 40; i++) {
      struct item *found = list_find(list, (i * 37) & 255);
      sum = crc16(found != NULL ? (uint16_t)found->index : 0xffff, sum);
      if (i % 8 == 0) list = list_reverse(list);
    }
    list = list_sort(list, by_value);
    sum = crc16((uint16_t)list->index, sum);
    list = list_sort(list, by_index);
    sum = crc16((uint16_t)list->value, sum);
    sum = matrix((int)round & 63, sum);
    for (int i = 0; i < 10; i++) sum = machine(sum, (int)round + i);
  }
  return report("coremark", sum);
}
