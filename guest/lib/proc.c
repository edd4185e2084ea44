#include "proc.h"
#include "tool.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long read_text(const char *path, char *text, size_t room) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t size = 0;
  if (fd < 0) return -1;
  for (ssize_t n; size + 1 < room && (n = read(fd, text + size, room - 1 - size)) > 0;) size += n;
  close(fd);
  text[size] = 0;
  return size;
}

long long field_of(const char *text, const char *key) {
  size_t n = strlen(key);
  for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : 0)
    if (!strncmp(line, key, n)) {
      line += n;
      while (*line == ':' || isblank((unsigned char)*line)) line++;
      return atoll(line);
    }
  return -1;
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

void each_process(void (*fn)(int)) {
  DIR *d = opendir("/proc");
  if (!d) die_errno(1, "/proc");
  int *pids = 0;
  size_t count = 0, room = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (!isdigit((unsigned char)e->d_name[0])) continue;
    if (count == room && !(pids = realloc(pids, (room = room * 2 + 64) * sizeof *pids))) die_errno(1, "realloc");
    pids[count++] = atoi(e->d_name);
  }
  closedir(d);
  if (count) qsort(pids, count, sizeof *pids, by_number);
  for (size_t i = 0; i < count; i++) fn(pids[i]);
  free(pids);
}
