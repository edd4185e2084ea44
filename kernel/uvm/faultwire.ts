// Wiring by faults: every page of a range made resident, mapped with PMAP_WIRED and off the paging queues.
import type { KGen } from "../lib/kthread.ts";
import { uvmFault } from "./faultslow.ts";
import type { VmMap } from "./map.ts";
import type { VmMapEntry } from "./mapentry.ts";
import { PAGE_SIZE } from "./page.ts";

/**
 * Wires [start, end). BSD: uvm_fault_wire.
 *
 * => map unlocked but busy by this thread; the entries' wiredCount is set already
 * => 0; or -errno with nothing of the range left wired
 */
export function* uvmFaultWire(map: VmMap, start: number, end: number, access: number): KGen<number> {
  for (let va = start; va < end; va += PAGE_SIZE) {
    const err = yield* uvmFault(map, va, access, { wire: true });
    if (err < 0) {
      uvmFaultUnwireLocked(map, start, va);
      return err;
    }
  }
  return 0;
}

/**
 * Wires what is mapped of [start, end), which is to be wired on fault. A page that cannot be now is unmapped: its next fault tries again.
 *
 * => as uvmFaultWire; the entries are marked
 */
export function* uvmFaultWireMapped(map: VmMap, start: number, end: number, access: number): KGen<void> {
  const { pmap } = map.uvm;
  for (let va = start; va < end; va += PAGE_SIZE) {
    if (pmap.pmapExtract(map.pmap, va) < 0 || (yield* uvmFault(map, va, access)) === 0) continue;
    pmap.pmapRemove(map.pmap, va, va + PAGE_SIZE);
    pmap.pmapUpdate(map.pmap);
  }
}

/**
 * Undoes uvmFaultWire: each page of [start, end) loses a wiring. BSD: uvm_fault_unwire.
 *
 * => map locked or busy by this thread; the range lies in wired entries of one kind: on fault, or not
 * => the pages are found by looking the address up and not by the pmap, which forgets them at mprotect(PROT_NONE)
 */
export function uvmFaultUnwireLocked(map: VmMap, start: number, end: number): void {
  if (map.lookup(start)?.isWiredOnFault) {
    for (const va of faultWiredIn(map, start, end)) {
      map.faultWired.delete(va / PAGE_SIZE);
      unwirePage(map, va);
    }
  } else for (let va = start; va < end; va += PAGE_SIZE) unwirePage(map, va);
}

/** The pages of [start, end) that faults wired. Such ranges may be large, and hold little. => map locked or busy */
export function faultWiredIn(map: VmMap, start: number, end: number): number[] {
  const wired = map.faultWired;
  if (end - start === PAGE_SIZE) return wired.has(start / PAGE_SIZE) ? [start] : [];
  return [...wired].map((vpn) => vpn * PAGE_SIZE).filter((va) => va >= start && va < end);
}

function unwirePage(map: VmMap, va: number): void {
  const { pages, pmap } = map.uvm, e = map.lookup(va), pg = e ? pageUnder(map, e, va) : 0;
  if (pmap.pmapExtract(map.pmap, va) >= 0) pmap.pmapUnwire(map.pmap, va);
  // Truncation may have freed it; a wired page that is gone needs no more.
  if (pg === 0 || pages.wireCount[pg] === 0) return;
  pages.lockQueues();
  pages.pageUnwire(pg);
  pages.unlockQueues();
}

/** The resident page of an address by the two-layer lookup, 0 none. => map locked or busy */
export function pageUnder(map: VmMap, e: VmMapEntry, va: number): number {
  const { anons, pages } = map.uvm, an = e.amap ? e.amap.lookup(e.slotOf(va)) : 0;
  if (an !== 0) return anons.page[an]!;
  return e.object ? pages.lookup(e.object, e.offsetOf(va)) : 0;
}
