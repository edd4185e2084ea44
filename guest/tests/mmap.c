// Mappings: anonymous and file, private and shared, protection, holes, the end of a file, what faults say.
#include "check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static sigjmp_buf back;
static volatile int got_signal, got_code;
static void *volatile got_address;

static void on_fault(int sig, siginfo_t *info, void *context) {
  (void)context;
  got_signal = sig;
  got_code = info->si_code;
  got_address = info->si_addr;
  siglongjmp(back, 1);
}

// The signal that touching an address raises; 0 none.
static int touch(volatile char *at, int write) {
  got_signal = 0;
  if (sigsetjmp(back, 1) == 0) {
    if (write) *at = 1;
    else (void)*at;
  }
  return got_signal;
}

int main(void) {
  struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
  sigaction(SIGSEGV, &sa, 0);
  sigaction(SIGBUS, &sa, 0);
  char *a = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(a != MAP_FAILED && a[0] == 0);
  memset(a, 7, 8 * 4096);
  CHECK(munmap(a + 2 * 4096, 4096) == 0);
  CHECK(touch(a + 2 * 4096 + 5, 0) == SIGSEGV && got_code == SEGV_MAPERR && got_address == a + 2 * 4096 + 5);
  CHECK(mprotect(a, 4096, PROT_READ) == 0 && touch(a, 0) == 0 && touch(a, 1) == SIGSEGV && got_code == SEGV_ACCERR);
  CHECK(mprotect(a, 4096, PROT_READ | PROT_WRITE) == 0 && touch(a, 1) == 0 && a[1] == 7);
  CHECK(madvise(a + 4096, 4096, MADV_DONTNEED) == 0 && a[4096] == 0 && a[3 * 4096] == 7);
  CHECK(mmap(a + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == a + 4096 && a[4096] == 0);
  CHECK(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
  FAILS(mprotect((void *)0x12345000, 4096, PROT_READ), ENOMEM);
  int fd = open("/root/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(fd >= 0 && write(fd, "0123456789", 10) == 10);
  char *shared = mmap(0, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *private = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(shared != MAP_FAILED && private != MAP_FAILED && !memcmp(shared, "0123456789", 11));
  shared[0] = 'S';
  private[1] = 'P';
  char buffer[16];
  CHECK(pread(fd, buffer, 10, 0) == 10 && !memcmp(buffer, "S123456789", 10));
  CHECK(pwrite(fd, "W", 1, 5) == 1 && shared[5] == 'W');
  CHECK(touch(shared + 4096, 0) == SIGBUS && got_code == BUS_ADRERR);
  CHECK(ftruncate(fd, 6000) == 0 && touch(shared + 4096, 1) == 0 && msync(shared, 2 * 4096, MS_SYNC) == 0);
  CHECK(pread(fd, buffer, 2, 4096) == 2 && buffer[0] == 1 && buffer[1] == 0);
  char *grown = mremap(a + 3 * 4096, 4096, 16 * 4096, MREMAP_MAYMOVE);
  CHECK(grown != MAP_FAILED && grown[0] == 7 && grown[8 * 4096] == 0);
  char *brk0 = (char *)syscall(SYS_brk, 0);
  CHECK((char *)syscall(SYS_brk, brk0 + 100000) == brk0 + 100000);
  brk0[99999] = 3;
  CHECK((char *)syscall(SYS_brk, brk0) == brk0);
  CHECK(touch((char *)8, 0) == SIGSEGV && touch((char *)-4096, 0) == SIGSEGV);
  return 0;
}
