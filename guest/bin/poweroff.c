// poweroff: writes file systems out and switches the machine off.
#include "tool.h"
#include <sys/reboot.h>
#include <unistd.h>

int main(int argc, char **argv) {
  (void)argc;
  tool_init(argv);
  sync();
  if (reboot(RB_POWER_OFF) < 0) die_errno(1, "reboot");
  return 0;
}
