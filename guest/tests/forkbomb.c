// Processes and memory without end: each limit is an errno, and everything comes back.
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>

#define MANY 5000

static int bomb(void) {
  int ends[2], born = 0;
  CHECK(pipe(ends) == 0);
  while (born < MANY) {
    pid_t pid = fork();
    if (pid < 0) {
      CHECK(errno == EAGAIN || errno == ENOMEM);
      break;
    }
    if (pid == 0) {
      char c;
      close(ends[1]);
      read(ends[0], &c, 1);
      _exit(7);
    }
    born++;
  }
  close(ends[0]);
  close(ends[1]);
  for (int i = 0; i < born; i++) {
    int status;
    CHECK(wait(&status) > 0 && WEXITSTATUS(status) == 7);
  }
  FAILS(wait(NULL), ECHILD);
  return born;
}

static void eat(void) {
  for (long i = 0;; i++) {
    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) _exit(errno == ENOMEM ? 9 : 1);
    memset(p, 1, 1 << 20);
  }
}

int main(void) {
  int first = bomb(), again = bomb();
  CHECK(first > 20 && again >= first - first / 10);
  struct rlimit limit = { 10, 10 };
  // Memory: the kernel refuses, or ends who asks for too much; not us.
  int status = in_child(eat);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == 9) || (WIFEXITED(status) && WEXITSTATUS(status) == 9));
  CHECK(bomb() >= first - first / 10);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  int n = 0;
  while (dup(0) >= 0) n++;
  CHECK(errno == EMFILE && n < 10);
  return 0;
}
