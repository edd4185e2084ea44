// Signals to processes of several threads and to single threads, and cancellation, which is made of them.
#include "thread.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

// ---- signals ---------------------------------------------------------------------------------------------------------

static _Thread_local volatile int hits;
static atomic_int ready, total_hits, stop;
static void on_usr(int sig) { (void)sig; hits++; atomic_fetch_add(&total_hits, 1); }

static sigset_t set_of(int sig) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, sig);
  return s;
}

static void *wait_for_hits(void *arg) {
  sigset_t usr1 = set_of(SIGUSR1), was;
  OK(pthread_sigmask(arg ? SIG_UNBLOCK : SIG_BLOCK, &usr1, &was));
  CHECK(sigismember(&was, SIGUSR1) == 1);
  atomic_fetch_add(&ready, 1);
  while (!atomic_load(&stop)) nanosleep(&tick, NULL);
  return (void *)(long)hits;
}

static void *take_signal(void *arg) {
  sigset_t usr1 = set_of(SIGUSR1);
  int sig = 0;
  (void)arg;
  atomic_fetch_add(&ready, 1);
  OK(sigwait(&usr1, &sig));
  return (void *)(long)sig;
}

static void *go_after_ready(void *arg) {
  atomic_fetch_add(&ready, 1);
  nanosleep(&tick, NULL);
  return arg;
}

static void *unblock_late(void *arg) {
  sigset_t usr1 = set_of(SIGUSR1);
  atomic_fetch_add(&ready, 1);
  while (!atomic_load(&stop)) sched_yield();
  OK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL));
  CHECK(hits == 1);
  return arg;
}

static void signals(void) {
  struct sigaction act = { .sa_handler = on_usr, .sa_flags = SA_RESTART };
  sigset_t usr1 = set_of(SIGUSR1), pending;
  CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
  OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
  pthread_t t[3];
  for (long i = 0; i < 3; i++) t[i] = start(wait_for_hits, (void *)(long)(i == 1));
  await(&ready, 3);
  // To the process: only the one that does not block it. To threads: each its own, or it waits there.
  CHECK(kill(getpid(), SIGUSR1) == 0);
  await(&total_hits, 1);
  OK(pthread_kill(t[1], SIGUSR1));
  await(&total_hits, 2);
  OK(pthread_kill(t[0], SIGUSR1));
  OK(pthread_kill(t[2], 0));
  nanosleep(&tick, NULL);
  CHECK(total_hits == 2 && hits == 0 && sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR1));
  stop = 1;
  CHECK((long)end(t[0]) == 0 && (long)end(t[1]) == 2 && (long)end(t[2]) == 0);
  // What waited at a thread is gone with it. sigwait takes what all block.
  ready = stop = 0;
  t[0] = start(take_signal, NULL);
  t[1] = start(go_after_ready, NULL);
  await(&ready, 2);
  nanosleep(&tick, NULL);
  CHECK(kill(getpid(), SIGUSR1) == 0 && (long)end(t[0]) == SIGUSR1 && total_hits == 2);
  end(t[1]);
  // Everybody blocks it: it waits for the one who does no longer.
  ready = 0;
  CHECK(kill(getpid(), SIGUSR1) == 0);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
  t[0] = start(unblock_late, NULL);
  await(&ready, 1);
  stop = 1;
  end(t[0]);
  CHECK(total_hits == 3 && hits == 0);
  OK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL));
}

// A signal for the process that a thread was to take must find another when that one blocks it meanwhile, or ends.
static atomic_int second;
static void on_second(int sig) { (void)sig; atomic_fetch_add(&second, 1); }
static void slow_first(int sig) {
  (void)sig;
  for (int i = 0; i < 200 && !atomic_load(&second); i++) nanosleep(&tick, NULL);
  CHECK(atomic_load(&second) == 1);
}

static void *be_there(void *arg) {
  atomic_fetch_add(&ready, 1);
  while (!atomic_load(&stop)) pause();
  return arg;
}

static void retarget(void) {
  struct sigaction first = { .sa_handler = slow_first }, other = { .sa_handler = on_second };
  sigaddset(&first.sa_mask, SIGUSR2);
  CHECK(sigaction(SIGUSR1, &first, NULL) == 0 && sigaction(SIGUSR2, &other, NULL) == 0);
  ready = stop = second = 0;
  pthread_t t = start(be_there, NULL);
  await(&ready, 1);
  nanosleep(&tick, NULL);
  sigset_t both = set_of(SIGUSR1), was;
  sigaddset(&both, SIGUSR2);
  OK(pthread_sigmask(SIG_BLOCK, &both, &was));
  // Both signals come to us at once: the first's handler blocks the second, which is for the other thread then.
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 5; i++) nanosleep(&tick, NULL);
    CHECK(kill(getppid(), SIGUSR1) == 0 && kill(getppid(), SIGUSR2) == 0);
    _exit(0);
  }
  OK(pthread_sigmask(SIG_SETMASK, &was, NULL));
  int status;
  while (waitpid(pid, &status, 0) != pid) CHECK(errno == EINTR);
  await(&second, 1);
  stop = 1;
  OK(pthread_kill(t, SIGUSR2));
  end(t);
}

// A wait with a time limit that a handler interrupts ends with EINTR, or at its time: never later.
static void timed_waits(void) {
  static int word;
  for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
    struct sigaction act = { .sa_handler = on_second, .sa_flags = flags };
    struct itimerval each = { { 0, 3000 }, { 0, 3000 } }, none = { { 0, 0 }, { 0, 0 } };
    struct timespec wait = { 0, 10000000 };
    CHECK(sigaction(SIGALRM, &act, NULL) == 0 && setitimer(ITIMER_REAL, &each, NULL) == 0);
    FAILS(syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, &wait), EINTR);
    CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
    signal(SIGALRM, SIG_DFL);
  }
  // Stopped and continued without a handler, it goes on to the same moment.
  struct timespec until = in_ms(CLOCK_MONOTONIC, 30), wait = { 0, 30000000 }, late = in_ms(CLOCK_MONOTONIC, 45);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 20; i++) nanosleep(&tick, NULL);
    CHECK(kill(getppid(), SIGSTOP) == 0 && kill(getppid(), SIGCONT) == 0);
    _exit(0);
  }
  FAILS(syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, &wait), ETIMEDOUT);
  CHECK(has_passed(CLOCK_MONOTONIC, until) && !has_passed(CLOCK_MONOTONIC, late));
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

// ---- cancellation ----------------------------------------------------------------------------------------------------

static atomic_int cleaned;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static sem_t items;
static int pipe_fds[2];
static void clean(void *arg) { (void)arg; atomic_fetch_add(&cleaned, 1); }

static void *block_in(void *arg) {
  char c;
  long which = (long)arg;
  pthread_cleanup_push(clean, NULL);
  atomic_fetch_add(&ready, 1);
  if (which == 0) read(pipe_fds[0], &c, 1);
  else if (which == 1) for (;;) pause();
  else if (which == 2) sem_wait(&items);
  else if (which == 3) {
    struct timespec day = { 86400, 0 };
    nanosleep(&day, NULL);
  } else if (which == 4) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (volatile long i = 0;; i++) { }
  } else {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    while (!atomic_load(&stop)) nanosleep(&tick, NULL);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_testcancel();
  }
  pthread_cleanup_pop(0);
  return NULL;
}

static void unlock_mutex(void *m) { OK(pthread_mutex_unlock(m)); }

static void *wait_cancelled(void *arg) {
  OK(pthread_mutex_lock(&lock));
  pthread_cleanup_push(unlock_mutex, &lock);
  atomic_fetch_add(&ready, 1);
  for (;;) pthread_cond_wait(&changed, &lock);
  pthread_cleanup_pop(1);
  return arg;
}

static void cancellation(void) {
  CHECK(pipe(pipe_fds) == 0);
  ready = stop = 0;
  pthread_t t[6];
  for (long i = 0; i < 6; i++) t[i] = start(block_in, (void *)i);
  await(&ready, 6);
  for (int i = 0; i < 3; i++) nanosleep(&tick, NULL);
  for (int i = 0; i < 6; i++) OK(pthread_cancel(t[i]));
  for (int i = 0; i < 5; i++) CHECK(end(t[i]) == PTHREAD_CANCELED);
  CHECK(cleaned == 5);
  stop = 1;
  CHECK(end(t[5]) == PTHREAD_CANCELED && cleaned == 6);
  pthread_t w = start(wait_cancelled, NULL);
  await(&ready, 7);
  nanosleep(&tick, NULL);
  OK(pthread_cancel(w));
  CHECK(end(w) == PTHREAD_CANCELED);
  OK(pthread_mutex_lock(&lock));
  OK(pthread_mutex_unlock(&lock));
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

int main(void) {
  signals();
  retarget();
  timed_waits();
  cancellation();
  return 0;
}
