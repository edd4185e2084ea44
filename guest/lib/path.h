// Path names, and walks over trees of files.
#ifndef PATH_H
#define PATH_H
#include <stddef.h>
// The last component, without trailing slashes, in malloc's memory.
char *path_base(const char *path);
// "dir/name" in malloc's memory.
char *path_join(const char *dir, const char *name);
// Where `source` goes when the target is `target`: target/base(source) for a directory. In malloc's memory.
char *path_into(const char *source, const char *target);
// Calls fn for each name but . and .., sorted. 0, or -1 with errno when the directory cannot be read.
int dir_each(const char *dir, void (*fn)(const char *path, const char *name, void *data), void *data);
#endif
