// Address spaces: the entries of a map, with what is resident.
import type { Process } from "../kern/proc.ts";
import type { Kernel } from "../kernel.ts";
import { AMAP_SHARED } from "../uvm/amap.ts";
import type { VmMapEntry } from "../uvm/mapentry.ts";
import { UO_VNODE } from "../uvm/object.ts";
import type { Vnode } from "../vfs/vnode.ts";
import { objectsById } from "./objects.ts";
import { areaName } from "../kern/procmaps.ts";

const INHERITANCE = ["share", "copy", "none", "zero"] as const, ADVICE = ["normal", "random", "sequential"] as const;

/** One vm_map_entry. */
export interface MapLine {
  readonly start: number;
  readonly end: number;
  /** "rwx" with dashes. */
  readonly prot: string;
  readonly maxProt: string;
  readonly isCopyOnWrite: boolean;
  readonly needsCopy: boolean;
  readonly inheritance: string;
  readonly advice: string;
  readonly wiredCount: number;
  /** Kind of the object below, or null; its offset in bytes; the file's path. */
  readonly object: string | null;
  /** Its name, as `objects` lists it, and what of it is resident. */
  readonly objectId: string | null;
  readonly objectRefs: number;
  readonly objectPages: number;
  readonly offset: number;
  readonly path: string | null;
  /** What a range without a file is for: [stack], [heap], [vdso], or "". */
  readonly area: string;
  /** References and slots of the amap on top, or null. */
  readonly amap: { readonly refs: number; readonly slots: number; readonly slot: number; readonly used: number; readonly isShared: boolean } | null;
  readonly residentPages: number;
}

const letters = (p: number): string => `${p & 1 ? "r" : "-"}${p & 2 ? "w" : "-"}${p & 4 ? "x" : "-"}`;

/** Slots in use of the entry's part of its amap. */
function usedOf(e: VmMapEntry): number {
  let used = 0;
  for (let i = 0; i < e.npages; i++) if ((e.amap?.anons[e.amapSlot + i] ?? 0) !== 0) used++;
  return used;
}

/** The map of a process, entry by entry. */
export function maps(kernel: Kernel, proc: Process): MapLine[] {
  const { map } = proc.vmspace, { uvm, kern } = kernel, lines: MapLine[] = [], ids = new Map([...objectsById(kernel)].map(([id, o]) => [o, id]));
  for (let e = map.header.next; e !== map.header; e = e.next) {
    let residentPages = 0;
    for (let va = e.start; va < e.end; va += 4096) if (uvm.pageAt(map.pmap, va) !== 0) residentPages++;
    lines.push({
      start: e.start, end: e.end, prot: letters(e.protection), maxProt: letters(e.maxProtection), isCopyOnWrite: e.isCopyOnWrite, needsCopy: e.needsCopy,
      inheritance: INHERITANCE[e.inheritance] ?? "?", advice: ADVICE[e.advice] ?? "?", wiredCount: e.wiredCount, object: e.object?.pgops.name ?? null,
      objectId: e.object === null ? null : ids.get(e.object) ?? null,
      objectRefs: e.object === null ? 0 : e.object.kind === UO_VNODE ? (e.object.owner as Vnode).useCount : e.object.refs, objectPages: e.object?.npages ?? 0,
      offset: e.offset, path: e.object?.kind === UO_VNODE ? kern.pathOfVnode(e.object.owner as Vnode) : null,
      area: e.object?.kind === UO_VNODE ? "" : areaName(proc, e), residentPages,
      amap: e.amap === null ? null : { refs: e.amap.ref, slots: e.amap.nslot, slot: e.amapSlot, used: usedOf(e), isShared: (e.amap.flags & AMAP_SHARED) !== 0 },
    });
  }
  return lines;
}
