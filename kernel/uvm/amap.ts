// vm_amap: a sparse array of anons behind a piece of a map. Entries refer to it through (amap, first slot).
//
//   anons[slot]  ─► anon or 0                 slots[0..nused)  the slots in use, in no order
//   bckptr[slot] ─► its index in slots        ppref[slot]      how many entries cover the slot
//
// Plain arrays and not typed ones: most amaps hold 16 slots, where a typed array costs more than it saves.
// ppref comes into being when an amap is first referenced piecewise. It is flat, one count a slot, and not run-length
// coded: freeing and counting walk the range anyway. If it could not be had, it is off for good and unmapped pieces keep
// their anons until the last reference goes.
// Lock order: amap, object, anon. A freed anon may have to be waited for, so anons are detached first and freed with
// the amap unlocked.
import { KASSERT } from "../lib/kassert.ts";
import { KLock, RANK_AMAP } from "../lib/klock.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_READ } from "../hal/prot.ts";
import type { Uvm } from "./uvm.ts";

export const AMAP_SHARED = 1;
/** A fresh amap for an entry of UVM_AMAP_LARGE pages or more is made for a chunk of it. */
export const UVM_AMAP_CHUNK = 16, UVM_AMAP_LARGE = 256;

export class Amap {
  readonly lock: KLock;
  readonly uvm: Uvm;
  /** [lock] entries that refer to it */
  ref = 1;
  /** [lock] AMAP_SHARED */
  flags = 0;
  /** [lock] slots that entries may use; the arrays are at least so long */
  nslot: number;
  nused = 0;
  readonly anons: number[];
  readonly slots: number[];
  readonly bckptr: number[];
  ppref: number[] | null = null;
  /** [lock] ppref could not be had, and never will be */
  pprefNone = false;

  /** Use amapAlloc. */
  constructor(uvm: Uvm, nslot: number) {
    this.uvm = uvm;
    this.lock = new KLock(uvm.ctx, "amap", RANK_AMAP);
    this.nslot = nslot;
    this.anons = new Array<number>(nslot).fill(0);
    this.slots = new Array<number>(nslot).fill(0);
    this.bckptr = new Array<number>(nslot).fill(0);
  }

  get maxslot(): number {
    return this.anons.length;
  }

  /** The anon in a slot, 0 none. BSD: amap_lookup. => locked */
  lookup(slot: number): number {
    KASSERT(slot >= 0 && slot < this.nslot, "amap slot out of range");
    return this.anons[slot]!;
  }

  /**
   * Puts an anon into a slot, whose reference moves to the amap. BSD: amap_add.
   *
   * => locked; the slot is empty, or `replace`: what it held loses nothing here, the caller drops that reference
   */
  add(slot: number, an: number, replace: boolean): void {
    this.lock.assertOwned();
    KASSERT(slot >= 0 && slot < this.nslot && an !== 0, "amap add: slot out of range, or no anon");
    KASSERT((this.anons[slot] !== 0) === replace, "amap add: slot is in use, or replaced one is empty");
    if (!replace) {
      this.bckptr[slot] = this.nused;
      this.slots[this.nused++] = slot;
    }
    this.anons[slot] = an;
  }

  /** Empties a slot; its reference moves to the caller. BSD: amap_unadd. => locked */
  unadd(slot: number): void {
    this.lock.assertOwned();
    KASSERT(this.anons[slot] !== 0, "amap unadd: slot is empty");
    const at = this.bckptr[slot]!, last = this.slots[--this.nused]!;
    this.slots[at] = last;
    this.bckptr[last] = at;
    this.anons[slot] = 0;
  }

  /**
   * One more entry refers to slots [slot, slot + n). BSD: amap_ref.
   *
   * => unlocked; `share`: the new user shares stores with the others
   */
  addRef(slot: number, n: number, share: boolean): void {
    this.lock.enter();
    if (share) this.flags |= AMAP_SHARED;
    if (!this.ppref && n !== this.nslot) this.establishPpref();
    this.ref++;
    if (this.ppref) for (let s = slot; s < slot + n; s++) this.ppref[s]!++;
    this.lock.exit();
  }

  /** A reference splits in two, at no slot's loss. => unlocked */
  splitRef(): void {
    this.lock.enter();
    if (!this.ppref) this.establishPpref();
    this.ref++;
    this.lock.exit();
  }

  /** Two references to neighbouring slots become one. => unlocked */
  joinRef(): void {
    this.lock.enter();
    KASSERT(this.ref > 1, "joining the only reference of an amap");
    if (--this.ref === 1) this.flags &= ~AMAP_SHARED;
    this.lock.exit();
  }

  /** From now on count references slot by slot. So far every reference covers every slot. => locked */
  private establishPpref(): void {
    if (this.pprefNone || this.uvm.hooks.shouldFail("ppref")) {
      this.pprefNone = true;
      return;
    }
    this.ppref = new Array<number>(this.nslot).fill(this.ref);
  }

  /**
   * An entry that referred to slots [slot, slot + n) goes. BSD: amap_unref.
   *
   * => unlocked; frees the anons that nobody covers any more, may sleep at SP-PGWAIT(anfree)
   */
  *unref(slot: number, n: number): KGen<void> {
    const freed: number[] = [];
    this.lock.enter();
    KASSERT(this.ref > 0, "amap reference count");
    if (this.ref === 1) this.detachAll(freed);
    else {
      if (!this.ppref && n !== this.nslot) this.establishPpref();
      if (this.ppref) this.uncover(slot, n, freed);
      if (--this.ref === 1) this.flags &= ~AMAP_SHARED;
    }
    this.lock.exit();
    yield* freeAnons(this.uvm, freed);
  }

  /** [lock] The last reference goes: anons left without a reference are added to `freed`. BSD: amap_wipeout. */
  private detachAll(freed: number[]): void {
    const { anons } = this.uvm;
    this.ref = 0;
    for (let i = 0; i < this.nused; i++) {
      const slot = this.slots[i]!, an = this.anons[slot]!;
      this.anons[slot] = 0;
      if (anons.drop(an)) freed.push(an);
    }
    this.nused = 0;
    this.ppref = null;
    this.uvm.amaps.delete(this);
  }

  /** [lock] One reference fewer on [slot, slot + n): slots that nobody covers lose their anon. */
  private uncover(slot: number, n: number, freed: number[]): void {
    const ppref = this.ppref!, { anons } = this.uvm;
    for (let s = slot; s < slot + n; s++) {
      KASSERT(ppref[s]! > 0, "amap slot uncovered twice");
      if (--ppref[s]! > 0) continue;
      const an = this.anons[s]!;
      if (an === 0) continue;
      this.unadd(s);
      if (anons.drop(an)) freed.push(an);
    }
  }

  /**
   * Fills a new amap with this one's anons of neu.nslot slots from `slot`, and gives up the reference to them here.
   *
   * => unlocked; neu not reachable; the anons now have a holder more, so stores by a sharer must fault again
   */
  copySlotsTo(neu: Amap, slot: number): void {
    const { anons, pmap } = this.uvm, n = neu.nslot, freed: number[] = [];
    this.lock.enter();
    for (let i = 0; i < n; i++) {
      const an = this.anons[slot + i]!;
      if (an === 0) continue;
      anons.hold(an);
      if ((this.flags & AMAP_SHARED) !== 0 && anons.page[an] !== 0) pmap.pmapPageProtect(anons.page[an]!, PROT_READ);
      neu.anons[i] = an;
      neu.bckptr[i] = neu.nused;
      neu.slots[neu.nused++] = i;
    }
    if (!this.ppref && n !== this.nslot) this.establishPpref();
    if (this.ppref) this.uncover(slot, n, freed);
    if (--this.ref === 1) this.flags &= ~AMAP_SHARED;
    this.lock.exit();
    KASSERT(freed.length === 0, "an anon held by two amaps was the last of one");
  }

  /**
   * Drops the anons of [slot, slot + n) and leaves the slots to the entry: MADV_DONTNEED, MADV_FREE.
   *
   * => unlocked; the entry does not need a copy. Slots that sharers cover too are left alone
   */
  *discard(slot: number, n: number): KGen<void> {
    const freed: number[] = [], { anons } = this.uvm;
    this.lock.enter();
    for (let s = slot; s < slot + n; s++) {
      const an = this.anons[s]!, isShared = (this.flags & AMAP_SHARED) !== 0 && (this.ppref ? this.ppref[s]! : this.ref) > 1;
      if (an === 0 || isShared) continue;
      this.unadd(s);
      if (anons.drop(an)) freed.push(an);
    }
    this.lock.exit();
    yield* freeAnons(this.uvm, freed);
  }

  /**
   * Makes room for `add` slots after the entry's [slot, slot + n). BSD: amap_extend, forwards.
   *
   * => unlocked; false: not possible, the caller makes an entry of its own
   */
  extendForwards(slot: number, n: number, add: number): boolean {
    this.lock.enter();
    const from = slot + n, to = from + add, ok = this.isVacant(from, Math.min(to, this.nslot));
    if (ok) {
      for (let s = this.anons.length; s < to; s++) {
        this.anons.push(0);
        this.slots.push(0);
        this.bckptr.push(0);
      }
      if (this.ppref) {
        for (let s = this.ppref.length; s < to; s++) this.ppref.push(0);
        for (let s = from; s < to; s++) this.ppref[s] = 1;
      }
      this.nslot = Math.max(this.nslot, to);
    }
    this.lock.exit();
    return ok;
  }

  /**
   * Makes room for `add` slots before `slot`. BSD: amap_extend, backwards.
   *
   * => unlocked; the first slot of the longer entry, or -1: not possible
   */
  extendBackwards(slot: number, add: number): number {
    this.lock.enter();
    let first = -1;
    if (slot >= add && this.isVacant(slot - add, slot)) first = slot - add;
    else if (slot < add && this.ref === 1 && this.isVacant(0, slot)) {
      this.shift(add - slot);
      first = 0;
    }
    if (first >= 0 && this.ppref) this.ppref.fill(1, first, first + add);
    this.lock.exit();
    return first;
  }

  /** [lock] Anons keep their places seen from the end: every slot number grows by `by`. */
  private shift(by: number): void {
    const zeros = new Array<number>(by).fill(0);
    this.anons.splice(0, 0, ...zeros);
    this.bckptr.splice(0, 0, ...zeros);
    for (let i = 0; i < by; i++) this.slots.push(0);
    for (let i = 0; i < this.nused; i++) this.slots[i]! += by;
    if (this.ppref) this.ppref.splice(0, 0, ...zeros);
    this.nslot += by;
  }

  /** [lock] No entry covers [from, to), and no anon is left there. */
  private isVacant(from: number, to: number): boolean {
    if (this.ref > 1 && !this.ppref) return false;
    for (let s = from; s < to; s++) if (this.anons[s] !== 0 || (this.ppref !== null && this.ppref[s] !== 0)) return false;
    return true;
  }
}

/** A new empty amap with one reference; null when memory for it is short. BSD: amap_alloc. */
export function amapAlloc(uvm: Uvm, nslot: number): Amap | null {
  if (uvm.hooks.shouldFail("amap")) return null;
  const am = new Amap(uvm, nslot);
  uvm.amaps.add(am);
  return am;
}

/** Frees anons that are in no amap any more. => nothing locked; may sleep at SP-PGWAIT(anfree) */
export function* freeAnons(uvm: Uvm, freed: readonly number[]): KGen<void> {
  const { anons } = uvm;
  for (const an of freed) {
    anons.lockOf(an).enter();
    if (!anons.tryFree(an)) yield* anons.free(an);
  }
}
