// df [-ih] [FILE ...]: space of mounted file systems, in KiB, or with -i their files.
#include "tool.h"
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int files;

static void print(const char *source, const char *dir) {
  struct statvfs s;
  if (statvfs(dir, &s) < 0) { warn_errno(dir); return; }
  unsigned long long total = files ? s.f_files : s.f_blocks * s.f_frsize / 1024, left = files ? s.f_ffree : s.f_bavail * s.f_frsize / 1024;
  unsigned long long used = files ? total - left : (s.f_blocks - s.f_bfree) * s.f_frsize / 1024;
  if (total == 0) return;
  printf("%-16s %10llu %10llu %10llu %3llu%% %s\n", source, total, used, left, used + left ? (used * 100 + used + left - 1) / (used + left) : 0, dir);
}

int main(int argc, char **argv) {
  char source[256], dir[256];
  int option;
  tool_init(argv);
  while ((option = getopt(argc, argv, "ihk")) >= 0) {
    if (option == '?') return 2;
    if (option == 'i') files = 1;
  }
  printf("%-16s %10s %10s %10s %4s %s\n", "Filesystem", files ? "Inodes" : "KiB", "Used", "Available", "Use%", "Mounted on");
  for (int i = optind; i < argc; i++) print("-", argv[i]);
  FILE *f = optind == argc ? fopen("/proc/mounts", "r") : 0;
  if (optind == argc && !f) die_errno(1, "/proc/mounts");
  while (f && fscanf(f, "%255s %255s %*s %*s %*d %*d", source, dir) == 2) print(source, dir);
  return fflush(stdout) ? 1 : tool_status;
}
