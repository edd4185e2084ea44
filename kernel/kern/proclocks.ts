// /proc/locks: who holds what, and below each lock who waits for it.
import { F_WRLCK, type FileLock, LK_FLOCK, LK_OFD, LOCK_END, type LockTable } from "./filelock.ts";
import { OpenFile } from "./file.ts";
import { majorOf, minorOf } from "./vnfile.ts";

const KINDS = ["POSIX ", "OFDLCK", "FLOCK "], hex = (n: number): string => n.toString(16).padStart(2, "0");

function line(id: number, l: FileLock, place: object & { mount?: { dev: number }; ino?: number }, isWaiter: boolean): string {
  const { mount, ino } = place, where = mount ? `${hex(majorOf(mount.dev))}:${hex(minorOf(mount.dev))}:${ino}` : "<none>:0";
  const range = l.kind === LK_FLOCK ? "0 EOF" : `${l.start} ${l.end === LOCK_END ? "EOF" : l.end - 1n}`;
  return `${id}: ${isWaiter ? "-> " : ""}${KINDS[l.kind]} ADVISORY  ${l.type === F_WRLCK ? "WRITE" : "READ"} ${l.kind === LK_OFD ? -1 : l.pid} ${where} ${range}\n`;
}

/** A waiter is shown below the first lock that is in its way. */
export function locksText(table: LockTable): string {
  let id = 0, out = "";
  for (const list of table.lists) {
    const place = list.place instanceof OpenFile ? {} : list.place;
    for (const l of list.locks) {
      out += line(++id, l, place, false);
      for (const w of list.waiters) if (list.blocker(w) === l) out += line(id, w, place, true);
    }
  }
  return out;
}
