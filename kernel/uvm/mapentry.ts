// vm_map_entry: one range of an address space, mapped in one way.
//
//   [start, end) ─► amap, amapSlot     anonymous pages on top: slot amapSlot + (va - start) / 4096
//                └► object, offset     what lies below: byte offset + (va - start)
//
// Guarded by the map's lock.
import type { Amap } from "./amap.ts";
import type { UvmObject } from "./object.ts";
import { PAGE_SIZE } from "./page.ts";

/** etype */
export const ET_COPYONWRITE = 1, ET_NEEDSCOPY = 2;
/** inheritance */
export const INH_SHARE = 0, INH_COPY = 1, INH_NONE = 2, INH_ZERO = 3;
/** advice */
export const ADV_NORMAL = 0, ADV_RANDOM = 1, ADV_SEQUENTIAL = 2;

export class VmMapEntry {
  start: number;
  end: number;
  /** Neighbours by address; the map's header closes the ring. */
  prev: VmMapEntry;
  next: VmMapEntry;
  /** The map tree (maptree.ts). */
  left: VmMapEntry | null = null;
  right: VmMapEntry | null = null;
  priority = 0;
  /** Free bytes between this entry and the next, and the most of any in this subtree. */
  gap = 0;
  maxGap = 0;
  object: UvmObject | null = null;
  /** Byte offset in the object. */
  offset = 0;
  amap: Amap | null = null;
  amapSlot = 0;
  etype = 0;
  protection = 0;
  maxProtection = 0;
  inheritance = INH_COPY;
  advice = ADV_NORMAL;
  wiredCount = 0;
  /** Wired, but page by page as faults bring them in (MLOCK_ONFAULT). False when wiredCount is 0. */
  isWiredOnFault = false;

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
    this.prev = this;
    this.next = this;
  }

  get npages(): number {
    return (this.end - this.start) / PAGE_SIZE;
  }

  get isCopyOnWrite(): boolean {
    return (this.etype & ET_COPYONWRITE) !== 0;
  }

  get needsCopy(): boolean {
    return (this.etype & ET_NEEDSCOPY) !== 0;
  }

  /** The caller sees to the pages. */
  clearWired(): void {
    this.wiredCount = 0;
    this.isWiredOnFault = false;
  }

  /** The amap slot of an address. => va inside; amap set */
  slotOf(va: number): number {
    return this.amapSlot + (va - this.start) / PAGE_SIZE;
  }

  /** The object offset of an address, rounded down to its page. => va inside */
  offsetOf(va: number): number {
    return this.offset + (va - this.start);
  }

  /** A second entry with the same attributes; the caller sets its range and takes its references. */
  clone(): VmMapEntry {
    const e = new VmMapEntry(this.start, this.end);
    e.object = this.object;
    e.offset = this.offset;
    e.amap = this.amap;
    e.amapSlot = this.amapSlot;
    e.etype = this.etype;
    e.protection = this.protection;
    e.maxProtection = this.maxProtection;
    e.inheritance = this.inheritance;
    e.advice = this.advice;
    e.wiredCount = this.wiredCount;
    e.isWiredOnFault = this.isWiredOnFault;
    return e;
  }
}
