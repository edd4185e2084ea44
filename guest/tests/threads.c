// Threads of one process, as musl makes them of clone and futexes: their life, and what they wait for each other with.
#include "thread.h"
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define CROWD 50
enum { FUTEX_WAIT, FUTEX_WAKE, FUTEX_CMP_REQUEUE = 4, FUTEX_WAKE_OP };
enum { FUTEX_OP_SET, FUTEX_OP_ADD, FUTEX_OP_CMP_EQ = 0, FUTEX_OP_CMP_GT = 4 };
#define FUTEX_OP(op, arg, compare, than) ((unsigned)(op) << 28 | (compare) << 24 | ((arg) & 0xfff) << 12 | ((than) & 0xfff))

static void *twice(void *arg) { return (void *)((long)arg * 2); }
static void *by_exit(void *arg) { pthread_exit((void *)((long)arg + 1)); }

// ---- create, join, detach, clear_child_tid ---------------------------------------------------------------------------

static atomic_int detached;
static void *detach(void *arg) {
  if (arg) OK(pthread_detach(pthread_self()));
  atomic_fetch_add(&detached, 1);
  return NULL;
}

static char raw_stack[16384] __attribute__((aligned(16)));

static void life(void) {
  pthread_t t[8];
  for (long i = 0; i < 8; i++) t[i] = start(i & 1 ? by_exit : twice, (void *)i);
  for (long i = 0; i < 8; i++) CHECK((long)end(t[i]) == (i & 1 ? i + 1 : i * 2));
  for (long i = 0; i < 20; i++) {
    pthread_t d = start(detach, (void *)(i & 1));
    if (!(i & 1)) OK(pthread_detach(d));
  }
  await(&detached, 20);
  pthread_attr_t attr;
  size_t size;
  OK(pthread_attr_init(&attr));
  OK(pthread_attr_setstacksize(&attr, 1 << 20));
  OK(pthread_attr_getstacksize(&attr, &size));
  CHECK(size == 1 << 20);
  OK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
  OK(pthread_create(t, &attr, detach, NULL));
  await(&detached, 21);
}

// A thread without pthreads: it gets its tid before it runs, and the kernel clears and wakes the word when it is gone.
static char raw_stack[16384] __attribute__((aligned(16)));
volatile int raw_seen[2], raw_go;
static volatile int tids[1024] __attribute__((aligned(4096)));

static void raw_thread(void) {
  raw_seen[0] = tids[0];
  raw_seen[1] = syscall(SYS_gettid);
  while (!raw_go) sched_yield();
  syscall(SYS_exit, 0);
}

static void clear_child_tid(void) {
  enum { FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x100000 | 0x1000000 | 0x200000 };
  register long a0 __asm__("a0") = FLAGS, a1 __asm__("a1") = (long)(raw_stack + sizeof raw_stack), a2 __asm__("a2") = (long)&tids[1];
  register long a3 __asm__("a3") = 0, a4 __asm__("a4") = (long)&tids[0], a7 __asm__("a7") = SYS_clone;
  __asm__ volatile("ecall\nbnez a0, 1f\ncall %[child]\n1:" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7), [child] "i"(raw_thread) : "memory", "ra", "t0", "t1");
  int tid = a0, now, status;
  CHECK(tid > 0 && tids[1] == tid);
  while (raw_seen[1] == 0) nanosleep(&tick, NULL);
  // A child makes the word's page one that the kernel has to copy before it can clear it.
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 30; i++) nanosleep(&tick, NULL);
    _exit(tids[0] == tid ? 0 : 1);
  }
  raw_go = 1;
  while ((now = tids[0]) != 0) syscall(SYS_futex, &tids[0], FUTEX_WAIT, now, NULL);
  CHECK(raw_seen[0] == tid && raw_seen[1] == tid && waitpid(pid, &status, 0) == pid && status == 0);
  FAILS(syscall(SYS_tgkill, getpid(), tid, 0), ESRCH);
  // The last who has the memory leaves the word as it is.
  volatile int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *word = 77;
  pid = fork();
  if (pid == 0) _exit(syscall(SYS_set_tid_address, word) == getpid() ? 0 : 1);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0 && *word == 77);
  CHECK(munmap((void *)word, 4096) == 0);
}

// ---- futexes ---------------------------------------------------------------------------------------------------------

static atomic_int word_a, word_b, sleepers;

static void *sleep_on(void *word) {
  atomic_fetch_add(&sleepers, 1);
  CHECK(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL) == 0);
  return NULL;
}

static void two_sleepers(pthread_t *t) {
  sleepers = 0;
  t[0] = start(sleep_on, &word_a);
  t[1] = start(sleep_on, &word_b);
  await(&sleepers, 2);
  nanosleep(&tick, NULL);
}

static void futexes(void) {
  pthread_t t[2];
  struct timespec none = { 0, 0 }, bad = { 0, 1000000000 };
  FAILS(syscall(SYS_futex, &word_a, FUTEX_WAIT, 1, NULL), EAGAIN);
  FAILS(syscall(SYS_futex, &word_a, FUTEX_WAIT, 0, &none), ETIMEDOUT);
  FAILS(syscall(SYS_futex, &word_a, FUTEX_WAIT, 0, &bad), EINVAL);
  FAILS(syscall(SYS_futex, (char *)&word_a + 1, FUTEX_WAKE, 1), EINVAL);
  FAILS(syscall(SYS_futex, (void *)64, FUTEX_WAIT, 0, NULL), EFAULT);
  CHECK(syscall(SYS_futex, &word_a, FUTEX_WAKE, 1) == 0);
  // WAKE_OP: the second word becomes 5 + 7, and as it was above 4, both are woken.
  two_sleepers(t);
  word_b = 5;
  CHECK(syscall(SYS_futex, &word_a, FUTEX_WAKE_OP, 1, 1l, &word_b, FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_GT, 4)) == 2 && word_b == 12);
  end(t[0]);
  end(t[1]);
  word_b = 0;
  two_sleepers(t);
  CHECK(syscall(SYS_futex, &word_a, FUTEX_WAKE_OP, 1, 1l, &word_b, FUTEX_OP(FUTEX_OP_SET, 3, FUTEX_OP_CMP_EQ, -1)) == 1 && word_b == 3);
  end(t[0]);
  // Moved from one word to another, where it is woken.
  FAILS(syscall(SYS_futex, &word_b, FUTEX_CMP_REQUEUE, 0, 1l, &word_a, 4), EAGAIN);
  CHECK(syscall(SYS_futex, &word_b, FUTEX_CMP_REQUEUE, 0, 1l, &word_a, 3) == 1);
  CHECK(syscall(SYS_futex, &word_b, FUTEX_WAKE, 9) == 0 && syscall(SYS_futex, &word_a, FUTEX_WAKE, 9) == 1);
  end(t[1]);
}

// ---- mutexes ---------------------------------------------------------------------------------------------------------

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *increment(void *arg) {
  for (long i = 0; i < (long)arg; i++) {
    OK(pthread_mutex_lock(&lock));
    long seen = counter;
    if (i % 8 == 0) sched_yield();
    counter = seen + 1;
    OK(pthread_mutex_unlock(&lock));
  }
  return NULL;
}

static void crowd(void) {
  pthread_t t[CROWD];
  for (int i = 0; i < CROWD; i++) t[i] = start(increment, (void *)40);
  for (int i = 0; i < CROWD; i++) end(t[i]);
  CHECK(counter == CROWD * 40);
}

static void *try_lock(void *m) { return (void *)(long)pthread_mutex_trylock(m); }
static void *unlock(void *m) { return (void *)(long)pthread_mutex_unlock(m); }
static void *lock_and_die(void *m) { return (void *)(long)pthread_mutex_lock(m); }

static void new_mutex(pthread_mutex_t *m, int type, int robust) {
  pthread_mutexattr_t a;
  OK(pthread_mutexattr_init(&a));
  OK(pthread_mutexattr_settype(&a, type));
  OK(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_NONE));
  OK(pthread_mutexattr_setrobust(&a, robust ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED));
  OK(pthread_mutex_init(m, &a));
  OK(pthread_mutexattr_destroy(&a));
}

static void mutexes(void) {
  pthread_mutex_t m;
  new_mutex(&m, PTHREAD_MUTEX_NORMAL, 0);
  OK(pthread_mutex_lock(&m));
  IS(pthread_mutex_trylock(&m), EBUSY);
  struct timespec soon = in_ms(CLOCK_REALTIME, 10);
  IS(pthread_mutex_timedlock(&m, &soon), ETIMEDOUT);
  CHECK(has_passed(CLOCK_REALTIME, soon));
  OK(pthread_mutex_unlock(&m));
  OK(pthread_mutex_destroy(&m));
  new_mutex(&m, PTHREAD_MUTEX_RECURSIVE, 0);
  for (int i = 0; i < 3; i++) OK(pthread_mutex_lock(&m));
  CHECK((long)end(start(try_lock, &m)) == EBUSY && (long)end(start(unlock, &m)) == EPERM);
  for (int i = 0; i < 3; i++) OK(pthread_mutex_unlock(&m));
  IS(pthread_mutex_unlock(&m), EPERM);
  new_mutex(&m, PTHREAD_MUTEX_ERRORCHECK, 0);
  OK(pthread_mutex_lock(&m));
  IS(pthread_mutex_lock(&m), EDEADLK);
  CHECK((long)end(start(unlock, &m)) == EPERM);
  OK(pthread_mutex_unlock(&m));
  IS(pthread_mutex_unlock(&m), EPERM);
  new_mutex(&m, PTHREAD_MUTEX_NORMAL, 1);
  CHECK((long)end(start(lock_and_die, &m)) == 0);
  IS(pthread_mutex_lock(&m), EOWNERDEAD);
  OK(pthread_mutex_consistent(&m));
  OK(pthread_mutex_unlock(&m));
  CHECK((long)end(start(lock_and_die, &m)) == 0);
  IS(pthread_mutex_trylock(&m), EOWNERDEAD);
  OK(pthread_mutex_unlock(&m));
  IS(pthread_mutex_lock(&m), ENOTRECOVERABLE);
}

// ---- condition variables, barriers, rwlocks, semaphores, once, thread-local storage ----------------------------------

static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn, ended;

static void *in_turn(void *arg) {
  OK(pthread_mutex_lock(&lock));
  while (turn != (long)arg) OK(pthread_cond_wait(&changed, &lock));
  turn++;
  OK(pthread_cond_broadcast(&changed));
  OK(pthread_mutex_unlock(&lock));
  return NULL;
}

static void *one_signal(void *arg) {
  (void)arg;
  OK(pthread_mutex_lock(&lock));
  while (turn == 0) OK(pthread_cond_wait(&changed, &lock));
  turn--;
  ended++;
  OK(pthread_mutex_unlock(&lock));
  return NULL;
}

static void conditions(void) {
  pthread_t t[10];
  turn = 0;
  for (long i = 9; i >= 0; i--) t[i] = start(in_turn, (void *)i);
  for (int i = 0; i < 10; i++) end(t[i]);
  CHECK(turn == 10);
  turn = 0;
  for (int i = 0; i < 5; i++) t[i] = start(one_signal, NULL);
  for (int i = 0; i < 5; i++) {
    OK(pthread_mutex_lock(&lock));
    turn++;
    OK(pthread_cond_signal(&changed));
    OK(pthread_mutex_unlock(&lock));
  }
  for (int i = 0; i < 5; i++) end(t[i]);
  CHECK(turn == 0 && ended == 5);
  pthread_condattr_t attr;
  pthread_cond_t timed;
  OK(pthread_condattr_init(&attr));
  for (int i = 0; i < 2; i++) {
    clockid_t clock = i ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    OK(pthread_condattr_setclock(&attr, clock));
    OK(pthread_cond_init(&timed, &attr));
    OK(pthread_mutex_lock(&lock));
    struct timespec until = in_ms(clock, 15);
    IS(pthread_cond_timedwait(&timed, &lock, &until), ETIMEDOUT);
    CHECK(has_passed(clock, until));
    IS(pthread_cond_timedwait(&timed, &lock, &until), ETIMEDOUT);
    OK(pthread_mutex_unlock(&lock));
    OK(pthread_cond_destroy(&timed));
  }
}

static pthread_barrier_t barrier;
static atomic_int arrived, serials;

static void *meet(void *arg) {
  for (int round = 1; round <= (long)arg; round++) {
    atomic_fetch_add(&arrived, 1);
    int r = pthread_barrier_wait(&barrier);
    CHECK(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
    if (r != 0) atomic_fetch_add(&serials, 1);
    CHECK(atomic_load(&arrived) >= round * 6);
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

static void barriers(void) {
  pthread_t t[5];
  OK(pthread_barrier_init(&barrier, NULL, 6));
  for (int i = 0; i < 5; i++) t[i] = start(meet, (void *)4);
  meet((void *)4);
  for (int i = 0; i < 5; i++) end(t[i]);
  CHECK(arrived == 24 && serials == 4);
  OK(pthread_barrier_destroy(&barrier));
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long left_half, right_half;

static void *reader(void *arg) {
  (void)arg;
  for (int i = 0; i < 30; i++) {
    OK(pthread_rwlock_rdlock(&rw));
    long seen = left_half;
    sched_yield();
    CHECK(seen == right_half);
    OK(pthread_rwlock_unlock(&rw));
  }
  return NULL;
}

static void *writer(void *arg) {
  (void)arg;
  for (int i = 0; i < 30; i++) {
    OK(pthread_rwlock_wrlock(&rw));
    left_half++;
    sched_yield();
    right_half++;
    OK(pthread_rwlock_unlock(&rw));
  }
  return NULL;
}

static void *try_write(void *arg) { (void)arg; return (void *)(long)pthread_rwlock_trywrlock(&rw); }

static void rwlocks(void) {
  pthread_t t[6];
  for (int i = 0; i < 6; i++) t[i] = start(i < 2 ? writer : reader, NULL);
  for (int i = 0; i < 6; i++) end(t[i]);
  CHECK(left_half == 60 && right_half == 60);
  OK(pthread_rwlock_rdlock(&rw));
  OK(pthread_rwlock_tryrdlock(&rw));
  CHECK((long)end(start(try_write, NULL)) == EBUSY);
  struct timespec soon = in_ms(CLOCK_REALTIME, 10);
  IS(pthread_rwlock_timedwrlock(&rw, &soon), ETIMEDOUT);
  OK(pthread_rwlock_unlock(&rw));
  OK(pthread_rwlock_unlock(&rw));
}

static sem_t items, room;
static int queue[4], produced;

static void *consume(void *arg) {
  long sum = 0;
  (void)arg;
  for (int i = 0; i < 40; i++) {
    CHECK(sem_wait(&items) == 0);
    sum += queue[i % 4];
    CHECK(sem_post(&room) == 0);
  }
  return (void *)sum;
}

static void semaphores(void) {
  CHECK(sem_init(&items, 0, 0) == 0 && sem_init(&room, 0, 4) == 0);
  pthread_t t = start(consume, NULL);
  for (produced = 0; produced < 40; produced++) {
    CHECK(sem_wait(&room) == 0);
    queue[produced % 4] = produced;
    CHECK(sem_post(&items) == 0);
  }
  CHECK((long)end(t) == 39 * 40 / 2);
  struct timespec soon = in_ms(CLOCK_REALTIME, 10);
  FAILS(sem_timedwait(&items, &soon), ETIMEDOUT);
  FAILS(sem_trywait(&items), EAGAIN);
}

static _Thread_local long mine = 5;
static _Thread_local char zeros[3000];
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int onces, destroyed;

static void make_key(void) { onces++; nanosleep(&tick, NULL); }
static void destroy_key(void *v) { destroyed += (long)v; }

static void *local(void *arg) {
  CHECK(mine == 5 && zeros[2999] == 0 && pthread_getspecific(key) == NULL);
  OK(pthread_once(&once, make_key));
  mine = (long)arg;
  zeros[2999] = 1;
  OK(pthread_setspecific(key, arg));
  sched_yield();
  CHECK(mine == (long)arg && pthread_getspecific(key) == arg);
  return &mine;
}

static void storage(void) {
  pthread_t t[8];
  OK(pthread_key_create(&key, destroy_key));
  for (long i = 1; i <= 8; i++) t[i - 1] = start(local, (void *)i);
  for (int i = 0; i < 8; i++) CHECK(end(t[i]) != &mine);
  CHECK(mine == 5 && onces == 1 && destroyed == 36);
  OK(pthread_key_delete(key));
}

int main(void) {
  life();
  clear_child_tid();
  futexes();
  crowd();
  mutexes();
  conditions();
  barriers();
  rwlocks();
  semaphores();
  storage();
  return 0;
}
