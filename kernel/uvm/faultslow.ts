// uvm_fault in full: what fault.ts does, and everything that may sleep. Whenever something was given up to sleep, all is
// looked up again ("refault"); the stages answer -ERESTART for that, which never leaves this file.
//
//   sleep points: SP-MEMWAIT(amapcopy, flt_noram1..5), SP-PGWAIT(anonget1, anonget2), SP-AGAIN, SP-LIVELOCK, and a pager's own
import { EAGAIN, EBUSY, EFAULT, EIO, ENOMEM, ERESTART } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { amapCopy } from "./amapcopy.ts";
import {
  clearWindow, enterAnonNeighbours, enterObjectNeighbours, enterPage, FaultInfo, faultCheck, faultWindow, objectProt, promote,
} from "./fault.ts";
import { uvmFaultUnwireLocked } from "./faultwire.ts";
import { loanbreakAnon, loanbreakObject } from "./loanbreak.ts";
import type { VmMap } from "./map.ts";
import { ADV_SEQUENTIAL } from "./mapentry.ts";
import { PGO_DEACTIVATE, PGO_DONTCARE, PGO_SYNCIO, type UvmObject } from "./object.ts";
import { isStackRoom, uvmGrowStack } from "./stack.ts";
import { PAGE_SIZE, PG_BUSY, PG_CLEAN, PG_RELEASED } from "./page.ts";
import { uvmReclaimable, uvmWait } from "./pdaemon.ts";

/** SP-AGAIN: how long to wait when a pager says EAGAIN. */
const AGAIN_NS = 500_000_000;

/**
 * Resolve a fault. BSD: uvm_fault(9).
 *
 * => nothing locked, may sleep
 * => 0 mapped; -EFAULT nothing there; -EACCES protection; -ENOMEM; -EINVAL beyond the end of the object; -EIO; or the pager's
 * => wire: enters the page wired (mlock); the entry's wiredCount is the caller's
 */
export function* uvmFault(map: VmMap, va: number, access: number, opts: { wire?: boolean } = {}): KGen<number> {
  const { uvm } = map, f = new FaultInfo(uvm);
  uvm.exp.faults++;
  f.begin(map, va, access, opts.wire ?? false);
  for (;;) {
    f.access = access;
    f.wire = opts.wire ?? false;
    const r = yield* faultOnce(f);
    if (r !== -ERESTART) {
      if (f.spareAnon !== 0) {
        const an = f.spareAnon;
        uvm.anons.lockOf(an).enter();
        uvm.anons.release(an);
      }
      return r;
    }
    f.narrow = true;
  }
}

/** One pass. => nothing locked in and out; -ERESTART: again */
function* faultOnce(f: FaultInfo): KGen<number> {
  const { map } = f;
  yield* map.lockRead();
  const entry = map.lookup(f.va);
  if (!entry) {
    map.unlock();
    return isStackRoom(map, f.va) && (yield* uvmGrowStack(map, f.va)) === 0 ? -ERESTART : -EFAULT;
  }
  f.entry = entry;
  f.timestamp = map.timestamp;
  if (entry.isWiredOnFault) beginWired(f);
  const r = faultCheck(f);
  if (r < 0) {
    map.unlock();
    return r === -ERESTART ? yield* faultAmapCopy(f) : r;
  }
  faultWindow(f);
  if (entry.advice === ADV_SEQUENTIAL && !f.narrow) {
    if (yield* deactivateBack(f)) return -ERESTART;
  }
  if (!f.amap) return yield* faultLower(f);
  f.amap.lock.enter();
  if (f.npages > 1) enterAnonNeighbours(f);
  const an = f.amap.lookup(f.slot);
  return an !== 0 ? yield* faultAnon(f, an) : yield* faultLower(f);
}

/**
 * A page of an entry that is wired on fault: it is wired as it comes in. One that was wired before (its rights came back, or a store
 * puts another page in its place) begins again. => map read-locked
 */
function beginWired(f: FaultInfo): void {
  const { map, uvm } = f;
  // Nothing is unwired for an access that will be refused.
  if ((f.access & ~f.entry.protection) !== 0 || f.entry.protection === 0) return;
  uvmFaultUnwireLocked(map, f.va, f.va + PAGE_SIZE);
  f.narrow = true;
  f.wire = uvm.exp.wired < uvm.exp.wiredmax;
}

/** The entry needs an amap of its own. => nothing locked in and out; -ERESTART, or -ENOMEM */
function* faultAmapCopy(f: FaultInfo): KGen<number> {
  const { map, uvm } = f;
  yield* map.lockWrite();
  const e = map.lookup(f.va);
  let ok = true;
  if (e && e.needsCopy) {
    uvm.exp.fltamcopy++;
    ok = e.wiredCount > 0 && !e.isWiredOnFault ? amapCopy(map, e) : amapCopy(map, e, { va: f.va });
  }
  map.unlock();
  return ok ? -ERESTART : yield* waitForMemory(f, "amapcopy");
}

/** => nothing locked; -ERESTART when there is hope, else -ENOMEM */
function* waitForMemory(f: FaultInfo, tag: string): KGen<number> {
  f.uvm.exp.fltnoram++;
  if (!uvmReclaimable(f.uvm)) return -ENOMEM;
  yield* uvmWait(f.uvm, tag);
  return -ERESTART;
}

/**
 * Pages behind a sequential reader have been used: they go to inactive, and the window shrinks to what is ahead.
 *
 * => map read-locked in and out; true: something slept and the map changed: nothing is locked any more
 */
function* deactivateBack(f: FaultInfo): KGen<boolean> {
  const { uvm, entry, map } = f, { pages, anons } = uvm, nback = f.centre;
  if (nback === 0) return false;
  if (f.amap) {
    f.amap.lock.enter();
    for (let i = 0; i < nback; i++) {
      const an: number = f.amap.anons[entry.slotOf(f.startva) + i]!;
      if (an === 0) continue;
      const lock = anons.lockOf(an);
      lock.enter();
      const pg = anons.page[an]!;
      if (pg !== 0 && (pages.flags[pg]! & PG_BUSY) === 0 && pages.loanCount[pg] === 0 && pages.wireCount[pg] === 0) {
        pages.lockQueues();
        pages.pageDeactivate(pg);
        pages.unlockQueues();
      }
      lock.exit();
    }
    f.amap.lock.exit();
  }
  const off = entry.offsetOf(f.startva), { uobj } = f;
  f.startva = f.va;
  f.npages -= nback;
  f.centre = 0;
  if (!uobj) return false;
  uobj.lock.enter();
  yield* uobj.pgops.put(uobj, off, off + nback * PAGE_SIZE, PGO_DEACTIVATE);
  if (map.timestamp === f.timestamp) return false;
  map.unlock();
  return true;
}

// ---- case 1: an anon ---------------------------------------------------------------------------------------------

/** => map, amap locked in; nothing locked out */
function* faultAnon(f: FaultInfo, an: number): KGen<number> {
  const { anons, pages, exp } = f.uvm, lock = anons.lockOf(an);
  lock.enter();
  const got = yield* anonGet(f, an);
  if (got < 0) return got;
  const pg = got, uobj = pages.uobject[pg] ?? null, isShared = anons.ref[an]! > 1;
  if (pages.loanCount[pg] !== 0) {
    // A wired page may not be on loan, whoever reads it; a store by the only holder goes to a fresh page.
    const mustBreak = f.wire ? !(f.cowNow && isShared) : f.cowNow && !isShared;
    if (!f.cowNow) f.enterProt &= ~PROT_WRITE;
    if (mustBreak) {
      const neu = loanbreakAnon(f.uvm, an, uobj);
      if (neu === 0) {
        uobj?.lock.exit();
        lock.exit();
        f.unlockMaps();
        return yield* waitForMemory(f, "flt_noram2");
      }
      return yield* finish(f, enterPage(f, neu, isShared ? f.enterProt & ~PROT_WRITE : f.enterProt), [lock], "flt_noram3");
    }
  }
  const locks = uobj ? [uobj.lock, lock] : [lock];
  if (!f.cowNow || !isShared) {
    exp.fltAnon++;
    if (f.wire) dirtyAnonPage(f, pg);
    return yield* finish(f, enterPage(f, pg, isShared ? f.enterProt & ~PROT_WRITE : f.enterProt), locks, "flt_noram3");
  }
  const npg = promote(f, an, pg);
  if (npg === 0) {
    for (const l of locks) l.exit();
    f.unlockMaps();
    return yield* waitForMemory(f, "flt_noram3");
  }
  exp.fltAcow++;
  return yield* finish(f, enterPage(f, npg, f.enterProt), [anons.lockOf(pages.uanon[npg]!), ...locks], "flt_noram3");
}

/** A wired page needs no swap slot, so its only copy is here. */
function dirtyAnonPage(f: FaultInfo, pg: number): void {
  f.uvm.pages.flags[pg]! &= ~PG_CLEAN;
}

/** Ends a pass: unlocks `locks`, amap and map, and turns a failed pmap_enter into a wait. */
function* finish(f: FaultInfo, entered: number, locks: readonly { exit(): void }[], tag: string): KGen<number> {
  if (entered === 0) f.uvm.pmap.pmapUpdate(f.map.pmap);
  if (entered === 0 && f.wire && f.entry.isWiredOnFault) f.map.faultWired.add(f.va / PAGE_SIZE);
  for (const l of locks) l.exit();
  f.unlockMaps();
  return entered === 0 ? 0 : yield* waitForMemory(f, tag);
}

/**
 * Makes an anon's page resident and idle (uvm-spec 3.10). There is no swap, so a missing page is a bug.
 *
 * => map, amap, anon locked in; the page on success, all still locked, page.uobject too if it is borrowed
 * => -ERESTART: everything unlocked
 */
function* anonGet(f: FaultInfo, an: number): KGen<number> {
  const { anons, pages, exp } = f.uvm, lock = anons.lockOf(an);
  exp.fltanget++;
  let pg = anons.page[an]!;
  KASSERT(pg !== 0, "an anon has neither page nor swap slot");
  if (pages.loanCount[pg] !== 0) pg = yield* anons.lockLoanPage(an);
  if ((pages.flags[pg]! & PG_BUSY) === 0) return pg;
  exp.fltpgwait++;
  pages.wantPage(pg);
  const owner = pages.uobject[pg] ?? null;
  owner?.lock.exit();
  lock.exit();
  f.unlockMaps();
  yield* pages.sleepOnPage(pg, owner ? "anonget1" : "anonget2");
  exp.fltanretry++;
  return -ERESTART;
}

// ---- case 2: no anon ---------------------------------------------------------------------------------------------

/** => map locked, amap too if there is one; nothing locked out */
function* faultLower(f: FaultInfo): KGen<number> {
  const { uobj } = f, { exp } = f.uvm;
  if (!uobj) {
    if (!f.amap || !f.entry.isCopyOnWrite) {
      f.unlockMaps();
      return -EFAULT;
    }
    return yield* promoteAndEnter(f, 0);
  }
  uobj.lock.enter();
  if (uobj.pgops.fault) {
    const fault = { map: f.map, entry: f.entry, va: f.va, access: f.access, enterProt: f.enterProt, unlockMaps: () => f.unlockMaps() };
    return yield* uobj.pgops.fault(uobj, fault);
  }
  if (!uobj.pgops.get) {
    uobj.lock.exit();
    f.unlockMaps();
    return -EIO;
  }
  const getAccess = f.entry.isCopyOnWrite ? PROT_READ : f.access;
  if (uobj.pgops.getLocked && !f.uvm.hooks.hasPagerResult(uobj)) {
    clearWindow(f);
    exp.fltlget++;
    const err = uobj.pgops.getLocked(uobj, f.offset - f.centre * PAGE_SIZE, f.pgs, f.npages, f.centre, getAccess, f.entry.advice);
    const pg = f.pgs[f.centre]!;
    f.pgs[f.centre] = PGO_DONTCARE;
    enterObjectNeighbours(f, uobj);
    if (err === 0 && pg > 0) return yield* faultObjectPage(f, pg);
    KASSERT(err === -EBUSY, "locked get: neither the page nor EBUSY");
  }
  return yield* faultGet(f, uobj, getAccess);
}

/** The blocking get. => map, amap, object locked in; nothing locked out */
function* faultGet(f: FaultInfo, uobj: UvmObject, getAccess: number): KGen<number> {
  const { uvm, map } = f, { pages, exp } = uvm, { slot, offset } = f, advice = f.entry.advice;
  f.unlockMaps();
  exp.fltget++;
  f.pgs[0] = 0;
  const forced = uvm.hooks.takePagerResult(uobj);
  let err: number;
  if (forced !== 0) {
    uobj.lock.exit();
    err = forced;
  } else err = yield* uobj.pgops.get!(uobj, offset, f.pgs, 1, 0, getAccess, advice, PGO_SYNCIO);
  if (err === -EAGAIN) {
    yield* uvm.ctx.sleep(f, "again", { timeoutNs: AGAIN_NS });
    return -ERESTART;
  }
  if (err < 0) return err === -ERESTART ? -EIO : err;
  const pg = f.pgs[0]!;
  KASSERT(pg > 0 && (pages.flags[pg]! & PG_BUSY) !== 0, "blocking get returned no busy page");
  exp.fltrelck++;
  const isFresh = map.lock.tryRead();
  const isStill = isFresh && map.timestamp === f.timestamp;
  if (isFresh && !isStill) map.unlock();
  if (isStill && f.amap) f.amap.lock.enter();
  const owner = pages.uobject[pg]!;
  owner.lock.enter();
  pages.lockQueues();
  pages.pageActivate(pg);
  pages.unlockQueues();
  const isReleased = (pages.flags[pg]! & PG_RELEASED) !== 0;
  if (isReleased || !isStill || (f.amap !== null && f.amap.lookup(slot) !== 0)) {
    if (isReleased) exp.fltpgrele++;
    pages.pageUnbusy(pg);
    owner.lock.exit();
    if (isStill) f.unlockMaps();
    return -ERESTART;
  }
  exp.fltrelckok++;
  return yield* faultObjectPage(f, pg);
}

/** => map, amap, page.uobject locked, page busy in; nothing locked out */
function* faultObjectPage(f: FaultInfo, pg: number): KGen<number> {
  const { pages, exp } = f.uvm, owner = pages.uobject[pg]!;
  if (f.entry.isCopyOnWrite && f.cowNow) return yield* promoteAndEnter(f, pg);
  exp.fltObj++;
  if (pages.loanCount[pg] !== 0 && (f.cowNow || f.wire)) {
    const neu = loanbreakObject(f.uvm, pg);
    if (neu === 0) {
      pages.pageUnbusy(pg);
      owner.lock.exit();
      f.unlockMaps();
      return yield* waitForMemory(f, "flt_noram4");
    }
    pg = neu;
  }
  if (f.wire && owner.isSwapBacked) pages.flags[pg]! &= ~PG_CLEAN;
  return yield* finish(f, enterPage(f, pg, objectProt(f, pg)), [owner.lock], "flt_noram4");
}

/** Case 2B. => map, amap locked; srcpg busy with its object locked, or 0; nothing locked out */
function* promoteAndEnter(f: FaultInfo, srcpg: number): KGen<number> {
  const { anons, pages, exp } = f.uvm, owner = srcpg === 0 ? null : pages.uobject[srcpg]!;
  const npg = promote(f, 0, srcpg);
  if (srcpg !== 0) {
    pages.pageUnbusy(srcpg);
    owner!.lock.exit();
  }
  if (npg === 0) {
    f.unlockMaps();
    return yield* waitForMemory(f, "flt_noram5");
  }
  if (srcpg === 0) exp.fltPrzero++;
  else exp.fltPrcopy++;
  return yield* finish(f, enterPage(f, npg, f.enterProt), [anons.lockOf(pages.uanon[npg]!)], "flt_noram5");
}
