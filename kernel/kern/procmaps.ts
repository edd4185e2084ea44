// /proc/N/maps: the map's entries in Linux's form.
import { UO_AOBJ, UO_VNODE, type UvmObject } from "../uvm/object.ts";
import type { VmMapEntry } from "../uvm/mapentry.ts";
import { isStackEntry } from "../uvm/stack.ts";
import type { Vnode } from "../vfs/vnode.ts";
import type { Kern } from "./kern.ts";
import type { Process } from "./proc.ts";
import { SIGCODE_VA } from "./sigframe.ts";
import { majorOf, minorOf } from "./vnfile.ts";

const hex = (n: number, width: number): string => n.toString(16).padStart(width, "0");

function vnodeOf(o: UvmObject | null): Vnode | null {
  return o?.kind === UO_VNODE ? (o.owner as Vnode) : null;
}

/** What a range without a file is for. */
export function areaName({ vmspace }: Process, e: VmMapEntry): string {
  if (e.start === SIGCODE_VA) return "[vdso]";
  if (isStackEntry(vmspace.map, e)) return "[stack]";
  if (e.start >= vmspace.brkBase && e.end <= Math.ceil(vmspace.brkEnd / 4096) * 4096 && vmspace.brkEnd > vmspace.brkBase) return "[heap]";
  return e.object?.kind === UO_AOBJ ? "/dev/zero (deleted)" : "";
}

function nameOf(k: Kern, p: Process, e: VmMapEntry): string {
  const v = vnodeOf(e.object);
  return v ? k.pathOfVnode(v) : areaName(p, e);
}

function line(k: Kern, p: Process, e: VmMapEntry): string {
  const r = (e.protection & 1) !== 0 ? "r" : "-", w = (e.protection & 2) !== 0 ? "w" : "-", x = (e.protection & 4) !== 0 ? "x" : "-";
  const v = vnodeOf(e.object), dev = v ? v.mount.dev : 0, head = `${hex(e.start, 8)}-${hex(e.end, 8)} ${r}${w}${x}${e.isCopyOnWrite ? "p" : "s"} ` +
    `${hex(e.object ? e.offset : 0, 8)} ${hex(majorOf(dev), 2)}:${hex(minorOf(dev), 2)} ${v ? v.ino : 0}`;
  const name = nameOf(k, p, e);
  return name === "" ? `${head} \n` : `${head.padEnd(73)}${name}\n`;
}

export function mapsText(k: Kern, p: Process): string {
  const { map } = p.vmspace;
  let out = "";
  for (let e = map.header.next; e !== map.header; e = e.next) out += line(k, p, e);
  return out;
}

/** The same with sizes. */
export function smapsText(k: Kern, p: Process): string {
  const { map } = p.vmspace;
  let out = "";
  for (let e = map.header.next; e !== map.header; e = e.next) {
    let resident = 0;
    for (let va = e.start; va < e.end; va += 4096) if (k.uvm.pageAt(map.pmap, va) !== 0) resident++;
    out += `${line(k, p, e)}Size:           ${String((e.end - e.start) / 1024).padStart(8)} kB\nRss:            ${String(resident * 4).padStart(8)} kB\n`;
  }
  return out;
}
