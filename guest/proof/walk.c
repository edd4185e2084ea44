// What lies on the disk, a line for each file. tools/proof/linuxdisk.ts makes the same lines from the image.
#include "proof.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLED 1000000000

uint64_t mix_bytes(uint64_t h, const void *bytes, size_t len) {
  const char *p = bytes;
  for (; len > 0;) {
    uint64_t word = 0;
    size_t n = len < 8 ? len : 8;
    memcpy(&word, p, n);
    h = (h ^ word) * 0x100000001b3ull;
    h ^= h >> 29;
    p += n;
    len -= n;
  }
  return h;
}

/** => a file's checksum in hex, where a link points, or "-" */
static const char *contents(const char *path, const struct stat *s, char *text, size_t size) {
  static char chunk[64 << 10];
  if (S_ISLNK(s->st_mode)) {
    ssize_t n = readlink(path, text, size - 1);
    text[n < 0 ? 0 : n] = 0;
    return text;
  }
  if (!S_ISREG(s->st_mode)) return "-";
  uint64_t h = MIX_START;
  int fd = open(path, O_RDONLY);
  if (fd < 0) return "unreadable";
  ssize_t n;
  while ((n = read(fd, chunk, sizeof chunk)) > 0) h = mix_bytes(h, chunk, n);
  close(fd);
  if (n < 0) return "unreadable";
  snprintf(text, size, "%016llx", (unsigned long long)h);
  return text;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void show(const char *path) {
  struct stat s;
  char text[1024];
  if (lstat(path, &s) != 0) return (void)printf("gone %s\n", path);
  const char *shown = path[strlen(ROOT)] == 0 ? "/" : path + strlen(ROOT);
  char type = S_ISDIR(s.st_mode) ? 'd' : S_ISLNK(s.st_mode) ? 'l' : S_ISREG(s.st_mode) ? 'f' : '?';
  printf("%c %04o %u %u:%u %lld %lld %lld %s %s\n", type, s.st_mode & 07777, (unsigned)s.st_nlink, s.st_uid, s.st_gid, (long long)s.st_size,
    (long long)s.st_blocks, type == 'f' ? (long long)s.st_mtim.tv_sec : 0, contents(path, &s, text, sizeof text), shown);
  if (type != 'd') return;
  struct dirent **names;
  int n = scandir(path, &names, NULL, by_name);
  for (int i = 0; i < n; i++) {
    char below[1024];
    snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name);
    if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) show(below);
    free(names[i]);
  }
  if (n >= 0) free(names);
}

void walk(const char *label) {
  printf("WALK %s\n", label);
  show(ROOT);
  printf("WALKED\n");
  fflush(stdout);
}

static int settle(const char *path, const struct stat *s, int kind, struct FTW *at) {
  struct timespec times[2] = { { SETTLED, 0 }, { SETTLED, 0 } };
  (void)kind;
  (void)at;
  return S_ISREG(s->st_mode) ? utimensat(AT_FDCWD, path, times, 0) : 0;
}

void settle_times(void) { check("times set", nftw(ROOT, settle, 16, FTW_PHYS) == 0); }
