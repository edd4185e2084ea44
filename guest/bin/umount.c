// umount DIRECTORY ...
#include "tool.h"
#include <sys/mount.h>

int main(int argc, char **argv) {
  tool_init(argv);
  if (argc < 2) die_text(2, "usage: umount DIRECTORY ...");
  for (int i = 1; i < argc; i++)
    if (umount2(argv[i], 0) < 0) warn_errno(argv[i]);
  return tool_status;
}
