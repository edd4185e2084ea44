// What the parts of the Linux proof's /init share. Each line that they print is the same under every machine, except notes, which
// begin with "# ".
#ifndef PROOF_H
#define PROOF_H
#include <stddef.h>
#include <stdint.h>

#define DISK "/dev/vda"
#define ROOT "/mnt"

/** Prints "what: yes", or "what: no" and the error since the last check. => ok */
int check(const char *what, int ok);

/** A file as a string, at most size - 1 bytes of it. => its length, or -1 */
long read_text(const char *path, char *text, size_t size);

/** Prints a line for each file below ROOT, by name: type, mode, links, owner, size, blocks, time of change, checksum, path. */
void walk(const char *label);

/** Makes, changes and removes files below ROOT in many ways. */
void change_files(void);

/** Compares what change_files wrote with what it should be. */
void verify_files(void);

/** The same time of change for every regular file, so that it can be compared. */
void settle_times(void);

/** Clocks, timer interrupts, the real-time clock with its alarm, the random source. */
void use_devices(void);

/** Counts of interrupts, and what the kernel said of disk and file system. */
void report_kernel(void);

/** Continues a checksum of 8-byte words, the last one filled up with zeros. */
uint64_t mix_bytes(uint64_t h, const void *bytes, size_t len);
#define MIX_START 0xcbf29ce484222325ull
#endif
