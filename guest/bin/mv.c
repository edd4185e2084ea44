// mv [-f] SOURCE ... TARGET. Between file systems: copies, then removes.
#include "copy.h"
#include "path.h"
#include "tool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int move(const char *from, const char *to) {
  const struct copy_options o = { .recursive = 1, .preserve = 1, .force = 1 };
  if (rename(from, to) == 0) return 0;
  if (errno != EXDEV) { warn_errno(from); return -1; }
  return copy_tree(from, to, &o) < 0 ? -1 : remove_tree(from, 1, 0);
}

int main(int argc, char **argv) {
  struct stat st;
  int option, failed = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "fi")) >= 0)
    if (option == '?') return 2;
  if (argc - optind < 2) die_text(2, "usage: mv [-f] SOURCE ... TARGET");
  const char *target = argv[argc - 1];
  if (argc - optind > 2 && (stat(target, &st) < 0 || !S_ISDIR(st.st_mode))) die_text(1, "%s: not a directory", target);
  for (int i = optind; i < argc - 1; i++) {
    char *to = path_into(argv[i], target);
    failed |= move(argv[i], to) < 0;
    free(to);
  }
  return failed;
}
