// Copying and removing trees: shared by cp, mv and rm.
#ifndef COPY_H
#define COPY_H
struct copy_options { int recursive, preserve, force, verbose; };
// Copies a file, link, device or (recursive) tree. Warns about what fails; 0 when all went well.
int copy_tree(const char *from, const char *to, const struct copy_options *o);
// Removes a file or (recursive) a tree. Warns about what fails; 0 when all went well.
int remove_tree(const char *path, int recursive, int force);
#endif
