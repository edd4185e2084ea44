// free: memory, in KiB.
#include "proc.h"
#include "tool.h"
#include <stdio.h>

int main(int argc, char **argv) {
  char text[4096];
  (void)argc;
  tool_init(argv);
  if (read_text("/proc/meminfo", text, sizeof text) < 0) die_errno(1, "/proc/meminfo");
  long long total = field_of(text, "MemTotal"), free_kib = field_of(text, "MemFree"), cached = field_of(text, "Cached"), buffers = field_of(text, "Buffers");
  long long swap = field_of(text, "SwapTotal"), swap_free = field_of(text, "SwapFree"), available = field_of(text, "MemAvailable");
  if (cached < 0) cached = 0;
  if (buffers > 0) cached += buffers;
  printf("%-6s%12s%12s%12s%12s%12s\n", "", "total", "used", "free", "buff/cache", "available");
  printf("%-6s%12lld%12lld%12lld%12lld%12lld\n", "Mem:", total, total - free_kib - cached, free_kib, cached, available);
  if (swap >= 0) printf("%-6s%12lld%12lld%12lld\n", "Swap:", swap, swap - swap_free, swap_free);
  return fflush(stdout) ? 1 : 0;
}
