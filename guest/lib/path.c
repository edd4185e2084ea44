#include "path.h"
#include "tool.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *path_base(const char *path) {
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') end--;
  size_t from = end;
  while (from > 0 && path[from - 1] != '/') from--;
  if (from == end) return strdup("/");
  return strndup(path + from, end - from);
}

char *path_join(const char *dir, const char *name) {
  size_t n = strlen(dir);
  char *path = must_alloc(n + strlen(name) + 2);
  sprintf(path, "%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
  return path;
}

char *path_into(const char *source, const char *target) {
  struct stat st;
  if (stat(target, &st) < 0 || !S_ISDIR(st.st_mode)) return strdup(target);
  char *base = path_base(source), *path = path_join(target, base);
  free(base);
  return path;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int dir_each(const char *dir, void (*fn)(const char *, const char *, void *), void *data) {
  DIR *d = opendir(dir);
  if (!d) return -1;
  char **names = 0;
  size_t count = 0, room = 0;
  errno = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (count == room) {
      room = room ? room * 2 : 32;
      names = realloc(names, room * sizeof *names);
      if (!names) die_errno(1, "realloc");
    }
    names[count++] = strdup(e->d_name);
  }
  int error = errno;
  closedir(d);
  if (count) qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    char *path = path_join(dir, names[i]);
    fn(path, names[i], data);
    free(path);
    free(names[i]);
  }
  free(names);
  errno = error;
  return error ? -1 : 0;
}
