// tee [-a] [FILE ...]
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static char buffer[65536];
  int option, flags = O_TRUNC;
  tool_init(argv);
  while ((option = getopt(argc, argv, "a")) >= 0) {
    if (option == '?') return 2;
    flags = O_APPEND;
  }
  int count = argc - optind, *fds = must_alloc((count + 1) * sizeof *fds);
  for (int i = 0; i < count; i++) {
    fds[i] = open(argv[optind + i], O_WRONLY | O_CREAT | flags, 0666);
    if (fds[i] < 0) warn_errno(argv[optind + i]);
  }
  for (ssize_t n; (n = read(0, buffer, sizeof buffer)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) die_errno(1, "standard input");
    if (write_all(1, buffer, n) < 0) warn_errno("standard output");
    for (int i = 0; i < count; i++)
      if (fds[i] >= 0 && write_all(fds[i], buffer, n) < 0) warn_errno(argv[optind + i]);
  }
  return tool_status;
}
