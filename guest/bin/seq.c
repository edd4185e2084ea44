// seq [FIRST [STEP]] LAST
#include "tool.h"
#include <stdio.h>
#include <stdlib.h>

static double number(const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (*end || end == text) die_text(2, "%s: not a number", text);
  return value;
}

int main(int argc, char **argv) {
  tool_init(argv);
  if (argc < 2 || argc > 4) die_text(2, "usage: seq [FIRST [STEP]] LAST");
  double first = argc > 2 ? number(argv[1]) : 1, step = argc > 3 ? number(argv[2]) : 1, last = number(argv[argc - 1]);
  if (step == 0) die_text(2, "a step of 0 never ends");
  for (long long i = 0;; i++) {
    double value = first + i * step;
    if (step > 0 ? value > last + 1e-9 : value < last - 1e-9) break;
    printf("%.10g\n", value);
  }
  return fflush(stdout) ? 1 : 0;
}
