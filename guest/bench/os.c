// What the operating system costs: `os OPERATION N` does one operation N times, checks what it did, and prints one line.
// The clock is outside. Times per operation are a difference of two runs with different N.
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 65536
#define PAGE 4096
#define PAGES 1024

static const char *self;
static char block[BLOCK];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void wait_for(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid || status != 0) {
    fprintf(stderr, "os: a child failed with status %d\n", status);
    exit(1);
  }
}

static uint64_t nullcall(long n) {
  uint64_t sum = 0;
  for (long i = 0; i < n; i++) sum += syscall(SYS_getppid) > 0;
  return sum == 0 || sum == (uint64_t)n;
}

static uint64_t forkexit(long n) {
  for (long i = 0; i < n; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) _exit(0);
    wait_for(pid);
  }
  return 1;
}

static uint64_t forkexec(long n) {
  for (long i = 0; i < n; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
      execl(self, self, "true", "1", (char *)NULL);
      _exit(127);
    }
    wait_for(pid);
  }
  return 1;
}

/** A child reads n blocks that the parent writes. */
static uint64_t stream(int from, int to, long n) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    static char in[BLOCK];
    uint64_t got = 0;
    close(to);
    for (ssize_t r; (r = read(from, in, BLOCK)) > 0;) got += r;
    _exit(got == (uint64_t)n * BLOCK ? 0 : 1);
  }
  close(from);
  for (long i = 0; i < n; i++)
    for (ssize_t done = 0, w; done < BLOCK; done += w)
      if ((w = write(to, block + done, BLOCK - done)) <= 0) die("write");
  close(to);
  wait_for(pid);
  return 1;
}

static uint64_t pipebw(long n) {
  int fd[2];
  if (pipe(fd) != 0) die("pipe");
  return stream(fd[0], fd[1], n);
}

static uint64_t unixbw(long n) {
  int fd[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0) die("socketpair");
  return stream(fd[0], fd[1], n);
}

static uint64_t pingpong(long n) {
  int there[2], back[2];
  char c = 'x';
  if (pipe(there) != 0 || pipe(back) != 0) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    close(there[1]);
    while (read(there[0], &c, 1) == 1)
      if (write(back[1], &c, 1) != 1) _exit(1);
    _exit(0);
  }
  for (long i = 0; i < n; i++)
    if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1) die("pingpong");
  close(there[1]);
  wait_for(pid);
  return c == 'x';
}

static uint64_t faultanon(long n) {
  uint64_t sum = 0;
  for (long done = 0; done < n; done += PAGES) {
    char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) die("mmap");
    for (long i = 0; i < PAGES; i++) sum += ++p[i * PAGE];
    munmap(p, PAGES * PAGE);
  }
  return sum >= (uint64_t)n;
}

/** Pages that are in memory and only not mapped: one fault each, without a new page. Stores, as Linux maps around a load. */
static uint64_t faultresident(long n) {
  char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct rusage before, after;
  if (p == MAP_FAILED || madvise(p, PAGES * PAGE, MADV_RANDOM) != 0) die("mmap");
  memset(p, 1, PAGES * PAGE);
  getrusage(RUSAGE_SELF, &before);
  for (long done = 0; done < n; done += PAGES) {
    if (madvise(p, PAGES * PAGE, MADV_DONTNEED) != 0) die("madvise");
    for (long i = 0; i < PAGES; i++) p[i * PAGE] = 2;
  }
  getrusage(RUSAGE_SELF, &after);
  return after.ru_minflt - before.ru_minflt >= n;
}

static int scratch_file(long pages) {
  int fd = open("/tmp/os.bench", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) die("/tmp/os.bench");
  for (long i = 0; i < pages; i++) {
    block[0] = (char)i;
    if (write(fd, block, PAGE) != PAGE) die("write");
  }
  return fd;
}

static uint64_t faultfile(long n) {
  int fd = scratch_file(PAGES);
  uint64_t sum = 0;
  for (long done = 0; done < n; done += PAGES) {
    char *p = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) die("mmap");
    for (long i = 0; i < PAGES; i++) sum += p[i * PAGE] == (char)i;
    munmap(p, PAGES * PAGE);
  }
  close(fd);
  unlink("/tmp/os.bench");
  return sum >= (uint64_t)n;
}

static uint64_t faultcow(long n) {
  char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  memset(p, 1, PAGES * PAGE);
  for (long done = 0; done < n; done += PAGES) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
      uint64_t sum = 0;
      for (long i = 0; i < PAGES; i++) sum += ++p[i * PAGE];
      _exit(sum == PAGES * 2 ? 0 : 1);
    }
    wait_for(pid);
  }
  return p[0] == 1;
}

static uint64_t filewrite(long n) {
  int fd = scratch_file(0);
  for (long i = 0; i < n; i++) {
    if (i % 64 == 0) lseek(fd, 0, SEEK_SET);
    if (write(fd, block, BLOCK) != BLOCK) die("write");
  }
  close(fd);
  unlink("/tmp/os.bench");
  return 1;
}

static uint64_t fileread(long n) {
  int fd = scratch_file(64 * (BLOCK / PAGE));
  for (long i = 0; i < n; i++) {
    if (i % 64 == 0) lseek(fd, 0, SEEK_SET);
    if (read(fd, block, BLOCK) != BLOCK) die("read");
  }
  close(fd);
  unlink("/tmp/os.bench");
  return 1;
}

static uint64_t shells(long n) {
  for (long i = 0; i < n; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
      int null = open("/dev/null", O_WRONLY);
      dup2(null, 1);
      execl("/bin/sh", "sh", "-c", "ls /bin | wc", (char *)NULL);
      _exit(127);
    }
    wait_for(pid);
  }
  return 1;
}

static uint64_t nothing(long n) { return n > 0; }

static const struct { const char *name; uint64_t (*run)(long); } operations[] = {
  { "true", nothing }, { "nullcall", nullcall }, { "forkexit", forkexit }, { "forkexec", forkexec }, { "pipebw", pipebw }, { "unixbw", unixbw },
  { "pingpong", pingpong }, { "faultanon", faultanon }, { "faultresident", faultresident }, { "faultfile", faultfile }, { "faultcow", faultcow },
  { "filewrite", filewrite }, { "fileread", fileread }, { "shells", shells },
};

int main(int argc, char **argv) {
  self = argv[0];
  for (size_t i = 0; argc == 3 && i < sizeof operations / sizeof *operations; i++) {
    if (strcmp(argv[1], operations[i].name) != 0) continue;
    long n = scale_of(2, argv + 1, 1);
    if (strcmp(argv[1], "true") != 0) printf("os %s n=%ld %s\n", argv[1], n, operations[i].run(n) ? "right" : "WRONG");
    return 0;
  }
  fprintf(stderr, "usage: %s OPERATION N\noperations:", argv[0]);
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) fprintf(stderr, " %s", operations[i].name);
  fputs("\n", stderr);
  return 2;
}
