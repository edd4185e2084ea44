// uname [-asnrvm]
#include "tool.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct utsname u;
  int option;
  char wanted[16] = "";
  tool_init(argv);
  while ((option = getopt(argc, argv, "asnrvm")) >= 0) {
    if (option == '?') return 2;
    if (option == 'a') strcpy(wanted, "snrvm");
    else if (!strchr(wanted, option)) strncat(wanted, (char[]){ option, 0 }, 1);
  }
  if (!*wanted) strcpy(wanted, "s");
  if (uname(&u) < 0) die_errno(1, "uname");
  const struct { char letter; const char *text; } parts[] = { { 's', u.sysname }, { 'n', u.nodename }, { 'r', u.release }, { 'v', u.version }, { 'm', u.machine } };
  for (size_t i = 0, first = 1; i < 5; i++) {
    if (!strchr(wanted, parts[i].letter)) continue;
    printf(first ? "%s" : " %s", parts[i].text);
    first = 0;
  }
  putchar('\n');
  return fflush(stdout) ? 1 : 0;
}
