// mkdir [-p] [-m MODE] DIRECTORY ...
#include "tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make(char *path, int parents, mode_t mode) {
  struct stat st;
  for (char *slash = path; parents && (slash = strchr(slash + 1, '/'));) {
    *slash = 0;
    if (mkdir(path, 0777) < 0 && errno != EEXIST) { warn_errno(path); return; }
    *slash = '/';
  }
  if (mkdir(path, mode) == 0) return;
  if (parents && errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return;
  warn_errno(path);
}

int main(int argc, char **argv) {
  int option, parents = 0;
  mode_t mode = 0777;
  tool_init(argv);
  while ((option = getopt(argc, argv, "pm:")) >= 0) {
    if (option == 'p') parents = 1;
    else if (option == 'm') mode = strtol(optarg, 0, 8);
    else return 2;
  }
  if (optind == argc) die_text(2, "usage: mkdir [-p] [-m MODE] DIRECTORY ...");
  for (int i = optind; i < argc; i++) make(argv[i], parents, mode);
  return tool_status;
}
