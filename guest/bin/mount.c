// mount: lists file systems; mount -t TYPE [-o ro,remount] SOURCE DIRECTORY attaches one.
#include "tool.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static void list(void) {
  char source[256], dir[256], type[64], options[256];
  FILE *f = fopen("/proc/mounts", "r");
  if (!f) die_errno(1, "/proc/mounts");
  while (fscanf(f, "%255s %255s %63s %255s %*d %*d", source, dir, type, options) == 4) printf("%s on %s type %s (%s)\n", source, dir, type, options);
  fclose(f);
}

/* What is a flag of mount(2); other words are the file system's. */
static unsigned long flag_of(const char *word) {
  static const struct { const char *word; unsigned long flag; } FLAGS[] = {
    {"ro", MS_RDONLY}, {"nosuid", MS_NOSUID}, {"nodev", MS_NODEV}, {"noexec", MS_NOEXEC}, {"sync", MS_SYNCHRONOUS}, {"remount", MS_REMOUNT}, {"noatime", MS_NOATIME},
    {"nodiratime", MS_NODIRATIME}, {"relatime", MS_RELATIME}, {"strictatime", MS_STRICTATIME},
  };
  for (unsigned i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) if (!strcmp(word, FLAGS[i].word)) return FLAGS[i].flag;
  return 0;
}

int main(int argc, char **argv) {
  const char *type = "ext2";
  unsigned long flags = 0;
  char data[256] = "";
  int option;
  tool_init(argv);
  if (argc == 1) { list(); return 0; }
  while ((option = getopt(argc, argv, "t:o:r")) >= 0) {
    if (option == '?') return 2;
    if (option == 't') { type = optarg; continue; }
    if (option == 'r') { flags |= MS_RDONLY; continue; }
    for (char *word = strtok(optarg, ","); word; word = strtok(0, ",")) {
      unsigned long flag = flag_of(word);
      if (flag) flags |= flag;
      else if (strcmp(word, "rw") && strcmp(word, "defaults")) snprintf(data + strlen(data), sizeof data - strlen(data), "%s%s", *data ? "," : "", word);
    }
  }
  if (argc - optind != 2) die_text(2, "usage: mount [-t TYPE] [-o OPTIONS] SOURCE DIRECTORY");
  if (mount(argv[optind], argv[optind + 1], type, flags, data) < 0) die_errno(1, argv[optind + 1]);
  return 0;
}
