// cut -f LIST [-d CHARACTER] [-s] | -c LIST  [FILE ...]
#include "tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char wanted[1024];
static int delimiter = '\t', by_character, only_delimited;

static void parse_list(const char *list) {
  for (const char *at = list; *at;) {
    char *end;
    long from = *at == '-' ? 1 : strtol(at, &end, 10), to;
    if (*at == '-') end = (char *)at;
    to = from;
    if (*end == '-') { at = end + 1; to = strtol(at, &end, 10); if (end == at) to = sizeof wanted - 1; }
    if (from < 1 || to < from || (*end && *end != ',')) die_text(2, "%s: not a list of positions", list);
    for (long i = from; i <= to && i < (long)sizeof wanted; i++) wanted[i] = 1;
    at = *end ? end + 1 : end;
  }
}

static int is_wanted(size_t i) { return i < sizeof wanted ? wanted[i] : wanted[sizeof wanted - 1]; }

static void cut_line(char *line) {
  size_t i = 1;
  if (by_character) {
    for (; *line; line++, i++) if (is_wanted(i)) putchar(*line);
    putchar('\n');
    return;
  }
  if (!strchr(line, delimiter)) { if (!only_delimited) puts(line); return; }
  for (int first = 1; line; i++) {
    char *next = strchr(line, delimiter);
    if (next) *next++ = 0;
    if (is_wanted(i)) {
      if (!first) putchar(delimiter);
      fputs(line, stdout);
      first = 0;
    }
    line = next;
  }
  putchar('\n');
}

int main(int argc, char **argv) {
  int option, given = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "f:c:b:d:s")) >= 0) {
    switch (option) {
      case 'f': parse_list(optarg); given = 1; break;
      case 'c': case 'b': parse_list(optarg); by_character = given = 1; break;
      case 'd': delimiter = (unsigned char)*optarg; break;
      case 's': only_delimited = 1; break;
      default: return 2;
    }
  }
  if (!given) die_text(2, "usage: cut -f LIST [-d CHARACTER] [-s] | -c LIST  [FILE ...]");
  for (int i = optind; i == optind || i < argc; i++) {
    FILE *f = i < argc && strcmp(argv[i], "-") ? fopen(argv[i], "r") : stdin;
    char *line = 0;
    size_t room = 0;
    if (!f) { warn_errno(argv[i]); continue; }
    for (ssize_t n; (n = getline(&line, &room, f)) >= 0;) {
      if (n > 0 && line[n - 1] == '\n') line[n - 1] = 0;
      cut_line(line);
    }
    free(line);
    if (f != stdin) fclose(f);
  }
  return fflush(stdout) ? 1 : tool_status;
}
