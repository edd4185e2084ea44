// ls [-1aAdFhilrRSt] [FILE ...]
#include "path.h"
#include "tool.h"
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static int show_long, all, almost_all, dirs_as_files, classify, human, inodes, reverse, recursive, by_size, by_time, one_column;
static int width = 80, printed;

struct entry { char *path, *name; struct stat st; };
struct list { struct entry *at; size_t count, room; };

static void add(struct list *l, const char *path, const char *name) {
  struct stat st;
  if (lstat(path, &st) < 0) { warn_errno(path); return; }
  if (l->count == l->room) {
    l->at = realloc(l->at, (l->room = l->room * 2 + 32) * sizeof *l->at);
    if (!l->at) die_errno(1, "realloc");
  }
  l->at[l->count++] = (struct entry){ strdup(path), strdup(name), st };
}

static int compare(const void *pa, const void *pb) {
  const struct entry *a = pa, *b = pb;
  int order = 0;
  if (by_size) order = (a->st.st_size < b->st.st_size) - (a->st.st_size > b->st.st_size);
  if (by_time) {
    order = (a->st.st_mtim.tv_sec < b->st.st_mtim.tv_sec) - (a->st.st_mtim.tv_sec > b->st.st_mtim.tv_sec);
    if (!order) order = (a->st.st_mtim.tv_nsec < b->st.st_mtim.tv_nsec) - (a->st.st_mtim.tv_nsec > b->st.st_mtim.tv_nsec);
  }
  if (!order) order = strcmp(a->name, b->name);
  return reverse ? -order : order;
}

static void mode_text(mode_t mode, char text[11]) {
  static const char letters[] = "rwxrwxrwx";
  text[0] = S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : S_ISCHR(mode) ? 'c' : S_ISBLK(mode) ? 'b' : S_ISFIFO(mode) ? 'p' : S_ISSOCK(mode) ? 's' : '-';
  for (int i = 0; i < 9; i++) text[i + 1] = mode & (0400 >> i) ? letters[i] : '-';
  if (mode & S_ISUID) text[3] = mode & 0100 ? 's' : 'S';
  if (mode & S_ISGID) text[6] = mode & 0010 ? 's' : 'S';
  if (mode & S_ISVTX) text[9] = mode & 0001 ? 't' : 'T';
  text[10] = 0;
}

static void size_text(const struct stat *st, char *text, size_t room) {
  double size = st->st_size;
  int unit = 0;
  if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) { snprintf(text, room, "%d, %d", major(st->st_rdev), minor(st->st_rdev)); return; }
  if (!human || st->st_size < 1024) { snprintf(text, room, "%lld", (long long)st->st_size); return; }
  for (; size >= 1024 && unit < 4; unit++) size /= 1024;
  snprintf(text, room, size < 10 ? "%.1f%c" : "%.0f%c", size, " KMGT"[unit]);
}

static const char *suffix(const struct entry *e) {
  mode_t m = e->st.st_mode;
  return !classify ? "" : S_ISDIR(m) ? "/" : S_ISLNK(m) && !show_long ? "@" : S_ISFIFO(m) ? "|" : S_ISSOCK(m) ? "=" : S_ISREG(m) && m & 0111 ? "*" : "";
}

static void print_long(const struct entry *e, int size_width) {
  char mode[11], size[32], when[32], target[PATH_MAX], owner[24], group[24];
  struct passwd *user = getpwuid(e->st.st_uid);
  struct group *gr = getgrgid(e->st.st_gid);
  time_t now = time(0), t = e->st.st_mtime;
  snprintf(owner, sizeof owner, user ? "%s" : "%s%u", user ? user->pw_name : "", e->st.st_uid);
  snprintf(group, sizeof group, gr ? "%s" : "%s%u", gr ? gr->gr_name : "", e->st.st_gid);
  mode_text(e->st.st_mode, mode);
  size_text(&e->st, size, sizeof size);
  strftime(when, sizeof when, t > now - 15552000 && t < now + 3600 ? "%b %e %H:%M" : "%b %e  %Y", localtime(&t));
  if (inodes) printf("%7llu ", (unsigned long long)e->st.st_ino);
  printf("%s %3lu %-8s %-8s %*s %s %s%s", mode, (unsigned long)e->st.st_nlink, owner, group, size_width, size, when, e->name, suffix(e));
  ssize_t n = S_ISLNK(e->st.st_mode) ? readlink(e->path, target, sizeof target - 1) : -1;
  if (n >= 0) printf(" -> %.*s", (int)n, target);
  putchar('\n');
}

static void print_columns(const struct list *l) {
  size_t widest = 1;
  for (size_t i = 0; i < l->count; i++) {
    size_t n = strlen(l->at[i].name) + strlen(suffix(&l->at[i])) + (inodes ? 8 : 0);
    if (n > widest) widest = n;
  }
  size_t columns = one_column ? 1 : width / (widest + 2), rows;
  if (columns < 1) columns = 1;
  rows = (l->count + columns - 1) / columns;
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = row; i < l->count; i += rows) {
      int used = inodes ? printf("%7llu ", (unsigned long long)l->at[i].st.st_ino) : 0;
      used += printf("%s%s", l->at[i].name, suffix(&l->at[i]));
      if (i + rows < l->count) printf("%*s", (int)(widest + 2 - used), "");
    }
    putchar('\n');
  }
}

static void print(struct list *l, int with_total) {
  long long blocks = 0;
  int size_width = 1;
  if (l->count) qsort(l->at, l->count, sizeof *l->at, compare);
  for (size_t i = 0; i < l->count; i++) {
    char size[32];
    blocks += l->at[i].st.st_blocks;
    size_text(&l->at[i].st, size, sizeof size);
    if ((int)strlen(size) > size_width) size_width = strlen(size);
  }
  if (show_long && with_total) printf("total %lld\n", blocks / 2);
  if (!show_long) print_columns(l);
  else for (size_t i = 0; i < l->count; i++) print_long(&l->at[i], size_width);
  printed = printed || l->count;
}

static void collect(const char *path, const char *name, void *data) {
  if (name[0] != '.' || all || almost_all) add(data, path, name);
}

static void release(struct list *l) {
  for (size_t i = 0; i < l->count; i++) { free(l->at[i].path); free(l->at[i].name); }
  free(l->at);
}

static void list_directory(const char *path, int titled) {
  struct list l = { 0 };
  if (titled) printf("%s%s:\n", printed ? "\n" : "", path);
  printed = 1;
  if (all) {
    char *self = path_join(path, "."), *up = path_join(path, "..");
    add(&l, self, ".");
    add(&l, up, "..");
    free(self);
    free(up);
  }
  if (dir_each(path, collect, &l) < 0) warn_errno(path);
  print(&l, 1);
  for (size_t i = 0; recursive && i < l.count; i++) {
    const char *name = l.at[i].name;
    if (S_ISDIR(l.at[i].st.st_mode) && strcmp(name, ".") && strcmp(name, "..")) list_directory(l.at[i].path, 1);
  }
  release(&l);
}

static void options(int argc, char **argv) {
  int option;
  while ((option = getopt(argc, argv, "1aAdFhilrRStC")) >= 0) {
    switch (option) {
      case '1': one_column = 1; break;
      case 'a': all = 1; break;
      case 'A': almost_all = 1; break;
      case 'd': dirs_as_files = 1; break;
      case 'F': classify = 1; break;
      case 'h': human = 1; break;
      case 'i': inodes = 1; break;
      case 'l': show_long = 1; break;
      case 'r': reverse = 1; break;
      case 'R': recursive = 1; break;
      case 'S': by_size = 1; break;
      case 't': by_time = 1; break;
      case 'C': one_column = 0; break;
      default: exit(2);
    }
  }
}

int main(int argc, char **argv) {
  struct winsize size;
  struct list files = { 0 }, dirs = { 0 };
  tool_init(argv);
  one_column = !isatty(1);
  if (ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) width = size.ws_col;
  options(argc, argv);
  int none = optind == argc;
  for (int i = optind; none || i < argc; i++) {
    const char *path = none ? "." : argv[i];
    struct stat st;
    int follow = !show_long && stat(path, &st) == 0;
    if (!follow && lstat(path, &st) < 0) warn_errno(path);
    else add(S_ISDIR(st.st_mode) && !dirs_as_files ? &dirs : &files, path, path);
    if (none) break;
  }
  if (files.count) print(&files, 0);
  if (dirs.count) qsort(dirs.at, dirs.count, sizeof *dirs.at, compare);
  for (size_t i = 0; i < dirs.count; i++) list_directory(dirs.at[i].path, recursive || files.count || argc - optind > 1);
  return fflush(stdout) ? 1 : tool_status;
}
