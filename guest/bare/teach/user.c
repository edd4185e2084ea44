// What the processes do. One page of code, mapped at 0 in each of them: no global data, no strings.
#define USER __attribute__((section(".user"), noinline))
typedef unsigned long u64;
typedef unsigned char u8;

enum { SYS_EXIT, SYS_READ, SYS_WRITE, SYS_TICKS, SYS_FORK, SYS_WAIT, SYS_GETC, SYS_PUTC, SYS_YIELD };

static inline __attribute__((always_inline)) u64 call(u64 n, u64 a, u64 b) {
  register u64 a7 asm("a7") = n, a0 asm("a0") = a, a1 asm("a1") = b;
  asm volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1) : "memory");
  return a0;
}

USER static u64 reader(u8 *heap) {           // sums blocks of the disk
  u64 sum = 0;
  for (u64 b = 0; b < 24; b++) {
    call(SYS_READ, b, (u64)heap);
    for (int i = 0; i < 1024; i++) sum += heap[i] * (b + 1);
  }
  return sum & 0xffff;
}

USER static u64 writer(u8 *heap, u64 from) { // writes blocks and reads them back
  u64 bad = 0;
  for (u64 b = from; b < from + 8; b++) {
    for (int i = 0; i < 1024; i++) heap[i] = (u8)(i * 3 + b);
    call(SYS_WRITE, b, (u64)heap);
  }
  for (u64 b = from; b < from + 8; b++) {
    for (int i = 0; i < 1024; i++) heap[1024 + i] = 0;
    call(SYS_READ, b, (u64)heap + 1024);
    for (int i = 0; i < 1024; i++) bad += heap[1024 + i] != (u8)(i * 3 + b);
  }
  return bad == 0 ? 1 : 1000;
}

USER static u64 sieve(u8 *heap) {            // over and over until the timer has taken the hart away a few times
  u64 count = 0, until = call(SYS_TICKS, 0, 0) + 5;
  do {
    count = 0;
    for (int i = 0; i < 20000; i++) heap[i] = 0;
    for (int i = 2; i < 20000; i++) {
      if (heap[i]) continue;
      count++;
      for (int j = i + i; j < 20000; j += i) heap[j] = 1;
    }
  } while (call(SYS_TICKS, 0, 0) < until);
  return count;
}

USER static u64 forker(u8 *heap) {           // copies on write, several generations deep
  heap[0] = 5;
  heap[5000] = 6;
  u64 depth = 0, status = 0;
  while (depth < 3 && call(SYS_FORK, 0, 0) == 0) {
    depth++;
    heap[0] += 1;
    heap[5000] += 2;
  }
  if (depth < 3) status = call(SYS_WAIT, 0, 0);
  if (heap[0] != 5 + depth || heap[5000] != 6 + 2 * depth) return 1000;
  return depth == 3 ? 7 : status + heap[0];
}

USER static u64 patcher(u8 *heap) {          // writes code and runs it: li a0, n; ret
  u64 sum = 0;
  unsigned *code = (unsigned *)heap;
  for (unsigned n = 0; n < 200; n++) {
    code[0] = 0x513 | (n << 20);
    code[1] = 0x8067;
    asm volatile("fence.i" ::: "memory");
    sum += ((u64(*)(void))heap)();
    if (n % 50 == 49) call(SYS_YIELD, 0, 0);
  }
  return sum;
}

USER static u64 typist(void) {               // shouts back a line
  u64 n = 0;
  for (;;) {
    u64 c = call(SYS_GETC, 0, 0);
    call(SYS_PUTC, c >= 'a' && c <= 'z' ? c - 32 : c, 0);
    if (c == '\n') return n;
    n++;
  }
}

__attribute__((section(".user.first"), noreturn)) void user_main(u64 id) {
  u8 *heap = (u8 *)0x10000;
  u64 result = 0;
  if (id == 0) result = reader(heap);
  else if (id == 1) result = writer(heap, 32);
  else if (id == 2) result = writer(heap, 48);
  else if (id == 3) result = sieve(heap);
  else if (id == 4) result = forker(heap);
  else if (id == 5) result = patcher(heap);
  else if (id == 6) result = *(volatile u64 *)0x80000000;
  else if (id == 7) *(volatile u64 *)0 = 1;
  else if (id == 8) asm volatile("csrr zero, sstatus");
  else if (id == 9) asm volatile(".insn i 0x07, 3, f0, 0(%0)" ::"r"(heap));
  else if (id == 10) ((void (*)(void))0x3ffffff000)();
  else if (id == 11) result = typist();
  call(SYS_EXIT, result, 0);
  for (;;) {}
}
