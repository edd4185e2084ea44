// Taking ranges out of a map: unlink under the map's lock, then drop what the entries referred to with the map unlocked,
// as that may sleep.
import { KASSERT } from "../lib/kassert.ts";
import { EINVAL } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { uvmFaultUnwireLocked } from "./faultwire.ts";
import type { VmMap } from "./map.ts";
import type { VmMapEntry } from "./mapentry.ts";

/**
 * Unlinks what lies in [start, end) and removes its mappings. BSD: uvm_unmap_remove.
 *
 * => map write-locked; holes are fine
 * => the dead entries, to be given to unmapDetach after the map is unlocked
 */
export function unmapRemove(map: VmMap, start: number, end: number): VmMapEntry[] {
  KASSERT(map.lock.isWriteOwned, "unmap without the map's lock");
  const dead: VmMapEntry[] = [], { pmap } = map.uvm;
  let e = map.clipStart(start);
  while (e !== map.header && e.start < end) {
    map.clipEnd(e, end);
    if (e.wiredCount > 0) {
      uvmFaultUnwireLocked(map, e.start, e.end);
      e.clearWired();
    }
    // Entry by entry: the holes between them may be large.
    pmap.pmapRemove(map.pmap, e.start, e.end);
    const next = e.next;
    map.unlink(e);
    dead.push(e);
    e = next;
  }
  if (dead.length > 0) pmap.pmapUpdate(map.pmap);
  return dead;
}

/** Drops the references of entries that are in no map any more. BSD: uvm_unmap_detach. => nothing locked; may sleep */
export function* unmapDetach(dead: readonly VmMapEntry[]): KGen<void> {
  for (const e of dead) {
    if (e.amap) yield* e.amap.unref(e.amapSlot, e.npages);
    if (e.object) yield* e.object.pgops.detach(e.object);
  }
}

/**
 * Removes all mappings in [start, end). BSD: uvm_unmap(9).
 *
 * => map unlocked; may sleep
 * => 0, or -EINVAL for a range that is unaligned or outside the map
 */
export function* uvmUnmap(map: VmMap, start: number, end: number): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockWrite();
  const dead = unmapRemove(map, start, end);
  map.unlock();
  yield* unmapDetach(dead);
  return 0;
}
