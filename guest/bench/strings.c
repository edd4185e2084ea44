// Functions on strings, the library's and a tokenizer's.
#include "bench.h"

#define WORDS 4000
static char text[WORDS * 12], copy[WORDS * 12];

int main(int argc, char **argv) {
  long scale = scale_of(argc, argv, 700);
  uint64_t state = 5, sum = 0;
  char *p = text;
  for (int i = 0; i < WORDS; i++) {
    int length = 3 + next_random(&state) % 8;
    while (length-- > 0) *p++ = 'a' + next_random(&state) % 26;
    *p++ = i % 11 == 10 ? '\n' : ' ';
  }
  *p = 0;
  size_t size = p - text;
  for (long round = 0; round < scale; round++) {
    memcpy(copy, text, size + 1);
    sum = mix(sum, strlen(copy));
    char *lines = copy, *line;
    while ((line = strchr(lines, '\n')) != NULL) {
      *line = 0;
      char *rest = lines, *word;
      while ((word = strtok_r(rest, " ", &rest)) != NULL) {
        if (strcmp(word, "mmm") > 0) sum += word[0];
        else sum += strlen(word);
      }
      lines = line + 1;
    }
    memset(copy, round & 0x7f, size / 2);
    memmove(copy + 3, copy, size / 2);
    if (memcmp(copy + 3, copy, 64) == 0) sum = mix(sum, copy[17]);
  }
  return report("strings", sum);
}
