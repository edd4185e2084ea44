// Changing the attributes of a range: protection, inheritance, advice. Each checks first, then acts, and the second part
// cannot fail.
import { EACCES, EINVAL, ENOMEM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { pageUnder } from "./faultwire.ts";
import type { VmMap } from "./map.ts";
import type { VmMapEntry } from "./mapentry.ts";
import { PAGE_SIZE } from "./page.ts";

/** Bytes of a range that are mapped, of entries of some kind. => may be stale when the map is unlocked */
export function mappedBytes(map: VmMap, start = map.min, end = map.max, isCounted: (e: VmMapEntry) => boolean = () => true): number {
  let n = 0;
  for (let e = map.firstFrom(start); e !== map.header && e.start < end; e = e.next) if (isCounted(e)) n += Math.min(e.end, end) - Math.max(e.start, start);
  return n;
}

/** True when every page of [start, end) is mapped. => map locked */
export function isMapped(map: VmMap, start: number, end: number): boolean {
  let at = start;
  for (let e = map.firstFrom(start); at < end; e = e.next) {
    if (e === map.header || e.start > at) return false;
    at = e.end;
  }
  return true;
}

/** Clips the entries of [start, end) to it and hands each to `act`, then joins what has become alike. => map write-locked */
function forRange(map: VmMap, start: number, end: number, act: (e: VmMapEntry) => void): void {
  let e = map.clipStart(start);
  const first = e;
  while (e !== map.header && e.start < end) {
    map.clipEnd(e, end);
    act(e);
    e = e.next;
  }
  // `e` is the first entry behind the range: it may join the last one in it.
  for (let at = first; at !== map.header; ) {
    const joined = map.tryMergeBack(at), isLast = joined.end > end || joined.next === map.header;
    if (isLast) break;
    at = joined.next;
  }
}

/**
 * Changes the protection of a range. BSD: uvm_map_protect(9).
 *
 * => map unlocked; [start, end) page aligned; may sleep
 * => setMax: also lowers the maximum
 * => -EINVAL range; -EACCES beyond an entry's maximum; -ENOMEM a hole (as Linux programs expect): nothing changed then
 */
export function* uvmMapProtect(map: VmMap, start: number, end: number, prot: number, opts: { setMax?: boolean } = {}): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockWrite();
  let err = isMapped(map, start, end) ? 0 : -ENOMEM;
  for (let e = map.firstFrom(start); err === 0 && e !== map.header && e.start < end; e = e.next) {
    if ((prot & ~e.maxProtection) !== 0) err = -EACCES;
  }
  if (err === 0) {
    const { pmap } = map.uvm;
    forRange(map, start, end, (e) => {
      const lost = e.protection & ~prot;
      e.protection = prot;
      if (opts.setMax) e.maxProtection &= prot;
      if (lost !== 0) pmap.pmapProtect(map.pmap, e.start, e.end, prot);
    });
    pmap.pmapUpdate(map.pmap);
  }
  map.unlock();
  return err;
}

/** Says what fork does with a range. BSD: uvm_map_inherit. => as uvmMapProtect; INH_*; holes are fine */
export function* uvmMapInherit(map: VmMap, start: number, end: number, inheritance: number): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockWrite();
  forRange(map, start, end, (e) => {
    e.inheritance = inheritance;
  });
  map.unlock();
  return 0;
}

/** Says how a range will be used. BSD: uvm_map_advice. => as uvmMapProtect; ADV_*; holes are fine */
export function* uvmMapAdvise(map: VmMap, start: number, end: number, advice: number): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockWrite();
  forRange(map, start, end, (e) => {
    e.advice = advice;
  });
  map.unlock();
  return 0;
}

/**
 * Says which pages of a range are resident: mincore(2). One byte a page.
 *
 * => map unlocked; [start, end) page aligned; out.length >= pages; may sleep for the map's lock
 * => 0; -EINVAL range; -ENOMEM a hole
 */
export function* uvmMapResident(map: VmMap, start: number, end: number, out: Uint8Array): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockRead();
  const err = isMapped(map, start, end) ? 0 : -ENOMEM;
  for (let va = start; err === 0 && va < end; va += PAGE_SIZE) out[(va - start) / PAGE_SIZE] = pageUnder(map, map.lookup(va)!, va) !== 0 ? 1 : 0;
  map.unlock();
  return err;
}
