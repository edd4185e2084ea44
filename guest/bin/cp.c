// cp [-rRapfv] SOURCE ... TARGET
#include "copy.h"
#include "path.h"
#include "tool.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct copy_options o = { 0 };
  struct stat st;
  int option, failed = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "rRapfv")) >= 0) {
    if (option == '?') return 2;
    if (option == 'r' || option == 'R' || option == 'a') o.recursive = 1;
    if (option == 'p' || option == 'a') o.preserve = 1;
    if (option == 'f') o.force = 1;
    if (option == 'v') o.verbose = 1;
  }
  if (argc - optind < 2) die_text(2, "usage: cp [-rapfv] SOURCE ... TARGET");
  const char *target = argv[argc - 1];
  if (argc - optind > 2 && (stat(target, &st) < 0 || !S_ISDIR(st.st_mode))) die_text(1, "%s: not a directory", target);
  for (int i = optind; i < argc - 1; i++) {
    char *to = path_into(argv[i], target);
    failed |= copy_tree(argv[i], to, &o) < 0;
    free(to);
  }
  return failed;
}
