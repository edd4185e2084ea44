// A stack machine with a switch, running a program with two nested loops.
#include "bench.h"

enum { PUSH, LOAD, STORE, ADD, SUB, MUL, XOR, LESS, JUMP_IF, JUMP, DUP, DROP, SHIFT, HALT };

static const int32_t program[] = {
  PUSH, 0, STORE, 0,                                    /* i = 0 */
  PUSH, 0, STORE, 1,                                    /* j = 0                        4 */
  LOAD, 2, LOAD, 0, LOAD, 1, MUL, ADD, DUP, SHIFT, 7, XOR, STORE, 2,  /* h = mix(h + i*j)  8 */
  LOAD, 1, PUSH, 1, ADD, DUP, STORE, 1, PUSH, 1000, LESS, JUMP_IF, 8,
  LOAD, 0, PUSH, 1, ADD, DUP, STORE, 0, PUSH, 1000, LESS, JUMP_IF, 4,
  LOAD, 2, PUSH, 0, SUB, DUP, DROP, HALT,
};

static uint64_t run(uint64_t seed) {
  uint64_t stack[32], vars[4] = { 0, 0, seed, 0 };
  uint64_t *sp = stack;
  for (const int32_t *pc = program;;) {
    switch (*pc++) {
    case PUSH: *sp++ = *pc++; break;
    case LOAD: *sp++ = vars[*pc++]; break;
    case STORE: vars[*pc++] = *--sp; break;
    case ADD: sp--; sp[-1] += *sp; break;
    case SUB: sp--; sp[-1] -= *sp; break;
    case MUL: sp--; sp[-1] *= *sp; break;
    case XOR: sp--; sp[-1] ^= *sp; break;
    case LESS: sp--; sp[-1] = sp[-1] < *sp; break;
    case JUMP_IF: if (*--sp) pc = program + *pc; else pc++; break;
    case JUMP: pc = program + *pc; break;
    case DUP: *sp = sp[-1]; sp++; break;
    case DROP: sp--; break;
    case SHIFT: sp[-1] >>= *pc++; break;
    case HALT: return sp[-1];
    }
  }
}

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 8);
  uint64_t sum = 1;
  for (long round = 0; round < scale; round++) sum = mix(sum, run(sum));
  return report("bytecode", sum);
}
