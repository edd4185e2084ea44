// The whole of a test's framework: CHECK(what should hold) ends the program with 1 and says where it does not.
#ifndef CHECK_H
#define CHECK_H
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(cond)                                                                                   \
  do {                                                                                                \
    if (!(cond)) {                                                                                    \
      printf("FAIL %s:%d: %s (errno %d: %s)\n", __FILE__, __LINE__, #cond, errno, strerror(errno));   \
      fflush(stdout);                                                                                 \
      _exit(1);                                                                                       \
    }                                                                                                 \
  } while (0)
#define FAILS(call, error) CHECK((errno = 0, (call) == -1 && errno == (error)))

// The exit status of a child that runs `fn`.
static inline int in_child(void (*fn)(void)) {
  int status;
  fflush(stdout);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) { fn(); _exit(0); }
  CHECK(waitpid(pid, &status, 0) == pid);
  return status;
}
#endif
