// System calls with wild pointers: EFAULT, or what the call says before it looks; never anything worse.
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

static int file, ends[2], pair[2];

/** One call for each pointer; the result is -1 with EFAULT. */
static void all(void *p) {
  char c = 0;
  FAILS(syscall(SYS_read, file, p, 100), EFAULT);
  FAILS(syscall(SYS_pread64, file, p, 100, 0), EFAULT);
  lseek(file, 0, SEEK_SET);
  FAILS(syscall(SYS_readv, file, p, 2), EFAULT);
  struct iovec v = { p, 100 };
  FAILS(syscall(SYS_readv, file, &v, 1), EFAULT);
  FAILS(syscall(SYS_openat, AT_FDCWD, p, O_RDONLY, 0), EFAULT);
  FAILS(syscall(SYS_mkdirat, AT_FDCWD, p, 0700), EFAULT);
  FAILS(syscall(SYS_unlinkat, AT_FDCWD, p, 0), EFAULT);
  FAILS(syscall(SYS_chdir, p), EFAULT);
  FAILS(syscall(SYS_readlinkat, AT_FDCWD, p, &c, 1), EFAULT);
  FAILS(syscall(SYS_readlinkat, AT_FDCWD, "/etc/mtab", p, 100), EFAULT);
  FAILS(syscall(SYS_symlinkat, p, AT_FDCWD, "/tmp/never"), EFAULT);
  FAILS(syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, "/tmp/never", 0), EFAULT);
  FAILS(syscall(SYS_fstat, file, p), EFAULT);
  FAILS(syscall(SYS_newfstatat, AT_FDCWD, "/", p, 0), EFAULT);
  FAILS(syscall(SYS_newfstatat, AT_FDCWD, p, &c, 0), EFAULT);
  FAILS(syscall(SYS_statfs, "/", p), EFAULT);
  FAILS(syscall(SYS_getcwd, p, 100), EFAULT);
  FAILS(syscall(SYS_getdents64, open("/", O_RDONLY), p, 1000), EFAULT);
  FAILS(syscall(SYS_pipe2, p, 0), EFAULT);
  FAILS(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, p), EFAULT);
  FAILS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p), EFAULT);
  FAILS(syscall(SYS_gettimeofday, p, NULL), EFAULT);
  FAILS(syscall(SYS_nanosleep, p, NULL), EFAULT);
  FAILS(syscall(SYS_setitimer, ITIMER_REAL, p, NULL), EFAULT);
  FAILS(syscall(SYS_rt_sigaction, SIGUSR1, p, NULL, 8), EFAULT);
  FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8), EFAULT);
  FAILS(syscall(SYS_rt_sigpending, p, 8), EFAULT);
  FAILS(syscall(SYS_sigaltstack, p, NULL), EFAULT);
  FAILS(syscall(SYS_uname, p), EFAULT);
  FAILS(syscall(SYS_sysinfo, p), EFAULT);
  FAILS(syscall(SYS_getrusage, RUSAGE_SELF, p), EFAULT);
  FAILS(syscall(SYS_times, p), EFAULT);
  FAILS(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, p, NULL), EFAULT);
  FAILS(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, p), EFAULT);
  FAILS(syscall(SYS_getrandom, p, 16, 0), EFAULT);
  FAILS(syscall(SYS_ppoll, p, 1, NULL, NULL, 8), EFAULT);
  FAILS(syscall(SYS_pselect6, 1, p, NULL, NULL, NULL, NULL), EFAULT);
  FAILS(syscall(SYS_bind, pair[0], p, 10), EFAULT);
  FAILS(syscall(SYS_recvmsg, pair[0], p, 0), EFAULT);
  FAILS(syscall(SYS_sendmsg, pair[0], p, 0), EFAULT);
  FAILS(syscall(SYS_execve, p, NULL, NULL), EFAULT);
  FAILS(syscall(SYS_utimensat, AT_FDCWD, p, NULL, 0), EFAULT);
  FAILS(syscall(SYS_sethostname, p, 10), EFAULT);
  pid_t pid = fork();
  if (pid == 0) _exit(3);
  FAILS(syscall(SYS_wait4, pid, p, 0, NULL), EFAULT);
}

int main(void) {
  // The hole is made last, so that nothing else is put into it.
  char *readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(map != MAP_FAILED && readonly != MAP_FAILED && munmap(map + 4096, 4096) == 0);
  file = open("/bin/sh", O_RDONLY);
  CHECK(file >= 0 && pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  all((void *)8);
  all(map + 4096);
  all((void *)0x3fffffff000);
  all((void *)0x4000000000);
  all((void *)-4096);
  all((void *)0x8000000000000000);
  // Over the end of a mapping: what fits is done, or nothing is.
  CHECK(pread(file, map + 4000, 200, 0) == 96 || errno == EFAULT);
  CHECK(write(ends[1], map + 4090, 6) == 6);
  ssize_t n = write(ends[1], map + 4000, 200);
  CHECK(n == 96 || (n == -1 && errno == EFAULT));
  // A name that ends with the mapping is whole; one that goes over is not.
  memcpy(map + 4096 - 5, "/tmp", 5);
  CHECK(access(map + 4096 - 5, F_OK) == 0);
  memcpy(map + 4096 - 4, "/tmp", 4);
  FAILS(access(map + 4096 - 4, F_OK), EFAULT);
  FAILS(read(file, readonly, 10), EFAULT);
  FAILS(clock_gettime(CLOCK_MONOTONIC, (struct timespec *)readonly), EFAULT);
  struct iovec v[2] = { { map, 10 }, { (void *)8, 10 } };
  lseek(file, 0, SEEK_SET);
  n = readv(file, v, 2);
  CHECK(n == 10 || (n == -1 && errno == EFAULT));
  while (waitpid(-1, NULL, WNOHANG) > 0) {}
  return 0;
}
