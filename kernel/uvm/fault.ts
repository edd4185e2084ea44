// uvm_fault without sleeping: the lookup, the neighbours, the four cases, for pages that are at hand.
//
//                 CASE 1A            CASE 1B            CASE 2A                CASE 2B
//                 anon, read or      anon, store,       object page, read or   object page or nothing,
//                 an_ref = 1         an_ref > 1         store not private      store to private, zero fill
//   amap          anon ──► map it    anon ─┐ copy       ─                      ─────► new anon ──► map it
//                                          └► new anon                          ▲ copy or zeros
//   object        …                  …                  page ──► map it        page ┘
//
// Here are the stages as plain functions over a FaultInfo; uvmFaultFast strings them together for what needs no sleep, and
// faultslow.ts for everything (uvm-spec 3.13). Lock order: map, amap, object, anon, PQ, FPQ.
import { EACCES, EFAULT, ENOMEM, ERESTART } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import { PMAP_CANFAIL, PMAP_WIRED, PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { AMAP_SHARED, type Amap } from "./amap.ts";
import { amapCopy } from "./amapcopy.ts";
import type { VmMap } from "./map.ts";
import { ADV_RANDOM, ADV_SEQUENTIAL, type VmMapEntry } from "./mapentry.ts";
import { PGO_DONTCARE, type UvmObject } from "./object.ts";
import { PAGE_SIZE, PG_BUSY, PG_CLEAN, PG_FAKE, PG_RDONLY, PGA_ZERO } from "./page.ts";
import { isStackRoom } from "./stack.ts";
import type { Uvm } from "./uvm.ts";

/** Most pages a fault looks at. */
export const UVM_MAXRANGE = 16;
/** Pages looked at before and behind the fault, by advice: NORMAL, RANDOM, SEQUENTIAL. */
const NBACK = [3, 0, 8] as const, NFORW = [4, 0, 7] as const;

/** One fault in progress. The fast path uses one record for all; the slow path one a fault. */
export class FaultInfo {
  readonly uvm: Uvm;
  map!: VmMap;
  /** Page aligned. */
  va = 0;
  access = 0;
  wire = false;
  /** Only the page itself: after a restart, or to wire. */
  narrow = false;
  entry!: VmMapEntry;
  timestamp = 0;
  /** Rights to enter the page with. */
  enterProt = 0;
  /** The page must be the faulter's own before it is entered. */
  cowNow = false;
  amap: Amap | null = null;
  uobj: UvmObject | null = null;
  /** The window: npages from startva; the fault is page `centre` of it. */
  startva = 0;
  npages = 0;
  centre = 0;
  readonly pgs = new Int32Array(UVM_MAXRANGE);
  /** An anon kept across restarts, 0 none: unlocked, ref 0. */
  spareAnon = 0;

  constructor(uvm: Uvm) {
    this.uvm = uvm;
  }

  begin(map: VmMap, va: number, access: number, wire: boolean): void {
    this.map = map;
    this.va = va - (va & (PAGE_SIZE - 1));
    this.access = access;
    this.wire = wire;
    this.narrow = wire;
  }

  /** Slot of the page in the amap. */
  get slot(): number {
    return this.entry.slotOf(this.va);
  }

  /** Offset of the page in the object. */
  get offset(): number {
    return this.entry.offsetOf(this.va);
  }

  unlockMaps(): void {
    if (this.amap) this.amap.lock.exit();
    this.map.lock.unlock();
  }
}

/**
 * Resolve a fault without sleeping. BSD: uvm_fault(9).
 *
 * => nothing locked
 * => 0 mapped; -EFAULT; -EACCES; or -ERESTART: nothing that a program could see has changed, call uvmFault
 */
export function uvmFaultFast(map: VmMap, va: number, access: number): number {
  const { uvm } = map, f = uvm.fastFault;
  f.begin(map, va, access, false);
  let r = fastPass(f);
  if (r === NEEDS_AMAP) r = fastAmapCopy(f) ? fastPass(f) : -ERESTART;
  if (r === NEEDS_AMAP) r = -ERESTART;
  if (r !== -ERESTART) {
    uvm.exp.faults++;
    uvm.exp.fltfast++;
  }
  return r;
}

/** fastPass: the entry must get its own amap first. */
const NEEDS_AMAP = 1;

/** One look at the map. => nothing locked in and out; 0, -errno, -ERESTART or NEEDS_AMAP */
function fastPass(f: FaultInfo): number {
  const { map } = f;
  if (!map.lock.tryRead()) return -ERESTART;
  const entry = map.lookup(f.va);
  let r = isStackRoom(map, f.va) ? -ERESTART : -EFAULT;
  if (entry) {
    f.entry = entry;
    r = entry.wiredCount > 0 ? -ERESTART : faultCheck(f);
    if (r === 0) r = fastCases(f);
    else if (r === -ERESTART && entry.needsCopy && entry.wiredCount === 0) r = NEEDS_AMAP;
  }
  map.lock.unlock();
  return r;
}

/** amapCopy for the fast path. => nothing locked in and out; false: it would have to wait */
function fastAmapCopy(f: FaultInfo): boolean {
  const { map, uvm } = f;
  if (!map.tryLockWrite()) return false;
  const e = map.lookup(f.va)!, ok = amapCopy(map, e, { va: f.va });
  if (ok) uvm.exp.fltamcopy++;
  map.unlock();
  return ok;
}

/** => map read-locked in and out, checks passed */
function fastCases(f: FaultInfo): number {
  const { amap, uobj } = f;
  faultWindow(f);
  if (f.entry.advice === ADV_SEQUENTIAL) return -ERESTART;
  let r: number;
  if (amap) amap.lock.enter();
  const an = amap ? amap.lookup(f.slot) : 0;
  if (an !== 0) r = fastAnon(f, an);
  else if (uobj) r = fastObject(f, uobj);
  else r = fastZero(f);
  if (r === 0 && amap && f.npages > 1) enterAnonNeighbours(f);
  if (r === 0) f.uvm.pmap.pmapUpdate(f.map.pmap);
  if (amap) amap.lock.exit();
  return r;
}

/** Case 1 with the page at hand. => map, amap locked in and out */
function fastAnon(f: FaultInfo, an: number): number {
  const { pages, anons, exp } = f.uvm, lock = anons.lockOf(an);
  lock.enter();
  const pg = anons.page[an]!;
  let r = -ERESTART;
  if (pg !== 0 && (pages.flags[pg]! & PG_BUSY) === 0 && pages.loanCount[pg] === 0) {
    if (!f.cowNow || anons.ref[an] === 1) {
      exp.fltAnon++;
      r = enterPage(f, pg, anons.ref[an]! > 1 ? f.enterProt & ~PROT_WRITE : f.enterProt);
      if (r === -ENOMEM) r = -ERESTART;
    } else {
      const npg = promote(f, an, pg);
      if (npg !== 0) {
        exp.fltAcow++;
        r = enterPage(f, npg, f.enterProt);
        anons.lockOf(pages.uanon[npg]!).exit();
      }
    }
  }
  lock.exit();
  // A page that was promoted but not entered is in place: the slow path finds it as case 1A.
  return r === -ENOMEM ? -ERESTART : r;
}

/** Case 2 with the page at hand. => map, amap locked in and out; the object is not */
function fastObject(f: FaultInfo, uobj: UvmObject): number {
  const { pages } = f.uvm;
  if (!uobj.pgops.getLocked || f.uvm.hooks.hasPagerResult(uobj)) return -ERESTART;
  const isCow = f.entry.isCopyOnWrite, getAccess = isCow ? PROT_READ : f.access;
  uobj.lock.enter();
  clearWindow(f);
  f.uvm.exp.fltlget++;
  const err = uobj.pgops.getLocked(uobj, f.offset - f.centre * PAGE_SIZE, f.pgs, f.npages, f.centre, getAccess, f.entry.advice);
  const pg = f.pgs[f.centre]!;
  let r = -ERESTART;
  // A loaned page needs thought: the slow path breaks the loan.
  if (err === 0 && pg > 0 && pages.loanCount[pg] === 0) {
    f.pgs[f.centre] = PGO_DONTCARE;
    enterObjectNeighbours(f, uobj);
    r = isCow && f.cowNow ? fastPromote(f, pg) : enterObjectPage(f, pg);
  } else {
    pages.pageUnbusyAll(f.pgs, f.npages);
  }
  uobj.lock.exit();
  return r;
}

/** Case 2A. => map, amap, page.uobject locked; pg busy in, not busy out; 0 or -ERESTART (no memory for a table) */
function enterObjectPage(f: FaultInfo, pg: number): number {
  f.uvm.exp.fltObj++;
  const r = enterPage(f, pg, objectProt(f, pg));
  return r < 0 ? -ERESTART : r;
}

/** Case 2B from an object page. => as enterObjectPage */
function fastPromote(f: FaultInfo, pg: number): number {
  const { pages, anons, exp } = f.uvm, npg = promote(f, 0, pg);
  pages.pageUnbusy(pg);
  if (npg === 0) return -ERESTART;
  exp.fltPrcopy++;
  const r = enterPage(f, npg, f.enterProt);
  anons.lockOf(pages.uanon[npg]!).exit();
  return r < 0 ? -ERESTART : r;
}

/** Case 2B from nothing: a page of zeros. => map, amap locked in and out */
function fastZero(f: FaultInfo): number {
  const { pages, anons, exp } = f.uvm, npg = promote(f, 0, 0);
  if (npg === 0) return -ERESTART;
  exp.fltPrzero++;
  const r = enterPage(f, npg, f.enterProt);
  anons.lockOf(pages.uanon[npg]!).exit();
  return r < 0 ? -ERESTART : r;
}

// ---- stages ------------------------------------------------------------------------------------------------------

/**
 * Checks the access against the entry and says how to go on.
 *
 * => map read-locked, f.entry found
 * => 0: enterProt, cowNow, amap, uobj are set; -EACCES; -EFAULT nothing behind the entry; -ERESTART: amapCopy is needed first
 */
export function faultCheck(f: FaultInfo): number {
  const e = f.entry, prot = e.protection;
  if ((f.access & ~prot) !== 0 || prot === 0) return -EACCES;
  f.enterProt = prot;
  const store = (f.access & PROT_WRITE) !== 0;
  if (f.wire || e.wiredCount > 0) {
    f.access = prot;
    f.cowNow = (prot & PROT_WRITE) !== 0;
  } else f.cowNow = store;
  if (e.needsCopy) {
    if (f.cowNow || !e.object) return -ERESTART;
    f.enterProt &= ~PROT_WRITE;
  }
  f.amap = e.amap;
  f.uobj = e.object;
  return e.amap || e.object ? 0 : -EFAULT;
}

/** Sets the window by the entry's advice. */
export function faultWindow(f: FaultInfo): void {
  const e = f.entry;
  if (f.narrow || e.advice === ADV_RANDOM) {
    f.startva = f.va;
    f.npages = 1;
    f.centre = 0;
    return;
  }
  const nback = Math.min(NBACK[e.advice]!, (f.va - e.start) / PAGE_SIZE), nforw = Math.min(NFORW[e.advice]!, (e.end - f.va) / PAGE_SIZE - 1);
  f.startva = f.va - nback * PAGE_SIZE;
  f.npages = nback + nforw + 1;
  f.centre = nback;
}

/** Says which object pages of the window are wanted: those that no anon covers and that are not mapped yet. */
export function clearWindow(f: FaultInfo): void {
  const { pgs, amap, npages } = f;
  // The page of the fault is always wanted.
  pgs[f.centre] = 0;
  if (npages === 1) return;
  const first = f.entry.slotOf(f.startva), mapped = f.uvm.pmap.pmapMapped(f.map.pmap, f.startva, npages);
  for (let i = 0; i < npages; i++) {
    if (i === f.centre) continue;
    const covered = amap !== null && amap.anons[first + i] !== 0;
    pgs[i] = covered || (mapped & (1 << i)) !== 0 ? PGO_DONTCARE : 0;
  }
}

/**
 * Maps the resident anons around the fault. They are entered as if read, so that under Svade they do not trap again; the
 * clock sees them as referenced once.
 *
 * => map, amap locked; no anon locked
 */
export function enterAnonNeighbours(f: FaultInfo): void {
  const { pages, anons, pmap } = f.uvm, slots = f.amap!.anons, first = f.entry.slotOf(f.startva), mapped = pmap.pmapMapped(f.map.pmap, f.startva, f.npages);
  for (let i = 0; i < f.npages; i++) {
    const an = (mapped & (1 << i)) !== 0 ? 0 : slots[first + i]!;
    if (an === 0 || i === f.centre) continue;
    const va = f.startva + i * PAGE_SIZE, lock = anons.lockOf(an);
    lock.enter();
    const pg = anons.page[an]!;
    if (pg !== 0 && (pages.flags[pg]! & PG_BUSY) === 0 && pages.loanCount[pg] === 0) {
      const prot = anons.ref[an]! > 1 ? f.enterProt & ~PROT_WRITE : f.enterProt;
      // A neighbour that does not fit is no failure.
      pmap.pmapEnter(f.map.pmap, va, f.uvm.paOf(pg), prot, PMAP_CANFAIL | PROT_READ);
      f.uvm.exp.fltnamap++;
    }
    lock.exit();
  }
}

/** Maps and unbusies the object pages in pgs, whose centre the caller has taken out. => map, amap, object locked */
export function enterObjectNeighbours(f: FaultInfo, uobj: UvmObject): void {
  const { pages, pmap } = f.uvm;
  for (let i = 0; i < f.npages; i++) {
    const pg = f.pgs[i]!;
    if (pg <= 0) continue;
    KASSERT(pages.uobject[pg] === uobj, "locked get returned another object's page");
    let prot = f.enterProt;
    if (f.entry.isCopyOnWrite || pages.loanCount[pg] !== 0 || (pages.flags[pg]! & PG_RDONLY) !== 0 || uobj.pgops.markDirty) prot &= ~PROT_WRITE;
    pmap.pmapEnter(f.map.pmap, f.startva + i * PAGE_SIZE, f.uvm.paOf(pg), prot, PMAP_CANFAIL | PROT_READ);
    f.uvm.exp.fltnomap++;
    pages.pageUnbusy(pg);
  }
}

/**
 * Rights for an object page: never W for a private mapping, a hole or a loaned page; and W only for a store where the
 * object must hear of it. => page.uobject locked
 */
export function objectProt(f: FaultInfo, pg: number): number {
  const { pages } = f.uvm, owner = pages.uobject[pg]!, store = (f.access & PROT_WRITE) !== 0;
  if (f.entry.isCopyOnWrite || pages.loanCount[pg] !== 0 || (pages.flags[pg]! & PG_RDONLY) !== 0) return f.enterProt & ~PROT_WRITE;
  if (!owner.pgops.markDirty) return f.enterProt;
  if (!store) return f.enterProt & ~PROT_WRITE;
  owner.pgops.markDirty(owner);
  return f.enterProt;
}

/**
 * Gives the faulter an anon of its own, with a copy of `srcpg` (0: zeros), in place of `oanon` (0: an empty slot).
 * BSD: uvmfault_promote.
 *
 * => map, amap locked; oanon locked if given; srcpg's owner locked; never sleeps
 * => the new page: busy, dirty, on no queue, its anon locked; or 0: memory is short, nothing changed but f.spareAnon
 */
export function promote(f: FaultInfo, oanon: number, srcpg: number): number {
  const { anons, pages, pmap } = f.uvm, amap = f.amap!;
  let an = f.spareAnon;
  if (an !== 0) {
    f.spareAnon = 0;
    anons.lockOf(an).enter();
    anons.ref[an] = 1;
  } else an = anons.alloc();
  if (an === 0) {
    f.uvm.exp.fltnoanon++;
    return 0;
  }
  const pg = pages.pageAlloc(null, 0, an, srcpg === 0 ? PGA_ZERO : 0);
  if (pg === 0) {
    keepSpare(f, an);
    return 0;
  }
  if (srcpg !== 0) pmap.pmapCopyPage(srcpg, pg);
  pages.flags[pg] = pages.flags[pg]! & ~(PG_FAKE | PG_CLEAN);
  amap.add(f.slot, an, oanon !== 0);
  if (oanon !== 0) anons.ref[oanon]!--;
  // Sharers that have the old page mapped must fault again, and find the anon.
  if ((amap.flags & AMAP_SHARED) !== 0 && srcpg !== 0) pmap.pmapPageProtect(srcpg, 0);
  return pg;
}

function keepSpare(f: FaultInfo, an: number): void {
  const { anons } = f.uvm;
  if (f === f.uvm.fastFault) return anons.release(an);
  anons.ref[an] = 0;
  f.spareAnon = an;
  anons.lockOf(an).exit();
}

/**
 * Enters the page at the fault, queues or wires it, and unbusies it if it was busy.
 *
 * => page's owner locked; not PQ
 * => 0, or -ENOMEM: nothing is mapped at va; the page is queued and not busy
 */
export function enterPage(f: FaultInfo, pg: number, prot: number): number {
  const { uvm } = f, { pages } = uvm;
  // Memory without a clean copy elsewhere is written out before its frame is used again, stored to or not: D is set at once,
  // which saves the first store a trap.
  const isDirty = (pages.flags[pg]! & PG_CLEAN) === 0 && pages.uanon[pg] !== 0 && (prot & PROT_WRITE) !== 0;
  const flags = PMAP_CANFAIL | f.access | (isDirty ? PROT_WRITE : 0) | (f.wire ? PMAP_WIRED : 0);
  KASSERT((pages.flags[pg]! & PG_RDONLY) === 0 || (prot & PROT_WRITE) === 0, "a page that may not be written is entered writable");
  const r = uvm.hooks.shouldFail("pmapEnter") ? refuseEnter(f) : uvm.pmap.pmapEnter(f.map.pmap, f.va, uvm.paOf(pg), prot, flags);
  pages.lockQueues();
  if (r < 0) pages.pageEnqueue(pg);
  else if (f.wire) pages.pageWire(pg);
  else pages.pageActivate(pg);
  pages.unlockQueues();
  if ((pages.flags[pg]! & PG_BUSY) !== 0) pages.pageUnbusy(pg);
  return r < 0 ? -ENOMEM : 0;
}

/** What pmapEnter does when it fails: no mapping is left at va. */
function refuseEnter(f: FaultInfo): number {
  f.uvm.pmap.pmapRemove(f.map.pmap, f.va, f.va + PAGE_SIZE);
  return -ENOMEM;
}
