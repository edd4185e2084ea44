// Anonymous memory: one anon, and the amap behind an address.
import type { Process } from "../kern/proc.ts";
import type { Kernel } from "../kernel.ts";
import { type Amap, AMAP_SHARED } from "../uvm/amap.ts";
import type { VmMapEntry } from "../uvm/mapentry.ts";

/** One page of anonymous memory. */
export interface AnonReport {
  readonly anon: number;
  /** Amap slots that hold it, and loans to it. */
  readonly refs: number;
  /** Physical address of its page; null when none is resident. */
  readonly pa: number | null;
  /** 0 none, -1 lost. */
  readonly swapSlot: number;
  readonly loanCount: number;
  /** The page belongs to an object or to nobody: the anon only borrows it. */
  readonly isBorrowed: boolean;
  readonly lockedBy: string | null;
}

export interface AmapReport {
  readonly refs: number;
  readonly slots: number;
  readonly used: number;
  readonly isShared: boolean;
  readonly lockedBy: string | null;
  /** The entry's part of it, [from, to). */
  readonly from: number;
  readonly to: number;
  /** Slots of that part that are in use; covers: entries that cover the slot. */
  readonly anons: readonly (AnonReport & { readonly slot: number; readonly va: number; readonly covers: number })[];
}

const PQ_ANON = 2;

/** => null: there is no such anon */
export function anon(kernel: Kernel, an: number): AnonReport | null {
  const { anons, pages } = kernel.uvm;
  if (!Number.isInteger(an) || an <= 0 || an >= anons.end || anons.ref[an] === 0) return null;
  const pg = anons.page[an]!;
  return {
    anon: an, refs: anons.ref[an]!, pa: pg === 0 ? null : kernel.uvm.paOf(pg), swapSlot: anons.swslot[an]!, loanCount: pg === 0 ? 0 : pages.loanCount[pg]!,
    isBorrowed: pg !== 0 && (pages.pqflags[pg]! & PQ_ANON) === 0, lockedBy: anons.lockOf(an).owner?.name ?? null,
  };
}

/** The entry of a process' map that an address lies in, or null. */
export function entryAt(proc: Process, va: number): VmMapEntry | null {
  const { map } = proc.vmspace;
  for (let e = map.header.next; e !== map.header; e = e.next) if (va >= e.start && va < e.end) return e;
  return null;
}

const coversOf = (am: Amap, slot: number): number => am.ppref?.[slot] ?? am.ref;

/** The amap of an entry, as far as the entry uses it. => null: it has none */
export function amap(kernel: Kernel, e: VmMapEntry): AmapReport | null {
  const am = e.amap;
  if (am === null) return null;
  const from = e.amapSlot, to = from + e.npages, found: AmapReport["anons"][number][] = [];
  for (let slot = from; slot < to; slot++) {
    const one = anon(kernel, am.anons[slot] ?? 0);
    if (one !== null) found.push({ ...one, slot, va: e.start + (slot - from) * 4096, covers: coversOf(am, slot) });
  }
  return { refs: am.ref, slots: am.nslot, used: am.nused, isShared: (am.flags & AMAP_SHARED) !== 0, lockedBy: am.lock.owner?.name ?? null, from, to, anons: found };
}
