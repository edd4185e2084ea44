// pmap PID ...: the address space of a process, entry by entry, from /proc/PID/maps.
#include "proc.h"
#include "tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(const char *pid) {
  char path[64], command[512];
  snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
  long n = read_text(path, command, sizeof command);
  for (long i = 0; i + 1 < n; i++) if (!command[i]) command[i] = ' ';
  snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
  FILE *f = fopen(path, "r");
  if (!f) { warn_errno(path); return; }
  printf("%s: %s\n", pid, n > 0 ? command : "");
  char line[512], modes[8], name[256];
  unsigned long long start, end, offset, total = 0;
  while (fgets(line, sizeof line, f)) {
    *name = 0;
    if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %255[^\n]", &start, &end, modes, &offset, name) < 4) continue;
    printf("%016llx %8lluK %s %8llx %s\n", start, (end - start) / 1024, modes, offset, *name ? name : "[ anon ]");
    total += end - start;
  }
  printf(" total %19lluK\n", total / 1024);
  fclose(f);
}

int main(int argc, char **argv) {
  tool_init(argv);
  if (argc < 2) print("self");
  for (int i = 1; i < argc; i++) print(argv[i]);
  return fflush(stdout) ? 1 : tool_status;
}
