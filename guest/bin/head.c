// head [-n LINES | -c BYTES] [FILE ...]
#include "tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void head(FILE *f, long long lines, long long bytes) {
  for (int c; (lines > 0 || bytes > 0) && (c = getc(f)) >= 0;) {
    putchar(c);
    if (bytes > 0) bytes--;
    else if (c == '\n') lines--;
  }
}

int main(int argc, char **argv) {
  long long lines = 10, bytes = 0;
  int option;
  tool_init(argv);
  if (argc > 1 && argv[1][0] == '-' && argv[1][1] >= '0' && argv[1][1] <= '9') {
    lines = atoll(argv[1] + 1);
    argv++;
    argc--;
  }
  while ((option = getopt(argc, argv, "n:c:")) >= 0) {
    if (option == '?') return 2;
    if (parse_size(optarg, option == 'n' ? &lines : &bytes) < 0) die_text(2, "%s: not a count", optarg);
    if (option == 'c') lines = 0;
  }
  if (optind == argc) head(stdin, lines, bytes);
  for (int i = optind; i < argc; i++) {
    FILE *f = !strcmp(argv[i], "-") ? stdin : fopen(argv[i], "r");
    if (!f) { warn_errno(argv[i]); continue; }
    if (argc - optind > 1) printf("%s==> %s <==\n", i > optind ? "\n" : "", argv[i]);
    head(f, lines, bytes);
    if (ferror(f)) warn_errno(argv[i]);
    if (f != stdin) fclose(f);
  }
  return fflush(stdout) ? 1 : tool_status;
}
