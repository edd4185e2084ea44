// The rest of the board: clocks and timer, real-time clock, random source; and what the kernel counted and said.
#include "proof.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ALARM_SEC 2
#define YEAR_2025 1735689600

// From Linux' headers, which are no part of musl.
struct rtc_time { int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst; };
struct rtc_wkalrm { unsigned char enabled, pending; struct rtc_time time; };
#define RTC_RD_TIME _IOR('p', 0x09, struct rtc_time)
#define RTC_WKALM_SET _IOW('p', 0x0f, struct rtc_wkalrm)
#define RTC_AF 0x20

static long long now_ns(clockid_t clock) {
  struct timespec t = { 0, 0 };
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void use_clocks(void) {
  int monotonic = 1;
  for (long long last = now_ns(CLOCK_MONOTONIC), i = 0; i < 1000; i++) {
    long long t = now_ns(CLOCK_MONOTONIC);
    monotonic &= t >= last;
    last = t;
  }
  check("the clock never goes back", monotonic);
  long long began = now_ns(CLOCK_MONOTONIC);
  int slept = nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
  long long took = now_ns(CLOCK_MONOTONIC) - began;
  check("a sleep of 50 ms takes that long", slept == 0 && took >= 50000000 && took < 5000000000);
  printf("# it took %lld us\n", took / 1000);
}

/** => seconds since 1970 by the real-time clock, or -1 */
static long long rtc_time(int fd) {
  struct rtc_time t;
  if (ioctl(fd, RTC_RD_TIME, &t) != 0) return -1;
  struct tm tm = { .tm_sec = t.tm_sec, .tm_min = t.tm_min, .tm_hour = t.tm_hour, .tm_mday = t.tm_mday, .tm_mon = t.tm_mon, .tm_year = t.tm_year };
  return timegm(&tm);
}

static int alarm_comes(int fd) {
  struct rtc_wkalrm alarm = { .enabled = 1 };
  time_t at = rtc_time(fd) + ALARM_SEC;
  struct tm tm;
  gmtime_r(&at, &tm);
  alarm.time = (struct rtc_time){ .tm_sec = tm.tm_sec, .tm_min = tm.tm_min, .tm_hour = tm.tm_hour, .tm_mday = tm.tm_mday, .tm_mon = tm.tm_mon, .tm_year = tm.tm_year };
  if (ioctl(fd, RTC_WKALM_SET, &alarm) != 0) return 0;
  struct pollfd p = { fd, POLLIN, 0 };
  unsigned long what = 0;
  int ok = poll(&p, 1, 20000) == 1 && read(fd, &what, sizeof what) == sizeof what && (what & RTC_AF) != 0;
  return ok && rtc_time(fd) >= at;
}

static void use_rtc(void) {
  int fd = open("/dev/rtc0", O_RDONLY);
  if (!check("real-time clock", fd >= 0)) return;
  long long rtc = rtc_time(fd), system = now_ns(CLOCK_REALTIME) / 1000000000;
  check("the system's time is the real-time clock's", rtc >= YEAR_2025 && llabs(rtc - system) <= 2);
  printf("# it says %lld\n", rtc);
  check("its alarm comes", alarm_comes(fd));
  close(fd);
}

static void use_random(void) {
  char name[64] = "", a[64], b[64];
  read_text("/sys/class/misc/hw_random/rng_current", name, sizeof name);
  printf("random source: %s", name);
  int fd = open("/dev/hwrng", O_RDONLY);
  check("random bytes", fd >= 0 && read(fd, a, sizeof a) == sizeof a && read(fd, b, sizeof b) == sizeof b && memcmp(a, b, sizeof a) != 0);
  close(fd);
}

void use_devices(void) {
  use_clocks();
  use_rtc();
  use_random();
}

/** => interrupts of the lines of /proc/interrupts that hold a word */
static long interrupts_of(const char *text, const char *word) {
  long sum = 0;
  for (const char *line = text; line != NULL && *line != 0; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    size_t len = strcspn(line, "\n");
    if (memmem(line, len, word, strlen(word)) != NULL && memchr(line, ':', len) != NULL) sum += atol((char *)memchr(line, ':', len) + 1);
  }
  return sum;
}

/** The disk's are those of the virtio device that it is, whose number depends on the order of probing. */
static void report_interrupts(void) {
  static char text[16384];
  char link[256] = "", what[64];
  if (readlink("/sys/block/vda/device", link, sizeof link - 1) < 0) perror("vda");
  const char *words[][2] = { { "disk", strrchr(link, '/') ? strrchr(link, '/') + 1 : "virtio" }, { "serial port", "ttyS0" }, { "real-time clock", "rtc" }, { "timer", "timer" } };
  read_text("/proc/interrupts", text, sizeof text);
  for (int i = 0; i < 4; i++) {
    long n = interrupts_of(text, words[i][1]);
    snprintf(what, sizeof what, "interrupts of the %s", words[i][0]);
    check(what, n > 0);
    printf("# %ld\n", n);
  }
}

/** The kernel's errors, and its words on the disk and what is on it; warnings as notes. */
static void report_messages(void) {
  static char record[8192];
  int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  for (ssize_t n; (n = read(fd, record, sizeof record - 1)) > 0 || (n < 0 && errno == EPIPE);) {
    if (n < 0) continue;
    record[n] = 0;
    char *message = strchr(record, ';');
    if (message == NULL) continue;
    message[strcspn(message, "\n")] = 0;
    int level = atoi(record) & 7, disk = strstr(message, "vda") != NULL || strstr(message, "EXT4-fs") != NULL || strstr(message, "virtio_") != NULL;
    if (level <= 3 || disk) printf("kernel (%d): %s\n", level, message + 1);
    else if (level == 4) printf("# kernel: %s\n", message + 1);
  }
  close(fd);
}

void report_kernel(void) {
  report_interrupts();
  report_messages();
}
