// ln [-sf] TARGET ... LINK
#include "path.h"
#include "tool.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int option, symbolic = 0, force = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "sfn")) >= 0) {
    if (option == '?') return 2;
    if (option == 's') symbolic = 1;
    if (option == 'f') force = 1;
  }
  if (optind == argc) die_text(2, "usage: ln [-sf] TARGET ... LINK");
  const char *where = argc - optind == 1 ? "." : argv[argc - 1];
  int last = argc - optind == 1 ? argc : argc - 1;
  for (int i = optind; i < last; i++) {
    char *link_path = path_into(argv[i], where);
    if (force) unlink(link_path);
    if ((symbolic ? symlink(argv[i], link_path) : link(argv[i], link_path)) < 0) warn_errno(link_path);
    free(link_path);
  }
  return tool_status;
}
