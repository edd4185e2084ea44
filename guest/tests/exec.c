// execve: arguments, environment, interpreters, what a new program inherits, and what is refused.
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/stat.h>

extern char **environ;
static char self[64];

static void put(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0 && close(fd) == 0);
}

static void refused(void) {
  char *args[] = { "x", NULL };
  put("/tmp/empty", "", 0755);
  put("/tmp/text", "just text\n", 0755);
  put("/tmp/plain", "#!/bin/sh\n", 0644);
  put("/tmp/lost", "#!/no/such/interpreter\n", 0755);
  put("/tmp/loop", "#!/tmp/loop\n", 0755);
  FAILS(execv("/tmp/none", args), ENOENT);
  FAILS(execv("/tmp/text", args), ENOEXEC);
  FAILS(execv("/tmp/empty", args), ENOEXEC);
  FAILS(execv("/tmp/plain", args), EACCES);
  FAILS(execv("/tmp", args), EACCES);
  FAILS(execv("/tmp/lost", args), ENOENT);
  FAILS(execv("/tmp/loop", args), ELOOP);
  FAILS(execv("/tmp/text/x", args), ENOTDIR);
  void *volatile nowhere = (void *)8;
  FAILS(execve(nowhere, args, environ), EFAULT);
  FAILS(execve(self, nowhere, environ), EFAULT);
  char *wild[] = { "x", (char *)16, NULL };
  FAILS(execve(self, wild, environ), EFAULT);
  static char huge[200000];
  memset(huge, 'a', sizeof huge - 1);
  char *big[] = { "x", huge, NULL };
  FAILS(execv(self, big), E2BIG);
}

static void with_args(void) {
  char *args[] = { "zero", "args", "", "a b", NULL }, *env[] = { "ONE=1", "TWO=", NULL };
  execve(self, args, env);
}

static void script(void) {
  char text[128], *args[] = { "ignored", "first", "second", NULL };
  snprintf(text, sizeof text, "#! %s  script and more \n", self);
  put("/tmp/script", text, 0755);
  execv("/tmp/script", args);
}

static void ignore(int sig) { (void)sig; }

static void inherited(void) {
  char keep[16], gone[16], *args[] = { "x", "inherited", keep, gone, NULL };
  int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY | O_CLOEXEC);
  snprintf(keep, sizeof keep, "%d", a);
  snprintf(gone, sizeof gone, "%d", b);
  signal(SIGUSR1, SIG_IGN);
  signal(SIGUSR2, ignore);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_SETMASK, &set, NULL);
  raise(SIGTERM);
  execv(self, args);
}

/** What the programs started above check of themselves. */
static int started(int argc, char **argv) {
  if (!strcmp(argv[1], "args")) {
    CHECK(argc == 4 && !strcmp(argv[0], "zero") && !strcmp(argv[2], "") && !strcmp(argv[3], "a b") && argv[4] == NULL);
    CHECK(!strcmp(environ[0], "ONE=1") && !strcmp(environ[1], "TWO=") && environ[2] == NULL);
    CHECK(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_RANDOM) != 0 && getauxval(AT_SECURE) == 0 && getauxval(AT_PHNUM) > 0);
    CHECK(!strcmp((char *)getauxval(AT_EXECFN), self));
  } else if (!strcmp(argv[1], "script and more")) {
    CHECK(argc == 5 && !strcmp(argv[2], "/tmp/script") && !strcmp(argv[3], "first") && !strcmp(argv[4], "second"));
  } else {
    sigset_t set;
    struct sigaction action;
    CHECK(argc == 4 && fcntl(atoi(argv[2]), F_GETFD) == 0);
    FAILS(fcntl(atoi(argv[3]), F_GETFD), EBADF);
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(sigprocmask(0, NULL, &set) == 0 && sigismember(&set, SIGTERM));
    CHECK(sigpending(&set) == 0 && sigismember(&set, SIGTERM));
  }
  return 0;
}

int main(int argc, char **argv) {
  CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  if (argc > 1) return started(argc, argv);
  refused();
  CHECK(in_child(with_args) == 0);
  CHECK(in_child(script) == 0);
  CHECK(in_child(inherited) == 0);
  return 0;
}
