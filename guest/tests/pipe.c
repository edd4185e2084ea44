// Pipes: order, capacity, atomic writes, the ends, poll.
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static void big_transfer(void) {
  int p[2], status;
  CHECK(pipe(p) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    static unsigned char out[1 << 20];
    close(p[0]);
    for (size_t i = 0; i < sizeof out; i++) out[i] = i * 7 + (i >> 8);
    for (size_t done = 0; done < sizeof out;) {
      ssize_t n = write(p[1], out + done, sizeof out - done);
      if (n <= 0) _exit(1);
      done += n;
    }
    _exit(0);
  }
  close(p[1]);
  static unsigned char in[3000];
  size_t at = 0;
  for (ssize_t n; (n = read(p[0], in, sizeof in)) > 0;)
    for (ssize_t i = 0; i < n; i++, at++) CHECK(in[i] == (unsigned char)(at * 7 + (at >> 8)));
  CHECK(at == 1 << 20);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  close(p[0]);
}

static void ends(void) {
  int p[2];
  char c = 'x', buffer[8];
  CHECK(pipe(p) == 0);
  CHECK(write(p[1], "abc", 3) == 3);
  close(p[1]);
  CHECK(read(p[0], buffer, 8) == 3 && read(p[0], buffer, 8) == 0);
  close(p[0]);
  CHECK(pipe(p) == 0);
  close(p[0]);
  signal(SIGPIPE, SIG_IGN);
  FAILS(write(p[1], &c, 1), EPIPE);
  signal(SIGPIPE, SIG_DFL);
  close(p[1]);
}

static void dies_of_sigpipe(void) {
  int p[2];
  CHECK(pipe(p) == 0);
  close(p[0]);
  write(p[1], "x", 1);
}

static void nonblocking(void) {
  int p[2], n = 0;
  static char page[4096];
  CHECK(pipe2(p, O_NONBLOCK) == 0);
  FAILS(read(p[0], page, 1), EAGAIN);
  while (write(p[1], page, sizeof page) == sizeof page) n++;
  CHECK(errno == EAGAIN && n == 16);
  CHECK(fcntl(p[1], F_GETPIPE_SZ) == 65536);
  int pending;
  CHECK(ioctl(p[0], FIONREAD, &pending) == 0 && pending == 65536);
  struct pollfd f[2] = { { p[0], POLLIN, 0 }, { p[1], POLLOUT, 0 } };
  CHECK(poll(f, 2, 0) == 1 && f[0].revents == POLLIN);
  CHECK(read(p[0], page, 4096) == 4096);
  CHECK(poll(f, 2, 0) == 2 && f[1].revents == POLLOUT);
  CHECK(read(p[0], page, 10) == 10 && write(p[1], page, 4096) == 4096);
  FAILS(write(p[1], page, 4096), EAGAIN);
  CHECK(fcntl(p[1], F_SETPIPE_SZ, 1 << 18) == 1 << 18);
  CHECK(write(p[1], page, 4096) == 4096);
  close(p[0]);
  close(p[1]);
}

static void fifo(void) {
  unlink("/tmp/fifo");
  CHECK(mkfifo("/tmp/fifo", 0600) == 0);
  FAILS(open("/tmp/fifo", O_WRONLY | O_NONBLOCK), ENXIO);
  pid_t pid = fork();
  if (pid == 0) {
    int fd = open("/tmp/fifo", O_WRONLY);
    _exit(write(fd, "through", 7) != 7);
  }
  char buffer[16];
  int fd = open("/tmp/fifo", O_RDONLY), status;
  CHECK(fd >= 0 && read(fd, buffer, 16) == 7 && !memcmp(buffer, "through", 7) && read(fd, buffer, 16) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0 && unlink("/tmp/fifo") == 0);
}

int main(void) {
  big_transfer();
  ends();
  int status = in_child(dies_of_sigpipe);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
  nonblocking();
  fifo();
  return 0;
}
