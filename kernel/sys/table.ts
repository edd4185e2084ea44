// The system-call table of Linux riscv64 (asm-generic numbers): a row a call, from the family files.
import { KASSERT } from "../lib/kassert.ts";
import type { SyscallEntry } from "../kern/trap.ts";
import type { Row } from "./args.ts";
import { CAPS_CALLS } from "./caps.ts";
import { EVENT_CALLS } from "./event.ts";
import { FILE_CALLS } from "./file.ts";
import { LIMIT_CALLS } from "./limit.ts";
import { MISC_CALLS } from "./misc.ts";
import { MLOCK_CALLS } from "./mlock.ts";
import { MM_CALLS } from "./mm.ts";
import { MOUNT_CALLS } from "./mount.ts";
import { ATTR_CALLS } from "./attr.ts";
import { PATH_CALLS } from "./path.ts";
import { POLL_CALLS } from "./poll.ts";
import { PROC_CALLS } from "./proc.ts";
import { SCHED_CALLS } from "./sched.ts";
import { SIGNAL_CALLS } from "./signal.ts";
import { SOCKET_CALLS } from "./socket.ts";
import { STAT_CALLS } from "./stat.ts";
import { TIME_CALLS } from "./time.ts";

const FAMILIES: readonly (readonly Row[])[] = [
  FILE_CALLS, PATH_CALLS, ATTR_CALLS, MM_CALLS, PROC_CALLS, SIGNAL_CALLS, TIME_CALLS, POLL_CALLS, SOCKET_CALLS, EVENT_CALLS, MISC_CALLS,
  LIMIT_CALLS, SCHED_CALLS, MLOCK_CALLS, CAPS_CALLS, STAT_CALLS, MOUNT_CALLS];
const NR_MAX = 512;

/** Indexed by number; a hole answers ENOSYS. */
export function syscallTable(): (SyscallEntry | undefined)[] {
  const table = new Array<SyscallEntry | undefined>(NR_MAX).fill(undefined);
  for (const family of FAMILIES) {
    for (const { nr, entry } of family) {
      KASSERT(table[nr] === undefined, `system call ${nr} is in the table twice: ${entry.name}`);
      table[nr] = entry;
    }
  }
  return table;
}
