// Shared by the small utilities: messages and whole-buffer input and output.
#ifndef TOOL_H
#define TOOL_H
#include <stddef.h>
#include <sys/types.h>

// Name the program was called by, for messages. Set by tool_init.
extern const char *tool_name;
// Becomes 1 when warn_errno or warn_text was called: the exit status of a utility that goes on after an error.
extern int tool_status;

void tool_init(char **argv);
// Prints "name: what: strerror(errno)".
void warn_errno(const char *what);
// Prints "name: text".
void warn_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
// As warn_errno and warn_text, then exits with `status`.
void die_errno(int status, const char *what) __attribute__((noreturn));
void die_text(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
// Writes all of it, going on after short writes and signals. 0 or -1 with errno.
int write_all(int fd, const void *bytes, size_t size);
// Copies one descriptor to another until end of file. 0, or -1 with errno and *reading telling which side failed.
int copy_fd(int from, int to, int *reading);
// Parses an unsigned number with an optional suffix k, M or G (powers of 1024). 0 or -1 when it is not one.
int parse_size(const char *text, long long *value);
// malloc that ends the program when there is no memory.
void *must_alloc(size_t size);
#endif
