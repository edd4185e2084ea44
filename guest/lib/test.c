// test and [: conditions.
#include "command.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char **at, **end;
static int bad;

static int either(void);

static void complain(const char *what, const char *word) {
  if (!bad) fprintf(stderr, "test: %s: %s\n", word, what);
  bad = 1;
}

static long long number(const char *text) {
  char *stop;
  errno = 0;
  long long value = strtoll(text, &stop, 10);
  while (isspace((unsigned char)*stop)) stop++;
  if (*stop || stop == text || errno) complain("not a whole number", text);
  return value;
}

static int is_unary(const char *w) { return w[0] == '-' && w[1] && !w[2] && strchr("bcdefgGhkLnOprsStuwxz", w[1]); }

static int is_binary(const char *w) {
  static const char *const all[] = { "=", "==", "!=", "<", ">", "-eq", "-ne", "-gt", "-ge", "-lt", "-le", "-nt", "-ot", "-ef", 0 };
  for (int i = 0; all[i]; i++)
    if (!strcmp(all[i], w)) return 1;
  return 0;
}

static int unary(char op, const char *word) {
  struct stat st;
  switch (op) {
    case 'n': return *word != 0;
    case 'z': return *word == 0;
    case 't': return isatty(number(word));
    case 'r': return access(word, R_OK) == 0;
    case 'w': return access(word, W_OK) == 0;
    case 'x': return access(word, X_OK) == 0;
    case 'h': case 'L': return lstat(word, &st) == 0 && S_ISLNK(st.st_mode);
  }
  if (stat(word, &st) < 0) return 0;
  switch (op) {
    case 'e': return 1;
    case 'b': return S_ISBLK(st.st_mode);
    case 'c': return S_ISCHR(st.st_mode);
    case 'd': return S_ISDIR(st.st_mode);
    case 'f': return S_ISREG(st.st_mode);
    case 'p': return S_ISFIFO(st.st_mode);
    case 'S': return S_ISSOCK(st.st_mode);
    case 's': return st.st_size > 0;
    case 'g': return (st.st_mode & S_ISGID) != 0;
    case 'u': return (st.st_mode & S_ISUID) != 0;
    case 'k': return (st.st_mode & S_ISVTX) != 0;
    case 'O': return st.st_uid == geteuid();
    default: return st.st_gid == getegid();
  }
}

static int binary(const char *left, const char *op, const char *right) {
  struct stat a, b;
  if (op[0] == '-' && (op[1] == 'n' || op[1] == 'o') && op[2] == 't') {
    int has_a = stat(left, &a) == 0, has_b = stat(right, &b) == 0;
    if (!has_a || !has_b) return op[1] == 'n' ? has_a : has_b;
    long long ta = a.st_mtim.tv_sec * 1000000000LL + a.st_mtim.tv_nsec, tb = b.st_mtim.tv_sec * 1000000000LL + b.st_mtim.tv_nsec;
    return op[1] == 'n' ? ta > tb : ta < tb;
  }
  if (!strcmp(op, "-ef")) return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  if (op[0] != '-') {
    int order = strcmp(left, right);
    return op[0] == '=' ? order == 0 : op[0] == '!' ? order != 0 : op[0] == '<' ? order < 0 : order > 0;
  }
  long long x = number(left), y = number(right);
  if (op[1] == 'e') return x == y;
  if (op[1] == 'n') return x != y;
  if (op[1] == 'g') return op[2] == 't' ? x > y : x >= y;
  return op[2] == 't' ? x < y : x <= y;
}

static int primary(void) {
  if (at >= end) { complain("an expression was expected", "end"); return 0; }
  if (end - at >= 3 && is_binary(at[1])) {
    int value = binary(at[0], at[1], at[2]);
    at += 3;
    return value;
  }
  if (!strcmp(*at, "!") && end - at > 1) { at++; return !primary(); }
  if (!strcmp(*at, "(") && end - at > 1) {
    at++;
    int value = either();
    if (at >= end || strcmp(*at, ")")) complain("expected", ")");
    at++;
    return value;
  }
  if (is_unary(*at) && end - at > 1) { at += 2; return unary(at[-2][1], at[-1]); }
  return *(*at++) != 0;
}

static int both(void) {
  int value = primary();
  while (at < end && !strcmp(*at, "-a")) { at++; value &= primary(); }
  return value;
}

static int either(void) {
  int value = both();
  while (at < end && !strcmp(*at, "-o")) { at++; value |= both(); }
  return value;
}

int command_test(int argc, char **argv) {
  const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
  if (!strcmp(name, "[")) {
    if (strcmp(argv[argc - 1], "]")) { fprintf(stderr, "[: missing ]\n"); return 2; }
    argc--;
  }
  at = argv + 1;
  end = argv + argc;
  bad = 0;
  if (at == end) return 1;
  int value = either();
  if (!bad && at < end) complain("unexpected word", *at);
  return bad ? 2 : !value;
}
