// uniq [-cdu] [FILE]
#include "tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int counts, repeated, single;

static void print(const char *line, long n) {
  if (!line || (repeated && n < 2) || (single && n > 1)) return;
  if (counts) printf("%7ld ", n);
  fputs(line, stdout);
}

int main(int argc, char **argv) {
  int option;
  tool_init(argv);
  while ((option = getopt(argc, argv, "cdu")) >= 0) {
    if (option == '?') return 2;
    *(option == 'c' ? &counts : option == 'd' ? &repeated : &single) = 1;
  }
  FILE *f = optind < argc ? fopen(argv[optind], "r") : stdin;
  if (!f) die_errno(1, argv[optind]);
  char *line = 0, *before = 0;
  size_t room = 0;
  long n = 0;
  while (getline(&line, &room, f) >= 0) {
    if (before && !strcmp(line, before)) { n++; continue; }
    print(before, n);
    free(before);
    before = strdup(line);
    n = 1;
  }
  print(before, n);
  return fflush(stdout) ? 1 : 0;
}
