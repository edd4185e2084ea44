// Address spaces: the entries of a map, with what is resident.
import type { Process } from "../kern/proc.ts";
import type { Kernel } from "../kernel.ts";
import { UO_VNODE } from "../uvm/object.ts";
import type { Vnode } from "../vfs/vnode.ts";

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
  readonly offset: number;
  readonly path: string | null;
  /** References and slots of the amap on top, or null. */
  readonly amap: { readonly refs: number; readonly slots: number; readonly slot: number } | null;
  readonly residentPages: number;
}

const letters = (p: number): string => `${p & 1 ? "r" : "-"}${p & 2 ? "w" : "-"}${p & 4 ? "x" : "-"}`;

/** The map of a process, entry by entry. */
export function maps(kernel: Kernel, proc: Process): MapLine[] {
  const { map } = proc.vmspace, { uvm, kern } = kernel, lines: MapLine[] = [];
  for (let e = map.header.next; e !== map.header; e = e.next) {
    let residentPages = 0;
    for (let va = e.start; va < e.end; va += 4096) if (uvm.pageAt(map.pmap, va) !== 0) residentPages++;
    lines.push({
      start: e.start, end: e.end, prot: letters(e.protection), maxProt: letters(e.maxProtection), isCopyOnWrite: e.isCopyOnWrite, needsCopy: e.needsCopy,
      inheritance: INHERITANCE[e.inheritance] ?? "?", advice: ADVICE[e.advice] ?? "?", wiredCount: e.wiredCount, object: e.object?.pgops.name ?? null,
      offset: e.offset, path: e.object?.kind === UO_VNODE ? kern.pathOfVnode(e.object.owner as Vnode) : null,
      amap: e.amap === null ? null : { refs: e.amap.ref, slots: e.amap.nslot, slot: e.amapSlot }, residentPages,
    });
  }
  return lines;
}
