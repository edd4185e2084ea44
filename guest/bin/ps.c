// ps: all processes, from /proc.
#include "proc.h"
#include "tool.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print(int pid) {
  char path[64], stat[1024], command[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  if (read_text(path, stat, sizeof stat) <= 0) return;      // it ended meanwhile
  char *name = strchr(stat, '('), *end = strrchr(stat, ')'), state;
  int ppid, pgrp, session;
  unsigned long user, system;
  if (!name || !end || sscanf(end + 1, " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state, &ppid, &pgrp, &session, &user, &system) != 6) return;
  unsigned long long size = 0;
  long resident = 0, ticks = (user + system) * 100 / sysconf(_SC_CLK_TCK);
  sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %llu %ld", &size, &resident);
  snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
  long n = read_text(path, command, sizeof command);
  for (long i = 0; i + 1 < n; i++) if (!command[i]) command[i] = ' ';
  if (n <= 0) snprintf(command, sizeof command, "[%.*s]", (int)(end - name - 1), name + 1);
  printf("%5d %5d %5d %5d %c %7llu %6ld %3ld:%02ld.%02ld %s\n", pid, ppid, pgrp, session, state, size / 1024, resident * (sysconf(_SC_PAGESIZE) / 1024),
    ticks / 6000, ticks / 100 % 60, ticks % 100, command);
}

int main(int argc, char **argv) {
  (void)argc;
  tool_init(argv);
  puts("  PID  PPID  PGRP   SID S     VSZ    RSS      TIME COMMAND");
  each_process(print);
  return fflush(stdout) ? 1 : 0;
}
