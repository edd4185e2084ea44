// Runs the commands of a file, one a line, between lines that say when: "BEGIN n" and "END n status". The clock is outside:
// who reads the console notes when a line arrives. As process 1 it mounts what programs expect, and switches off at the end.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ARGS_MAX 16

static void set_up(void) {
  mkdir("/proc", 0755);
  mkdir("/tmp", 0777);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  if (fcntl(0, F_GETFD) >= 0) return;
  int fd = open("/dev/console", O_RDWR);
  dup2(fd, 1);
  dup2(fd, 2);
}

static int run(char *command) {
  char *argv[ARGS_MAX + 1], *rest = command, *word;
  int n = 0;
  while (n < ARGS_MAX && (word = strtok_r(rest, " ", &rest)) != NULL) argv[n++] = word;
  argv[n] = NULL;
  pid_t pid = fork();
  if (pid < 0) return 126;
  if (pid == 0) {
    setenv("PATH", "/bin:/usr/bin", 1);
    execv(argv[0], argv);
    perror(argv[0]);
    _exit(127);
  }
  int status;
  if (waitpid(pid, &status, 0) != pid) return 125;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
  const char *list = argc > 1 ? argv[1] : "/suite.txt";
  int is_init = getpid() == 1, failed = 0, n = 0;
  if (is_init) set_up();
  FILE *f = fopen(list, "r");
  if (f == NULL) perror(list);
  char line[256];
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (line[0] == 0 || line[0] == '#') continue;
    printf("BEGIN %d\n", n);
    fflush(stdout);
    int status = run(line);
    failed |= status != 0;
    printf("END %d %d\n", n++, status);
    fflush(stdout);
  }
  if (!is_init) return failed;
  tcdrain(1);  // a serial port may still be sending, and what it has not sent by then is lost
  sync();
  reboot(RB_POWER_OFF);
  return failed;
}
