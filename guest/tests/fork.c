// fork and copy-on-write, shared mappings, vfork, wait.
#include "check.h"
#include <signal.h>
#include <sys/mman.h>

static int data = 1;

static void chain(int depth, volatile int *counter) {
  if (depth == 0) return;
  int status;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) { (*counter)++; data += depth; chain(depth - 1, counter); _exit(data == 1 ? 1 : 0); }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void) {
  size_t size = 64 * 4096;
  unsigned char *private = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  volatile int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(private != MAP_FAILED && shared != MAP_FAILED);
  for (size_t i = 0; i < size; i += 4096) private[i] = i >> 12;
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    for (size_t i = 0; i < size; i += 4096) { CHECK(private[i] == (unsigned char)(i >> 12)); private[i] = 0xcc; }
    *shared = 42;
    _exit(5);
  }
  for (size_t i = 0; i < size; i += 8192) private[i + 1] = 0xaa;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
  for (size_t i = 0; i < size; i += 4096) CHECK(private[i] == (unsigned char)(i >> 12));
  CHECK(*shared == 42);
  *shared = 0;
  chain(10, shared);
  CHECK(*shared == 10 && data == 1);
  for (int i = 0; i < 50; i++) {
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(i);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == i);
  }
  pid = vfork();
  if (pid == 0) _exit(9);
  CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 9);
  FAILS(waitpid(-1, &status, 0), ECHILD);
  pid = fork();
  if (pid == 0) for (;;) pause();
  CHECK(waitpid(pid, &status, WNOHANG) == 0);
  CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
  CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
  return 0;
}
