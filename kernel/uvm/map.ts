// vm_map: an address space. Sorted entries (maptree.ts), a sleepable lock, a timestamp that tells a fault whether what it
// looked up still holds, and the pmap that mirrors what has been touched.
//
//   lock       read: look up, fault.   write: change entries; bumps timestamp
//   busy       a thread that wires a range: it has let go of the lock, but nobody else may write-lock
//
// Lock order: map, then everything else of uvm.
import { KASSERT } from "../lib/kassert.ts";
import { KRwLock } from "../lib/klock.ts";
import type { KGen, KThread } from "../lib/kthread.ts";
import type { Pmap } from "../hal/pmap.ts";
import { VmMapEntry } from "./mapentry.ts";
import { MapTree } from "./maptree.ts";
import { PAGE_SIZE } from "./page.ts";
import type { StackArea } from "./stack.ts";
import type { Uvm } from "./uvm.ts";

/** flags */
export const MAP_PAGEABLE = 1, MAP_INTRSAFE = 2, MAP_WIREFUTURE = 4, MAP_DYING = 8, MAP_TOPDOWN = 16;
/** With MAP_WIREFUTURE: pages are wired as faults bring them in. */
export const MAP_WIREONFAULT = 32;

export class VmMap {
  readonly uvm: Uvm;
  readonly pmap: Pmap;
  readonly min: number;
  readonly max: number;
  readonly lock: KRwLock;
  /** [lock] */
  readonly tree: MapTree;
  /** [lock] bytes mapped */
  size = 0;
  /** [lock] write lockings so far */
  timestamp = 0;
  /** [lock] the thread that wires a range */
  busy: KThread | null = null;
  flags: number;
  /** [lock] The stack, of a process's map. */
  stack: StackArea | null = null;
  /** Where a search for room begins; above it only when there is none below. */
  searchTop: number;
  /** Most bytes that may be mapped (RLIMIT_AS), for the stack: whoever maps asks by himself. */
  sizeLimit = Infinity;
  /** [lock] Most bytes that were mapped. */
  sizePeak = 0;
  /** [lock, read] Pages (va / 4096) wired by faults, in entries that are wired on fault. */
  readonly faultWired = new Set<number>();
  /** The entry last found. Only a hint. */
  private hint: VmMapEntry;

  constructor(uvm: Uvm, pmap: Pmap, min: number, max: number, flags: number) {
    this.uvm = uvm;
    this.pmap = pmap;
    this.min = min;
    this.max = max;
    this.searchTop = max;
    this.flags = flags;
    this.lock = new KRwLock(uvm.ctx, "map");
    this.tree = new MapTree(min, max);
    this.hint = this.tree.header;
  }

  get nentries(): number {
    return this.tree.count;
  }

  // ---- locking ---------------------------------------------------------------------------------------------------

  /** Write-locks; waits for a thread that wires. BSD: vm_map_lock. */
  *lockWrite(): KGen<void> {
    const { ctx } = this.uvm;
    for (;;) {
      if (!this.lock.tryWrite()) yield* this.lock.write();
      if (this.busy === null || this.busy === ctx.cur) break;
      this.lock.unlock();
      yield* ctx.sleep(this, "mapbusy");
    }
    this.timestamp++;
  }

  /** Write-locks if that needs no sleep. BSD: vm_map_lock_try. */
  tryLockWrite(): boolean {
    if ((this.busy !== null && this.busy !== this.uvm.ctx.cur) || !this.lock.tryWrite()) return false;
    this.timestamp++;
    return true;
  }

  /** Read-locks. BSD: vm_map_lock_read. */
  *lockRead(): KGen<void> {
    if (!this.lock.tryRead()) yield* this.lock.read();
  }

  unlock(): void {
    this.lock.unlock();
  }

  /** Keeps writers out while this thread wires with the lock given up. => write-locked */
  setBusy(): void {
    KASSERT(this.lock.isWriteOwned && this.busy === null, "map made busy twice, or without the lock");
    this.busy = this.uvm.ctx.cur;
  }

  clearBusy(): void {
    KASSERT(this.busy === this.uvm.ctx.cur, "map unbusied by another thread");
    this.busy = null;
    this.uvm.ctx.wakeup(this);
  }

  // ---- entries ---------------------------------------------------------------------------------------------------

  /** The entry that holds `va`, or null. BSD: uvm_map_lookup_entry. => locked */
  lookup(va: number): VmMapEntry | null {
    const h = this.hint;
    if (va >= h.start && va < h.end) return h;
    const e = this.tree.floor(va);
    if (va >= e.end) return null;
    this.hint = e;
    return e;
  }

  /** The entry that holds `va`, or the last one before it: the header when there is none. => locked */
  floor(va: number): VmMapEntry {
    return this.lookup(va) ?? this.tree.floor(va);
  }

  get header(): VmMapEntry {
    return this.tree.header;
  }

  /** The first entry that ends above `va`; the header when there is none. => locked */
  firstFrom(va: number): VmMapEntry {
    const e = this.floor(va);
    return e !== this.header && va < e.end ? e : e.next;
  }

  /** Links an entry. => write-locked; its range is free */
  link(e: VmMapEntry): void {
    KASSERT(e.start < e.end && e.start >= this.min && e.end <= this.max, "map entry outside the map");
    KASSERT(e.start % PAGE_SIZE === 0 && e.end % PAGE_SIZE === 0, "map entry is not page aligned");
    this.tree.insertAfter(this.tree.floor(e.start), e);
    this.grew(e.end - e.start);
  }

  private grew(by: number): void {
    this.size += by;
    if (this.size > this.sizePeak) this.sizePeak = this.size;
  }

  /** Unlinks an entry; its prev and next still tell where it was. => write-locked */
  unlink(e: VmMapEntry): void {
    this.tree.remove(e);
    this.size -= e.end - e.start;
    if (this.hint === e) this.hint = this.header;
  }

  /** Moves an entry's end. => write-locked; the new range is free */
  setEnd(e: VmMapEntry, end: number): void {
    this.grew(end - e.end);
    e.end = end;
    this.tree.resized(e);
  }

  /** Moves an entry's start down or up, not past a neighbour. => write-locked */
  setStart(e: VmMapEntry, start: number): void {
    this.grew(e.start - start);
    e.start = start;
    this.tree.resized(e.prev);
  }

  /** True when nothing is mapped in [start, end). => locked */
  isFree(start: number, end: number): boolean {
    const e = this.firstFrom(start);
    return e === this.header || e.start >= end;
  }

  /**
   * Splits `e` so that it ends at `va`; the rest becomes a new entry, returned. BSD: uvm_map_clip_end.
   *
   * => write-locked; va inside, not at its edges
   */
  split(e: VmMapEntry, va: number): VmMapEntry {
    KASSERT(va > e.start && va < e.end && va % PAGE_SIZE === 0, "split outside the entry");
    const rest = e.clone();
    rest.start = va;
    rest.end = e.end;
    if (e.amap) {
      e.amap.splitRef();
      rest.amapSlot = e.slotOf(va);
    }
    if (e.object) {
      e.object.pgops.reference(e.object);
      rest.offset = e.offsetOf(va);
    }
    this.setEnd(e, va);
    this.link(rest);
    return rest;
  }

  /** Makes an entry begin at `va` if one straddles it. Returns the first entry at or above va. BSD: uvm_map_clip_start. */
  clipStart(va: number): VmMapEntry {
    const e = this.firstFrom(va);
    return e !== this.header && e.start < va ? this.split(e, va) : e;
  }

  /** Makes `e` end at `va` or before. BSD: uvm_map_clip_end. */
  clipEnd(e: VmMapEntry, va: number): void {
    if (e.end > va) this.split(e, va);
  }

  /** -EINVAL unless [start, end) is page aligned, in order and inside the map. */
  isRange(start: number, end: number): boolean {
    return start >= this.min && end <= this.max && start <= end && start % PAGE_SIZE === 0 && end % PAGE_SIZE === 0;
  }

  /**
   * Joins `e` with the entry before it when they are two pieces of one: same attributes, no object, and either no amap
   * or neighbouring slots of the same. Returns the joined entry, or `e`. => write-locked
   */
  tryMergeBack(e: VmMapEntry): VmMapEntry {
    const p = e.prev;
    if (p === this.header || p.end !== e.start || p.object || e.object || !sameAttributes(p, e) || p.amap !== e.amap) return e;
    if (p.amap) {
      if (p.slotOf(e.start - PAGE_SIZE) + 1 !== e.amapSlot) return e;
      p.amap.joinRef();
    }
    this.unlink(e);
    this.setEnd(p, e.end);
    return p;
  }
}

/** Everything but place and backing is equal. */
export function sameAttributes(a: VmMapEntry, b: VmMapEntry): boolean {
  return a.etype === b.etype && a.protection === b.protection && a.maxProtection === b.maxProtection
    && a.inheritance === b.inheritance && a.advice === b.advice && a.wiredCount === b.wiredCount && a.isWiredOnFault === b.isWiredOnFault;
}
