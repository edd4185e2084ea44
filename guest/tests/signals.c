// Signals: handlers, masks, restarts, the alternate stack, queues, registers over a handler.
#include "check.h"
#include <signal.h>
#include <sys/time.h>

static volatile int count, last_value, on_stack;
static char stack[16384];

static void handler(int sig) { (void)sig; count++; }
static void queued(int sig, siginfo_t *info, void *c) { (void)sig; (void)c; last_value = last_value * 10 + info->si_value.sival_int; }
static void where(int sig) { char here; (void)sig; on_stack = &here > stack && &here < stack + sizeof stack; }
static void floating(int sig) { volatile double x = 1.0; (void)sig; for (int i = 0; i < 100; i++) x *= 1.5; count++; }

int main(void) {
  struct sigaction sa = { .sa_handler = handler }, old;
  CHECK(sigaction(SIGUSR1, &sa, 0) == 0 && raise(SIGUSR1) == 0 && count == 1);
  sigset_t set, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK(sigprocmask(SIG_BLOCK, &set, 0) == 0 && raise(SIGUSR1) == 0 && count == 1);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
  sigset_t none;
  sigemptyset(&none);
  FAILS(sigsuspend(&none), EINTR);
  CHECK(count == 2 && sigprocmask(SIG_UNBLOCK, &set, 0) == 0);
  int p[2];
  char c;
  CHECK(pipe(p) == 0);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) { usleep(20000); kill(parent, SIGUSR1); usleep(20000); write(p[1], "r", 1); _exit(0); }
  FAILS(read(p[0], &c, 1), EINTR);
  CHECK(read(p[0], &c, 1) == 1 && wait(0) == pid);
  sa.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &sa, &old);
  pid = fork();
  if (pid == 0) { usleep(20000); kill(parent, SIGUSR1); usleep(20000); write(p[1], "s", 1); _exit(0); }
  CHECK(read(p[0], &c, 1) == 1 && c == 's' && wait(0) == pid);
  struct sigaction rt = { .sa_sigaction = queued, .sa_flags = SA_SIGINFO };
  sigaction(SIGRTMIN + 1, &rt, 0);
  sigaddset(&set, SIGRTMIN + 1);
  sigprocmask(SIG_BLOCK, &set, 0);
  for (int i = 1; i <= 3; i++) CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i }) == 0);
  sigprocmask(SIG_UNBLOCK, &set, 0);
  CHECK(last_value == 123);
  stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack };
  struct sigaction alt = { .sa_handler = where, .sa_flags = SA_ONSTACK };
  CHECK(sigaltstack(&ss, 0) == 0 && sigaction(SIGUSR2, &alt, 0) == 0 && raise(SIGUSR2) == 0 && on_stack);
  struct sigaction fp = { .sa_handler = floating };
  sigaction(SIGALRM, &fp, 0);
  count = 0;
  struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
  CHECK(setitimer(ITIMER_REAL, &every, 0) == 0);
  volatile double sum = 0;
  double expect = 0;
  for (int i = 1; count < 5 && i < 100000000; i++) { sum += 1.0 / i; expect += 1.0 / i; if (sum != expect) break; }
  CHECK(sum == expect && count >= 5);
  FAILS(kill(99999, 0), ESRCH);
  FAILS(sigaction(SIGKILL, &sa, 0), EINVAL);
  return 0;
}
