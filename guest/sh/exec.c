// Runs parsed commands.
#include "sh.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int flag_errexit, flag_xtrace, flag_nounset, flag_noexec, flag_interactive;
enum unwind unwind;
int unwind_levels, in_loop, in_function, last_status, last_background;
pid_t shell_pid;
static int captured;                      // a $(command) ran: the status of `x=$(false)` is its status
static int in_condition;                  // set -e does not act on the conditions of if, while, && and ||

struct function { char *name; struct node *body; struct function *next; };
static struct function *functions;
static int arena_pinned;                  // a function lives in the current arena: it is never freed

struct node *function_find(const char *name) {
  for (struct function *f = functions; f; f = f->next)
    if (!strcmp(f->name, name)) return f->body;
  return 0;
}

void function_set(const char *name, struct node *body) {
  function_unset(name);
  struct function *f = calloc(1, sizeof *f);
  f->name = strdup(name);
  f->body = body;
  f->next = functions;
  functions = f;
  arena_pinned = 1;
}

void function_unset(const char *name) {
  for (struct function **at = &functions; *at; at = &(*at)->next) {
    struct function *f = *at;
    if (strcmp(f->name, name)) continue;
    *at = f->next;
    free(f->name);
    free(f);
    return;
  }
}

// ---- redirection ----
struct saved { int fd, copy; struct saved *next; };

static int open_here(const struct redir *r) {
  const char *body = r->expand ? expand_here(r->raw) : r->raw;
  if (!body) return -1;
  char name[] = "/tmp/sh.XXXXXX";
  int fd = mkstemp(name);
  if (fd < 0) { sh_error("here-document: %s: %s", name, strerror(errno)); return -1; }
  unlink(name);
  size_t left = strlen(body);
  while (left > 0) {
    ssize_t n = write(fd, body, left);
    if (n < 0) { sh_error("here-document: %s", strerror(errno)); close(fd); return -1; }
    body += n;
    left -= n;
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

// The descriptor that a redirection opens; -1 after a message; -2 means close.
static int open_redir(const struct redir *r) {
  if (r->kind == R_HERE) return open_here(r);
  char *name = expand_one(r->raw);
  if (!name) return -1;
  if (r->kind == R_DUPIN || r->kind == R_DUPOUT) {
    if (!strcmp(name, "-")) return -2;
    char *end;
    int from = strtol(name, &end, 10), fd = *name && !*end ? fcntl(from, F_DUPFD, 10) : -1;
    if (fd < 0) sh_error("%s: bad file descriptor", name);
    return fd;
  }
  int flags = r->kind == R_IN ? O_RDONLY : r->kind == R_RDWR ? O_RDWR | O_CREAT : r->kind == R_APPEND ? O_WRONLY | O_CREAT | O_APPEND : O_WRONLY | O_CREAT | O_TRUNC;
  int fd = open(name, flags, 0666);
  if (fd < 0) sh_error("%s: %s", name, strerror(errno));
  return fd;
}

static void restore(struct saved *s) {
  for (; s; s = s->next) {
    if (s->copy >= 0) { dup2(s->copy, s->fd); close(s->copy); }
    else close(s->fd);
  }
}

// Applies redirections. With `save`, remembers what to restore. 0 or -1, then everything is as before.
static int redirect(const struct redir *r, struct saved **save) {
  fflush(stdout);
  for (; r; r = r->next) {
    int fd = open_redir(r);
    if (fd == -1) {
      if (save) { restore(*save); *save = 0; }
      return -1;
    }
    if (save) {
      struct saved *s = arena_alloc(sizeof *s);
      s->fd = r->fd;
      s->copy = fcntl(r->fd, F_DUPFD_CLOEXEC, 10);
      s->next = *save;
      *save = s;
    }
    if (fd == -2) close(r->fd);
    else if (fd != r->fd) { dup2(fd, r->fd); close(fd); }
  }
  return 0;
}

// ---- simple commands ----
int find_command(const char *name, char *path, size_t size) {
  struct stat st;
  if (strchr(name, '/')) {
    snprintf(path, size, "%s", name);
    return stat(path, &st) < 0 ? 127 : 0;
  }
  int found = 127;
  const char *dirs = var_get("PATH");
  for (const char *d = dirs ? dirs : ""; ; ) {
    size_t n = strcspn(d, ":");
    snprintf(path, size, "%.*s%s%s", (int)n, d, n ? "/" : "./", name);
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
      if (access(path, X_OK) == 0) return 0;
      found = 126;
    }
    if (!d[n]) return found;
    d += n + 1;
  }
}

static void exec_program(char **argv) {
  char path[4096];
  int found = find_command(argv[0], path, sizeof path);
  if (found == 127) sh_error("%s: not found", argv[0]);
  if (found == 126) sh_error("%s: permission denied", argv[0]);
  if (found) _exit(found);
  char **env = var_environ();
  execve(path, argv, env);
  if (errno == ENOEXEC) {                 // a script without #!
    size_t n = 0;
    while (argv[n]) n++;
    char **again = arena_alloc((n + 2) * sizeof *again);
    again[0] = "sh";
    again[1] = path;
    for (size_t i = 1; i <= n; i++) again[i + 1] = argv[i];
    execve("/bin/sh", again, env);
  }
  sh_error("%s: %s", argv[0], strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

static int assign(const struct word *w, int exported, int local) {
  for (; w; w = w->next) {
    char *equals = strchr(w->raw, '='), *name = arena_strndup(w->raw, equals - w->raw), *value = expand_one(equals + 1);
    if (!value) return -1;
    if (local) var_local(name);
    if (var_set(name, value) < 0) return -1;
    if (exported) var_export(name);
    if (flag_xtrace) fprintf(stderr, "+ %s=%s\n", name, value);
  }
  return 0;
}

static int call_function(struct node *body, struct fields *f) {
  struct params before = params;
  int loop = in_loop;
  size_t mark = var_mark_locals();
  params = (struct params){ f->at + 1, f->count - 1 };
  in_loop = 0;
  in_function++;
  int status = run_node(body);
  in_function--;
  in_loop = loop;
  params = before;
  var_pop_locals(mark);
  if (unwind == U_RETURN) { unwind = U_NONE; status = last_status; }
  return status;
}

static int run_inside(builtin_fn *fn, struct node *function, int special, struct node *n, struct fields *f) {
  struct saved *save = 0;
  int keep = fn && !strcmp(f->at[0], "exec");
  if (redirect(n->redirs, keep ? 0 : &save) < 0) {
    if (special && !flag_interactive) unwind = U_EXIT;
    return 1;
  }
  size_t mark = var_mark_locals();
  int status = assign(n->assigns, 1, !special) < 0 ? 1 : fn ? fn(f->count, f->at) : call_function(function, f);
  if (!special && n->assigns) var_pop_locals(mark);
  fflush(stdout);
  restore(save);
  return status;
}

static const char *source_text(const struct fields *f) {
  struct text t = { 0 };
  for (int i = 0; i < f->count; i++) {
    if (i) text_add(&t, ' ');
    text_adds(&t, f->at[i], strlen(f->at[i]));
  }
  return text_end(&t);
}

static int run_simple(struct node *n) {
  struct fields f = { 0 };
  int special = 0;
  captured = 0;
  if (expand_words(n->words, &f) < 0) return last_status;
  if (f.count == 0) {
    struct saved *save = 0;
    if (assign(n->assigns, 0, 0) < 0) { if (!flag_interactive) unwind = U_EXIT; return 1; }
    int status = captured ? last_status : 0;
    if (redirect(n->redirs, &save) < 0) return 1;
    restore(save);
    return status;
  }
  if (flag_xtrace) fprintf(stderr, "+ %s\n", source_text(&f));
  struct node *function = function_find(f.at[0]);
  builtin_fn *fn = function ? 0 : builtin_find(f.at[0], &special);
  if (fn || function) return run_inside(fn, function, special, n, &f);
  struct job *j = job_new(source_text(&f));
  pid_t pid = job_fork(j, 1);
  if (pid < 0) return 126;
  if (pid == 0) {
    if (redirect(n->redirs, 0) < 0 || assign(n->assigns, 1, 0) < 0) _exit(1);
    exec_program(f.at);
  }
  return job_wait(j);
}

// ---- pipelines and background ----
// In a child: runs the node and leaves.
static void run_child(struct node *n) {
  job_forget_all();
  // A simple command replaces the child: no second fork.
  if (n->kind == N_SIMPLE && n->words) {
    struct fields f = { 0 };
    int special;
    if (expand_words(n->words, &f) < 0) _exit(last_status);
    if (f.count && !function_find(f.at[0]) && !builtin_find(f.at[0], &special)) {
      if (flag_xtrace) fprintf(stderr, "+ %s\n", source_text(&f));
      if (redirect(n->redirs, 0) < 0 || assign(n->assigns, 1, 0) < 0) _exit(1);
      exec_program(f.at);
    }
  }
  int status = run_node(n);
  last_status = unwind == U_EXIT ? last_status : status;
  trap_exit();
  fflush(stdout);
  _exit(last_status);
}

static const char *node_text(const struct node *n) {
  if (n->kind == N_PIPE) {
    const char *left = node_text(n->left), *right = node_text(n->right);
    char *both = arena_alloc(strlen(left) + strlen(right) + 4);
    sprintf(both, "%s | %s", left, right);
    return both;
  }
  if (n->kind != N_SIMPLE) return n->kind == N_SUBSHELL ? "( ... )" : n->kind == N_GROUP ? "{ ... }" : n->kind == N_FOR ? "for ..." : n->kind == N_WHILE ? "while ..." : "...";
  struct text t = { 0 };
  for (struct word *w = n->words; w; w = w->next) {
    text_adds(&t, w->raw, strlen(w->raw));
    if (w->next) text_add(&t, ' ');
  }
  return text_end(&t);
}

static int start_pipeline(struct node *n, struct job *j, int foreground) {
  struct node *stages[128];
  int count = 0, in = -1;
  struct node *at = n;
  for (; at->kind == N_PIPE && count < 127; at = at->left) stages[count++] = at->right;
  stages[count++] = at;
  while (count-- > 0) {
    int fds[2] = { -1, -1 };
    if (count > 0 && pipe(fds) < 0) { sh_error("cannot make a pipe: %s", strerror(errno)); if (in >= 0) close(in); return -1; }
    pid_t pid = job_fork(j, foreground);
    if (pid == 0) {
      if (in >= 0) { dup2(in, 0); close(in); }
      if (fds[1] >= 0) { dup2(fds[1], 1); close(fds[1]); close(fds[0]); }
      if (!foreground && in < 0 && !flag_interactive) {
        int null = open("/dev/null", O_RDONLY);
        if (null > 0) { dup2(null, 0); close(null); }
      }
      run_child(stages[count]);
    }
    if (in >= 0) close(in);
    if (fds[1] >= 0) close(fds[1]);
    in = fds[0];
    if (pid < 0) { if (in >= 0) close(in); return -1; }
  }
  return 0;
}

static int run_pipeline(struct node *n) {
  struct job *j = job_new(node_text(n));
  if (start_pipeline(n, j, 1) < 0) { job_wait(j); return 126; }
  return job_wait(j);
}

static int run_background(struct node *n) {
  struct job *j = job_new(node_text(n->left));
  if (start_pipeline(n->left, j, 0) < 0) return 126;
  job_background(j);
  return 0;
}

static int run_subshell(struct node *n) {
  struct job *j = job_new("( ... )");
  pid_t pid = job_fork(j, 1);
  if (pid < 0) return 126;
  if (pid == 0) {
    if (redirect(n->redirs, 0) < 0) _exit(1);
    run_child(n->left);
  }
  return job_wait(j);
}

// ---- compound commands ----
static int condition(struct node *n) {
  in_condition++;
  int status = run_node(n);
  in_condition--;
  return status;
}

// After a loop's body: 1 when the loop ends.
static int leave_loop(void) {
  if (unwind == U_NONE) return 0;
  if (unwind == U_BREAK || unwind == U_CONTINUE) {
    if (--unwind_levels > 0) return 1;
    int ends = unwind == U_BREAK;
    unwind = U_NONE;
    return ends;
  }
  return 1;
}

static int run_while(struct node *n) {
  int status = 0;
  in_loop++;
  for (;;) {
    int test = condition(n->left);
    if (leave_loop() || (test == 0) != (n->kind == N_WHILE)) break;
    status = run_node(n->right);
    trap_run_pending();
    if (leave_loop()) break;
  }
  in_loop--;
  return status;
}

static int run_for(struct node *n) {
  struct fields f = { 0 };
  int status = 0;
  if (!n->has_in) { f.at = params.at; f.count = params.count; }
  else if (expand_words(n->words, &f) < 0) return last_status;
  in_loop++;
  for (int i = 0; i < f.count; i++) {
    if (var_set(n->name, f.at[i]) < 0) { status = 1; break; }
    status = run_node(n->right);
    trap_run_pending();
    if (leave_loop()) break;
  }
  in_loop--;
  return status;
}

static int run_case(struct node *n) {
  char *word = expand_one(n->name);
  if (!word) return last_status;
  for (struct case_item *item = n->items; item; item = item->next)
    for (struct word *w = item->patterns; w; w = w->next) {
      char *pattern = expand_pattern(w->raw);
      if (!pattern) return last_status;
      if (fnmatch(pattern, word, 0) == 0) return item->body ? run_node(item->body) : 0;
    }
  return 0;
}

static int run_compound(struct node *n) {
  int status = 0;
  switch (n->kind) {
    case N_IF: status = condition(n->left); return unwind ? status : status == 0 ? run_node(n->right) : n->other ? run_node(n->other) : 0;
    case N_WHILE: case N_UNTIL: return run_while(n);
    case N_FOR: return run_for(n);
    case N_CASE: return run_case(n);
    default: return run_node(n->left);
  }
}

static int run_kind(struct node *n) {
  int status;
  switch (n->kind) {
    case N_SIMPLE: return run_simple(n);
    case N_PIPE: return run_pipeline(n);
    case N_BACKGROUND: return run_background(n);
    case N_NOT: return !condition(n->left);
    case N_SUBSHELL: return run_subshell(n);
    case N_FUNCTION: function_set(n->name, n->left); return 0;
    case N_AND: status = condition(n->left); return status || unwind ? status : run_node(n->right);
    case N_OR: status = condition(n->left); return !status || unwind ? status : run_node(n->right);
    default: break;
  }
  struct saved *save = 0;
  if (redirect(n->redirs, &save) < 0) return 1;
  status = run_compound(n);
  fflush(stdout);
  restore(save);
  return status;
}

int run_node(struct node *n) {
  while (n && n->kind == N_SEQ) {
    run_node(n->left);
    if (unwind) return last_status;
    n = n->right;
  }
  if (!n || unwind || flag_noexec) return last_status;
  int status = run_kind(n);
  if (unwind == U_NONE) last_status = status;
  trap_run_pending();
  int simple = n->kind == N_SIMPLE || n->kind == N_PIPE || n->kind == N_SUBSHELL;
  if (flag_errexit && last_status && simple && !in_condition && unwind == U_NONE) unwind = U_EXIT;
  return last_status;
}

int run_input(struct input *in) {
  for (;;) {
    struct arena *before = arena, mine = { 0 };
    int pinned = arena_pinned;
    struct node *n;
    if (flag_interactive && before == 0) job_notify();
    arena = calloc(1, sizeof *arena);
    *arena = mine;
    arena_pinned = 0;
    int parsed = parse_line(in, &n);
    if (parsed < 0) last_status = 2;
    if (parsed < 0 && !flag_interactive) unwind = U_EXIT;
    if (parsed > 0 && n) run_node(n);
    if (!arena_pinned) { arena_free(arena); free(arena); }
    arena = before;
    arena_pinned = pinned | (before ? arena_pinned : 0);
    if (flag_interactive && !before && unwind && unwind != U_EXIT) unwind = U_NONE;
    if (parsed == 0 || unwind) return last_status;
  }
}

int run_string(const char *s) {
  struct input *in = input_string(s);
  int status = run_input(in);
  input_close(in);
  return status;
}

char *capture(const char *command) {
  int fds[2];
  struct text t = { 0 };
  if (pipe(fds) < 0) { sh_error("cannot make a pipe: %s", strerror(errno)); return ""; }
  struct job *j = job_new(command);
  pid_t pid = job_fork(j, 1);
  if (pid == 0) {
    dup2(fds[1], 1);
    close(fds[0]);
    close(fds[1]);
    job_forget_all();
    run_string(command);
    trap_exit();
    fflush(stdout);
    _exit(last_status);
  }
  close(fds[1]);
  for (char buffer[4096];;) {
    ssize_t n = read(fds[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    for (ssize_t i = 0; i < n; i++) if (buffer[i]) text_add(&t, buffer[i]);
  }
  close(fds[0]);
  last_status = pid < 0 ? 126 : job_wait(j);
  captured = 1;
  return text_end(&t);
}
