#include "tool.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *tool_name = "?";
int tool_status;

void tool_init(char **argv) {
  const char *slash = argv[0] ? strrchr(argv[0], '/') : 0;
  if (argv[0]) tool_name = slash ? slash + 1 : argv[0];
}

void warn_errno(const char *what) {
  fflush(stdout);
  fprintf(stderr, "%s: %s: %s\n", tool_name, what, strerror(errno));
  tool_status = 1;
}

static void print_text(const char *format, va_list args) {
  fflush(stdout);
  fprintf(stderr, "%s: ", tool_name);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
}

void warn_text(const char *format, ...) {
  va_list args;
  va_start(args, format);
  print_text(format, args);
  va_end(args);
  tool_status = 1;
}

void die_errno(int status, const char *what) {
  warn_errno(what);
  exit(status);
}

void die_text(int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  print_text(format, args);
  va_end(args);
  exit(status);
}

int write_all(int fd, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size > 0) {
    ssize_t n = write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    at += n;
    size -= n;
  }
  return 0;
}

int copy_fd(int from, int to, int *reading) {
  static char buffer[65536];
  for (;;) {
    ssize_t n = read(from, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    *reading = n < 0;
    if (n <= 0) return n;
    if (write_all(to, buffer, n) < 0) return -1;
  }
}

int parse_size(const char *text, long long *value) {
  char *end;
  errno = 0;
  *value = strtoll(text, &end, 10);
  if (end == text || *value < 0 || errno) return -1;
  int shift = *end == 'k' || *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
  if (shift) end++;
  *value <<= shift;
  return *end ? -1 : 0;
}

void *must_alloc(size_t size) {
  void *p = malloc(size ? size : 1);
  if (!p) die_errno(1, "malloc");
  return p;
}
