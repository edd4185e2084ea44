// /init of the Linux proof (tools/linux.main.ts): on Debian's kernel, loads the modules that /modules.txt names, mounts the disk,
// reads, changes and verifies files on it, uses the other devices of the board, and switches the machine off.
#include "proof.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256 << 10)
#define WAIT_MS 20000

// From Linux' headers, which are no part of musl.
struct fstrim_range { uint64_t start, len, minlen; };
#define FITRIM _IOWR('X', 121, struct fstrim_range)

int check(const char *what, int ok) {
  if (ok) printf("%s: yes\n", what);
  else printf("%s: no (%s)\n", what, errno == 0 ? "not as it should be" : strerror(errno));
  fflush(stdout);
  errno = 0;
  return ok;
}

long read_text(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  size_t n = 0;
  for (ssize_t got; n < size - 1 && (got = read(fd, text + n, size - 1 - n)) > 0;) n += got;
  text[n] = 0;
  close(fd);
  return n;
}

/** The console is open: the initial RAM disk has a node for it. */
static void set_up(void) {
  const char *folders[] = { "/proc", "/sys", "/dev", ROOT };
  for (int i = 0; i < 4; i++) mkdir(folders[i], 0755);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sysfs", "/sys", "sysfs", 0, NULL);
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
}

static void load_modules(void) {
  char list[4096], path[128], what[160], *rest = list, *name;
  if (!check("list of modules", read_text("/modules.txt", list, sizeof list) > 0)) return;
  while ((name = strtok_r(rest, "\n", &rest)) != NULL) {
    snprintf(path, sizeof path, "/modules/%s", name);
    snprintf(what, sizeof what, "module %s", name);
    int fd = open(path, O_RDONLY);
    check(what, fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0);
    close(fd);
  }
}

/** Drivers look for their devices while modules are loaded, and perhaps a little later. */
static int wait_for(const char *path) {
  for (int ms = 0; ms < WAIT_MS && access(path, F_OK) != 0; ms += 10) nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
  return access(path, F_OK) == 0;
}

static void describe_disk(void) {
  int fd = open(DISK, O_RDONLY), sector = 0;
  unsigned long long bytes = 0;
  char text[80] = "";
  check("size of the disk", ioctl(fd, BLKGETSIZE64, &bytes) == 0 && ioctl(fd, BLKSSZGET, &sector) == 0);
  printf("%llu bytes in sectors of %d\n", bytes, sector);
  read_text("/sys/block/vda/cache_type", text, sizeof text);
  printf("cache: %s", text);
  read_text("/sys/block/vda/ro", text, sizeof text);
  printf("read-only: %s", text);
  // Of the features that driver and device agreed on, bit 32 tells whether the transport is that of virtio 1.
  long n = read_text("/sys/block/vda/device/features", text, sizeof text);
  printf("virtio: %s\n# features %.64s\n", n > 32 && text[32] == '1' ? "modern" : "legacy", text);
  close(fd);
}

/** Where on the board both disks are, and what is on the other one. */
static void describe_board(void) {
  const char *links[] = { "/sys/block/vda", "/sys/block/vdb" };
  char *bytes = malloc(CHUNK), text[256];
  for (int i = 0; i < 2; i++) {
    ssize_t n = readlink(links[i], text, sizeof text - 1);
    printf("%s -> %.*s\n", links[i], n < 0 ? 0 : (int)n, text);
  }
  uint64_t h = MIX_START;
  unsigned long long total = 0;
  int fd = open("/dev/vdb", O_RDONLY);
  for (ssize_t n; (n = read(fd, bytes, CHUNK)) > 0; total += n) h = mix_bytes(h, bytes, n);
  printf("the other disk: %llu bytes, %016llx\n", total, (unsigned long long)h);
  close(fd);
  free(bytes);
}

static void mount_disk(const char *what, unsigned long flags) {
  struct statfs s;
  if (check(what, mount(DISK, ROOT, "ext2", flags, NULL) == 0) && statfs(ROOT, &s) == 0)
    printf("%lu blocks of %lu, %lu free; %lu files, %lu free\n", (long)s.f_blocks, (long)s.f_bsize, (long)s.f_bfree, (long)s.f_files, (long)s.f_ffree);
}

/** The blocks of removed files are given back, which the disk is told as "discard". */
static void trim(void) {
  struct fstrim_range range = { 0, UINT64_MAX, 0 };
  int fd = open(ROOT, O_RDONLY | O_DIRECTORY);
  check("trim", ioctl(fd, FITRIM, &range) == 0);
  printf("trimmed %llu\n", (unsigned long long)range.len);
  close(fd);
}

/** Programs of the disk, with the disk as their root: pages of them come from it by faults. */
static void run_script(void) {
  int status = -1;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    if (chroot(ROOT) != 0 || chdir("/") != 0) _exit(126);
    setenv("PATH", "/bin", 1);
    execl("/bin/sh", "sh", "/script.sh", (char *)NULL);
    _exit(127);
  }
  check("script on the disk", waitpid(pid, &status, 0) == pid);
  printf("status %x\n", status);
}

/** The device itself, past the page cache and through it: the same bytes. Also bytes that no file has. */
static void read_device(void) {
  int direct = open(DISK, O_RDONLY | O_DIRECT), cached = open(DISK, O_RDONLY), same = 1;
  char *a = aligned_alloc(4096, CHUNK), *b = aligned_alloc(4096, CHUNK);
  unsigned long long total = 0;
  for (ssize_t n; same && (n = read(direct, a, CHUNK)) > 0; total += n) same = read(cached, b, n) == n && memcmp(a, b, n) == 0;
  check("device past the page cache and through it", same && total > 0);
  printf("read %llu\n", total);
  free(a);
  free(b);
  close(direct);
  close(cached);
}

static void use_disk(void) {
  if (!check("disk", wait_for(DISK))) return;
  describe_disk();
  describe_board();
  mount_disk("mount", 0);
  walk("as it came");
  change_files();
  run_script();
  settle_times();
  sync();
  verify_files();
  trim();
  check("unmount", umount(ROOT) == 0);
  read_device();
  mount_disk("mount read-only", MS_RDONLY);
  verify_files();
  walk("as it is now");
  check("unmount", umount(ROOT) == 0);
}

int main(void) {
  struct utsname u;
  set_up();
  printf("START\n");
  if (uname(&u) == 0) printf("%s %s %s\n", u.sysname, u.release, u.machine);
  load_modules();
  use_disk();
  use_devices();
  report_kernel();
  printf("END\n");
  fflush(stdout);
  tcdrain(1);  // a serial port may still be sending, and what it has not sent by then is lost
  sync();
  reboot(RB_POWER_OFF);
  return 1;
}
