// uvm_map: making mappings. The MAP_* and PROT_* numbers of mmap(2) are decoded by kernel/sys; here are BSD's terms.
//
// A new mapping that continues its neighbour does not become an entry of its own: heaps and stacks stay one entry and one
// amap, which grows (amap_extend).
import { EEXIST, EINVAL, ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { MAP_WIREFUTURE, MAP_WIREONFAULT, sameAttributes, type VmMap } from "./map.ts";
import { uvmMapPageable } from "./mapwire.ts";
import { ADV_NORMAL, ET_COPYONWRITE, ET_NEEDSCOPY, INH_COPY, VmMapEntry } from "./mapentry.ts";
import { amapAlloc, UVM_AMAP_LARGE } from "./amap.ts";
import type { UvmObject } from "./object.ts";
import { PAGE_SIZE } from "./page.ts";
import { unmapDetach, unmapRemove } from "./unmap.ts";

/** What uvmMap makes. */
export interface MapRequest {
  /** The address when `fixed`, else a hint (0: none). */
  va: number;
  /** Exactly there; what was mapped there goes. */
  fixed?: boolean;
  /** With fixed: -EEXIST instead of replacing. */
  noReplace?: boolean;
  size: number;
  prot: number;
  maxprot: number;
  inherit?: number;
  advice?: number;
  /** What to map; null for anonymous memory. Its reference passes to the map on success and stays with the caller on failure. */
  uobj?: UvmObject | null;
  offset?: number;
  /** Stores make private copies. Anonymous memory without an object must say so. */
  copyOnWrite?: boolean;
  /** Anonymous: make the amap now and not at the first fault. Memory that is sure to be touched. */
  overlay?: boolean;
  /** Never join it with a neighbour. */
  noMerge?: boolean;
}

/**
 * Maps something. BSD: uvm_map(9).
 *
 * => map unlocked; size and a fixed va page aligned; offset page aligned; may sleep
 * => the address; -EINVAL outside the map; -EEXIST; -ENOMEM no room
 */
export function* uvmMap(map: VmMap, req: MapRequest): KGen<number> {
  const { size } = req, uobj = req.uobj ?? null;
  KASSERT(size > 0 && size % PAGE_SIZE === 0 && (req.offset ?? 0) % PAGE_SIZE === 0, "uvmMap: unaligned size or offset");
  KASSERT((req.prot & ~req.maxprot) === 0, "uvmMap: protection beyond the maximum");
  KASSERT(uobj !== null || req.copyOnWrite === true, "uvmMap: shared anonymous memory needs an aobj");
  if (req.fixed && !map.isRange(req.va, req.va + size)) return -EINVAL;
  yield* map.lockWrite();
  let va = req.va, dead: readonly VmMapEntry[] = [];
  if (!req.fixed) {
    va = uvmMapFindspace(map, req.va, size);
    if (va === NO_SPACE) {
      map.unlock();
      return -ENOMEM;
    }
  } else if (!map.isFree(va, va + size)) {
    if (req.noReplace) {
      map.unlock();
      return -EEXIST;
    }
    dead = unmapRemove(map, va, va + size);
  }
  mapEnter(map, va, req, uobj);
  const wire = (map.flags & MAP_WIREFUTURE) !== 0 && req.prot !== 0;
  map.unlock();
  yield* unmapDetach(dead);
  // What cannot be wired (the end of a file, no memory left) is mapped all the same: the caller asked its limits before.
  if (wire) yield* uvmMapPageable(map, va, va + size, { wire: true, onFault: (map.flags & MAP_WIREONFAULT) !== 0 });
  return va;
}

const NO_SPACE = -1;

/** A free range: at the hint if that is free, else the highest (user maps) or lowest (kernel maps). => map locked; NO_SPACE (-1) */
export function uvmMapFindspace(map: VmMap, hint: number, size: number): number {
  if (hint !== 0) {
    const va = Math.floor(hint / PAGE_SIZE) * PAGE_SIZE;
    if (va >= map.min && va + size <= map.max && map.isFree(va, va + size)) return va;
  }
  if (map.min < 0) return map.tree.findAbove(map.min, size);
  const va = map.tree.findBelow(map.searchTop, size);
  return va < 0 && map.searchTop < map.max ? map.tree.findBelow(map.max, size) : va;
}

/** The entry for [va, va + size), or a neighbour made longer. => map write-locked; range free */
function mapEnter(map: VmMap, va: number, req: MapRequest, uobj: UvmObject | null): void {
  const e = new VmMapEntry(va, va + req.size);
  e.object = uobj;
  e.offset = req.offset ?? 0;
  if (req.copyOnWrite) e.etype = ET_COPYONWRITE | ET_NEEDSCOPY;
  e.protection = req.prot;
  e.maxProtection = req.maxprot;
  e.inheritance = req.inherit ?? INH_COPY;
  e.advice = req.advice ?? ADV_NORMAL;
  if (!req.noMerge && !uobj && (extendPrev(map, e) || extendNext(map, e))) return;
  if (req.overlay && req.copyOnWrite) {
    const am = amapAlloc(map.uvm, e.npages);
    // Without memory for it the first fault tries again.
    if (am) {
      e.amap = am;
      e.etype &= ~ET_NEEDSCOPY;
    }
  }
  map.link(e);
}

/** True when `e` may become part of anonymous neighbour `n`: an untouched neighbour, or one whose amap can grow. */
function canJoin(map: VmMap, n: VmMapEntry, e: VmMapEntry): boolean {
  if (n === map.header || n.object || n.wiredCount > 0) return false;
  if (!n.amap) return sameAttributes(n, e);
  // Room that may never be touched gets no slots: its amap comes piece by piece.
  if (e.npages >= UVM_AMAP_LARGE) return false;
  // A neighbour with an amap of its own has shed NEEDSCOPY; so would the new part, at its first fault.
  const etype = e.etype;
  e.etype = n.needsCopy ? etype : etype & ~ET_NEEDSCOPY;
  const same = !n.needsCopy && sameAttributes(n, e);
  e.etype = etype;
  return same;
}

/** Makes the entry before longer instead. => map write-locked */
function extendPrev(map: VmMap, e: VmMapEntry): boolean {
  const p = map.tree.floor(e.start);
  if (p.end !== e.start || !canJoin(map, p, e)) return false;
  if (p.amap && !p.amap.extendForwards(p.amapSlot, p.npages, e.npages)) return false;
  map.setEnd(p, e.end);
  return true;
}

/** Makes the entry after longer instead. => map write-locked */
export function extendNext(map: VmMap, e: VmMapEntry): boolean {
  const n = map.tree.floor(e.start).next;
  if (n === map.header || n.start !== e.end || !canJoin(map, n, e)) return false;
  if (n.amap) {
    const first = n.amap.extendBackwards(n.amapSlot, e.npages);
    if (first < 0) return false;
    n.amapSlot = first;
  }
  map.setStart(n, e.start);
  return true;
}

/**
 * Gives an entry without amap the amap of its neighbour, grown, and makes them one entry. => map write-locked; e anonymous
 *
 * => true: `e` is gone
 */
export function mergeFresh(map: VmMap, e: VmMapEntry): boolean {
  const p = e.prev, n = e.next;
  if (e.object || e.amap) return false;
  if (p !== map.header && p.end === e.start && p.amap && canJoin(map, p, e) && p.amap.extendForwards(p.amapSlot, p.npages, e.npages)) {
    map.unlink(e);
    map.setEnd(p, e.end);
    return true;
  }
  if (n !== map.header && n.start === e.end && n.amap && canJoin(map, n, e)) {
    const first = n.amap.extendBackwards(n.amapSlot, e.npages);
    if (first < 0) return false;
    n.amapSlot = first;
    map.unlink(e);
    map.setStart(n, e.start);
    return true;
  }
  return false;
}
