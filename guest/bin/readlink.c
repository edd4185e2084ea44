// readlink [-f] FILE ...
#include "tool.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int option, follow = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "f")) >= 0) {
    if (option == '?') return 2;
    follow = 1;
  }
  if (optind == argc) die_text(2, "usage: readlink [-f] FILE ...");
  for (int i = optind; i < argc; i++) {
    char target[PATH_MAX + 1];
    ssize_t n = -1;
    if (follow) n = realpath(argv[i], target) ? 0 : -1;
    else if ((n = readlink(argv[i], target, PATH_MAX)) >= 0) target[n] = 0;
    if (n < 0) tool_status = 1;
    else puts(target);
  }
  return fflush(stdout) ? 1 : tool_status;
}
