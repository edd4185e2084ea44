// The end of threads, one by one and all at once: fork, exec and exit among others, and what the kernel does for the dead.
#include "thread.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static const char *self_path;
static int pipe_fds[2];
static sem_t items;
static atomic_int ready;
static volatile int hits;

static void *twice(void *arg) { return (void *)((long)arg * 2); }
static void on_usr(int sig) { (void)sig; hits++; }
static void crash(void) { __asm__ volatile("sw zero, 16(zero)"); }

// ---- robust lists ----------------------------------------------------------------------------------------------------

static void new_mutex(pthread_mutex_t *m, int type) {
  pthread_mutexattr_t a;
  OK(pthread_mutexattr_init(&a));
  OK(pthread_mutexattr_settype(&a, type));
  OK(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
  OK(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED));
  OK(pthread_mutex_init(m, &a));
  OK(pthread_mutexattr_destroy(&a));
}

// The kernel walks the robust list of who could not: killed, gone without unlocking, or another program now.
static void robust(void) {
  struct shared { pthread_mutex_t a, b, never; atomic_int ready; } *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int how = 0; how < 4; how++) {
    new_mutex(&s->a, PTHREAD_MUTEX_NORMAL);
    new_mutex(&s->b, PTHREAD_MUTEX_ERRORCHECK);
    new_mutex(&s->never, PTHREAD_MUTEX_NORMAL);
    s->ready = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      OK(pthread_mutex_lock(&s->never));
      OK(pthread_mutex_lock(&s->a));
      OK(pthread_mutex_lock(&s->b));
      OK(pthread_mutex_unlock(&s->never));
      s->ready = 1;
      struct timespec a_while = { 0, 20000000 };
      nanosleep(&a_while, NULL);
      if (how == 0) _exit(0);
      if (how == 1) for (;;) pause();
      if (how == 2) execl(self_path, self_path, "nothing", NULL);
      crash();
    }
    await(&s->ready, 1);
    if (how == 1) CHECK(kill(pid, SIGKILL) == 0);
    struct timespec late = in_ms(CLOCK_REALTIME, 5000);
    IS(pthread_mutex_timedlock(&s->a, &late), EOWNERDEAD);
    IS(pthread_mutex_lock(&s->b), EOWNERDEAD);
    OK(pthread_mutex_lock(&s->never));
    OK(pthread_mutex_consistent(&s->a));
    OK(pthread_mutex_unlock(&s->a));
    OK(pthread_mutex_unlock(&s->b));
    OK(pthread_mutex_unlock(&s->never));
    int status, wants[] = { 0, SIGKILL, 0, SIGSEGV };
    CHECK(waitpid(pid, &status, 0) == pid && status == wants[how]);
  }
  void *head;
  size_t len;
  CHECK(syscall(SYS_get_robust_list, 0, &head, &len) == 0 && head != NULL && len == 24);
  FAILS(syscall(SYS_set_robust_list, (void *)8, 8), EINVAL);
  void *still;
  CHECK(syscall(SYS_get_robust_list, getpid(), &still, &len) == 0 && still == head);
  FAILS(syscall(SYS_get_robust_list, 99999, &still, &len), ESRCH);
  CHECK(munmap(s, sizeof *s) == 0);
}

// ---- fork, exec and exit among threads -------------------------------------------------------------------------------

static void *stay(void *arg) {
  char c;
  atomic_fetch_add(&ready, 1);
  long which = (long)arg % 4;
  for (;;) {
    if (which == 0) read(pipe_fds[0], &c, 1);
    else if (which == 1) pause();
    else if (which == 2) sem_wait(&items);
    else sched_yield();
  }
  return NULL;
}

// Starts threads that block in read, a signal, a futex, and one that runs.
static void company(int n) {
  ready = 0;
  CHECK(pipe(pipe_fds) == 0);
  for (long i = 0; i < n; i++) start(stay, (void *)i);
  await(&ready, n);
  nanosleep(&tick, NULL);
}

static void *fork_here(void *arg) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    // Only this thread is here, and threads can be had.
    CHECK(syscall(SYS_gettid) == getpid() && (long)end(start(twice, (void *)4)) == 8);
    _exit(3);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
  return arg;
}

static void *exec_here(void *arg) {
  char pid[16];
  CHECK(syscall(SYS_gettid) != getpid());
  snprintf(pid, sizeof pid, "%d", getpid());
  (void)arg;
  execl(self_path, self_path, "execed", pid, NULL);
  CHECK(0);
}

static void exec_from_thread(void) {
  company(5);
  start(exec_here, NULL);
  for (;;) pause();
}

static void exec_after_main(void) {
  start(exec_here, NULL);
  pthread_exit(NULL);
}

static void exec_by_many(void) {
  for (int i = 0; i < 4; i++) start(exec_here, NULL);
  for (;;) pause();
}

static void *exit_group_here(void *arg) { exit((long)arg); }
static void *exit_alone(void *arg) {
  struct timespec a_while = { 0, 10000000 };
  nanosleep(&a_while, NULL);
  syscall(SYS_exit, (long)arg);
  return NULL;
}

static void exits_with_company(void) { company(8); _exit(11); }
static void exits_in_thread(void) { company(8); start(exit_group_here, (void *)12); for (;;) pause(); }
static void killed_with_company(void) { company(8); raise(SIGKILL); }
static void faults_with_company(void) { company(8); crash(); }
static void main_leaves(void) { start(exit_alone, (void *)99); pthread_exit(NULL); }
static void main_leaves_then_exit(void) { start(exit_group_here, (void *)13); pthread_exit(NULL); }
static void main_leaves_with(void) { start(exit_alone, (void *)6); syscall(SYS_exit, 14); }

static void *in_vfork(void *arg) {
  pid_t pid = vfork();
  if (pid == 0) {
    for (int i = 0; i < 1000; i++) nanosleep(&tick, NULL);
    _exit(0);
  }
  return arg;
}

static void exits_during_vfork(void) {
  start(in_vfork, NULL);
  for (int i = 0; i < 5; i++) nanosleep(&tick, NULL);
  _exit(15);
}

// After main is gone the process can still be asked about, and told.
static void *outlive(void *arg) {
  char state = 0, line[256];
  struct timespec a_while = { 0, 10000000 };
  nanosleep(&a_while, NULL);
  FILE *f = fopen("/proc/self/status", "r");
  CHECK(f);
  int tgid = 0;
  while (fgets(line, sizeof line, f)) { sscanf(line, "Tgid: %d", &tgid); sscanf(line, "State: %c", &state); }
  fclose(f);
  CHECK(tgid == getpid());
  hits = 0;
  CHECK(kill(getpid(), SIGUSR1) == 0 && hits == 1);
  exit((long)arg);
}
static void main_is_asked_about(void) { signal(SIGUSR1, on_usr); start(outlive, (void *)16); pthread_exit(NULL); }

static void families(void) {
  company(3);
  end(start(fork_here, NULL));
  // The company goes on here; children have none of it.
  struct { void (*fn)(void); int status; } ends[] = {
    { exits_with_company, 11 << 8 }, { exits_in_thread, 12 << 8 }, { killed_with_company, SIGKILL }, { faults_with_company, SIGSEGV }, { main_leaves, 0 },
    { main_leaves_then_exit, 13 << 8 }, { main_leaves_with, 14 << 8 }, { exits_during_vfork, 15 << 8 }, { main_is_asked_about, 16 << 8 },
    { exec_from_thread, 21 << 8 }, { exec_after_main, 21 << 8 }, { exec_by_many, 21 << 8 },
  };
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    int status = in_child(ends[i].fn);
    if (status != ends[i].status) printf("end %zu: status %#x\n", i, status);
    CHECK(status == ends[i].status);
  }
}

int main(int argc, char **argv) {
  self_path = argv[0];
  if (argc == 2) return 0;
  if (argc > 2) return atoi(argv[2]) == getpid() && syscall(SYS_gettid) == getpid() && (long)end(start(twice, (void *)1)) == 2 ? 21 : 1;
  robust();
  families();
  return 0;
}
