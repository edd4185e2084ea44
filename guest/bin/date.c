// date [-u] [+FORMAT]
#include "tool.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv) {
  char text[512];
  const char *format = "%a %b %e %H:%M:%S %Z %Y";
  tool_init(argv);
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] == '+') format = argv[i] + 1;
    else if (strcmp(argv[i], "-u")) die_text(2, "usage: date [-u] [+FORMAT]");
  }
  time_t now = time(0);
  if (*format && !strftime(text, sizeof text, format, gmtime(&now))) die_text(1, "%s: the result is too long", format);
  puts(*format ? text : "");
  return 0;
}
