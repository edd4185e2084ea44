// od [-A d|o|x|n] [-t x1|o1|d1|u1|c|x2|x4|x8] [-c] [-b] [-x] [-N BYTES] [-v] [FILE]
#include "tool.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char address = 'o', kind = 'o';
static int size = 2, every_line;

static void print_address(unsigned long long at) {
  if (address != 'n') printf(address == 'd' ? "%07llu" : address == 'x' ? "%06llx" : "%07llo", at);
}

static void print_char(unsigned char c) {
  static const char escapes[] = "\0\a\b\f\n\r\t\v", letters[] = "0abfnrtv";
  const char *at = memchr(escapes, c, 8);
  if (at) printf("  \\%c", letters[at - escapes]);
  else if (isprint(c)) printf("   %c", c);
  else printf(" %03o", c);
}

static void print_unit(const unsigned char *p, size_t left) {
  unsigned long long value = 0;
  memcpy(&value, p, left < (size_t)size ? left : (size_t)size);
  if (kind == 'c') { print_char(*p); return; }
  static const int octal[] = { 0, 3, 6, 0, 11, 0, 0, 0, 22 }, decimal[] = { 0, 4, 6, 0, 11, 0, 0, 0, 20 };
  if (kind == 'x') printf(" %0*llx", size * 2, value);
  else if (kind == 'o') printf(" %0*llo", octal[size], value);
  else if (kind == 'u') printf(" %*llu", decimal[size], value);
  else printf(" %*lld", decimal[size], (long long)(value << (64 - size * 8)) >> (64 - size * 8));
}

static void set_type(const char *t) {
  kind = *t;
  if (!strchr("xoduc", kind)) die_text(2, "-t %s: x, o, d, u or c and a size were expected", t);
  size = kind == 'c' ? 1 : t[1] ? atoi(t + 1) : 4;
  if (size != 1 && size != 2 && size != 4 && size != 8) die_text(2, "-t %s: sizes are 1, 2, 4 and 8", t);
}

int main(int argc, char **argv) {
  int option, same = 0;
  long long limit = -1;
  tool_init(argv);
  while ((option = getopt(argc, argv, "A:t:N:cbxv")) >= 0) {
    switch (option) {
      case 'A': address = *optarg; break;
      case 't': set_type(optarg); break;
      case 'N': if (parse_size(optarg, &limit) < 0) die_text(2, "%s: not a count", optarg); break;
      case 'c': set_type("c"); break;
      case 'b': set_type("o1"); break;
      case 'x': set_type("x2"); break;
      case 'v': every_line = 1; break;
      default: return 2;
    }
  }
  FILE *f = optind < argc ? fopen(argv[optind], "r") : stdin;
  if (!f) die_errno(1, argv[optind]);
  unsigned char line[16], before[16];
  unsigned long long at = 0;
  for (;;) {
    size_t want = limit >= 0 && limit - (long long)at < 16 ? limit - at : 16, n = fread(line, 1, want, f);
    if (n == 0) break;
    if (!every_line && at > 0 && n == 16 && !memcmp(line, before, 16)) {
      if (!same) puts("*");
      same = 1;
    } else {
      same = 0;
      print_address(at);
      for (size_t i = 0; i < n; i += size) print_unit(line + i, n - i);
      putchar('\n');
    }
    memcpy(before, line, 16);
    at += n;
  }
  if (address != 'n') { print_address(at); putchar('\n'); }
  return fflush(stdout) ? 1 : 0;
}
