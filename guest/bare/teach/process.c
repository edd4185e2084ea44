// Processes: made, switched between, put to sleep, trapped and ended. Part of kernel.c.
enum { SYS_EXIT, SYS_READ, SYS_WRITE, SYS_TICKS, SYS_FORK, SYS_WAIT, SYS_GETC, SYS_PUTC, SYS_YIELD };

static void user_trap(void), user_return(void);

/** To the scheduler, with the lock held; comes back with it held. */
static void give_up(int state) {
  struct proc *p = current;
  int saved = enabled_before;
  if (depth != 1) panic("switch with locks held");
  p->state = state;
  swtch(p->context, scheduler_context);
  enabled_before = saved;
}

static void yield(void) {
  lock();
  give_up(RUNNABLE);
  unlock();
}

static void sleep(void *channel) {
  int nested = depth; // putc and its like call each other no deeper than this
  struct proc *p = current;
  p->channel = channel;
  depth = 1;
  give_up(SLEEPING);
  depth = nested;
  p->channel = 0;
}

static void wakeup(void *channel) {
  for (struct proc *p = procs; p < procs + NPROC; p++) if (p->state == SLEEPING && p->channel == channel) p->state = RUNNABLE;
}

static void first_run(void) {
  unlock();
  user_return();
}

static struct proc *process_slot(void) {
  int i = 0;
  while (i < NPROC && procs[i].state != UNUSED) i++;
  if (i == NPROC) panic("no process left");
  struct proc *p = &procs[i];
  fill(p, 0, sizeof *p);
  p->id = i;
  p->parent = -1;
  p->pages = page_alloc();
  p->frame = page_alloc();
  map(p->pages, TRAMPOLINE, (u64)trampoline, PAGE, R | X);
  map(p->pages, TRAPFRAME, (u64)p->frame, PAGE, R | W);
  p->context[0] = (u64)first_run;
  p->context[1] = KSTACK(i) + PAGE;
  return p;
}

static void process_new(u64 program) {
  struct proc *p = process_slot();
  void *code = page_alloc();
  copy(code, user_start, (u64)user_end - (u64)user_start);
  map(p->pages, 0, (u64)code, PAGE, R | X | U);
  map(p->pages, STACK - PAGE, (u64)page_alloc(), PAGE, R | W | U);
  p->frame->x[2] = STACK;
  p->frame->x[10] = program;
  p->state = RUNNABLE;
}

static u64 fork(void) {
  struct proc *p = current, *child = process_slot();
  for (u64 va = 0; va < HEAP_END; va += PAGE) {
    u64 *e = walk(p->pages, va, 0);
    if (!e || !(*e & V)) continue;
    if (*e & W) *e = (*e & ~(u64)W) | COW;
    REF(*e >> 10 << 12)++;
    *walk(child->pages, va, 1) = *e;
  }
  asm volatile("sfence.vma zero, zero");
  *child->frame = *p->frame;
  child->frame->x[10] = 0;
  child->parent = p->id;
  child->state = RUNNABLE;
  return child->id;
}

/** The tables below a root; a leaf's page too when it is the user's. */
static void table_free(table t, int level) {
  for (int i = 0; i < 512; i++) {
    if (!(t[i] & V)) continue;
    void *page = (void *)(t[i] >> 10 << 12);
    if (!(t[i] & (R | W | X))) table_free(page, level - 1);
    else if (t[i] & U) page_free(page);
  }
  page_free(t);
}

static void process_exit(u64 cause, u64 value) {
  lock();
  current->cause = cause;
  current->value = value;
  table_free(current->pages, 2);
  page_free(current->frame);
  wakeup(&procs[current->id < PROGRAMS ? 0 : current->parent]);
  give_up(DEAD);
}

static u64 wait(void) {
  lock();
  for (;;) {
    for (struct proc *p = procs; p < procs + NPROC; p++) {
      if (p->parent != current->id || p->state != DEAD) continue;
      u64 value = p->value;
      p->state = UNUSED;
      unlock();
      return value;
    }
    sleep(current);
  }
}

/** Until all have ended. */
static void schedule(void) {
  for (;;) {
    int alive = 0, ran = 0;
    asm volatile("csrs sstatus, 2");
    for (struct proc *p = procs; p < procs + NPROC; p++) {
      lock();
      if (p->state != UNUSED && p->state != DEAD) alive = 1;
      if (p->state == RUNNABLE) {
        int saved = enabled_before;
        p->state = RUNNING;
        current = p;
        swtch(scheduler_context, p->context);
        current = 0;
        enabled_before = saved;
        ran = 1;
      }
      unlock();
    }
    if (!alive) return;
    if (!ran) {
#ifndef OLD
      asm volatile("wfi");
#endif
    }
  }
}

// ---- traps ----

/** => 2 for the timer, 1 for a device, 0 when it is no interrupt */
static int interrupt(u64 cause) {
  u64 number = cause & 0xff;
  if ((long)cause >= 0) return 0;
  if (number == 9) {
    u32 irq = reg32(PLIC + 0x201004);
    if (irq == 10) uart_interrupt();
    else if (irq == 1) disk_interrupt();
    else spurious += irq != 0;
    if (irq) reg32(PLIC + 0x201004) = irq;
    return 1;
  }
#ifdef OLD
  if (number != 1) return 0;
  csr_write(sip, csr_read(sip) & ~2UL);
#else
  if (number != 5) return 0;
  csr_write(0x14d, csr_read(time) + TICK);
#endif
  ticks++;
  wakeup((void *)&ticks);
  return 2;
}

void kerneltrap(void) {
  u64 epc = csr_read(sepc), status = csr_read(sstatus), cause = csr_read(scause);
  if (!(status & 0x100)) panic("kerneltrap from user mode");
  if (status & 2) panic("kerneltrap with interrupts on");
  lock();
  int which = interrupt(cause);
  unlock();
  if (which == 0) {
    depth = 0; current = 0; big = 0;
    show("kernel trap ", cause); print(" at "); number(epc, 16); print(" value "); number(csr_read(stval), 16);
    panic("\n");
  }
  if (which == 2 && current && depth == 0 && current->state == RUNNING) yield();
  csr_write(sepc, epc);
  csr_write(sstatus, status);
}

static u64 system_call(u64 n, u64 a, u64 b) {
  struct proc *p = current;
  switch (n) {
    case SYS_EXIT: process_exit(8, a); return 0;
    case SYS_TICKS: return ticks;
    case SYS_FORK: { lock(); u64 id = fork(); unlock(); return id; }
    case SYS_WAIT: return wait();
    case SYS_PUTC: putc((char)a); return 0;
    case SYS_YIELD: yield(); return 0;
    case SYS_GETC: {
      lock();
      while (in_r == in_w) sleep(&in_r);
      u64 c = (u8)in[in_r++ % 64];
      unlock();
      return c;
    }
    case SYS_READ: case SYS_WRITE: {
      lock();
      u8 *buffer = page_alloc();
      unlock();
      u64 bad = 0;
      if (n == SYS_WRITE) bad = (u64)user_copy(p, b, buffer, 1024, 0);
      if (!bad) disk_move(a, buffer, n == SYS_WRITE);
      if (n == SYS_READ) bad = (u64)user_copy(p, b, buffer, 1024, 1);
      lock();
      page_free(buffer);
      unlock();
      return bad;
    }
  }
  return (u64)-1;
}

static void user_trap(void) {
  struct proc *p = current;
  u64 cause = csr_read(scause), value = csr_read(stval);
  csr_write(stvec, kernelvec);
  p->frame->epc = csr_read(sepc);
  if (csr_read(sstatus) & 0x100) panic("user_trap from the kernel");
  if (cause == 8) {
    p->frame->epc += 4;
    asm volatile("csrs sstatus, 2");
    p->frame->x[10] = system_call(p->frame->x[17], p->frame->x[10], p->frame->x[11]);
  } else if ((long)cause < 0) {
    lock();
    int which = interrupt(cause);
    unlock();
    if (which == 0) panic("unknown interrupt");
    if (which == 2) yield();
  } else {
    lock();
    int handled = (cause == 13 || cause == 15) && fault_in(p, value, cause == 15);
    unlock();
    if (!handled) process_exit(cause, value);
  }
  user_return();
}

static void user_return(void) {
  struct proc *p = current;
  asm volatile("csrc sstatus, 2");
  csr_write(stvec, TRAMPOLINE + ((u64)uservec - (u64)trampoline));
  p->frame->satp = csr_read(satp);
  p->frame->sp = KSTACK(p->id) + PAGE;
  p->frame->trap = (u64)user_trap;
  p->frame->hart = 0;
  csr_write(sstatus, (csr_read(sstatus) & ~0x100UL) | 0x20);
  csr_write(sepc, p->frame->epc);
#ifdef OLD
  csr_write(sscratch, TRAPFRAME);
#endif
  ((void (*)(u64))(TRAMPOLINE + ((u64)userret - (u64)trampoline)))((8UL << 60) | ((u64)p->pages >> 12));
}
