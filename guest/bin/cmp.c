// cmp [-ls] FILE1 FILE2
#include "tool.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int option, silent = 0, all = 0, differ = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "ls")) >= 0) {
    if (option == '?') return 2;
    if (option == 's') silent = 1;
    else all = 1;
  }
  if (argc - optind != 2) die_text(2, "usage: cmp [-ls] FILE1 FILE2");
  FILE *f[2];
  for (int i = 0; i < 2; i++) {
    const char *name = argv[optind + i];
    f[i] = !strcmp(name, "-") ? stdin : fopen(name, "r");
    if (!f[i]) die_errno(2, name);
  }
  long long at = 1, line = 1;
  for (;; at++) {
    int a = getc(f[0]), b = getc(f[1]);
    if (a < 0 && b < 0) return differ;
    if (a < 0 || b < 0) {
      if (!silent) fprintf(stderr, "cmp: EOF on %s after byte %lld\n", argv[optind + (a >= 0)], at - 1);
      return 1;
    }
    if (a != b) {
      differ = 1;
      if (silent) return 1;
      if (!all) { printf("%s %s differ: byte %lld, line %lld\n", argv[optind], argv[optind + 1], at, line); return 1; }
      printf("%lld %3o %3o\n", at, a, b);
    }
    if (a == '\n') line++;
  }
}
