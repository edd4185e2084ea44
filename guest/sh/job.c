// Jobs: a pipeline is a job, and with job control a process group of its own.
#include "sh.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum state { RUNNING, STOPPED, DONE };
struct member { pid_t pid; int status; enum state state; struct member *next; };
struct job { int id; pid_t pgid; char *text; struct member *members; enum state reported; int background; struct job *next; };
static struct job *jobs;
static int control;                       // job control is on: the shell is interactive
static pid_t shell_pgid;
static struct termios shell_modes;

static const int ignored[] = { SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, 0 };

static void on_interrupt(int sig) { (void)sig; }

void job_init(void) {
  if (!flag_interactive) return;
  for (int i = 1; ignored[i]; i++) signal(ignored[i], SIG_IGN);
  struct sigaction interrupt = { .sa_handler = on_interrupt };      // no SA_RESTART: ends a read of the terminal
  sigaction(SIGINT, &interrupt, 0);
  while (tcgetpgrp(0) != getpgrp() && tcgetpgrp(0) > 0) kill(0, SIGTTIN);
  shell_pgid = getpid();
  if (getpgrp() != shell_pgid && setpgid(0, shell_pgid) < 0) return;
  if (tcsetpgrp(0, shell_pgid) < 0) {
    sh_error("no job control: %s", strerror(errno));
    return;
  }
  tcgetattr(0, &shell_modes);
  control = 1;
}

static void job_free(struct job *j) {
  while (j->members) {
    struct member *m = j->members;
    j->members = m->next;
    free(m);
  }
  free(j->text);
  free(j);
}

static void job_remove(struct job *j) {
  for (struct job **at = &jobs; *at; at = &(*at)->next)
    if (*at == j) { *at = j->next; job_free(j); return; }
}

struct job *job_new(const char *text) {
  struct job *j = calloc(1, sizeof *j);
  for (struct job *other = jobs; other; other = other->next)
    if (other->id >= j->id) j->id = other->id;
  j->id++;
  j->text = strdup(text ? text : "");
  j->next = jobs;
  return jobs = j;
}

pid_t job_fork(struct job *j, int foreground) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) { sh_error("cannot fork: %s", strerror(errno)); return -1; }
  pid_t leader = j->pgid ? j->pgid : pid ? pid : getpid();
  if (control) setpgid(pid, leader);            // in parent and child: whoever comes first
  if (pid == 0) {
    if (control && foreground) tcsetpgrp(0, leader);
    if (flag_interactive) for (int i = 0; ignored[i]; i++) signal(ignored[i], SIG_DFL);
    if (!control && !foreground) { signal(SIGINT, SIG_IGN); signal(SIGQUIT, SIG_IGN); }
    control = flag_interactive = 0;
    trap_reset();
    return 0;
  }
  j->pgid = leader;
  struct member *m = calloc(1, sizeof *m);
  m->pid = pid;
  m->next = j->members;
  j->members = m;
  return pid;
}

static enum state job_state(const struct job *j) {
  enum state all = DONE;
  for (const struct member *m = j->members; m; m = m->next) {
    if (m->state == RUNNING) return RUNNING;
    if (m->state == STOPPED) all = STOPPED;
  }
  return all;
}

static void note(pid_t pid, int status) {
  for (struct job *j = jobs; j; j = j->next)
    for (struct member *m = j->members; m; m = m->next) {
      if (m->pid != pid) continue;
      m->state = WIFSTOPPED(status) ? STOPPED : WIFCONTINUED(status) ? RUNNING : DONE;
      if (!WIFCONTINUED(status)) m->status = status;
    }
}

static int decode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + (WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status));
}

static void print_job(const struct job *j) {
  enum state s = job_state(j);
  int status = j->members ? j->members->status : 0;
  char what[48] = "Running";
  if (s == STOPPED) strcpy(what, "Stopped");
  else if (s == DONE && WIFSIGNALED(status)) snprintf(what, sizeof what, "%s", strsignal(WTERMSIG(status)));
  else if (s == DONE && WEXITSTATUS(status)) snprintf(what, sizeof what, "Exit %d", WEXITSTATUS(status));
  else if (s == DONE) strcpy(what, "Done");
  printf("[%d] %-10s %s\n", j->id, what, j->text);
  fflush(stdout);
}

// Waits until no member of the job runs. -1 when a signal with a trap came first.
static int wait_for(struct job *j) {
  while (job_state(j) == RUNNING) {
    int status;
    pid_t pid = waitpid(-1, &status, control ? WUNTRACED : 0);
    if (pid > 0) note(pid, status);
    else if (errno == ECHILD) for (struct member *m = j->members; m; m = m->next) m->state = DONE;
    else if (errno == EINTR) trap_run_pending();
  }
  return 0;
}

int job_wait(struct job *j) {
  wait_for(j);
  int status = j->members ? j->members->status : 0;
  if (control) {
    tcsetpgrp(0, shell_pgid);
    if (job_state(j) == STOPPED) tcgetattr(0, &shell_modes);
    tcsetattr(0, TCSADRAIN, &shell_modes);
  }
  if (job_state(j) == STOPPED) {
    fputc('\n', stdout);
    j->background = 1;
    j->reported = STOPPED;
    print_job(j);
    return decode(status);
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT && flag_interactive) fputc('\n', stderr);
  else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGPIPE && WTERMSIG(status) != SIGINT) fprintf(stderr, "%s\n", strsignal(WTERMSIG(status)));
  job_remove(j);
  return decode(status);
}

void job_background(struct job *j) {
  j->background = 1;
  last_background = j->members ? j->members->pid : 0;
  if (flag_interactive) fprintf(stderr, "[%d] %d\n", j->id, last_background);
}

static void poll_children(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) note(pid, status);
}

void job_notify(void) {
  poll_children();
  for (struct job *j = jobs, *next; j; j = next) {
    next = j->next;
    if (!j->background || job_state(j) == j->reported) continue;
    j->reported = job_state(j);
    if (flag_interactive && j->reported != RUNNING) print_job(j);
    if (flag_interactive && j->reported == DONE) job_remove(j);
  }
}

int job_wait_all(void) {
  while (jobs) {
    struct job *j = jobs;
    while (j && job_state(j) == STOPPED) j = j->next;
    if (!j) break;
    wait_for(j);
    if (job_state(j) == DONE) job_remove(j);
  }
  return 0;
}

int job_wait_pid(pid_t pid) {
  for (struct job *j = jobs; j; j = j->next)
    for (struct member *m = j->members; m; m = m->next) {
      if (m->pid != pid) continue;
      while (m->state == RUNNING) {
        int status;
        pid_t got = waitpid(-1, &status, 0);
        if (got > 0) note(got, status);
        else if (errno == ECHILD) m->state = DONE;
      }
      int status = decode(m->status);
      if (job_state(j) == DONE) job_remove(j);
      return status;
    }
  return 127;
}

void job_forget_all(void) {
  while (jobs) job_remove(jobs);
}

static struct job *find_spec(const char *spec) {
  struct job *best = 0;
  for (struct job *j = jobs; j; j = j->next) {
    if (!j->background) continue;
    if (spec && *spec == '%' && spec[1] >= '0' && spec[1] <= '9') { if (j->id == atoi(spec + 1)) return j; }
    else if (spec && *spec == '%' && spec[1] && !strchr("%+-", spec[1])) { if (!strncmp(j->text, spec + 1, strlen(spec + 1))) return j; }
    else if (!best || j->id > best->id) best = j;
  }
  return spec && *spec != '%' ? 0 : spec && spec[1] && !strchr("%+-", spec[1]) ? 0 : best;
}

pid_t job_spec(const char *spec) {
  struct job *j = find_spec(spec);
  return j ? j->pgid : -1;
}

int builtin_jobs(int argc, char **argv) {
  (void)argc; (void)argv;
  poll_children();
  struct job *list[64];
  int n = 0;
  for (struct job *j = jobs; j && n < 64; j = j->next) if (j->background) list[n++] = j;
  while (n-- > 0) {
    print_job(list[n]);
    list[n]->reported = job_state(list[n]);
    if (list[n]->reported == DONE) job_remove(list[n]);
  }
  return 0;
}

static void resume(struct job *j) {
  for (struct member *m = j->members; m; m = m->next) if (m->state == STOPPED) m->state = RUNNING;
  j->reported = RUNNING;
  kill(-j->pgid, SIGCONT);
}

int builtin_fg(int argc, char **argv) {
  struct job *j = control ? find_spec(argc > 1 ? argv[1] : 0) : 0;
  if (!j) { sh_error("fg: %s", control ? "no such job" : "no job control"); return 1; }
  printf("%s\n", j->text);
  fflush(stdout);
  j->background = 0;
  tcsetpgrp(0, j->pgid);
  resume(j);
  return job_wait(j);
}

int builtin_bg(int argc, char **argv) {
  struct job *j = control ? find_spec(argc > 1 ? argv[1] : 0) : 0;
  if (!j) { sh_error("bg: %s", control ? "no such job" : "no job control"); return 1; }
  printf("[%d] %s &\n", j->id, j->text);
  resume(j);
  return 0;
}
