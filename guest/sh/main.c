// sh: the command language of POSIX, without aliases and line editing.
#include "sh.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

void sh_error(const char *format, ...) {
  va_list args;
  fflush(stdout);
  fprintf(stderr, "%s: ", shell_name);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
}

static struct input *open_script(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    sh_error("%s: %s", path, strerror(errno));
    exit(errno == ENOENT ? 127 : 126);
  }
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
  if (high >= 0) { close(fd); fd = high; }
  shell_name = (char *)path;
  return input_fd(fd, 0);
}

int main(int argc, char **argv) {
  const char *command = 0;
  int i = 1, from_stdin = 0;
  shell_pid = getpid();
  var_init(environ);
  for (; i < argc && (argv[i][0] == '-' || argv[i][0] == '+') && argv[i][1]; i++) {
    if (!strcmp(argv[i], "--")) { i++; break; }
    for (char *c = argv[i] + 1; *c; c++) {
      int on = argv[i][0] == '-';
      if (*c == 'c' && on) command = "";
      else if (*c == 'e') flag_errexit = on;
      else if (*c == 'x') flag_xtrace = on;
      else if (*c == 'u') flag_nounset = on;
      else if (*c == 'n') flag_noexec = on;
      else if (*c == 'i') flag_interactive = on;
      else if (*c == 's') from_stdin = 1;
      else if (*c != 'l') {
        sh_error("unknown option -%c; usage: sh [-eunxis] [-c COMMAND | FILE] [ARGUMENT ...]", *c);
        return 2;
      }
    }
  }
  struct input *in;
  if (command) {
    if (i >= argc) { sh_error("-c needs a command"); return 2; }
    in = input_string(argv[i++]);
    if (i < argc) shell_name = argv[i++];
  } else if (i < argc && !from_stdin) {
    in = open_script(argv[i++]);
  } else {
    if (isatty(0) && isatty(2)) flag_interactive = 1;
    in = input_fd(0, flag_interactive);
  }
  params = (struct params){ argv + i, argc - i };
  job_init();
  run_input(in);
  if (flag_interactive && unwind == U_NONE) fputc('\n', stderr);
  trap_exit();
  fflush(stdout);
  return last_status;
}
