// sleep SECONDS, which may have a fraction.
#include "tool.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
  tool_init(argv);
  if (argc != 2) die_text(2, "usage: sleep SECONDS");
  char *end;
  double seconds = strtod(argv[1], &end);
  if (*end || end == argv[1] || seconds < 0) die_text(2, "%s: not a number of seconds", argv[1]);
  struct timespec left = { seconds, (seconds - (long long)seconds) * 1e9 };
  while (nanosleep(&left, &left) < 0)
    if (errno != EINTR) die_errno(1, "nanosleep");
  return 0;
}
