// tr [-cds] SET1 [SET2]: ranges a-z, classes [:upper:] and escapes \n \t \\ \NNN.
#include "tool.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct set { unsigned char at[256 * 4]; size_t size; };

static void add_class(struct set *s, const char *name, size_t n) {
  static const struct { const char *name; int (*is)(int); } classes[] = { { "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "digit", isdigit },
    { "lower", islower }, { "upper", isupper }, { "punct", ispunct }, { "space", isspace }, { "print", isprint }, { "cntrl", iscntrl }, { "xdigit", isxdigit } };
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    if (strlen(classes[i].name) != n || strncmp(classes[i].name, name, n)) continue;
    for (int c = 0; c < 256; c++) if (classes[i].is(c) && s->size < sizeof s->at) s->at[s->size++] = c;
    return;
  }
  die_text(2, "[:%.*s:]: unknown class", (int)n, name);
}

static int one(const char **at) {
  static const char letters[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
  if (**at != '\\' || !(*at)[1]) return (unsigned char)*(*at)++;
  (*at)++;
  const char *known = strchr(letters, **at);
  if (known) { (*at)++; return values[known - letters]; }
  if (**at < '0' || **at > '7') return (unsigned char)*(*at)++;
  int value = 0;
  for (int i = 0; i < 3 && **at >= '0' && **at <= '7'; i++) value = value * 8 + *(*at)++ - '0';
  return value & 255;
}

static struct set parse(const char *text) {
  struct set s = { .size = 0 };
  while (*text) {
    const char *end = text[0] == '[' && text[1] == ':' ? strstr(text + 2, ":]") : 0;
    if (end) { add_class(&s, text + 2, end - text - 2); text = end + 2; continue; }
    int from = one(&text), to = from;
    if (*text == '-' && text[1]) { text++; to = one(&text); }
    if (to < from) die_text(2, "a range runs backwards");
    for (int c = from; c <= to && s.size < sizeof s.at; c++) s.at[s.size++] = c;
  }
  return s;
}

int main(int argc, char **argv) {
  int option, complement = 0, delete = 0, squeeze = 0, map[256], in_first[256] = { 0 }, in_last[256] = { 0 };
  tool_init(argv);
  while ((option = getopt(argc, argv, "cCds")) >= 0) {
    if (option == '?') return 2;
    *(option == 'd' ? &delete : option == 's' ? &squeeze : &complement) = 1;
  }
  int sets = argc - optind;
  if (sets < 1 || sets > 2 || (sets == 1 && !delete && !squeeze)) die_text(2, "usage: tr [-cds] SET1 [SET2]");
  struct set first = parse(argv[optind]), second = sets > 1 ? parse(argv[optind + 1]) : first;
  for (size_t i = 0; i < first.size; i++) in_first[first.at[i]] = 1;
  if (complement) {
    first.size = 0;
    for (int c = 0; c < 256; c++) if ((in_first[c] = !in_first[c])) first.at[first.size++] = c;
    if (sets == 1) second = first;
  }
  for (int c = 0; c < 256; c++) map[c] = c;
  if (sets > 1 && !delete)
    for (size_t i = 0; i < first.size; i++) if (second.size) map[first.at[i]] = second.at[i < second.size ? i : second.size - 1];
  for (size_t i = 0; i < second.size; i++) in_last[second.at[i]] = 1;
  for (int c, before = -1; (c = getchar()) >= 0;) {
    if (delete && in_first[c]) continue;
    c = map[c];
    if (squeeze && c == before && in_last[c]) continue;
    putchar(c);
    before = c;
  }
  return fflush(stdout) ? 1 : 0;
}
