// pwd: prints the working directory.
#include "tool.h"
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  (void)argc;
  char path[PATH_MAX];
  tool_init(argv);
  if (!getcwd(path, sizeof path)) die_errno(1, "getcwd");
  return puts(path) < 0;
}
