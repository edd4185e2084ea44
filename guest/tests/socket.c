// AF_UNIX sockets: pairs, names, datagrams, descriptors, shutdown.
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static void pair(void) {
  int s[2];
  char buffer[16];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
  CHECK(write(s[0], "ping", 4) == 4 && read(s[1], buffer, 16) == 4 && !memcmp(buffer, "ping", 4));
  CHECK(send(s[1], "pong", 4, 0) == 4 && recv(s[0], buffer, 16, MSG_PEEK) == 4 && recv(s[0], buffer, 2, 0) == 2 && recv(s[0], buffer, 16, 0) == 2);
  FAILS(recv(s[0], buffer, 1, MSG_DONTWAIT), EAGAIN);
  CHECK(shutdown(s[0], SHUT_WR) == 0 && read(s[1], buffer, 1) == 0);
  FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK(write(s[1], "y", 1) == 1 && read(s[0], buffer, 1) == 1);
  close(s[0]);
  struct pollfd f = { s[1], POLLIN, 0 };
  CHECK(poll(&f, 1, 0) == 1 && f.revents & POLLHUP);
  close(s[1]);
}

static void stream(void) {
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  strcpy(a.sun_path, "/tmp/sock");
  unlink(a.sun_path);
  int l = socket(AF_UNIX, SOCK_STREAM, 0), status;
  FAILS(connect(l, (void *)&a, sizeof a), ENOENT);
  CHECK(bind(l, (void *)&a, sizeof a) == 0);
  int other = socket(AF_UNIX, SOCK_STREAM, 0);
  FAILS(bind(other, (void *)&a, sizeof a), EADDRINUSE);
  FAILS(connect(other, (void *)&a, sizeof a), ECONNREFUSED);
  CHECK(listen(l, 5) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    static char out[300000];
    if (connect(c, (void *)&a, sizeof a)) _exit(2);
    memset(out, 'q', sizeof out);
    for (size_t done = 0; done < sizeof out;) {
      ssize_t n = write(c, out + done, sizeof out - done);
      if (n <= 0) _exit(3);
      done += n;
    }
    _exit(0);
  }
  int c = accept(l, 0, 0);
  CHECK(c >= 0);
  static char in[8192];
  size_t total = 0;
  for (ssize_t n; (n = read(c, in, sizeof in)) > 0; total += n)
    for (ssize_t i = 0; i < n; i++) CHECK(in[i] == 'q');
  CHECK(total == 300000);
  struct sockaddr_un name;
  socklen_t len = sizeof name;
  CHECK(getsockname(c, (void *)&name, &len) == 0 && !strcmp(name.sun_path, "/tmp/sock"));
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  close(c);
  close(l);
  close(other);
  unlink(a.sun_path);
}

static void datagrams(void) {
  int s[2];
  char buffer[16];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
  CHECK(send(s[0], "first", 5, 0) == 5 && send(s[0], "second", 6, 0) == 6);
  CHECK(recv(s[1], buffer, 3, 0) == 3 && recv(s[1], buffer, 16, 0) == 6 && !memcmp(buffer, "second", 6));
  CHECK(send(s[0], "third", 5, 0) == 5 && recv(s[1], buffer, 2, MSG_TRUNC) == 5);
  struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0abstract" };
  int d = socket(AF_UNIX, SOCK_DGRAM, 0);
  socklen_t len = offsetof(struct sockaddr_un, sun_path) + 9;
  CHECK(bind(d, (void *)&a, len) == 0);
  CHECK(sendto(s[0], "hi", 2, 0, (void *)&a, len) == 2 || errno == EISCONN);
  int e = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK(sendto(e, "hello", 5, 0, (void *)&a, len) == 5);
  close(s[0]);
  close(s[1]);
  close(d);
  FAILS(sendto(e, "gone", 4, 0, (void *)&a, len), ECONNREFUSED);
  close(e);
}

static void descriptors(void) {
  int s[2], p[2], got = -1;
  char byte = 'd', control[CMSG_SPACE(sizeof(int))] = { 0 }, buffer[8];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
  struct iovec v = { &byte, 1 };
  struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &p[1], sizeof(int));
  CHECK(sendmsg(s[0], &m, 0) == 1);
  close(p[1]);
  memset(control, 0, sizeof control);
  m.msg_controllen = sizeof control;
  CHECK(recvmsg(s[1], &m, 0) == 1);
  c = CMSG_FIRSTHDR(&m);
  CHECK(c && c->cmsg_type == SCM_RIGHTS);
  memcpy(&got, CMSG_DATA(c), sizeof got);
  CHECK(write(got, "via", 3) == 3 && read(p[0], buffer, 8) == 3);
  close(got);
  CHECK(read(p[0], buffer, 8) == 0);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  pair();
  stream();
  datagrams();
  descriptors();
  return 0;
}
