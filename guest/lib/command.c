// echo, printf and kill.
#include "command.h"
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Prints one backslash escape at s (just after the backslash); returns how many characters it took, -1 for \c.
static int put_escape(const char *s, int octal_zero) {
  static const char from[] = "abfnrtve\\", to[] = "\a\b\f\n\r\t\v\033\\";
  const char *at = *s ? strchr(from, *s) : 0;
  if (at) { putchar(to[at - from]); return 1; }
  if (*s == 'c') return -1;
  if (*s == 'x' && isxdigit((unsigned char)s[1])) {
    char digits[3] = { s[1], isxdigit((unsigned char)s[2]) ? s[2] : 0, 0 };
    putchar(strtol(digits, 0, 16));
    return 1 + strlen(digits);
  }
  int used = octal_zero && *s == '0' ? 1 : 0, value = 0, digits = 0;
  if (*s < '0' || *s > '7' || (octal_zero && *s != '0')) { putchar('\\'); return 0; }
  for (; digits < 3 && s[used] >= '0' && s[used] <= '7'; digits++) value = value * 8 + s[used++] - '0';
  putchar(value);
  return used;
}

// Prints text with escapes. -1 when \c ended all output.
static int put_escaped(const char *s, int octal_zero) {
  while (*s) {
    if (*s != '\\') { putchar(*s++); continue; }
    int used = put_escape(++s, octal_zero);
    if (used < 0) return -1;
    s += used;
  }
  return 0;
}

int command_echo(int argc, char **argv) {
  int i = 1, newline = 1, escapes = 0;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] && strspn(argv[i] + 1, "neE") == strlen(argv[i] + 1); i++)
    for (char *c = argv[i] + 1; *c; c++) {
      if (*c == 'n') newline = 0;
      else escapes = *c == 'e';
    }
  for (int first = i; i < argc; i++) {
    if (i > first) putchar(' ');
    if (!escapes) fputs(argv[i], stdout);
    else if (put_escaped(argv[i], 1) < 0) return 0;
  }
  if (newline) putchar('\n');
  if (fflush(stdout) == 0) return 0;
  fprintf(stderr, "echo: write error: %s\n", strerror(errno));
  return 1;
}

static int number_argument(const char *text, long long *value) {
  char *end;
  if (*text == '\'' || *text == '"') { *value = (unsigned char)text[1]; return 0; }
  errno = 0;
  *value = strtoll(text, &end, 0);
  if (errno == ERANGE && *text != '-') { errno = 0; *value = strtoull(text, &end, 0); }
  if ((*end || end == text || errno) && *text) { fprintf(stderr, "printf: %s: not a number\n", text); return 1; }
  return 0;
}

// One conversion, from % up to and with its letter. Returns the status.
static int put_conversion(char *spec, size_t size, char letter, const char *argument, int *stop) {
  long long value;
  int status = 0;
  switch (letter) {
    case 'd': case 'i': case 'u': case 'o': case 'x': case 'X':
      status = number_argument(argument, &value);
      memcpy(spec + size - 1, (char[]){ 'l', 'l', letter, 0 }, 4);
      printf(spec, value);
      break;
    case 'e': case 'f': case 'g': case 'E': case 'F': case 'G': printf(spec, strtod(argument, 0)); break;
    case 'c': printf(spec, *argument); break;
    case 'b': *stop = put_escaped(argument, 1) < 0; break;
    case 's': printf(spec, argument); break;
    default: fprintf(stderr, "printf: %%%c: unknown conversion\n", letter); return 1;
  }
  return status;
}

int command_printf(int argc, char **argv) {
  if (argc < 2) { fprintf(stderr, "usage: printf FORMAT [ARGUMENT ...]\n"); return 2; }
  int next = 2, status = 0, before;
  do {
    before = next;
    for (const char *f = argv[1]; *f;) {
      if (*f == '\\') {
        int used = put_escape(++f, 0);
        if (used < 0) goto done;
        f += used;
        continue;
      }
      if (*f != '%') { putchar(*f++); continue; }
      if (f[1] == '%') { putchar('%'); f += 2; continue; }
      char spec[64] = "%";
      size_t n = 1;
      for (f++; *f && strchr("-+ #0123456789.*", *f) && n < 40; f++) {
        if (*f == '*') n += snprintf(spec + n, 12, "%d", next < argc ? atoi(argv[next++]) : 0);
        else spec[n++] = *f;
      }
      if (!*f) { fprintf(stderr, "printf: the format ends inside a conversion\n"); return 1; }
      spec[n++] = *f;
      int stop = 0;
      status |= put_conversion(spec, n, *f++, next < argc ? argv[next] : "", &stop);
      next++;
      if (stop) goto done;
    }
  } while (next < argc && next > before);
done:
  return fflush(stdout) ? 1 : status;
}

static const char *const names[] = { 0, "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
  "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS" };
enum { NAMES = sizeof names / sizeof *names };

const char *signal_name(int number) { return number > 0 && number < NAMES ? names[number] : 0; }

int signal_number(const char *name) {
  if (isdigit((unsigned char)*name)) {
    char *end;
    long n = strtol(name, &end, 10);
    return *end || n > 64 ? -1 : n;
  }
  if (!strncasecmp(name, "SIG", 3)) name += 3;
  for (int i = 1; i < NAMES; i++)
    if (!strcasecmp(names[i], name)) return i;
  return -1;
}

int command_kill(int argc, char **argv) {
  int signal = SIGTERM, i = 1, status = 0;
  if (i < argc && !strcmp(argv[i], "-l")) {
    for (int n = 1; n < NAMES; n++) printf("%d %s\n", n, names[n]);
    return fflush(stdout) ? 1 : 0;
  }
  if (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--")) {
    const char *name = !strcmp(argv[i], "-s") && i + 1 < argc ? argv[++i] : argv[i] + 1;
    signal = signal_number(name);
    if (signal < 0) { fprintf(stderr, "kill: %s: no such signal\n", name); return 2; }
    i++;
  }
  if (i < argc && !strcmp(argv[i], "--")) i++;
  if (i >= argc) { fprintf(stderr, "usage: kill [-SIGNAL | -l] PID ...\n"); return 2; }
  for (; i < argc; i++) {
    char *end;
    long pid = strtol(argv[i], &end, 10);
    if (*end || end == argv[i]) { fprintf(stderr, "kill: %s: not a process id\n", argv[i]); status = 1; }
    else if (kill(pid, signal) < 0) { fprintf(stderr, "kill: %s: %s\n", argv[i], strerror(errno)); status = 1; }
  }
  return status;
}
