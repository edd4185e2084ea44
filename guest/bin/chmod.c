// chmod [-R] MODE FILE ...: MODE is octal, or clauses such as u+x,go-w,a=r.
#include "path.h"
#include "tool.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *mode_text;
static int recursive;

// Applies one symbolic clause at *at to `mode`.
static mode_t apply(const char **at, mode_t mode, int is_dir) {
  mode_t who = 0, bits = 0;
  const char *c = *at;
  for (; *c && strchr("ugoa", *c); c++) who |= *c == 'u' ? 04700 : *c == 'g' ? 02070 : *c == 'o' ? 01007 : 07777;
  if (!who) who = 07777;
  char op = *c;
  if (!op || !strchr("+-=", op)) die_text(2, "%s: not a mode", mode_text);
  for (c++; *c && *c != ','; c++) {
    if (*c == 'r') bits |= 0444;
    else if (*c == 'w') bits |= 0222;
    else if (*c == 'x' || (*c == 'X' && (is_dir || mode & 0111))) bits |= 0111;
    else if (*c == 's') bits |= 06000;
    else if (*c == 't') bits |= 01000;
    else if (*c != 'X') die_text(2, "%s: not a mode", mode_text);
  }
  *at = *c ? c + 1 : c;
  bits &= who;
  return op == '+' ? mode | bits : op == '-' ? mode & ~bits : (mode & ~(who & 0777)) | bits;
}

static void change(const char *path, const char *name, void *data) {
  (void)name;
  struct stat st;
  char *end;
  if (lstat(path, &st) < 0) { warn_errno(path); return; }
  if (S_ISLNK(st.st_mode) && data) return;
  if (S_ISLNK(st.st_mode) && stat(path, &st) < 0) { warn_errno(path); return; }
  mode_t mode = strtol(mode_text, &end, 8);
  if (*end || end == mode_text) {
    mode = st.st_mode & 07777;
    for (const char *at = mode_text; *at;) mode = apply(&at, mode, S_ISDIR(st.st_mode));
  }
  if (chmod(path, mode) < 0) warn_errno(path);
  static int inside = 1;
  if (recursive && S_ISDIR(st.st_mode) && dir_each(path, change, &inside) < 0) warn_errno(path);
}

int main(int argc, char **argv) {
  int first = 1;
  tool_init(argv);
  if (argc > 1 && !strcmp(argv[1], "-R")) { recursive = 1; first++; }
  if (argc - first < 2) die_text(2, "usage: chmod [-R] MODE FILE ...");
  mode_text = argv[first];
  for (int i = first + 1; i < argc; i++) change(argv[i], 0, 0);
  return tool_status;
}
