#include "copy.h"
#include "path.h"
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct walk { const char *to; const struct copy_options *options; int failed; };

static int fail(const char *path) { warn_errno(path); return -1; }

static int copy_file(const char *from, const char *to, const struct stat *st, const struct copy_options *o) {
  struct stat target;
  int in = open(from, O_RDONLY), out, reading;
  if (in < 0) return fail(from);
  if (stat(to, &target) == 0 && target.st_dev == st->st_dev && target.st_ino == st->st_ino) {
    warn_text("%s and %s are the same file", from, to);
    close(in);
    return -1;
  }
  out = open(to, O_WRONLY | O_CREAT | O_TRUNC, st->st_mode & 07777);
  if (out < 0 && o->force && unlink(to) == 0) out = open(to, O_WRONLY | O_CREAT | O_TRUNC, st->st_mode & 07777);
  if (out < 0) { close(in); return fail(to); }
  int result = copy_fd(in, out, &reading);
  if (result < 0) fail(reading ? from : to);
  close(in);
  if (close(out) < 0) result = fail(to);
  return result;
}

static int copy_link(const char *from, const char *to) {
  char target[PATH_MAX];
  ssize_t n = readlink(from, target, sizeof target - 1);
  if (n < 0) return fail(from);
  target[n] = 0;
  return symlink(target, to) < 0 ? fail(to) : 0;
}

static void copy_entry(const char *path, const char *name, void *data) {
  struct walk *w = data;
  char *to = path_join(w->to, name);
  if (copy_tree(path, to, w->options) < 0) w->failed = 1;
  free(to);
}

static int copy_directory(const char *from, const char *to, const struct stat *st, const struct copy_options *o) {
  struct walk w = { to, o, 0 };
  if (!o->recursive) { warn_text("%s is a directory (not copied; use -r)", from); return -1; }
  if (mkdir(to, (st->st_mode & 07777) | 0700) < 0 && errno != EEXIST) return fail(to);
  if (dir_each(from, copy_entry, &w) < 0) return fail(from);
  return w.failed ? -1 : 0;
}

int copy_tree(const char *from, const char *to, const struct copy_options *o) {
  struct stat st;
  if ((o->recursive ? lstat : stat)(from, &st) < 0) return fail(from);
  if (o->verbose) printf("%s -> %s\n", from, to);
  int result = S_ISDIR(st.st_mode) ? copy_directory(from, to, &st, o)
    : S_ISLNK(st.st_mode) ? copy_link(from, to)
    : S_ISREG(st.st_mode) || !o->recursive ? copy_file(from, to, &st, o)
    : mknod(to, st.st_mode, st.st_rdev) < 0 ? fail(to) : 0;
  if (result == 0 && o->preserve && !S_ISLNK(st.st_mode)) {
    struct timespec times[2] = { st.st_atim, st.st_mtim };
    if (chown(to, st.st_uid, st.st_gid) < 0 || chmod(to, st.st_mode & 07777) < 0 || utimensat(AT_FDCWD, to, times, 0) < 0) return fail(to);
  }
  return result;
}

struct removal { int force, failed; };

static void remove_entry(const char *path, const char *name, void *data) {
  (void)name;
  struct removal *r = data;
  if (remove_tree(path, 1, r->force) < 0) r->failed = 1;
}

int remove_tree(const char *path, int recursive, int force) {
  struct stat st;
  if (lstat(path, &st) < 0) return force && errno == ENOENT ? 0 : fail(path);
  if (!S_ISDIR(st.st_mode)) return unlink(path) < 0 ? fail(path) : 0;
  if (!recursive) { warn_text("%s: is a directory", path); return -1; }
  struct removal r = { force, 0 };
  if (dir_each(path, remove_entry, &r) < 0) return fail(path);
  if (r.failed) return -1;
  return rmdir(path) < 0 ? fail(path) : 0;
}
