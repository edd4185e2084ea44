// A known chain of calls, with symbols and call frame information (see the Makefile), for the debugger's backtrace:
//
//   main ─► chain_main ─► chain_recurse x3 ─► chain_varying ─► chain_saving ─► chain_leaf ─► (a signal ─► chain_handler)
//
// With "leaf" or "handler" it stays at the end of it; without, it comes back and ends.
#include "check.h"
#include <signal.h>
#include <sys/syscall.h>

#define LINK __attribute__((noinline, noclone))

// No function of the library is on the way: it has no call frame information.
static inline long call4(long nr, long a, long b, long c, long d) {
  register long a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d, a4 __asm__("a4") = 0, a7 __asm__("a7") = nr;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7) : "memory");
  return a0;
}

static volatile int mode;
static volatile long sink;

static inline void stay(void) {
  for (;;) call4(SYS_ppoll, 0, 0, 0, 0);
}

LINK void chain_handler(int sig) {
  sink += sig;
  if (mode == 2) stay();
}

LINK void chain_leaf(long a) {
  char room[200];
  for (int i = 0; i < 200; i++) room[i] = a + i;
  sink += room[a & 127];
  if (mode == 1) stay();
  call4(SYS_kill, call4(SYS_getpid, 0, 0, 0, 0), SIGUSR1, 0, 0);
  sink += room[(a + 1) & 127];
}

// Keeps values in saved registers over the call.
LINK long chain_saving(long a, long b, long c, long d) {
  long e = a * b, f = b * c, g = c * d, h = d * a, i = a + d;
  chain_leaf(a);
  return e ^ f ^ g ^ h ^ i ^ a ^ b ^ c ^ d;
}

// The size of its frame is known only when it runs: the frame is found by s0.
LINK long chain_varying(long n) {
  volatile char *room = __builtin_alloca(n * 16);
  room[n] = 1;
  return chain_saving(n, n + 1, n + 2, n + 3) + room[n];
}

LINK long chain_recurse(long n) {
  return 1 + (n == 0 ? chain_varying(37) : chain_recurse(n - 1)) * (sink | 1);
}

LINK long chain_main(void) { return 1 + chain_recurse(2); }

int main(int argc, char **argv) {
  mode = argc < 2 ? 0 : strcmp(argv[1], "leaf") == 0 ? 1 : 2;
  signal(SIGUSR1, chain_handler);
  sink += chain_main();
  CHECK(sink != 0);
  return 0;
}
