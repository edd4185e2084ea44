// mkfifo FILE ...
#include "tool.h"
#include <sys/stat.h>

int main(int argc, char **argv) {
  tool_init(argv);
  if (argc < 2) die_text(2, "usage: mkfifo FILE ...");
  for (int i = 1; i < argc; i++)
    if (mkfifo(argv[i], 0666) < 0) warn_errno(argv[i]);
  return tool_status;
}
