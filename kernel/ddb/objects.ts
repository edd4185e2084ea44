// Every memory object, with who it belongs to and what of it is resident.
//
//   resident pages, map entries, anonymous objects, vnodes of mounted file systems, open files ──► the set of objects
//
// No table of the kernel holds them all, so they are gathered from wherever one can be reached. An object's name holds while
// the machine stands still: vnodeDEV:INO for files; aobjN and deviceN are numbered in the order they are found.
import type { Kernel } from "../kernel.ts";
import { Aobj } from "../uvm/aobj.ts";
import { UO_VNODE, type UvmObject } from "../uvm/object.ts";
import { Ext2Mount } from "../vfs/ext2/mount.ts";
import { TmpMount } from "../vfs/tmpfs/tmpfs.ts";
import type { Vnode } from "../vfs/vnode.ts";

export interface ObjectLine {
  readonly id: string;
  readonly kind: "vnode" | "aobj" | "device" | "other";
  /** The file's path as far as it is known. */
  readonly path: string | null;
  /** References: of a vnode, its use count. */
  readonly refs: number;
  readonly residentPages: number;
  /** Of the file or the anonymous memory, in bytes; null for devices. */
  readonly sizeBytes: number | null;
  readonly isExec: boolean;
  /** Name of the thread that holds its lock, or null. */
  readonly lockedBy: string | null;
}

/** One resident page of an object. */
export interface ObjectPage {
  readonly offset: number;
  readonly pa: number;
  readonly isDirty: boolean;
  readonly isBusy: boolean;
  readonly loanCount: number;
  readonly wireCount: number;
}

/** A piece of a process' map that shows an object. */
export interface ObjectMapping { readonly pid: number; readonly start: number; readonly end: number; readonly offset: number }

const KINDS = ["vnode", "aobj", "device", "other"] as const;

/** Every vnode that can be reached. */
export function vnodes(kernel: Kernel): Set<Vnode> {
  const found = new Set<Vnode>(), { kern, vfs } = kernel;
  for (const m of vfs.allMounts) {
    if (m.covered !== null) found.add(m.covered);
    if (m instanceof Ext2Mount) for (const v of m["vnodes"].values()) found.add(v);
    if (m instanceof TmpMount) for (const v of m.nodes) found.add(v);
  }
  for (const p of kern.procs.values()) {
    for (const v of [p.cwd, p.root, ...p.fds.files.map((f) => f?.vnode ?? null)]) if (v !== null) found.add(v);
  }
  for (const o of mappedObjects(kernel)) if (o.kind === UO_VNODE) found.add(o.owner as Vnode);
  return found;
}

/** Objects of resident pages and of map entries. */
function mappedObjects(kernel: Kernel): Set<UvmObject> {
  const found = new Set<UvmObject>(), { uvm } = kernel;
  for (const o of uvm.pages.uobject) if (o) found.add(o);
  for (const map of [uvm.kernelMap, ...[...uvm.vmspaces].map((vm) => vm.map)]) {
    for (let e = map.header.next; e !== map.header; e = e.next) if (e.object !== null) found.add(e.object);
  }
  return found;
}

/** Every object by its name, sorted by kind. */
export function objectsById(kernel: Kernel): Map<string, UvmObject> {
  const byId = new Map<string, UvmObject>(), all = new Set([...kernel.uvm.aobjs, ...mappedObjects(kernel), ...[...vnodes(kernel)].map((v) => v.uobj)]);
  const counts = [0, 0, 0, 0];
  for (const o of all) {
    const v = o.kind === UO_VNODE ? (o.owner as Vnode) : null;
    byId.set(v === null ? `${KINDS[o.kind] ?? "other"}${++counts[o.kind]!}` : `vnode${v.mount.dev}:${v.ino}`, o);
  }
  return new Map([...byId].sort(([, a], [, b]) => a.kind - b.kind || b.npages - a.npages));
}

/** The path that a file was found by, or what is known of it. */
export function pathOf(kernel: Kernel, o: UvmObject): string | null {
  return o.kind === UO_VNODE ? kernel.kern.pathOfVnode(o.owner as Vnode) : null;
}

function lineOf(kernel: Kernel, id: string, o: UvmObject): ObjectLine {
  const v = o.kind === UO_VNODE ? (o.owner as Vnode) : null;
  return {
    id, kind: KINDS[o.kind] ?? "other", path: pathOf(kernel, o), refs: v === null ? o.refs : v.useCount, residentPages: o.npages,
    sizeBytes: v !== null ? v.vSize : o.owner instanceof Aobj ? o.owner.size : null, isExec: o.isExec, lockedBy: o.lock.owner?.name ?? null,
  };
}

export function objects(kernel: Kernel): ObjectLine[] {
  return [...objectsById(kernel)].map(([id, o]) => lineOf(kernel, id, o));
}

/** One object with its pages in order of offset and who maps it. => null: there is none of this name */
export function object(kernel: Kernel, id: string): { line: ObjectLine; pages: ObjectPage[]; mappedBy: ObjectMapping[] } | null {
  const o = objectsById(kernel).get(id), { uvm } = kernel;
  if (o === undefined) return null;
  const pages = uvm.hooks.memq(o).filter((pg) => pg > 0).map((pg) => {
    const p = uvm.hooks.pageRecord(pg);
    return { offset: p.offset, pa: p.pa, isDirty: uvm.pmap.pmapIsModified(pg), isBusy: p.busyOwner !== null, loanCount: p.loanCount, wireCount: p.wireCount };
  });
  const mappedBy: ObjectMapping[] = [];
  for (const p of kernel.kern.procs.values()) {
    const { map } = p.vmspace;
    for (let e = map.header.next; e !== map.header; e = e.next) if (e.object === o) mappedBy.push({ pid: p.pid, start: e.start, end: e.end, offset: e.offset });
  }
  return { line: lineOf(kernel, id, o), pages: pages.sort((a, b) => a.offset - b.offset), mappedBy };
}

/** The name of an object, or null for one that nothing leads to. */
export function idOfObject(kernel: Kernel, wanted: UvmObject): string | null {
  for (const [id, o] of objectsById(kernel)) if (o === wanted) return id;
  return null;
}

