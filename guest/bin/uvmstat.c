// uvmstat [-a] [SECONDS [COUNT]]: counters of the virtual memory system, from /proc/uvmexp: name and value, a line each.
// Without -a, only what is not zero. With SECONDS, the changes in each interval.
#include "proc.h"
#include "tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct counter { char name[32]; long long value; };

static int read_counters(struct counter *c, int room) {
  FILE *f = fopen("/proc/uvmexp", "r");
  int n = 0;
  if (!f) die_errno(1, "/proc/uvmexp");
  while (n < room && fscanf(f, "%31s %lld", c[n].name, &c[n].value) == 2) n++;
  fclose(f);
  return n;
}

int main(int argc, char **argv) {
  static struct counter before[256], now[256];
  int option, all = 0;
  tool_init(argv);
  while ((option = getopt(argc, argv, "a")) >= 0) {
    if (option == '?') return 2;
    all = 1;
  }
  int seconds = optind < argc ? atoi(argv[optind]) : 0, rounds = optind + 1 < argc ? atoi(argv[optind + 1]) : 0;
  int n = read_counters(before, 256);
  if (!seconds) {
    for (int i = 0; i < n; i++) if (all || before[i].value) printf("%-20s %12lld\n", before[i].name, before[i].value);
    return fflush(stdout) ? 1 : 0;
  }
  for (int round = 0; !rounds || round < rounds; round++) {
    sleep(seconds);
    n = read_counters(now, 256);
    for (int i = 0; i < n; i++) if (all || now[i].value != before[i].value) printf("%-20s %12lld %+lld\n", now[i].name, now[i].value, now[i].value - before[i].value);
    putchar('\n');
    fflush(stdout);
    memcpy(before, now, sizeof before);
  }
  return 0;
}
