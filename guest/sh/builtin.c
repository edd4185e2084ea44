// Commands that run in the shell itself, because they change it or for speed.
#include "sh.h"
#include "command.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/times.h>
#include <unistd.h>

// ---- traps ----
static char *traps[65];                   // [0] is EXIT; "" ignores
static volatile sig_atomic_t pending[65], any_pending;

static void on_signal(int sig) { pending[sig] = any_pending = 1; }

void trap_run_pending(void) {
  if (!any_pending) return;
  any_pending = 0;
  for (int i = 1; i < 65; i++) {
    if (!pending[i]) continue;
    pending[i] = 0;
    int status = last_status;
    if (traps[i] && *traps[i]) run_string(traps[i]);
    last_status = status;
  }
}

void trap_exit(void) {
  char *action = traps[0];
  traps[0] = 0;
  if (!action || !*action) return;
  int status = last_status;
  unwind = U_NONE;
  run_string(action);
  if (unwind != U_EXIT) last_status = status;
}

void trap_reset(void) {
  for (int i = 0; i < 65; i++) {
    if (i > 0 && traps[i] && *traps[i]) signal(i, SIG_DFL);
    if (traps[i] && *traps[i]) { free(traps[i]); traps[i] = 0; }
  }
}

static int builtin_trap(int argc, char **argv) {
  if (argc == 1) {
    for (int i = 0; i < 65; i++)
      if (traps[i]) printf("trap -- '%s' %s\n", traps[i], i ? signal_name(i) : "EXIT");
    return 0;
  }
  int first = !strcmp(argv[1], "--") ? 2 : 1, reset = first < argc && (!strcmp(argv[first], "-") || isdigit((unsigned char)argv[first][0]));
  const char *action = reset ? 0 : argv[first];
  if (!reset || !strcmp(argv[first], "-")) first++;
  for (int i = first; i < argc; i++) {
    int n = !strcmp(argv[i], "EXIT") || !strcmp(argv[i], "0") ? 0 : signal_number(argv[i]);
    if (n < 0) { sh_error("trap: %s: no such signal", argv[i]); return 1; }
    free(traps[n]);
    traps[n] = action ? strdup(action) : 0;
    if (n == 0) continue;
    struct sigaction sa = { .sa_handler = !action ? SIG_DFL : *action ? on_signal : SIG_IGN };
    sigaction(n, &sa, 0);
  }
  return 0;
}

// ---- flow ----
static int count_argument(int argc, char **argv, int standard) {
  return argc > 1 ? atoi(argv[1]) : standard;
}

static int builtin_exit(int argc, char **argv) {
  last_status = count_argument(argc, argv, last_status) & 255;
  unwind = U_EXIT;
  return last_status;
}

static int builtin_return(int argc, char **argv) {
  last_status = count_argument(argc, argv, last_status) & 255;
  unwind = in_function ? U_RETURN : U_EXIT;
  return last_status;
}

static int leave(int argc, char **argv, enum unwind how) {
  int levels = count_argument(argc, argv, 1);
  if (levels < 1) { sh_error("%s: %s: not a count of loops", argv[0], argv[1]); return 1; }
  if (!in_loop) return 0;
  unwind = how;
  unwind_levels = levels < in_loop ? levels : in_loop;
  return last_status = 0;
}

static int builtin_break(int argc, char **argv) { return leave(argc, argv, U_BREAK); }
static int builtin_continue(int argc, char **argv) { return leave(argc, argv, U_CONTINUE); }
static int builtin_true(int argc, char **argv) { (void)argc; (void)argv; return 0; }
static int builtin_false(int argc, char **argv) { (void)argc; (void)argv; return 1; }

static int builtin_eval(int argc, char **argv) {
  struct text t = { 0 };
  for (int i = 1; i < argc; i++) {
    if (i > 1) text_add(&t, ' ');
    text_adds(&t, argv[i], strlen(argv[i]));
  }
  last_status = 0;
  return run_string(text_end(&t));
}

static int builtin_dot(int argc, char **argv) {
  if (argc < 2) { sh_error(".: a file name is needed"); return 2; }
  int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (fd < 0) { sh_error(".: %s: %s", argv[1], strerror(errno)); return 1; }
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 10), interactive = flag_interactive;
  close(fd);
  struct input *in = input_fd(high, 0);
  flag_interactive = 0;
  int status = run_input(in);
  flag_interactive = interactive;
  input_close(in);
  if (unwind == U_RETURN && !in_function) unwind = U_NONE;
  return status;
}

static int builtin_exec(int argc, char **argv) {
  if (argc < 2) return 0;
  char path[4096];
  int found = find_command(argv[1], path, sizeof path);
  if (found == 0) {
    if (flag_interactive) for (int s = SIGHUP; s <= SIGTTOU; s++) if (s != SIGKILL && s != SIGSTOP) signal(s, SIG_DFL);
    execve(path, argv + 1, var_environ());
  }
  sh_error("exec: %s: %s", argv[1], found == 127 ? "not found" : strerror(found ? EACCES : errno));
  if (!flag_interactive) unwind = U_EXIT;
  return last_status = found == 127 ? 127 : 126;
}

// ---- variables ----
// export, readonly and local: NAME or NAME=VALUE.
static int declare(int argc, char **argv, void (*mark)(const char *), int local) {
  for (int i = 1; i < argc; i++) {
    char *equals = strchr(argv[i], '=');
    char *name = arena_strndup(argv[i], equals ? (size_t)(equals - argv[i]) : strlen(argv[i]));
    if (!is_name(name, strlen(name))) { sh_error("%s: %s: not a name", argv[0], argv[i]); return 1; }
    if (local) var_local(name);
    if (equals && var_set(name, equals + 1) < 0) return 1;
    if (mark) mark(name);
  }
  return 0;
}

static int builtin_export(int argc, char **argv) {
  if (argc == 1 || !strcmp(argv[1], "-p")) { var_print(1); return 0; }
  return declare(argc, argv, var_export, 0);
}

static int builtin_readonly(int argc, char **argv) { return declare(argc, argv, var_readonly, 0); }

static int builtin_local(int argc, char **argv) {
  if (!in_function) { sh_error("local: only in a function"); return 1; }
  return declare(argc, argv, 0, 1);
}

static int builtin_unset(int argc, char **argv) {
  int functions = 0;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "-f")) functions = 1;
    else if (!strcmp(argv[i], "-v")) functions = 0;
    else if (functions) function_unset(argv[i]);
    else var_unset(argv[i]);
  }
  return 0;
}

static void set_params(int count, char **list) {
  char **copy = calloc(count + 1, sizeof *copy);      // lives as long as the shell: functions may still refer to the old ones
  for (int i = 0; i < count; i++) copy[i] = strdup(list[i]);
  params = (struct params){ copy, count };
}

static int builtin_set(int argc, char **argv) {
  int i = 1;
  if (argc == 1) { var_print(0); return 0; }
  for (; i < argc && (argv[i][0] == '-' || argv[i][0] == '+') && argv[i][1]; i++) {
    if (!strcmp(argv[i], "--")) { set_params(argc - i - 1, argv + i + 1); return 0; }
    for (char *c = argv[i] + 1; *c; c++) {
      int *flag = *c == 'e' ? &flag_errexit : *c == 'x' ? &flag_xtrace : *c == 'u' ? &flag_nounset : *c == 'n' ? &flag_noexec : 0;
      if (!flag) { sh_error("set: -%c: unknown option (e n u x are known)", *c); return 2; }
      *flag = argv[i][0] == '-';
    }
  }
  if (i < argc) set_params(argc - i, argv + i);
  return 0;
}

static int builtin_shift(int argc, char **argv) {
  int n = count_argument(argc, argv, 1);
  if (n < 0 || n > params.count) { sh_error("shift: there are only %d parameters", params.count); return 1; }
  params.at += n;
  params.count -= n;
  return 0;
}

// Reads one line a byte at a time, so that what follows stays for the next command. 1 at end of file.
static int read_input_line(struct text *t, unsigned char **quoted, int raw) {
  for (size_t room = 0;;) {
    char c;
    ssize_t n = read(0, &c, 1);
    if (n < 0 && errno == EINTR) { if (any_pending) return 1; continue; }
    if (n <= 0) return 1;
    int escaped = 0;
    if (c == '\\' && !raw) {
      if (read(0, &c, 1) <= 0) return 1;
      if (c == '\n') continue;
      escaped = 1;
    } else if (c == '\n') return 0;
    if (t->size + 1 >= room) *quoted = realloc(*quoted, room = room * 2 + 64);
    (*quoted)[t->size] = escaped;
    text_add(t, c);
  }
}

static int builtin_read(int argc, char **argv) {
  int raw = 0, i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
    if (!strcmp(argv[i], "-r")) raw = 1;
    else if (!strcmp(argv[i], "-p") && i + 1 < argc) { fputs(argv[++i], stderr); }
    else { sh_error("read: %s: unknown option", argv[i]); return 2; }
  }
  struct text t = { 0 };
  unsigned char *quoted = 0;
  int at_end = read_input_line(&t, &quoted, raw);
  size_t size = t.size, at = 0;
  char *line = text_end(&t);
  const char *ifs = var_get("IFS");
  if (!ifs) ifs = " \t\n";
#define IS_IFS(k) (!quoted[k] && strchr(ifs, line[k]))
#define IS_BLANK(k) (IS_IFS(k) && isspace((unsigned char)line[k]))
  for (; i < argc; i++) {
    while (at < size && IS_BLANK(at)) at++;
    size_t from = at, to;
    if (i == argc - 1) {
      to = size;
      while (to > from && IS_BLANK(to - 1)) to--;
    } else {
      while (at < size && !IS_IFS(at)) at++;
      to = at;
      while (at < size && IS_BLANK(at)) at++;
      if (at < size && IS_IFS(at) && at >= to && !IS_BLANK(at)) at++;
    }
    if (var_set(argv[i], arena_strndup(line + from, to - from)) < 0) at_end = 2;
  }
  free(quoted);
  return at_end;
}

// ---- directories and the rest ----
static int builtin_cd(int argc, char **argv) {
  const char *to = argc > 1 ? argv[1] : var_get("HOME");
  int print = to && !strcmp(to, "-");
  if (print) to = var_get("OLDPWD");
  if (!to) { sh_error("cd: %s not set", print ? "OLDPWD" : "HOME"); return 1; }
  char before[4096], now[4096];
  if (!getcwd(before, sizeof before)) before[0] = 0;
  if (chdir(to) < 0) { sh_error("cd: %s: %s", to, strerror(errno)); return 1; }
  var_set("OLDPWD", before);
  if (getcwd(now, sizeof now)) var_set("PWD", now);
  if (print) puts(now);
  return 0;
}

static int builtin_pwd(int argc, char **argv) {
  (void)argc; (void)argv;
  char now[4096];
  if (!getcwd(now, sizeof now)) { sh_error("pwd: %s", strerror(errno)); return 1; }
  puts(now);
  return 0;
}

static int builtin_umask(int argc, char **argv) {
  mode_t mask = umask(0);
  umask(mask);
  if (argc < 2) { printf("%04o\n", mask); return 0; }
  char *end;
  long value = strtol(argv[1], &end, 8);
  if (*end || value < 0 || value > 0777) { sh_error("umask: %s: not an octal mode", argv[1]); return 1; }
  umask(value);
  return 0;
}

static int builtin_wait(int argc, char **argv) {
  if (argc == 1) return job_wait_all();
  int status = 0;
  for (int i = 1; i < argc; i++) status = job_wait_pid(*argv[i] == '%' ? job_spec(argv[i]) : atoi(argv[i]));
  return status;
}

static int builtin_kill(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] != '%') continue;
    pid_t group = job_spec(argv[i]);
    if (group < 0) { sh_error("kill: %s: no such job", argv[i]); return 1; }
    char text[16];
    snprintf(text, sizeof text, "-%d", group);
    argv[i] = arena_strndup(text, strlen(text));
  }
  if (argc == 2 && argv[1][0] == '-' && isdigit((unsigned char)argv[1][1])) {
    char *with[] = { argv[0], "--", argv[1], 0 };
    return command_kill(3, with);
  }
  return command_kill(argc, argv);
}

static int builtin_type(int argc, char **argv) {
  int status = 0, special;
  char path[4096];
  for (int i = 1; i < argc; i++) {
    if (function_find(argv[i])) printf("%s is a function\n", argv[i]);
    else if (builtin_find(argv[i], &special)) printf("%s is a shell builtin\n", argv[i]);
    else if (find_command(argv[i], path, sizeof path) == 0) printf("%s is %s\n", argv[i], path);
    else { printf("%s: not found\n", argv[i]); status = 127; }
  }
  return status;
}

// command -v NAME; command NAME ARGS skips functions.
static int builtin_command(int argc, char **argv) {
  char path[4096];
  int special;
  if (argc < 2) return 0;
  if (!strcmp(argv[1], "-v")) {
    if (argc < 3) return 1;
    if (function_find(argv[2]) || builtin_find(argv[2], &special)) { puts(argv[2]); return 0; }
    int found = find_command(argv[2], path, sizeof path);
    if (found == 0) puts(path);
    return found;
  }
  builtin_fn *fn = builtin_find(argv[1], &special);
  if (fn) return fn(argc - 1, argv + 1);
  struct job *j = job_new(argv[1]);
  pid_t pid = job_fork(j, 1);
  if (pid < 0) return 126;
  if (pid == 0) {
    builtin_exec(argc, argv);
    _exit(last_status);
  }
  return job_wait(j);
}

static int builtin_times(int argc, char **argv) {
  (void)argc; (void)argv;
  struct tms t;
  long hz = sysconf(_SC_CLK_TCK);
  times(&t);
  printf("%ld.%02lds %ld.%02lds\n", t.tms_utime / hz, t.tms_utime % hz * 100 / hz, t.tms_stime / hz, t.tms_stime % hz * 100 / hz);
  printf("%ld.%02lds %ld.%02lds\n", t.tms_cutime / hz, t.tms_cutime % hz * 100 / hz, t.tms_cstime / hz, t.tms_cstime % hz * 100 / hz);
  return 0;
}

static const struct { const char *name; builtin_fn *fn; int special; } builtins[] = {
  { ".", builtin_dot, 1 }, { ":", builtin_true, 1 }, { "[", command_test, 0 }, { "bg", builtin_bg, 0 }, { "break", builtin_break, 1 },
  { "cd", builtin_cd, 0 }, { "command", builtin_command, 0 }, { "continue", builtin_continue, 1 }, { "echo", command_echo, 0 },
  { "eval", builtin_eval, 1 }, { "exec", builtin_exec, 1 }, { "exit", builtin_exit, 1 }, { "export", builtin_export, 1 },
  { "false", builtin_false, 0 }, { "fg", builtin_fg, 0 }, { "jobs", builtin_jobs, 0 }, { "kill", builtin_kill, 0 },
  { "local", builtin_local, 0 }, { "printf", command_printf, 0 }, { "pwd", builtin_pwd, 0 }, { "read", builtin_read, 0 },
  { "readonly", builtin_readonly, 1 }, { "return", builtin_return, 1 }, { "set", builtin_set, 1 }, { "shift", builtin_shift, 1 },
  { "test", command_test, 0 }, { "times", builtin_times, 1 }, { "trap", builtin_trap, 1 }, { "true", builtin_true, 0 },
  { "type", builtin_type, 0 }, { "umask", builtin_umask, 0 }, { "unset", builtin_unset, 1 }, { "wait", builtin_wait, 0 },
};

builtin_fn *builtin_find(const char *name, int *special) {
  for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
    if (strcmp(builtins[i].name, name)) continue;
    *special = builtins[i].special;
    return builtins[i].fn;
  }
  return 0;
}
