// pmap: which frame a virtual page is mapped to, with which rights, and who maps a frame (uvm-spec section 6).
//
//   (pmap, va) ──leaf of a table (pmaptable.ts)──► frame       frame ──pv list (pvlist.ts)──► (pmap, va) …
//
// Invalidations collect until pmapUpdate (tlbflush.ts); pmapPageProtect completes its own. One lock, innermost; nothing here sleeps.
import { ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import { KLock, RANK_PMAP } from "../lib/klock.ts";
import type { KContext } from "../lib/kthread.ts";
import { Asids } from "./asid.ts";
import type { Hal } from "./hal.ts";
import { PAGE_SIZE, type PhysMem, RAM_BASE } from "./physmem.ts";
import { PMAP_CANFAIL, PMAP_WIRED, PROT_EXEC, PROT_READ, PROT_WRITE } from "./prot.ts";
import { ATTR_MODIFIED, ATTR_REFERENCED, PvLists } from "./pvlist.ts";
import { TlbFlush } from "./tlbflush.ts";
import {
  ENTRIES, GIGA, LEAF, MEGA, NO_MEGA, Pmap, type PmapLeaf, type PmapPages, PmapTables, PTE_A, PTE_D, PTE_G, PTE_MANAGED, PTE_R, PTE_U, PTE_V, PTE_W, PTE_WIRED,
  PTE_X, RAM_PFN, WORDS,
} from "./pmaptable.ts";
export {
  DIRECT_MAP, Pmap, type PmapLeaf, type PmapPages, PTE_A, PTE_D, PTE_G, PTE_MANAGED, PTE_R, PTE_U, PTE_V, PTE_W, PTE_WIRED, PTE_X,
} from "./pmaptable.ts";
export { PMAP_CANFAIL, PMAP_WIRED } from "./prot.ts";

/** Of a leaf, everything: it is removed; or it goes elsewhere. */
const REMOVE = -1, MOVE = -2;

export class PmapModule extends PmapTables {
  readonly lock: KLock;
  readonly kernelPmap: Pmap;
  readonly pv: PvLists;
  readonly asids: Asids;
  readonly flush: TlbFlush;
  /** The pmap whose tables the hart walks. */
  active: Pmap | null = null;
  private readonly hal: Hal;
  private readonly mem: PhysMem;

  constructor(hal: Hal, ctx: KContext, pages: PmapPages) {
    super(hal.mem, pages);
    this.hal = hal;
    this.mem = hal.mem;
    this.lock = new KLock(ctx, "pmap", RANK_PMAP);
    this.pv = new PvLists(hal.mem.npages);
    this.asids = new Asids(hal.asidBits(), () => this.flush.all());
    this.flush = new TlbFlush(hal.machine.hart, this.asids);
    const root = pages.allocTablePage(true);
    KASSERT(root !== 0, "no frame for the kernel's root page table");
    this.kernelPmap = new Pmap(root, true);
    this.buildKernelHalf(this.kernelPmap);
    this.pmapActivate(this.kernelPmap);
  }

  // ---- life ----

  /** A new user pmap with the kernel half. BSD: pmap_create(9). => the pmap, or -ENOMEM */
  pmapCreate(): Pmap | number {
    const root = this.pages.allocTablePage(false);
    if (root === 0) return -ENOMEM;
    const half = ENTRIES / 2 * 2, from = this.kernelPmap.rootPg * WORDS + half;
    this.i32.copyWithin(root * WORDS + half, from, from + half);
    return new Pmap(root, false);
  }

  pmapReference(pm: Pmap): void {
    pm.refs++;
  }

  /** Drops a reference; the last one frees tables and ASID. => the last one: nothing is mapped */
  pmapDestroy(pm: Pmap): void {
    if (--pm.refs > 0) return;
    KASSERT(pm.residentCount === 0, `pmap destroyed with ${pm.residentCount} mappings`);
    if (this.active === pm) this.pmapActivate(this.kernelPmap);
    this.flush.forget(pm);
    for (const pg of pm.tables) this.pages.freeTablePage(pg);
    this.stats.tablePages -= pm.tables.length - 1;
    pm.tables.length = 0;
    pm.lastMega = NO_MEGA;
  }

  /** Makes the hart walk this pmap's tables. */
  pmapActivate(pm: Pmap): void {
    if (this.active === pm && this.asids.isLive(pm)) return;
    this.asids.assign(pm);
    this.active = pm;
    this.hal.machine.hart.setSatp(RAM_PFN + pm.rootPg, pm.asid);
  }

  // ---- mapping ----

  /**
   * Maps a page. BSD: pmap_enter(9), uvm-spec 6.4. Replaces what was at va.
   *
   * => va and pa page aligned; flags: access | PMAP_WIRED | PMAP_CANFAIL
   * => 0, or -ENOMEM with nothing mapped at va (PMAP_CANFAIL only)
   */
  pmapEnter(pm: Pmap, va: number, pa: number, prot: number, flags: number): number {
    const vpn = Math.floor(va / PAGE_SIZE), pg = Math.floor(pa / PAGE_SIZE) - RAM_PFN, { i32 } = this;
    this.stats.enters++;
    const at = this.hal.failPmapEnter() ? -1 : this.entryAt(pm, vpn, 0, true);
    if (at < 0) {
      KASSERT((flags & PMAP_CANFAIL) !== 0, "pmapEnter: no frame for a table");
      this.pmapRemove(pm, va, va + PAGE_SIZE);
      return -ENOMEM;
    }
    const managed = pg >= 0 && pg < this.mem.npages && this.pages.isManaged(pg);
    if (managed && (prot & PROT_WRITE) !== 0) this.pages.assertMayMapWrite(pg);
    const before = i32[at]!;
    let keepPv = false;
    if ((before & PTE_V) !== 0) {
      keepPv = managed && (before & PTE_MANAGED) !== 0 && (before >>> 10) - RAM_PFN === pg;
      this.unmap(pm, vpn, at, keepPv);
    }
    if (managed) {
      if (!keepPv) this.pv.add(pg, pm, vpn);
      this.pv.attrs[pg]! |= ((flags & 7) !== 0 ? ATTR_REFERENCED : 0) | ((flags & prot & PROT_WRITE) !== 0 ? ATTR_MODIFIED : 0);
    }
    if (++pm.residentCount > pm.residentPeak) pm.residentPeak = pm.residentCount;
    if ((flags & PMAP_WIRED) !== 0) pm.wiredCount++;
    // What the hart may have seen as invalid needs no fence: its TLB keeps no such thing. Of a leaf that was valid unmap collected the fence.
    i32[at] = ((RAM_PFN + pg) << 10) | leafBits(prot, flags, pm.isKernel) | (managed ? PTE_MANAGED : 0);
    return 0;
  }

  /** Takes a valid leaf out: folds A and D, counts, reverse mapping (unless kept), fence. */
  private unmap(pm: Pmap, vpn: number, at: number, keepPv: boolean): void {
    const pte = this.i32[at]!;
    this.i32[at] = 0;
    pm.residentCount--;
    if ((pte & PTE_WIRED) !== 0) pm.wiredCount--;
    if ((pte & PTE_MANAGED) !== 0) {
      const pg = (pte >>> 10) - RAM_PFN;
      this.fold(pg, pte);
      if (!keepPv) this.pv.remove(pg, pm, vpn);
    }
    this.flush.collect(pm, vpn);
  }

  private fold(pg: number, pte: number): void {
    this.pv.attrs[pg]! |= ((pte & PTE_A) !== 0 ? ATTR_REFERENCED : 0) | ((pte & PTE_D) !== 0 ? ATTR_MODIFIED : 0);
  }

  /** Takes rights (or REMOVE: all) from each valid leaf of 4 KiB in [sva, eva), or moves it `by` pages; what has no table is stepped over. */
  private lower(pm: Pmap, sva: number, eva: number, drop: number, by = 0): void {
    const { i32 } = this, end = Math.ceil(eva / PAGE_SIZE);
    for (let vpn = Math.floor(sva / PAGE_SIZE); vpn < end;) {
      const giga = i32[pm.rootPg * WORDS + ((vpn >> 18) & 511) * 2]!, gigaEnd = Math.min(end, (vpn | (GIGA - 1)) + 1);
      if ((giga & (PTE_V | LEAF)) !== PTE_V) vpn = gigaEnd;
      for (const table = ((giga >>> 10) - RAM_PFN) * WORDS; vpn < gigaEnd;) {
        const mega = i32[table + ((vpn >> 9) & 511) * 2]!, megaEnd = Math.min(gigaEnd, (vpn | (MEGA - 1)) + 1);
        if ((mega & (PTE_V | LEAF)) !== PTE_V) vpn = megaEnd;
        for (let at = ((mega >>> 10) - RAM_PFN) * WORDS + (vpn & 511) * 2; vpn < megaEnd; vpn++, at += 2) {
          if ((i32[at]! & PTE_V) === 0) continue;
          if (drop === REMOVE) this.unmap(pm, vpn, at, false);
          else if (drop === MOVE) this.moveLeaf(pm, vpn, at, vpn + by);
          else this.weaken(pm, vpn, at, drop);
        }
      }
    }
  }

  /** Removes mappings, managed or not. BSD: pmap_remove(9). */
  pmapRemove(pm: Pmap, sva: number, eva: number): void {
    if (pm.residentCount === 0) return;
    this.lower(pm, sva, eva, REMOVE);
  }

  /**
   * Moves the mappings of [sva, eva) to `to`. A mapping for which there is no table is dropped, and comes back by a fault.
   *
   * => nothing is mapped at the new place, which does not overlap the old one; followed by pmapUpdate
   */
  pmapMove(pm: Pmap, sva: number, eva: number, to: number): void {
    if (pm.residentCount !== 0) this.lower(pm, sva, eva, MOVE, (to - sva) / PAGE_SIZE);
  }

  private moveLeaf(pm: Pmap, vpn: number, at: number, newVpn: number): void {
    const { i32 } = this, pte = i32[at]!;
    this.unmap(pm, vpn, at, false);
    const newAt = this.hal.failPmapEnter() ? -1 : this.entryAt(pm, newVpn, 0, true);
    if (newAt < 0) return;
    KASSERT((i32[newAt]! & PTE_V) === 0, "a mapping is moved over another");
    if ((pte & PTE_MANAGED) !== 0) this.pv.add((pte >>> 10) - RAM_PFN, pm, newVpn);
    i32[newAt] = pte;
    pm.residentCount++;
    if ((pte & PTE_WIRED) !== 0) pm.wiredCount++;
  }

  /**
   * Everything will be removed before anything is entered or runs in it: the ASID is given up now, so that the removals fence
   * nothing. BSD: pmap_remove_all(9).
   */
  pmapRemoveAll(pm: Pmap): void {
    KASSERT(!pm.isKernel, "the kernel's map is removed whole");
    this.flush.forget(pm);
    this.asids.drop(pm);
    if (this.active === pm) this.pmapActivate(this.kernelPmap);
  }

  /** Takes rights away from a range; never adds any. BSD: pmap_protect(9). */
  pmapProtect(pm: Pmap, sva: number, eva: number, prot: number): void {
    if ((prot & PROT_READ) === 0 && (prot & (PROT_WRITE | PROT_EXEC)) === 0) return this.pmapRemove(pm, sva, eva);
    const drop = ((prot & PROT_WRITE) === 0 ? PTE_W | PTE_D : 0) | ((prot & PROT_EXEC) === 0 ? PTE_X : 0);
    this.lower(pm, sva, eva, drop);
  }

  private weaken(pm: Pmap, vpn: number, at: number, drop: number): void {
    const pte = this.i32[at]!;
    if ((pte & drop) === 0) return;
    if ((pte & PTE_MANAGED) !== 0) this.fold((pte >>> 10) - RAM_PFN, pte);
    this.i32[at] = pte & ~drop;
    this.flush.collect(pm, vpn);
  }

  /** Lowers all managed mappings of a frame. Completes its fences. BSD: pmap_page_protect(9). */
  pmapPageProtect(pg: number, prot: number): void {
    const { pv } = this, none = (prot & PROT_READ) === 0;
    for (let e = pv.first(pg), next = 0; e !== 0; e = next) {
      next = pv.after(e);
      const pm = pv.pmapOf(e), vpn = pv.vpnOf(e), at = this.entryAt(pm, vpn, 0, false);
      if (none) this.unmap(pm, vpn, at, false);
      else this.weaken(pm, vpn, at, PTE_W | PTE_D);
    }
    this.flush.complete();
  }

  pmapUnwire(pm: Pmap, va: number): void {
    const at = this.entryAt(pm, Math.floor(va / PAGE_SIZE), 0, false);
    if (at < 0 || (this.i32[at]! & PTE_WIRED) === 0) return;
    this.i32[at]! &= ~PTE_WIRED;
    pm.wiredCount--;
  }

  // ---- questions ----

  /** The physical address that va translates to, or -1. */
  pmapExtract(pm: Pmap, va: number): number {
    const vpn = Math.floor(va / PAGE_SIZE), at = this.leafAt(pm, vpn);
    if (at < 0) return -1;
    const inside = this.leafLevel === 0 ? 0 : vpn & (this.leafLevel === 1 ? MEGA - 1 : GIGA - 1);
    return ((this.i32[at]! >>> 10) + inside) * PAGE_SIZE + (va - vpn * PAGE_SIZE);
  }

  /** Which of `npages` pages from va are mapped: bit i is page i. => npages at most 31 */
  pmapMapped(pm: Pmap, va: number, npages: number): number {
    const { i32 } = this, first = Math.floor(va / PAGE_SIZE);
    let mapped = 0;
    if (first >> 9 === pm.lastMega && (first & 511) + npages <= ENTRIES) {
      const at = pm.lastTable * WORDS + (first & 511) * 2;
      for (let i = 0; i < npages; i++) mapped |= (i32[at + 2 * i]! & PTE_V) << i;
    } else for (let i = 0; i < npages; i++) if (this.leafAt(pm, first + i) >= 0) mapped |= 1 << i;
    return mapped;
  }

  /** The leaf of va, or null. */
  pmapWalk(pm: Pmap, va: number): PmapLeaf | null {
    const at = this.leafAt(pm, Math.floor(va / PAGE_SIZE));
    return at < 0 ? null : { level: this.leafLevel, pteLo: this.i32[at]!, pteHi: this.i32[at + 1]!, ptePa: RAM_BASE + at * 4 };
  }

  /** Who maps a frame. */
  pvList(pg: number): { pm: Pmap; va: number }[] {
    const list = [];
    for (let e = this.pv.first(pg); e !== 0; e = this.pv.after(e)) list.push({ pm: this.pv.pmapOf(e), va: this.pv.vpnOf(e) * PAGE_SIZE });
    return list;
  }

  // ---- kernel mappings without reverse entries ----

  /** Maps a kernel page: wired, unmanaged. BSD: pmap_kenter_pa(9). => nothing is mapped there */
  pmapKenterPa(va: number, pa: number, prot: number): void {
    const pm = this.kernelPmap, at = this.entryAt(pm, Math.floor(va / PAGE_SIZE), 0, true);
    KASSERT(at >= 0 && (this.i32[at]! & PTE_V) === 0, "kenter over a mapping");
    const write = (prot & PROT_WRITE) !== 0 ? PTE_W | PTE_D : 0;
    this.i32[at] = (Math.floor(pa / PAGE_SIZE) << 10) | PTE_V | PTE_R | PTE_A | PTE_G | PTE_WIRED | write;
    pm.residentCount++;
    pm.wiredCount++;
  }

  /** Unmaps kernel pages; harmless where nothing is mapped. BSD: pmap_kremove(9). */
  pmapKremove(va: number, len: number): void {
    this.pmapRemove(this.kernelPmap, va, va + len);
  }

  // ---- referenced and modified ----

  pmapIsModified(pg: number): boolean { return this.has(pg, ATTR_MODIFIED, PTE_D); }
  pmapIsReferenced(pg: number): boolean { return this.has(pg, ATTR_REFERENCED, PTE_A); }
  pmapClearModify(pg: number): boolean { return this.clear(pg, ATTR_MODIFIED, PTE_D); }
  pmapClearReference(pg: number): boolean { return this.clear(pg, ATTR_REFERENCED, PTE_A); }

  private has(pg: number, attr: number, bit: number): boolean {
    if ((this.pv.attrs[pg]! & attr) !== 0) return true;
    for (let e = this.pv.first(pg); e !== 0; e = this.pv.after(e)) {
      if ((this.i32[this.entryAt(this.pv.pmapOf(e), this.pv.vpnOf(e), 0, false)]! & bit) !== 0) return true;
    }
    return false;
  }

  /** Clears an attribute and its bit in every mapping, and fences each. => what it was */
  private clear(pg: number, attr: number, bit: number): boolean {
    let was = (this.pv.attrs[pg]! & attr) !== 0;
    this.pv.attrs[pg]! &= ~attr;
    for (let e = this.pv.first(pg); e !== 0; e = this.pv.after(e)) {
      const pm = this.pv.pmapOf(e), at = this.entryAt(pm, this.pv.vpnOf(e), 0, false);
      if ((this.i32[at]! & bit) === 0) continue;
      was = true;
      this.i32[at]! &= ~bit;
      this.flush.collect(pm, this.pv.vpnOf(e));
    }
    this.flush.complete();
    return was;
  }

  /**
   * After a page fault: sets A or D when nothing else is missing, or finds that nothing is (a stale TLB entry).
   *
   * => access is PROT_READ, PROT_WRITE or PROT_EXEC
   * => true: retry the instruction; false: a fault for uvm
   */
  pmapFixup(pm: Pmap, va: number, access: number): boolean {
    const vpn = Math.floor(va / PAGE_SIZE), at = this.leafAt(pm, vpn);
    if (at < 0) return false;
    const pte = this.i32[at]!, right = access === PROT_WRITE ? PTE_W : access === PROT_EXEC ? PTE_X : PTE_R;
    if ((pte & right) === 0 || ((pte & PTE_U) !== 0) === pm.isKernel) return false;
    const want = access === PROT_WRITE ? PTE_A | PTE_D : PTE_A;
    if ((pte & want) === want) this.stats.spuriousFaults++;
    else {
      this.stats.fixups++;
      this.i32[at] = pte | want;
      if ((pte & PTE_MANAGED) !== 0) this.fold((pte >>> 10) - RAM_PFN, pte | want);
    }
    this.flush.now(pm, vpn);
    return true;
  }

  /** All invalidations collected so far take effect. BSD: pmap_update(9). */
  pmapUpdate(_pm: Pmap): void {
    this.flush.complete();
  }

  pmapCopyPage(from: number, to: number): void {
    this.mem.copyPage(from, to);
  }

  pmapZeroPage(pg: number): void {
    this.mem.zeroPage(pg);
  }
}

/** The flags of a new leaf, without MANAGED. Write implies read, and so does execute: execute-only pages are not used. */
function leafBits(prot: number, flags: number, kernel: boolean): number {
  const write = (prot & PROT_WRITE) !== 0, access = flags & 7;
  return PTE_V | PTE_R | (write ? PTE_W : 0) | ((prot & PROT_EXEC) !== 0 && !kernel ? PTE_X : 0) | (kernel ? PTE_G : PTE_U)
    | (access !== 0 ? PTE_A : 0) | (write && (access & PROT_WRITE) !== 0 ? PTE_D : 0) | ((flags & PMAP_WIRED) !== 0 ? PTE_WIRED : 0);
}
