// cat [FILE ...]: copies files, or standard input for - or none, to standard output.
#include "tool.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void cat(const char *name) {
  int stdin_too = !strcmp(name, "-"), fd = stdin_too ? 0 : open(name, O_RDONLY), reading;
  if (fd < 0) { warn_errno(name); return; }
  if (copy_fd(fd, 1, &reading) < 0) {
    if (!reading) die_errno(1, "standard output");
    warn_errno(name);
  }
  if (!stdin_too) close(fd);
}

int main(int argc, char **argv) {
  tool_init(argv);
  if (argc == 1) cat("-");
  for (int i = 1; i < argc; i++) cat(argv[i]);
  return tool_status;
}
