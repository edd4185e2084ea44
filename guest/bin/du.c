// du [-asb] [FILE ...]: space of trees, in KiB of blocks, or with -b in bytes of contents.
#include "path.h"
#include "tool.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int all, summary, bytes;
struct sum { long long total; };

static long long tree(const char *path, int top);

static void entry(const char *path, const char *name, void *data) {
  (void)name;
  ((struct sum *)data)->total += tree(path, 0);
}

static void print(long long size, const char *path) { printf("%lld\t%s\n", bytes ? size : (size + 1) / 2, path); }

static long long tree(const char *path, int top) {
  struct stat st;
  if (lstat(path, &st) < 0) { warn_errno(path); return 0; }
  struct sum s = { bytes ? st.st_size : st.st_blocks };
  if (S_ISDIR(st.st_mode) && dir_each(path, entry, &s) < 0) warn_errno(path);
  if (top || (!summary && (all || S_ISDIR(st.st_mode)))) print(s.total, path);
  return s.total;
}

int main(int argc, char **argv) {
  int option;
  tool_init(argv);
  while ((option = getopt(argc, argv, "asbk")) >= 0) {
    if (option == '?') return 2;
    if (option == 'a') all = 1;
    if (option == 's') summary = 1;
    if (option == 'b') bytes = 1;
  }
  if (optind == argc) tree(".", 1);
  for (int i = optind; i < argc; i++) tree(argv[i], 1);
  return fflush(stdout) ? 1 : tool_status;
}
