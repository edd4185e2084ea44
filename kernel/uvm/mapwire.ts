// uvm_map_pageable: mlock and munlock.
import { EAGAIN, EINVAL, ENOMEM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_NONE, PROT_WRITE } from "../hal/prot.ts";
import { amapCopy } from "./amapcopy.ts";
import { uvmFaultUnwireLocked, uvmFaultWire, uvmFaultWireMapped } from "./faultwire.ts";
import type { VmMap } from "./map.ts";
import type { VmMapEntry } from "./mapentry.ts";
import { isMapped } from "./mapops.ts";
import { PAGE_SIZE } from "./page.ts";

/**
 * Wires or unwires a range. One unwiring undoes any number of wirings. BSD: uvm_map_pageable.
 *
 * => map unlocked; may sleep
 * => onFault: pages that are mapped are wired now, the others when a fault brings them in; an entry that is wired stays as it is
 * => -EINVAL range; -EAGAIN more than may be wired in all (uvmexp.wiredmax); -ENOMEM a hole, PROT_NONE, no memory: nothing of the range is left wired then
 */
export function* uvmMapPageable(map: VmMap, start: number, end: number, opts: { wire: boolean; onFault?: boolean }): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockWrite();
  if (!isMapped(map, start, end)) {
    map.unlock();
    return -ENOMEM;
  }
  const err = opts.wire ? yield* wireRange(map, start, end, opts.onFault ?? false) : unwireRange(map, start, end);
  map.unlock();
  return err;
}

function forEntries(map: VmMap, start: number, end: number, act: (e: VmMapEntry) => void): void {
  for (let e = map.clipStart(start); e !== map.header && e.start < end; e = e.next) {
    map.clipEnd(e, end);
    act(e);
  }
}

/** => map write-locked */
function unwireRange(map: VmMap, start: number, end: number): number {
  for (let e = map.firstFrom(start); e !== map.header && e.start < end; e = e.next) if (e.wiredCount === 0) return -ENOMEM;
  forEntries(map, start, end, (e) => {
    uvmFaultUnwireLocked(map, e.start, e.end);
    e.clearWired();
  });
  return 0;
}

/** => map write-locked in and out; unlocked but busy while pages come in */
function* wireRange(map: VmMap, start: number, end: number, onFault: boolean): KGen<number> {
  for (let e = map.firstFrom(start); e !== map.header && e.start < end; e = e.next) if (e.protection === PROT_NONE) return -ENOMEM;
  let err = 0, npages = 0;
  for (let e = map.firstFrom(start); e !== map.header && e.start < end; e = e.next) {
    if (e.wiredCount === 0) npages += (Math.min(e.end, end) - Math.max(e.start, start)) / PAGE_SIZE;
  }
  if (!onFault && map.uvm.exp.wired + npages > map.uvm.exp.wiredmax) return -EAGAIN;
  const fresh: { start: number; end: number; prot: number }[] = [];
  forEntries(map, start, end, (e) => {
    if (onFault && e.wiredCount > 0) return;
    if (onFault) e.isWiredOnFault = true;
    // A wired page is mapped once and for all, so copies are made now.
    else if (e.wiredCount === 0 && e.needsCopy && ((e.protection & PROT_WRITE) !== 0 || !e.object) && !amapCopy(map, e)) err = -ENOMEM;
    if (e.wiredCount++ === 0) fresh.push({ start: e.start, end: e.end, prot: e.protection });
  });
  map.setBusy();
  map.unlock();
  let done = 0;
  for (; err === 0 && done < fresh.length; done++) {
    const r = fresh[done]!;
    if (onFault) yield* uvmFaultWireMapped(map, r.start, r.end, r.prot);
    else err = yield* uvmFaultWire(map, r.start, r.end, r.prot);
    if (err < 0) break;
  }
  yield* map.lockWrite();
  map.clearBusy();
  if (err < 0) {
    // uvmFaultWire undid its own range; undo the ones before it.
    for (const r of fresh.slice(0, done)) uvmFaultUnwireLocked(map, r.start, r.end);
    forEntries(map, start, end, (e) => {
      e.wiredCount--;
    });
  }
  return err;
}
