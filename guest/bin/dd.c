// dd [if=FILE] [of=FILE] [bs=SIZE] [count=N] [skip=N] [seek=N] [conv=notrunc,sync,fsync] [status=none]
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *in_name, *out_name;
static long long block = 512, count = -1, skip, seek_blocks;
static int notrunc, pad, sync_at_end, quiet;

static void operand(const char *text) {
  const struct { const char *name; long long *value; } numbers[] = { { "bs=", &block }, { "count=", &count }, { "skip=", &skip }, { "seek=", &seek_blocks } };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    size_t n = strlen(numbers[i].name);
    if (strncmp(text, numbers[i].name, n)) continue;
    if (parse_size(text + n, numbers[i].value) < 0) die_text(2, "%s: not a number", text);
    return;
  }
  if (!strncmp(text, "if=", 3)) in_name = text + 3;
  else if (!strncmp(text, "of=", 3)) out_name = text + 3;
  else if (!strcmp(text, "status=none")) quiet = 1;
  else if (!strncmp(text, "conv=", 5)) {
    notrunc = strstr(text, "notrunc") != 0;
    sync_at_end = strstr(text, "fsync") != 0;
    pad = strstr(text, "=sync") || strstr(text, ",sync");
  } else die_text(2, "%s: unknown operand", text);
}

int main(int argc, char **argv) {
  tool_init(argv);
  for (int i = 1; i < argc; i++) operand(argv[i]);
  if (block < 1 || block > 1 << 28) die_text(2, "bs=%lld: must be between 1 and 256M", block);
  int in = in_name ? open(in_name, O_RDONLY) : 0, out = out_name ? open(out_name, O_WRONLY | O_CREAT | (notrunc || seek_blocks ? 0 : O_TRUNC), 0666) : 1;
  if (in < 0) die_errno(1, in_name);
  if (out < 0) die_errno(1, out_name);
  char *buffer = must_alloc(block);
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (skip && lseek(in, skip * block, SEEK_CUR) < 0)
    for (long long i = 0; i < skip && read(in, buffer, block) > 0; i++);
  if (seek_blocks) {
    if (!notrunc && ftruncate(out, seek_blocks * block) < 0 && errno != EINVAL) die_errno(1, "ftruncate");
    if (lseek(out, seek_blocks * block, SEEK_SET) < 0) die_errno(1, "seek");
  }
  long long full = 0, part = 0, written_full = 0, written_part = 0, bytes = 0;
  while (count < 0 || full + part < count) {
    ssize_t n = read(in, buffer, block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) { warn_errno(in_name ? in_name : "standard input"); break; }
    if (n == 0) break;
    if (n == block) full++;
    else part++;
    if (pad && n < block) { memset(buffer + n, 0, block - n); n = block; }
    if (write_all(out, buffer, n) < 0) { warn_errno(out_name ? out_name : "standard output"); break; }
    if (n == block) written_full++;
    else written_part++;
    bytes += n;
  }
  if (sync_at_end && fsync(out) < 0) warn_errno("fsync");
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
  if (!quiet)
    fprintf(stderr, "%lld+%lld records in\n%lld+%lld records out\n%lld bytes copied, %.6f s, %.1f MB/s\n", full, part, written_full, written_part, bytes, seconds, seconds > 0 ? bytes / seconds / 1e6 : 0);
  return tool_status;
}
