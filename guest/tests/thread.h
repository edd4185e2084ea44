// What the tests of threads share: calls that answer with an error number, and starting and waiting for threads.
#ifndef THREAD_H
#define THREAD_H
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define OK(call) CHECK((errno = (call)) == 0)
#define IS(call, error) CHECK((errno = (call)) == (error))

static const struct timespec tick = { 0, 1000000 };

static inline struct timespec in_ms(clockid_t clock, int ms) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0);
  t.tv_nsec += ms * 1000000l;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

static inline int has_passed(clockid_t clock, struct timespec at) {
  struct timespec t = in_ms(clock, 0);
  return t.tv_sec > at.tv_sec || (t.tv_sec == at.tv_sec && t.tv_nsec >= at.tv_nsec);
}

static inline pthread_t start(void *(*fn)(void *), void *arg) {
  pthread_t t;
  OK(pthread_create(&t, NULL, fn, arg));
  return t;
}

static inline void *end(pthread_t t) {
  void *result;
  OK(pthread_join(t, &result));
  return result;
}

// Until `*flag` is at least `n`: what a thread says before it blocks.
static inline void await(atomic_int *flag, int n) {
  while (atomic_load(flag) < n) nanosleep(&tick, NULL);
}
#endif
