// Where the shell's characters come from.
#include "sh.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct input {
  const char *string;           // or a descriptor
  int fd, interactive, continued, eof, line;
  char *buffer;
  size_t at, size, room;
};

struct input *input_string(const char *s) {
  struct input *in = calloc(1, sizeof *in);
  in->string = s;
  in->fd = -1;
  in->line = 1;
  return in;
}

struct input *input_fd(int fd, int interactive) {
  struct input *in = input_string(0);
  in->fd = fd;
  in->interactive = interactive;
  return in;
}

void input_close(struct input *in) {
  if (in->fd > 2) close(in->fd);
  free(in->buffer);
  free(in);
}

int input_line(const struct input *in) { return in->line; }
void input_continued(struct input *in, int continued) { in->continued = continued; }

// Reads one line, a character at a time, so that commands of the script can read the rest of standard input.
static void fill(struct input *in) {
  in->at = in->size = 0;
  if (in->interactive) {
    const char *prompt = var_get(in->continued ? "PS2" : "PS1");
    char *text = expand_here(prompt ? prompt : "");
    fputs(text ? text : "", stderr);
  }
  for (;;) {
    char c;
    ssize_t n = read(in->fd, &c, 1);
    if (n < 0 && errno == EINTR) {
      if (!in->interactive) continue;
      in->size = 0;
      c = '\n';
      n = 1;
      fputc('\n', stderr);
    }
    if (n <= 0) break;
    if (in->size == in->room) in->buffer = realloc(in->buffer, in->room = in->room ? in->room * 2 : 256);
    in->buffer[in->size++] = c;
    if (c == '\n') break;
  }
  if (in->size == 0) in->eof = 1;
}

int input_peek(struct input *in) {
  if (in->string) return *in->string ? (unsigned char)*in->string : -1;
  if (in->at == in->size && !in->eof) fill(in);
  return in->at < in->size ? (unsigned char)in->buffer[in->at] : -1;
}

int input_get(struct input *in) {
  int c = input_peek(in);
  if (c < 0) return c;
  if (in->string) in->string++;
  else in->at++;
  if (c == '\n') in->line++;
  return c;
}
