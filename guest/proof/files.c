// Work for the file system and the disk: files of many sizes, written in the ways that programs have.
#include "proof.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORK ROOT "/made"
#define PIECE (64 << 10)
#define SMALL_FILES 150
#define LARGE_PIECES 100      // 6.25 MiB: past the single indirect block
#define SPARSE_SIZE (12l << 20)
#define MAPPED (256 << 10)
#define DIRECT_PIECES 8
#define LOG_LINES 300

static char piece[PIECE] __attribute__((aligned(4096))), other[PIECE] __attribute__((aligned(4096)));

/** Bytes that follow from a seed. */
static void fill(char *bytes, size_t len, uint64_t seed) {
  uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15ull;
  for (size_t i = 0; i < len; i += 8) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    memcpy(bytes + i, &x, len - i < 8 ? len - i : 8);
  }
}

static int write_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n <= 0) return 0;
    bytes += n;
    len -= n;
  }
  return 1;
}

static int holds(int fd, off_t at, size_t len, uint64_t seed) {
  fill(piece, len, seed);
  return pread(fd, other, len, at) == (ssize_t)len && memcmp(piece, other, len) == 0;
}

static int is_zero(int fd, off_t at, size_t len) {
  memset(piece, 0, len);
  return pread(fd, other, len, at) == (ssize_t)len && memcmp(piece, other, len) == 0;
}

static size_t small_size(int i) { return i * 37 * 11 % 9000; }

static char *small_name(int i) {
  static char path[64];
  snprintf(path, sizeof path, WORK "/small/%03d", i);
  return path;
}

static int write_small(void) {
  int ok = mkdir(WORK "/small", 0750) == 0;
  for (int i = 0; ok && i < SMALL_FILES; i++) {
    int fd = open(small_name(i), O_WRONLY | O_CREAT | O_EXCL, 0640);
    fill(piece, small_size(i), i);
    ok = fd >= 0 && write_all(fd, piece, small_size(i)) && close(fd) == 0;
  }
  return ok;
}

static int write_large(void) {
  int fd = open(WORK "/large", O_WRONLY | O_CREAT, 0644), ok = fd >= 0;
  for (int i = 0; ok && i < LARGE_PIECES; i++) {
    fill(piece, PIECE, 1000 + i);
    ok = write_all(fd, piece, PIECE);
  }
  return ok && fsync(fd) == 0 && close(fd) == 0;
}

/** Data at three places, holes between them and at the end. */
static int write_sparse(void) {
  int fd = open(WORK "/sparse", O_RDWR | O_CREAT, 0644), ok = fd >= 0;
  const off_t places[] = { 0, (1 << 20) + 5, 9 << 20 };
  for (int i = 0; ok && i < 3; i++) {
    fill(piece, 5000, 2000 + i);
    ok = pwrite(fd, piece, 5000, places[i]) == 5000;
  }
  return ok && ftruncate(fd, SPARSE_SIZE) == 0 && fdatasync(fd) == 0 && close(fd) == 0;
}

static int write_mapped(void) {
  int fd = open(WORK "/mapped", O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, MAPPED) != 0) return 0;
  char *p = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) return 0;
  for (int i = MAPPED / PIECE - 1; i >= 0; i--) fill(p + i * PIECE, PIECE, 3000 + i);
  return msync(p, MAPPED, MS_SYNC) == 0 && munmap(p, MAPPED) == 0 && close(fd) == 0;
}

/** Past the page cache: the disk reads and writes our pages. */
static int write_direct(void) {
  int fd = open(WORK "/direct", O_RDWR | O_CREAT | O_DIRECT, 0644), ok = fd >= 0;
  for (int i = 0; ok && i < DIRECT_PIECES; i++) {
    fill(piece, PIECE, 4000 + i);
    ok = pwrite(fd, piece, PIECE, (off_t)(DIRECT_PIECES - 1 - i) * PIECE) == PIECE;
  }
  for (int i = 0; ok && i < DIRECT_PIECES; i++) ok = holds(fd, (off_t)(DIRECT_PIECES - 1 - i) * PIECE, PIECE, 4000 + i);
  return ok && close(fd) == 0;
}

/** Each line is on the disk before the next one is written. */
static int write_log(void) {
  int fd = open(WORK "/log", O_WRONLY | O_CREAT | O_APPEND | O_SYNC, 0644), ok = fd >= 0;
  for (int i = 0; ok && i < LOG_LINES; i++) {
    int n = snprintf(piece, PIECE, "line %d\n", i);
    ok = write_all(fd, piece, n);
  }
  return ok && close(fd) == 0;
}

/** A file that was on the disk: a piece in the middle, a shorter end, something behind that. */
static int overwrite(void) {
  int fd = open(ROOT "/tree/words.txt", O_RDWR);
  struct stat s;
  if (fd < 0 || fstat(fd, &s) != 0) return 0;
  fill(piece, 3000, 5000);
  int ok = pwrite(fd, piece, 3000, 4090) == 3000 && ftruncate(fd, s.st_size - 777) == 0 && lseek(fd, 0, SEEK_END) == s.st_size - 777;
  return ok && write_all(fd, "the end\n", 8) && close(fd) == 0;
}

static int rename_some(void) {
  char from[64], long_name[300];
  strcpy(from, small_name(0));
  int ok = mkdir(WORK "/moved", 0755) == 0 && rename(from, WORK "/moved/zero") == 0;
  strcpy(from, small_name(1));
  ok = ok && rename(from, small_name(2)) == 0 && rename(WORK "/moved", WORK "/small/moved") == 0 && rename(ROOT "/tree/sub", WORK "/sub") == 0;
  snprintf(long_name, sizeof long_name, WORK "/%0255d", 7);
  return ok && rename(small_name(4), long_name) == 0;
}

static int link_some(void) {
  char target[200];
  memset(target, 'x', sizeof target - 1);
  target[sizeof target - 1] = 0;
  return link(WORK "/large", WORK "/large.link") == 0 && link(ROOT "/tree/binary", WORK "/binary.link") == 0 && symlink("small/007", WORK "/short") == 0 &&
    symlink(target, WORK "/long") == 0;
}

static int remove_some(void) {
  for (int i = 6; i < SMALL_FILES; i += 3) if (unlink(small_name(i)) != 0) return 0;
  int fd = open(WORK "/unnamed", O_RDWR | O_CREAT, 0600), ok = fd >= 0 && unlink(WORK "/unnamed") == 0;
  fill(piece, PIECE, 6000);
  ok = ok && write_all(fd, piece, PIECE) && holds(fd, 0, PIECE, 6000) && close(fd) == 0;
  return ok && unlink(ROOT "/tree/doomed") == 0 && rmdir(ROOT "/tree/empty") == 0 && rmdir(ROOT "/tree") != 0 && errno == ENOTEMPTY;
}

static int change_attributes(void) {
  return chmod(small_name(5), 04751) == 0 && chown(small_name(7), 1000, 70000) == 0 && truncate(small_name(8), 100000) == 0 && truncate(small_name(10), 3) == 0;
}

void change_files(void) {
  check("folder made", mkdir(WORK, 0755) == 0);
  check("small files written", write_small());
  check("large file written", write_large());
  check("sparse file written", write_sparse());
  check("mapped file written", write_mapped());
  check("file written past the page cache", write_direct());
  check("log written", write_log());
  check("file changed in the middle", overwrite());
  check("renamed", rename_some());
  check("linked", link_some());
  check("removed", remove_some());
  check("attributes changed", change_attributes());
}

/** => whether pieces of a file hold what follows from their seeds; `backwards`: the last was written first */
static int verify_pieces(const char *path, int pieces, uint64_t seed, int backwards) {
  int fd = open(path, O_RDONLY), ok = fd >= 0;
  for (int i = 0; ok && i < pieces; i++) ok = holds(fd, (off_t)(backwards ? pieces - 1 - i : i) * PIECE, PIECE, seed + i);
  close(fd);
  return ok;
}

static int verify_small(void) {
  for (int i = 11; i < SMALL_FILES; i++) {
    if (i % 3 == 0) continue;
    int fd = open(small_name(i), O_RDONLY);
    if (fd < 0 || !holds(fd, 0, small_size(i), i)) return 0;
    close(fd);
  }
  return 1;
}

static int verify_sparse(void) {
  int fd = open(WORK "/sparse", O_RDONLY);
  int ok = fd >= 0 && holds(fd, 0, 5000, 2000) && holds(fd, (1 << 20) + 5, 5000, 2001) && holds(fd, 9 << 20, 5000, 2002);
  ok = ok && is_zero(fd, 5000, PIECE) && is_zero(fd, SPARSE_SIZE - PIECE, PIECE) && lseek(fd, 0, SEEK_END) == SPARSE_SIZE;
  // Where the file system tells holes from data.
  ok = ok && lseek(fd, 0, SEEK_HOLE) == 8192 && lseek(fd, 8192, SEEK_DATA) == 1 << 20;
  close(fd);
  return ok;
}

void verify_files(void) {
  check("small files as written", verify_small());
  check("large file as written", verify_pieces(WORK "/large", LARGE_PIECES, 1000, 0));
  check("sparse file as written", verify_sparse());
  check("mapped file as written", verify_pieces(WORK "/mapped", MAPPED / PIECE, 3000, 0));
  check("direct file as written", verify_pieces(WORK "/direct", DIRECT_PIECES, 4000, 1));
}
