// epoll, eventfd, timerfd and signalfd. With -v what each says is printed, so that it can be compared with Linux.
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

static int ep;
#define SHOW(x) do { errno = 0; long r_ = (long)(x); printf("%s = %ld %d\n", #x, r_, r_ < 0 ? errno : 0); } while (0)

static int ctl(int op, int fd, unsigned events) {
  struct epoll_event e = { .events = events, .data.u64 = 0x123456789ull * (fd + 1) };
  return epoll_ctl(ep, op, fd, &e);
}

static void waits(const char *what, int ms) {
  struct epoll_event e[8];
  int n = epoll_wait(ep, e, 8, ms);
  printf("%s: %d", what, n);
  for (int i = 0; i < n; i++) printf(" [%x %llx]", e[i].events, (unsigned long long)e[i].data.u64);
  printf("\n");
}

static void levels(void) {
  int p[2], s[2];
  char b[100];
  CHECK(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
  SHOW(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN));
  SHOW(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN));
  SHOW(ctl(EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET));
  waits("writable once", 0);
  waits("then not", 0);
  CHECK(write(p[1], "hello", 5) == 5);
  waits("readable", -1);
  waits("still", -1);
  CHECK(read(p[0], b, 100) == 5);
  waits("empty", 10);
  SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT));
  CHECK(write(p[1], "x", 1) == 1);
  waits("once", 0);
  waits("disabled", 0);
  SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT));
  waits("armed again", 0);
  SHOW(ctl(EPOLL_CTL_DEL, p[0], 0));
  SHOW(ctl(EPOLL_CTL_DEL, p[0], 0));
  SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN));
  SHOW(ctl(EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLRDHUP | EPOLLET));
  CHECK(write(s[1], "abc", 3) == 3);
  waits("edge", 0);
  waits("edge again", 0);
  CHECK(write(s[1], "d", 1) == 1);
  waits("new edge", 0);
  close(s[1]);
  waits("hang up", 0);
  close(s[0]);
  close(p[1]);
  close(p[0]);
  waits("all closed", 10);
}

static void errors(void) {
  int inner = epoll_create1(EPOLL_CLOEXEC), e = eventfd(0, 0), other = ep, file = open("/", O_RDONLY);
  SHOW(ctl(EPOLL_CTL_ADD, ep, EPOLLIN));
  SHOW(ctl(EPOLL_CTL_ADD, 99, EPOLLIN));
  SHOW(ctl(EPOLL_CTL_ADD, file, EPOLLIN));
  SHOW(ctl(9, e, EPOLLIN));
  SHOW(ctl(EPOLL_CTL_ADD, inner, EPOLLIN));
  ep = inner;
  SHOW(ctl(EPOLL_CTL_ADD, other, EPOLLIN));
  SHOW(ctl(EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE));
  SHOW(ctl(EPOLL_CTL_MOD, e, EPOLLIN));
  SHOW(ctl(EPOLL_CTL_DEL, e, 0));
  SHOW(ctl(EPOLL_CTL_ADD, e, EPOLLIN));
  ep = other;
  waits("nested", 0);
  CHECK(eventfd_write(e, 1) == 0);
  waits("nested ready", 0);
  struct epoll_event x;
  SHOW(epoll_wait(ep, &x, 0, 0));
  SHOW(epoll_wait(e, &x, 1, 0));
  SHOW(epoll_create1(1));
  close(inner);
  close(e);
  close(file);
}

static void events(void) {
  int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  uint64_t v = 0;
  SHOW(read(e, &v, 8));
  SHOW(v);
  SHOW(read(e, &v, 8));
  SHOW(read(e, &v, 4));
  v = UINT64_MAX;
  SHOW(write(e, &v, 8));
  v = UINT64_MAX - 1;
  SHOW(write(e, &v, 8));
  v = 1;
  SHOW(write(e, &v, 8));
  struct pollfd f = { e, POLLIN | POLLOUT, 0 };
  SHOW(poll(&f, 1, 0));
  SHOW(f.revents);
  for (int i = 0; i < 3; i++) SHOW(read(s, &v, 8));
  SHOW(v);
  SHOW(eventfd(0, 8));
  int blocking = eventfd(0, 0);
  if (fork() == 0) {
    usleep(2000);
    _exit(eventfd_write(blocking, 7));
  }
  SHOW(read(blocking, &v, 8));
  SHOW(v);
  CHECK(wait(0) > 0);
}

static void timers(void) {
  int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), real = timerfd_create(CLOCK_REALTIME, 0);
  uint64_t v = 0;
  struct itimerspec s = { { 0, 5000000 }, { 0, 5000000 } }, old;
  SHOW(read(t, &v, 8));
  SHOW(timerfd_settime(t, 0, &s, &old));
  SHOW(timerfd_gettime(t, &old));
  SHOW(old.it_interval.tv_nsec);
  CHECK(old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 5000000);
  SHOW(ctl(EPOLL_CTL_ADD, t, EPOLLIN));
  waits("timer", 1000);
  usleep(12000);
  CHECK(read(t, &v, 8) == 8 && v >= 2);
  memset(&s, 0, sizeof s);
  SHOW(timerfd_settime(t, 0, &s, 0));
  waits("disarmed", 10);
  s.it_value.tv_sec = 1;
  SHOW(timerfd_settime(real, TFD_TIMER_ABSTIME, &s, 0));
  SHOW(read(real, &v, 8));
  SHOW(v);
  s.it_value.tv_nsec = 1000000000;
  SHOW(timerfd_settime(t, 0, &s, 0));
  SHOW(timerfd_settime(ep, 0, &old, 0));
  SHOW(timerfd_create(99, 0));
  SHOW(write(t, &v, 8));
}

static void signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  CHECK(sigprocmask(SIG_BLOCK, &set, 0) == 0);
  int s = signalfd(-1, &set, SFD_NONBLOCK);
  struct signalfd_siginfo i[4];
  SHOW(read(s, i, sizeof i));
  SHOW(ctl(EPOLL_CTL_ADD, s, EPOLLIN));
  waits("no signal", 0);
  CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 42 }) == 0 && kill(getpid(), SIGUSR1) == 0);
  waits("signals", 0);
  SHOW(read(s, i, sizeof i) / (long)sizeof *i);
  SHOW(i[0].ssi_signo);
  SHOW(i[0].ssi_pid == (unsigned)getpid());
  SHOW(i[1].ssi_int);
  SHOW(read(s, i, 100));
  sigdelset(&set, SIGUSR1);
  SHOW(signalfd(s, &set, 0) == s);
  CHECK(kill(getpid(), SIGUSR1) == 0);
  SHOW(read(s, i, sizeof i));
  SHOW(signalfd(ep, &set, 0));
}

int main(int argc, char **argv) {
  if (argc < 2 || strcmp(argv[1], "-v")) CHECK(freopen("/dev/null", "w", stdout));
  setvbuf(stdout, 0, _IONBF, 0);
  ep = epoll_create1(0);
  CHECK(ep >= 0);
  levels();
  errors();
  events();
  timers();
  signals();
  return 0;
}
