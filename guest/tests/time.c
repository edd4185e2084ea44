// Clocks, sleeps and timers.
#include "check.h"
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static volatile int alarms;
static void on_alarm(int sig) { (void)sig; alarms++; }

static long long now(clockid_t clock) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0 && t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void clocks(void) {
  long long last = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME);
  for (int i = 0; i < 1000; i++) {
    long long t = now(CLOCK_MONOTONIC);
    CHECK(t >= last);
    last = t;
  }
  struct timespec res;
  CHECK(clock_getres(CLOCK_MONOTONIC, &res) == 0 && res.tv_sec == 0 && res.tv_nsec >= 1);
  FAILS(clock_gettime(77, &res), EINVAL);
  struct timeval tv;
  CHECK(gettimeofday(&tv, NULL) == 0 && tv.tv_sec >= real / 1000000000 && time(NULL) >= tv.tv_sec);
}

static void sleeps(void) {
  struct timespec ask = { 0, 20000000 }, left = { 9, 9 }, bad = { 0, 1000000000 }, negative = { -1, 0 };
  long long before = now(CLOCK_MONOTONIC);
  CHECK(nanosleep(&ask, NULL) == 0 && now(CLOCK_MONOTONIC) - before >= 20000000);
  FAILS(nanosleep(&bad, NULL), EINVAL);
  FAILS(nanosleep(&negative, NULL), EINVAL);
  before = now(CLOCK_MONOTONIC) + 10000000;
  struct timespec until = { before / 1000000000, before % 1000000000 };
  CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0 && now(CLOCK_MONOTONIC) >= before);
  CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
  // Interrupted: what is left is told, and is less.
  struct itimerval soon = { { 0, 0 }, { 0, 10000 } };
  ask.tv_sec = 5;
  CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
  FAILS(nanosleep(&ask, &left), EINTR);
  CHECK(alarms == 1 && left.tv_sec < 6 && left.tv_sec >= 4);
}

static void intervals(void) {
  struct itimerval each = { { 0, 2000 }, { 0, 2000 } }, old, none = { { 0, 0 }, { 0, 0 } };
  alarms = 0;
  CHECK(setitimer(ITIMER_REAL, &each, NULL) == 0);
  while (alarms < 5) pause();
  CHECK(setitimer(ITIMER_REAL, &none, &old) == 0 && old.it_interval.tv_usec == 2000 && old.it_value.tv_sec == 0 && old.it_value.tv_usec <= 2000);
  int seen = alarms;
  struct timespec wait = { 0, 10000000 };
  CHECK(nanosleep(&wait, NULL) == 0 && alarms == seen);
  CHECK(alarm(10) == 0 && alarm(0) == 10);
  each.it_value.tv_usec = 1000000;
  FAILS(setitimer(ITIMER_REAL, &each, NULL), EINVAL);
}

static void posix_timers(void) {
  timer_t timer;
  struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
  struct itimerspec set = { { 0, 1000000 }, { 0, 1000000 } }, get;
  alarms = 0;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &set, NULL) == 0);
  while (alarms < 3) pause();
  CHECK(timer_gettime(timer, &get) == 0 && get.it_interval.tv_nsec == 1000000);
  CHECK(timer_delete(timer) == 0);
  FAILS(timer_gettime(timer, &get), EINVAL);
}

int main(void) {
  signal(SIGALRM, on_alarm);
  clocks();
  sleeps();
  intervals();
  posix_timers();
  return 0;
}
