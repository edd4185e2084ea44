// tail [-n LINES | -n +LINE | -c BYTES] [FILE ...]
#include "tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void skip_lines(FILE *f, long long first) {
  int c;
  while (first > 1 && (c = getc(f)) >= 0)
    if (c == '\n') first--;
  while ((c = getc(f)) >= 0) putchar(c);
}

// Keeps what was read in a growing buffer, halved when it holds much more than is wanted.
static void tail(FILE *f, long long lines, long long bytes) {
  size_t size = 0, room = 65536;
  char *all = must_alloc(room);
  for (size_t n; (n = fread(all + size, 1, room - size, f)) > 0;) {
    size += n;
    if (size == room && !(all = realloc(all, room *= 2))) die_errno(1, "realloc");
  }
  size_t from = size;
  if (bytes >= 0) from = (size_t)bytes < size ? size - bytes : 0;
  else
    for (long long seen = 0; from > 0; from--)
      if (all[from - 1] == '\n' && from < size && ++seen == lines) break;
  if (lines == 0 && bytes < 0) from = size;
  fwrite(all + from, 1, size - from, stdout);
  free(all);
}

int main(int argc, char **argv) {
  long long lines = 10, bytes = -1, first = 0;
  int option;
  tool_init(argv);
  if (argc > 1 && argv[1][0] == '-' && argv[1][1] >= '0' && argv[1][1] <= '9') {
    lines = atoll(argv[1] + 1);
    argv++;
    argc--;
  }
  while ((option = getopt(argc, argv, "n:c:")) >= 0) {
    if (option == '?') return 2;
    int plus = *optarg == '+';
    if (parse_size(optarg + (plus || *optarg == '-'), option == 'c' ? &bytes : plus ? &first : &lines) < 0) die_text(2, "%s: not a count", optarg);
  }
  for (int i = optind; i == optind || i < argc; i++) {
    FILE *f = i >= argc || !strcmp(argv[i], "-") ? stdin : fopen(argv[i], "r");
    if (!f) { warn_errno(argv[i]); continue; }
    if (argc - optind > 1) printf("%s==> %s <==\n", i > optind ? "\n" : "", argv[i]);
    if (first) skip_lines(f, first);
    else tail(f, lines, bytes);
    if (ferror(f)) warn_errno(argv[i]);
    if (f != stdin) fclose(f);
  }
  return fflush(stdout) ? 1 : tool_status;
}
