// sort [-bfnru] [-k FIELD] [-t CHARACTER] [FILE ...]
#include "tool.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int numeric, reverse, unique, fold, field, separator = -1;
static char **lines;
static size_t count, room;

static const char *key(const char *line) {
  for (int i = 1; i < field; i++) {
    if (separator >= 0) {
      const char *next = strchr(line, separator);
      if (!next) return "";
      line = next + 1;
    } else {
      while (isspace((unsigned char)*line)) line++;
      while (*line && !isspace((unsigned char)*line)) line++;
    }
  }
  if (field && separator < 0) while (isspace((unsigned char)*line)) line++;
  return line;
}

static int by_key(const char *a, const char *b) {
  a = key(a);
  b = key(b);
  if (numeric) {
    double x = strtod(a, 0), y = strtod(b, 0);
    return (x > y) - (x < y);
  }
  return fold ? strcasecmp(a, b) : strcmp(a, b);
}

static int compare(const void *pa, const void *pb) {
  const char *a = *(char *const *)pa, *b = *(char *const *)pb;
  int order = by_key(a, b);
  if (!order && !unique) order = strcmp(a, b);
  return reverse ? -order : order;
}

static void read_lines(FILE *f, const char *name) {
  char *line = 0;
  size_t size = 0;
  for (ssize_t n; (n = getline(&line, &size, f)) >= 0;) {
    if (n > 0 && line[n - 1] == '\n') line[n - 1] = 0;
    if (count == room && !(lines = realloc(lines, (room = room * 2 + 256) * sizeof *lines))) die_errno(2, "realloc");
    lines[count++] = line;
    line = 0;
  }
  free(line);
  if (ferror(f)) warn_errno(name);
}

int main(int argc, char **argv) {
  int option;
  tool_init(argv);
  while ((option = getopt(argc, argv, "bfnruk:t:")) >= 0) {
    switch (option) {
      case 'b': break;
      case 'f': fold = 1; break;
      case 'n': numeric = 1; break;
      case 'r': reverse = 1; break;
      case 'u': unique = 1; break;
      case 'k': field = atoi(optarg); if (field < 1) die_text(2, "%s: fields count from 1", optarg); break;
      case 't': separator = *optarg; break;
      default: return 2;
    }
  }
  if (optind == argc) read_lines(stdin, "standard input");
  for (int i = optind; i < argc; i++) {
    FILE *f = !strcmp(argv[i], "-") ? stdin : fopen(argv[i], "r");
    if (!f) die_errno(2, argv[i]);
    read_lines(f, argv[i]);
    if (f != stdin) fclose(f);
  }
  if (count) qsort(lines, count, sizeof *lines, compare);
  for (size_t i = 0; i < count; i++)
    if (!unique || i == 0 || by_key(lines[i - 1], lines[i])) puts(lines[i]);
  return fflush(stdout) ? 2 : tool_status;
}
