// Reading /proc.
#ifndef PROC_H
#define PROC_H
#include <stddef.h>
// Reads a whole small file into `text`, NUL-terminated. Its size, or -1 with errno.
long read_text(const char *path, char *text, size_t room);
// The number after "key" at the start of a line of `text`; -1 when there is none.
long long field_of(const char *text, const char *key);
// Calls fn for each process, in ascending order.
void each_process(void (*fn)(int pid));
#endif
