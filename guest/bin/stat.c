// stat [-L] FILE ...
#include "tool.h"
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static void print_time(const char *label, const struct timespec *t) {
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime(&t->tv_sec));
  printf("%s: %s.%09ld\n", label, text, t->tv_nsec);
}

static void print(const char *path, const struct stat *st) {
  const char *type = S_ISDIR(st->st_mode) ? "directory" : S_ISLNK(st->st_mode) ? "symbolic link" : S_ISCHR(st->st_mode) ? "character device"
    : S_ISBLK(st->st_mode) ? "block device" : S_ISFIFO(st->st_mode) ? "fifo" : S_ISSOCK(st->st_mode) ? "socket" : "regular file";
  char target[PATH_MAX];
  ssize_t n = S_ISLNK(st->st_mode) ? readlink(path, target, sizeof target) : -1;
  printf("  File: %s", path);
  if (n >= 0) printf(" -> %.*s", (int)n, target);
  printf("\n  Size: %-12lld Blocks: %-8lld IO Block: %-6ld %s\n", (long long)st->st_size, (long long)st->st_blocks, (long)st->st_blksize, type);
  printf("Device: %d,%d  Inode: %-8llu Links: %lu", major(st->st_dev), minor(st->st_dev), (unsigned long long)st->st_ino, (unsigned long)st->st_nlink);
  if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) printf("  Device type: %d,%d", major(st->st_rdev), minor(st->st_rdev));
  printf("\nAccess: %04o  Uid: %u  Gid: %u\n", st->st_mode & 07777, st->st_uid, st->st_gid);
  print_time("Access", &st->st_atim);
  print_time("Modify", &st->st_mtim);
  print_time("Change", &st->st_ctim);
}

int main(int argc, char **argv) {
  int option, follow = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "L")) >= 0) {
    if (option == '?') return 2;
    follow = 1;
  }
  if (optind == argc) die_text(2, "usage: stat [-L] FILE ...");
  for (int i = optind; i < argc; i++) {
    struct stat st;
    if ((follow ? stat : lstat)(argv[i], &st) < 0) warn_errno(argv[i]);
    else print(argv[i], &st);
  }
  return tool_status;
}
