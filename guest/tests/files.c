// Files and directories, on ext2 and in memory.
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static void in(const char *dir) {
  struct stat st;
  char buffer[64];
  CHECK(chdir(dir) == 0 && mkdir("t", 0755) == 0 && chdir("t") == 0);
  int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0640);
  CHECK(fd >= 0 && write(fd, "hello", 5) == 5);
  FAILS(open("f", O_CREAT | O_EXCL, 0600), EEXIST);
  CHECK(lseek(fd, 100000, SEEK_SET) == 100000 && write(fd, "end", 3) == 3 && fstat(fd, &st) == 0 && st.st_size == 100003);
  CHECK(pread(fd, buffer, 8, 50000) == 8 && !memcmp(buffer, "\0\0\0\0\0\0\0", 8));
  CHECK(ftruncate(fd, 3) == 0 && ftruncate(fd, 10) == 0 && pread(fd, buffer, 20, 0) == 10 && !memcmp(buffer, "hel\0\0\0\0\0\0", 10));
  int append = open("f", O_WRONLY | O_APPEND);
  CHECK(write(append, "A", 1) == 1 && pread(fd, buffer, 1, 10) == 1 && buffer[0] == 'A');
  int copy = dup(fd);
  CHECK(lseek(fd, 2, SEEK_SET) == 2 && read(copy, buffer, 1) == 1 && buffer[0] == 'l' && lseek(fd, 0, SEEK_CUR) == 3);
  CHECK(link("f", "g") == 0 && stat("g", &st) == 0 && st.st_nlink == 2 && unlink("f") == 0);
  CHECK(symlink("g", "s") == 0 && readlink("s", buffer, 64) == 1 && stat("s", &st) == 0 && lstat("s", &st) == 0 && S_ISLNK(st.st_mode));
  CHECK(mkdir("d", 0700) == 0 && mkdir("d/e", 0700) == 0);
  FAILS(rmdir("d"), ENOTEMPTY);
  FAILS(rename("d", "d/e/x"), EINVAL);
  FAILS(unlink("d"), EISDIR);
  FAILS(rename("g", "d"), EISDIR);
  FAILS(rename("d", "g"), ENOTDIR);
  FAILS(open("g/x", O_RDONLY), ENOTDIR);
  FAILS(open("missing/x", O_RDONLY), ENOENT);
  CHECK(rename("d/e", "e") == 0 && rmdir("d") == 0 && rename("g", "h") == 0 && access("g", F_OK) == -1);
  CHECK(unlink("h") == 0 && pwrite(fd, "still", 5, 0) == 5 && pread(fd, buffer, 5, 0) == 5 && fstat(fd, &st) == 0 && st.st_nlink == 0);
  CHECK(symlink("loop", "loop") == 0);
  FAILS(open("loop", O_RDONLY), ELOOP);
  for (int i = 0; i < 300; i++) {
    snprintf(buffer, sizeof buffer, "many-%d", i);
    CHECK(close(open(buffer, O_CREAT | O_WRONLY, 0644)) == 0);
  }
  int seen = 0;
  DIR *d = opendir(".");
  for (struct dirent *e; (e = readdir(d));) if (!strncmp(e->d_name, "many-", 5)) { seen++; CHECK(unlink(e->d_name) == 0); }
  closedir(d);
  CHECK(seen == 300);
  struct timespec times[2] = { { 1000000000, 123456789 }, { 1100000000, 987654321 } };
  CHECK(futimens(fd, times) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 1100000000 && labs(st.st_mtim.tv_nsec - 987654321) < 512);
  CHECK(fchmod(fd, 0604) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0604);
  close(fd);
  close(copy);
  close(append);
  CHECK(unlink("s") == 0 && unlink("loop") == 0 && rmdir("e") == 0 && chdir("..") == 0 && rmdir("t") == 0);
}

int main(void) {
  in("/root");
  in("/tmp");
  FAILS(read(77, 0, 1), EBADF);
  int fd = open("/dev/zero", O_RDONLY);
  FAILS(read(fd, (void *)8, 100), EFAULT);
  FAILS(open((void *)8, O_RDONLY), EFAULT);
  FAILS(write(1, (void *)-1, 10), EFAULT);
  return 0;
}
