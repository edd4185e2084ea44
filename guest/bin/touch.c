// touch [-c] FILE ...
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int option, create = 1;
  tool_init(argv);
  while ((option = getopt(argc, argv, "c")) >= 0) {
    if (option == '?') return 2;
    create = 0;
  }
  if (optind == argc) die_text(2, "usage: touch [-c] FILE ...");
  for (int i = optind; i < argc; i++) {
    if (utimensat(AT_FDCWD, argv[i], 0, 0) == 0) continue;
    if (errno != ENOENT) { warn_errno(argv[i]); continue; }
    if (!create) continue;
    int fd = open(argv[i], O_WRONLY | O_CREAT, 0666);
    if (fd < 0) warn_errno(argv[i]);
    else close(fd);
  }
  return tool_status;
}
