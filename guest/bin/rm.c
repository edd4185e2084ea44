// rm [-rRf] FILE ...
#include "copy.h"
#include "path.h"
#include "tool.h"
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int option, recursive = 0, force = 0, failed = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "rRf")) >= 0) {
    if (option == '?') return 2;
    if (option == 'f') force = 1;
    else recursive = 1;
  }
  if (optind == argc && !force) die_text(2, "usage: rm [-rf] FILE ...");
  for (int i = optind; i < argc; i++) {
    char *base = path_base(argv[i]);
    if (!strcmp(base, ".") || !strcmp(base, "..") || !strcmp(base, "/")) {
      warn_text("%s: refusing to remove it", argv[i]);
      failed = 1;
    } else failed |= remove_tree(argv[i], recursive, force) < 0;
  }
  return failed;
}
