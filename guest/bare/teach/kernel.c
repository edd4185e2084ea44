// A kernel as courses have them: entered in M-mode with no firmware, one big file for the whole of it. It does what such
// kernels do in the way they do it, so that those of others boot: processes with page tables of their own behind a
// trampoline, memory on demand and copied on write, a disk by virtio and interrupt, a console, a timer that takes the hart
// away. At the end it prints what each process came to, and leaves by the test finisher: the same text on every machine.
#include "teach.h"

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef u64 *table;

#define csr_read(name) ({ u64 v_; asm volatile("csrr %0, " #name : "=r"(v_)); v_; })
#define csr_write(name, v) asm volatile("csrw " #name ", %0" ::"r"((u64)(v)))
#define reg32(a) (*(volatile u32 *)(u64)(a))
#define reg8(a) (*(volatile u8 *)(u64)(a))

#define FINISHER 0x100000UL
#define CLINT 0x2000000UL
#define PLIC 0xc000000UL
#define UART 0x10000000UL
#define DISK 0x10001000UL
#define RAM 0x80000000UL
#define RAM_END (RAM + (4UL << 20))
#define HEAP 0x10000UL
#define HEAP_END 0x20000UL
#define STACK 0x8000UL
#define TICK 3000
#define NPROC 24
#define PROGRAMS 12

enum { V = 1, R = 2, W = 4, X = 8, U = 16, COW = 256 };
enum { UNUSED, RUNNABLE, RUNNING, SLEEPING, DEAD };

extern char end[], etext[], trampoline[], uservec[], userret[], user_start[], user_end[];
void swtch(u64 *, u64 *);
void kernelvec(void), probevec(void), timervec(void), main(void);
u64 probe(u64);

struct frame { u64 satp, sp, trap, epc, hart, x[32]; };
struct proc {
  int state, id, parent;
  u64 context[14], cause, value;
  void *channel;
  struct frame *frame;
  table pages;
};

__attribute__((aligned(16))) char stack0[PAGE * 8];
u64 timer_scratch[8], probes[16];
static struct proc procs[NPROC], *current;
static u64 scheduler_context[14];
static volatile u64 ticks, disk_irqs, uart_irqs, page_faults, copies, spurious;
static table kernel_pages;

// ---- M-mode ----

static const u64 places[] = {0, 0x1000, FINISHER, 0x101000, CLINT, CLINT + 0xbff8, PLIC, UART, DISK, DISK + 0x7000, DISK + 0x8000, 0xf00000000UL};

void start(void) {
  csr_write(mtvec, probevec);
  for (u64 i = 0; i < sizeof(places) / sizeof(places[0]); i++) probes[i] = probe(places[i]);
  u64 status = csr_read(mstatus);
  csr_write(mstatus, (status & ~(3UL << 11)) | (1UL << 11));
  csr_write(mepc, main);
  csr_write(satp, 0);
  csr_write(medeleg, 0xffff);
  csr_write(mideleg, 0xffff);
  csr_write(sie, csr_read(sie) | 0x222);
  csr_write(pmpaddr0, 0x3fffffffffffffUL);
  csr_write(pmpcfg0, 0xf);
  u64 hart = csr_read(mhartid);
#ifdef OLD
  volatile u64 *compare = (u64 *)(CLINT + 0x4000 + 8 * hart);
  *compare = *(volatile u64 *)(CLINT + 0xbff8) + TICK;
  timer_scratch[3] = (u64)compare;
  timer_scratch[4] = TICK;
  csr_write(mscratch, timer_scratch);
  csr_write(mtvec, timervec);
  csr_write(mstatus, csr_read(mstatus) | 8);
  csr_write(mie, csr_read(mie) | 0x80);
#else
  csr_write(mie, csr_read(mie) | 0x20);
  csr_write(0x30a, csr_read(0x30a) | (1UL << 63));
  csr_write(mcounteren, csr_read(mcounteren) | 2);
  csr_write(0x14d, csr_read(time) + TICK);
#endif
  asm volatile("mv tp, %0" ::"r"(hart));
  asm volatile("mret");
}

// ---- the console: output waits for room, input for a key ----

static char out[64], in[64];
static u64 out_w, out_r, in_w, in_r;
static int depth, enabled_before;
static volatile u32 big;

static void sleep(void *channel);
static void wakeup(void *channel);

static void lock(void) {
  int was = (csr_read(sstatus) & 2) != 0;
  asm volatile("csrc sstatus, 2");
  if (depth++ == 0) enabled_before = was;
  if (depth == 1) {
    while (__sync_lock_test_and_set(&big, 1)) {}
    __sync_synchronize();
  }
}

static void unlock(void) {
  if (--depth > 0) return;
  __sync_synchronize();
  __sync_lock_release(&big);
  if (enabled_before) asm volatile("csrs sstatus, 2");
}

static void panic(const char *why) {
  for (; *why; why++) reg8(UART) = *why;
  reg32(FINISHER) = 0x13333;
  for (;;) {}
}

static void uart_start(void) {
  while (out_r != out_w && (reg8(UART + 5) & 0x20)) {
    reg8(UART) = out[out_r++ % 64];
    wakeup(&out_r);
  }
}

static void putc(char c) {
  lock();
  if (!current) { // as the kernel itself: poll
    while (!(reg8(UART + 5) & 0x20)) {}
    reg8(UART) = c;
  } else {
    while (out_w - out_r == 64) sleep(&out_r);
    out[out_w++ % 64] = c;
    uart_start();
  }
  unlock();
}

static void print(const char *s) { while (*s) putc(*s++); }
static void number(u64 n, u64 base) {
  if (n >= base) number(n / base, base);
  putc("0123456789abcdef"[n % base]);
}
static void show(const char *what, u64 n) { print(what); number(n, 10); }

static void uart_interrupt(void) {
  uart_irqs++;
  while (reg8(UART + 5) & 1) {
    u8 c = reg8(UART);
    if (in_w - in_r < 64) in[in_w++ % 64] = c == '\r' ? '\n' : c;
    wakeup(&in_r);
  }
  uart_start();
}

static void uart_init(void) {
  reg8(UART + 1) = 0;
  reg8(UART + 3) = 0x80;
  reg8(UART + 0) = 3;
  reg8(UART + 1) = 0;
  reg8(UART + 3) = 3;
  reg8(UART + 2) = 7;
  reg8(UART + 1) = 3;
}

// ---- memory ----

static struct page { struct page *next; } *free_pages;
static u8 references[(RAM_END - RAM) / PAGE];
#define REF(p) references[((u64)(p) - RAM) / PAGE]

static void fill(void *p, int byte, u64 n) { for (u8 *b = p; n-- > 0; b++) *b = (u8)byte; }
static void copy(void *to, const void *from, u64 n) { for (u8 *t = to, *f = (u8 *)from; n-- > 0;) *t++ = *f++; }

static void page_free(void *p) {
  if (REF(p) > 1) { REF(p)--; return; }
  REF(p) = 0;
  fill(p, 1, PAGE);
  ((struct page *)p)->next = free_pages;
  free_pages = p;
}

static void *page_alloc(void) {
  struct page *p = free_pages;
  if (!p) panic("out of memory");
  free_pages = p->next;
  fill(p, 0, PAGE);
  REF(p) = 1;
  return p;
}

static u64 *walk(table t, u64 va, int make) {
  for (int level = 2; level > 0; level--) {
    u64 *e = &t[(va >> (12 + 9 * level)) & 511];
    if (!(*e & V)) {
      if (!make) return 0;
      *e = ((u64)page_alloc() >> 12 << 10) | V;
    }
    t = (table)(*e >> 10 << 12);
  }
  return &t[(va >> 12) & 511];
}

static void map(table t, u64 va, u64 pa, u64 size, u64 rights) {
  for (u64 at = 0; at < size; at += PAGE) {
    u64 *e = walk(t, va + at, 1);
    if (*e & V) panic("mapped twice");
    *e = ((pa + at) >> 12 << 10) | rights | V;
  }
}

static void kernel_map(void) {
  table t = kernel_pages = page_alloc();
  map(t, UART, UART, PAGE, R | W);
  map(t, DISK, DISK, PAGE, R | W);
  map(t, FINISHER, FINISHER, PAGE, R | W);
  map(t, PLIC, PLIC, 0x400000, R | W);
  map(t, RAM, RAM, (u64)etext - RAM, R | X);
  map(t, (u64)etext, (u64)etext, RAM_END - (u64)etext, R | W);
  map(t, TRAMPOLINE, (u64)trampoline, PAGE, R | X);
  for (int i = 0; i < NPROC; i++) map(t, KSTACK(i), (u64)page_alloc(), PAGE, R | W);
}

static void kernel_satp(void) {
  asm volatile("sfence.vma zero, zero");
  csr_write(satp, (8UL << 60) | ((u64)kernel_pages >> 12));
  asm volatile("sfence.vma zero, zero");
}

/** Brings in the page of a user address, for a store copied when shared. => its entry or 0 */
static u64 *fault_in(struct proc *p, u64 va, int store) {
  if (va >= HEAP_END) return 0;
  u64 *e = walk(p->pages, va, 1);
  if (!(*e & V)) {
    if (va < HEAP) return 0;
    page_faults++;
    *e = ((u64)page_alloc() >> 12 << 10) | V | R | W | X | U;
  } else if (store && (*e & COW)) {
    void *old = (void *)(*e >> 10 << 12), *new = page_alloc();
    copies++;
    copy(new, old, PAGE);
    page_free(old);
    *e = ((u64)new >> 12 << 10) | ((*e & 0x3ff & ~COW) | W);
  } else if (!(*e & U) || (store && !(*e & W))) return 0;
  return e;
}

/** Between the kernel and a user's address, across pages. */
static int user_copy(struct proc *p, u64 va, u8 *k, u64 n, int out_to_user) {
  for (u64 i; n > 0; n -= i, va += i, k += i) {
    lock();
    u64 *e = fault_in(p, va, out_to_user), at = va % PAGE;
    unlock();
    if (!e) return -1;
    i = PAGE - at < n ? PAGE - at : n;
    u8 *page = (u8 *)(*e >> 10 << 12) + at;
    if (out_to_user) copy(page, k, i); else copy(k, page, i);
  }
  return 0;
}

#include "disk.c"
#include "process.c"

static void plic_init(void) {
  reg32(PLIC + 4 * 10) = 1;
  reg32(PLIC + 4 * 1) = 1;
  reg32(PLIC + 0x2080) = (1 << 10) | (1 << 1);
  reg32(PLIC + 0x201000) = 0;
}

void main(void) {
  uart_init();
  print("\nteaching kernel boots\n");
  for (u64 i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    print("  load of "); number(places[i], 16); show(": cause ", probes[i]); print("\n");
  }
  for (u64 p = ((u64)end + PAGE - 1) / PAGE * PAGE; p + PAGE <= RAM_END; p += PAGE) page_free((void *)p);
  kernel_map();
  kernel_satp();
  csr_write(stvec, kernelvec);
  plic_init();
  disk_init();
  for (int i = 0; i < PROGRAMS; i++) process_new(i);
  print("type: ");
  schedule();
  for (int i = 0; i < PROGRAMS; i++) {
    show("process ", i); show(": cause ", procs[i].cause); show(" value ", procs[i].value); print("\n");
  }
  print(ticks >= 5 ? "ticks came\n" : "no ticks\n");
  show("interrupts of the disk ", disk_irqs > 0); show(" of the uart ", uart_irqs > 0);
  show(" spurious ", spurious); print("\n");
  show("pages on demand ", page_faults); show(" copied on write ", copies); print("\n");
  reg32(FINISHER) = 0x5555;
  panic("still on");
}
