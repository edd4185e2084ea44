// env [-i] [-u NAME] [NAME=VALUE ...] [COMMAND ARG ...]
#include "tool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
  int option;
  tool_init(argv);
  while ((option = getopt(argc, argv, "+iu:")) >= 0) {
    if (option == '?') return 125;
    if (option == 'i') clearenv();
    else unsetenv(optarg);
  }
  for (; optind < argc && strchr(argv[optind], '='); optind++) putenv(argv[optind]);
  if (optind < argc) {
    execvp(argv[optind], argv + optind);
    die_errno(errno == ENOENT ? 127 : 126, argv[optind]);
  }
  for (char **e = environ; e && *e; e++) puts(*e);
  return 0;
}
