// grep [-EFivncqlLhHxo] [-e] PATTERN [FILE ...]
#include "tool.h"
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int invert, number, count_only, quiet, list, list_without, whole, only, names = -1;
static int fixed, ignore_case, matched_any;
static const char *patterns[64];
static regex_t compiled[64];
static int pattern_count;

static int match(const char *line, regmatch_t *where) {
  for (int i = 0; i < pattern_count; i++) {
    if (fixed) {
      const char *at = ignore_case ? strcasestr(line, patterns[i]) : strstr(line, patterns[i]);
      size_t n = strlen(patterns[i]);
      if (!at || (whole && (at != line || line[n]))) continue;
      *where = (regmatch_t){ .rm_so = at - line, .rm_eo = at - line + n };
      return 1;
    }
    if (regexec(&compiled[i], line, 1, where, 0) == 0 && (!whole || (where->rm_so == 0 && !line[where->rm_eo]))) return 1;
  }
  return 0;
}

static void print_line(const char *name, long long at, char *line) {
  regmatch_t where;
  if (!only || invert) {
    if (names > 0) printf("%s:", name);
    if (number) printf("%lld:", at);
    puts(line);
    return;
  }
  while (*line && match(line, &where)) {
    if (where.rm_eo > where.rm_so) {
      if (names > 0) printf("%s:", name);
      if (number) printf("%lld:", at);
      printf("%.*s\n", (int)(where.rm_eo - where.rm_so), line + where.rm_so);
    }
    line += where.rm_eo > where.rm_so ? where.rm_eo : 1;
  }
}

static void grep(FILE *f, const char *name) {
  char *line = 0;
  size_t room = 0;
  long long at = 0, found = 0;
  regmatch_t where;
  for (ssize_t n; (n = getline(&line, &room, f)) >= 0;) {
    at++;
    if (n > 0 && line[n - 1] == '\n') line[n - 1] = 0;
    if (match(line, &where) == invert) continue;
    found++;
    matched_any = 1;
    if (quiet) exit(0);
    if (list || list_without) break;
    if (!count_only) print_line(name, at, line);
  }
  if (ferror(f)) warn_errno(name);
  free(line);
  if (count_only) { if (names > 0) printf("%s:", name); printf("%lld\n", found); }
  if ((list && found) || (list_without && !found)) puts(name);
}

int main(int argc, char **argv) {
  int option, flags = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "EFivncqlLhHxose:")) >= 0) {
    switch (option) {
      case 'E': flags |= REG_EXTENDED; break;
      case 'F': fixed = 1; break;
      case 'i': flags |= REG_ICASE; ignore_case = 1; break;
      case 'v': invert = 1; break;
      case 'n': number = 1; break;
      case 'c': count_only = 1; break;
      case 'q': quiet = 1; break;
      case 'l': list = 1; break;
      case 'L': list_without = 1; break;
      case 'h': names = 0; break;
      case 'H': names = 1; break;
      case 'x': whole = 1; break;
      case 'o': only = 1; break;
      case 's': break;
      case 'e': if (pattern_count < 64) patterns[pattern_count++] = optarg; break;
      default: return 2;
    }
  }
  if (!pattern_count && optind < argc) patterns[pattern_count++] = argv[optind++];
  if (!pattern_count) die_text(2, "usage: grep [-EFivncqlLhHxo] PATTERN [FILE ...]");
  for (int i = 0; !fixed && i < pattern_count; i++) {
    int error = regcomp(&compiled[i], patterns[i], flags);
    char text[128];
    if (error) { regerror(error, &compiled[i], text, sizeof text); die_text(2, "%s: %s", patterns[i], text); }
  }
  if (names < 0) names = argc - optind > 1;
  if (optind == argc) grep(stdin, "(standard input)");
  for (int i = optind; i < argc; i++) {
    FILE *f = !strcmp(argv[i], "-") ? stdin : fopen(argv[i], "r");
    if (!f) { warn_errno(argv[i]); continue; }
    grep(f, argv[i]);
    if (f != stdin) fclose(f);
  }
  if (fflush(stdout)) return 2;
  return tool_status ? 2 : !matched_any;
}
