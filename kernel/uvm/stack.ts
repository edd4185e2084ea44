// The stack of an address space: it begins small and grows down to where a fault touches it, as far as RLIMIT_STACK lets it.
//
//   … mappings ◄ map.searchTop | kept free of what may go anywhere | low … the limit … start | what there is | top
//
// A fault below `start` and not below `low` makes the lowest entry longer. What a program mapped there itself is not overrun: a
// gap stays between it and the stack.
import { ENOMEM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { MAP_WIREFUTURE, MAP_WIREONFAULT, type VmMap } from "./map.ts";
import { ET_COPYONWRITE, ET_NEEDSCOPY, VmMapEntry } from "./mapentry.ts";
import { uvmMapPageable } from "./mapwire.ts";
import { extendNext, uvmMap } from "./mmap.ts";
import { PAGE_SIZE } from "./page.ts";
import type { Vmspace } from "./vmspace.ts";

/**
 * What a stack has at first, what stays free below it, and how much room mmap leaves it: no multiple of 16 MiB, or the pages at the
 * top of the stack and those at the top of what is mapped would share the places of a TLB that is indexed by 12 bits.
 */
const INITIAL_BYTES = 33 * PAGE_SIZE, GAP_BYTES = 256 * PAGE_SIZE, ROOM_MIN = 130 << 20;

/** Where the stack of a map is. Guarded by the map's lock. */
export interface StackArea {
  readonly top: number;
  /** Its lowest address now. */
  start: number;
  /** It grows no further. */
  low: number;
}

/** Makes the stack below `top`, which may grow to `limit` bytes. => top page aligned, a limit of at least a page; nothing else mapped yet; may sleep; 0 or -errno */
export function* uvmMapStack(vm: Vmspace, top: number, limit: number, prot: number): KGen<number> {
  const { map } = vm, size = Math.floor(Math.min(INITIAL_BYTES, limit) / PAGE_SIZE) * PAGE_SIZE;
  const r = yield* uvmMap(map, { va: top - size, fixed: true, noReplace: true, size, prot, maxprot: 7, copyOnWrite: true, noMerge: true });
  if (r < 0) return r;
  map.stack = { top, start: top - size, low: 0 };
  uvmStackLimit(vm, limit);
  map.searchTop = top - Math.min(Math.max(top - map.stack.low + GAP_BYTES, ROOM_MIN), Math.floor((map.max - map.min) / 6 / PAGE_SIZE) * 5 * PAGE_SIZE);
  return 0;
}

/** The limit of its size changed. What there is stays. */
export function uvmStackLimit(vm: Vmspace, limit: number): void {
  const { map } = vm, { stack } = map;
  if (stack) stack.low = Math.max(map.min + GAP_BYTES, stack.top - Math.floor(Math.min(limit, map.max) / PAGE_SIZE) * PAGE_SIZE);
}

/** What lay in [start, end) is `by` bytes further now. A stack that moved whole grows at its new place. => map write-locked */
export function uvmStackMoved(map: VmMap, start: number, end: number, by: number): void {
  const { stack } = map;
  if (stack && start <= stack.start && stack.top <= end) map.stack = { top: stack.top + by, start: stack.start + by, low: Math.max(stack.low + by, map.min + GAP_BYTES) };
}

/** Is an entry a part of the stack? mprotect may have cut it into several. */
export const isStackEntry = (map: VmMap, e: VmMapEntry): boolean => map.stack !== null && e.start >= map.stack.start && e.end <= map.stack.top;

/** Could the stack grow to an address where nothing is mapped? */
export const isStackRoom = (map: VmMap, va: number): boolean => map.stack !== null && va >= map.stack.low && va < map.stack.start;

/**
 * Grows the stack down to `va`. BSD: uvm_grow(9).
 *
 * => map unlocked; va where isStackRoom said yes; may sleep
 * => 0: look again; -ENOMEM: something is in the way, or the address space is at its limit
 */
export function* uvmGrowStack(map: VmMap, va: number): KGen<number> {
  const { stack } = map, start = Math.floor(va / PAGE_SIZE) * PAGE_SIZE;
  yield* map.lockWrite();
  if (!stack || start >= stack.start) {
    // Another thread was faster.
    map.unlock();
    return stack ? 0 : -ENOMEM;
  }
  const above = map.firstFrom(stack.start), below = above.prev, size = stack.start - start;
  const isBlocked = above === map.header || above.start !== stack.start || below.end > start || (below !== map.header && below.protection !== 0 && below.end > start - GAP_BYTES);
  if (isBlocked || map.size + size > map.sizeLimit) {
    map.unlock();
    return -ENOMEM;
  }
  const e = new VmMapEntry(start, stack.start), isLocked = above.wiredCount > 0 || (map.flags & MAP_WIREFUTURE) !== 0;
  const onFault = above.wiredCount > 0 ? above.isWiredOnFault : (map.flags & MAP_WIREONFAULT) !== 0;
  e.etype = ET_COPYONWRITE | ET_NEEDSCOPY;
  e.protection = above.protection;
  e.maxProtection = above.maxProtection;
  e.inheritance = above.inheritance;
  e.advice = above.advice;
  if (!extendNext(map, e)) map.link(e);
  const end = stack.start;
  stack.start = start;
  map.unlock();
  if (isLocked) yield* uvmMapPageable(map, start, end, { wire: true, onFault });
  return 0;
}
