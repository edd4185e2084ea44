// init: process 1. Starts a shell on the console again and again, or one command, and reaps orphans.
//
//   init                      mounts, then a login shell on the console; when it ends, a new one
//   init -c COMMAND           runs `sh -c COMMAND`, then ends with its status: the machine powers off with it
//   init -e PROGRAM ARG ...   the same for a program
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **argv, int own_terminal) {
  pid_t pid = fork();
  if (pid < 0) die_errno(1, "fork");
  if (pid > 0) return pid;
  if (own_terminal) {
    setsid();
    ioctl(0, TIOCSCTTY, 0);
  }
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  execvp(argv[0], argv);
  warn_errno(argv[0]);
  _exit(errno == ENOENT ? 127 : 126);
}

// Reaps until `wanted` ends; its status as a shell tells it.
static int reap(pid_t wanted) {
  for (;;) {
    int status;
    pid_t pid = wait(&status);
    if (pid < 0 && errno == ECHILD) return 1;
    if (pid == wanted) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

static void open_console(void) {
  if (fcntl(0, F_GETFD) >= 0) return;
  int fd = open("/dev/console", O_RDWR);
  if (fd < 0) return;
  dup2(fd, 1);
  dup2(fd, 2);
}

int main(int argc, char **argv) {
  tool_init(argv);
  if (getpid() != 1) die_text(1, "this is process %d; only the kernel starts init", getpid());
  open_console();
  setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 0);
  setenv("HOME", "/root", 0);
  setenv("TERM", "vt102", 0);
  if (chdir("/root") < 0) chdir("/");
  if (argc > 2 && !strcmp(argv[1], "-c")) {
    char *shell[] = { "/bin/sh", "-c", argv[2], 0 };
    return reap(start(shell, 1));
  }
  if (argc > 2 && !strcmp(argv[1], "-e")) return reap(start(argv + 2, 1));
  for (;;) {
    char *shell[] = { "/bin/sh", "-l", 0 };
    int status = reap(start(shell, 1));
    if (status == 127 || status == 126) return status;
    printf("\nThe shell ended with status %d; a new one starts. To leave: poweroff\n", status);
    fflush(stdout);
  }
}
