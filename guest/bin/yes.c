// yes [WORD ...]: prints a line until nobody reads it.
#include "tool.h"
#include <string.h>

int main(int argc, char **argv) {
  static char buffer[16384];
  size_t line = 0, size;
  tool_init(argv);
  for (int i = 1; i < argc; i++) {
    size_t n = strlen(argv[i]);
    if (line + n + 2 > sizeof buffer) die_text(1, "the line is too long");
    if (i > 1) buffer[line++] = ' ';
    memcpy(buffer + line, argv[i], n);
    line += n;
  }
  if (argc == 1) buffer[line++] = 'y';
  buffer[line++] = '\n';
  for (size = line; size + line <= sizeof buffer; size += line) memcpy(buffer + size, buffer, line);
  while (write_all(1, buffer, size) == 0);
  die_errno(1, "standard output");
}
