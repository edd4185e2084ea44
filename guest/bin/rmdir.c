// rmdir DIRECTORY ...
#include "tool.h"
#include <unistd.h>

int main(int argc, char **argv) {
  tool_init(argv);
  if (argc < 2) die_text(2, "usage: rmdir DIRECTORY ...");
  for (int i = 1; i < argc; i++)
    if (rmdir(argv[i]) < 0) warn_errno(argv[i]);
  return tool_status;
}
