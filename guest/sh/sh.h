// The shell's shared structures.
//
//   input.c   characters from a string, a file or the terminal, line by line
//   parse.c   characters -> struct node
//   expand.c  words -> fields: variables, substitution, arithmetic, splitting, globbing
//   arith.c   $(( ))
//   exec.c    runs a node: pipelines, redirections, compound commands
//   builtin.c commands that run in the shell itself
//   job.c     process groups, waiting, fg and bg
//   var.c     variables and positional parameters
#ifndef SH_H
#define SH_H
#include <stddef.h>
#include <sys/types.h>

// ---- memory: everything parsed or expanded for one command lives in one arena ----
struct arena { struct chunk *first; };
extern struct arena *arena;                 // the arena in use
void *arena_alloc(size_t size);
char *arena_strndup(const char *text, size_t size);
void arena_free(struct arena *a);

// A growing string in malloc's memory.
struct text { char *at; size_t size, room; };
void text_add(struct text *t, char c);
void text_adds(struct text *t, const char *s, size_t n);
char *text_end(struct text *t);             // NUL-terminated, moved into the arena; t is empty again

// ---- input ----
struct input;
struct input *input_string(const char *s);
struct input *input_fd(int fd, int interactive);
void input_close(struct input *in);
int input_peek(struct input *in);           // next character or -1
int input_get(struct input *in);
int input_line(const struct input *in);
void input_continued(struct input *in, int continued);  // whether the next prompt is PS2

// ---- parsed commands ----
struct word { char *raw; struct word *next; };
enum redir_kind { R_IN, R_OUT, R_APPEND, R_RDWR, R_CLOBBER, R_DUPIN, R_DUPOUT, R_HERE };
struct redir {
  enum redir_kind kind;
  int fd;
  char *raw;                                // file name, descriptor, or here-document text
  int expand;                               // here-document whose delimiter was not quoted
  int strip;                                // <<-
  struct redir *next;
};
enum node_kind { N_SIMPLE, N_PIPE, N_AND, N_OR, N_SEQ, N_BACKGROUND, N_NOT, N_IF, N_WHILE, N_UNTIL, N_FOR, N_CASE, N_GROUP, N_SUBSHELL, N_FUNCTION };
struct case_item { struct word *patterns; struct node *body; struct case_item *next; };
struct node {
  enum node_kind kind;
  struct node *left, *right, *other;        // other: else part
  struct word *words, *assigns;
  struct redir *redirs;
  char *name;                               // for variable, function name, case word
  int has_in;                               // for x in ...
  struct case_item *items;
  char *text;                               // source, for job messages
};
// Parses one complete command line. 1 parsed (*out null for an empty line), 0 end of input, -1 syntax error (printed).
int parse_line(struct input *in, struct node **out);

// ---- variables ----
void var_init(char **environ_in);
const char *var_get(const char *name);      // null when unset
int var_set(const char *name, const char *value);       // -1 when read-only
void var_export(const char *name);
void var_readonly(const char *name);
void var_unset(const char *name);
char **var_environ(void);                   // in the arena
void var_print(int exported_only);
void var_local(const char *name);           // restored by var_pop_locals
size_t var_mark_locals(void);
void var_pop_locals(size_t mark);
int is_name(const char *s, size_t n);
struct params { char **at; int count; };
extern struct params params;                // $1..; at[0] is $1
extern char *shell_name;                    // $0
extern int last_status, last_background;
extern pid_t shell_pid;

// ---- expansion ----
struct fields { char **at; int count, room; };
// Expands words into fields. -1 after a message on an expansion error.
int expand_words(const struct word *w, struct fields *out);
char *expand_one(const char *raw);          // no splitting, no globbing; null on error
char *expand_pattern(const char *raw);      // as expand_one, quoted characters escaped for fnmatch
char *expand_here(const char *raw);         // here-document body
int arith(const char *text, long long *value);          // 0, or -1 after a message

// ---- execution ----
extern int flag_errexit, flag_xtrace, flag_nounset, flag_noexec, flag_interactive;
enum unwind { U_NONE, U_BREAK, U_CONTINUE, U_RETURN, U_EXIT };
extern enum unwind unwind;                  // a jump out of loops and functions is under way
extern int unwind_levels;
extern int in_loop, in_function;
int run_node(struct node *n);               // the exit status
int run_string(const char *s);              // parses and runs in this shell
int run_input(struct input *in);
char *capture(const char *command);         // $(command)
int find_command(const char *name, char *path, size_t size);    // 0, or 126/127
struct node *function_find(const char *name);
void function_set(const char *name, struct node *body);
void function_unset(const char *name);

typedef int builtin_fn(int argc, char **argv);
builtin_fn *builtin_find(const char *name, int *special);
void trap_exit(void);                       // runs the EXIT trap once
void trap_run_pending(void);
void trap_reset(void);                      // in a subshell

// ---- jobs ----
struct job;
void job_init(void);
struct job *job_new(const char *text);
// Forks a member of the job. In the child: signals and process group set; terminal taken when `foreground`.
pid_t job_fork(struct job *j, int foreground);
int job_wait(struct job *j);                // foreground wait: the last member's status
void job_background(struct job *j);
void job_notify(void);                      // prints changes of background jobs
int job_wait_all(void);
int job_wait_pid(pid_t pid);
int builtin_jobs(int argc, char **argv), builtin_fg(int argc, char **argv), builtin_bg(int argc, char **argv);
pid_t job_spec(const char *spec);           // %1 -> process group, or -1
void job_forget_all(void);                  // in a subshell

void sh_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
