// wc [-lwc] [FILE ...]
#include "tool.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct counts { long long lines, words, bytes; };
static int show_lines, show_words, show_bytes, width = 7;

static int count(int fd, struct counts *n) {
  static unsigned char buffer[65536];
  int in_word = 0;
  ssize_t size;
  while ((size = read(fd, buffer, sizeof buffer)) > 0) {
    n->bytes += size;
    for (ssize_t i = 0; i < size; i++) {
      if (buffer[i] == '\n') n->lines++;
      if (isspace(buffer[i])) in_word = 0;
      else if (!in_word) { in_word = 1; n->words++; }
    }
  }
  return size < 0 ? -1 : 0;
}

static void print(const struct counts *n, const char *name) {
  const long long values[] = { n->lines, n->words, n->bytes };
  const int shown[] = { show_lines, show_words, show_bytes };
  for (int i = 0, first = 1; i < 3; i++) {
    if (!shown[i]) continue;
    printf(first ? "%*lld" : " %*lld", width, values[i]);
    first = 0;
  }
  printf(name ? " %s\n" : "\n", name);
}

int main(int argc, char **argv) {
  struct counts total = { 0 };
  int option;
  tool_init(argv);
  while ((option = getopt(argc, argv, "lwc")) >= 0) {
    if (option == '?') return 2;
    if (option == 'l') show_lines = 1;
    if (option == 'w') show_words = 1;
    if (option == 'c') show_bytes = 1;
  }
  if (!show_lines && !show_words && !show_bytes) show_lines = show_words = show_bytes = 1;
  if (show_lines + show_words + show_bytes == 1 && argc - optind < 2) width = 0;
  if (optind == argc) {
    if (count(0, &total) < 0) warn_errno("standard input");
    print(&total, 0);
    return tool_status;
  }
  for (int i = optind; i < argc; i++) {
    struct counts n = { 0 };
    int fd = !strcmp(argv[i], "-") ? 0 : open(argv[i], O_RDONLY);
    if (fd < 0) { warn_errno(argv[i]); continue; }
    if (count(fd, &n) < 0) warn_errno(argv[i]);
    else print(&n, argv[i]);
    total = (struct counts){ total.lines + n.lines, total.words + n.words, total.bytes + n.bytes };
    if (fd) close(fd);
  }
  if (argc - optind > 1) print(&total, "total");
  return tool_status;
}
