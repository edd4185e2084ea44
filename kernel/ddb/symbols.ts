// Names for addresses of a process: which symbol of which mapped file, as name+offset. Tables are read from the files' vnodes
// once each.
import type { Process } from "../kern/proc.ts";
import { areaName } from "../kern/procmaps.ts";
import type { Kernel } from "../kernel.ts";
import { UO_VNODE } from "../uvm/object.ts";
import type { Vnode } from "../vfs/vnode.ts";
import { entryAt } from "./anon.ts";
import { type EhFrame, type Fde, readEhFrame } from "./ehframe.ts";
import { readStill } from "./stillread.ts";
import { type ReadFile, readSymbolTable, type SymbolAt, type SymbolTable } from "./symtab.ts";

/** Where an address lies in a file. */
export interface Place { readonly vnode: Vnode; readonly offset: number }

const hex = (n: number): string => `0x${n.toString(16)}`;
const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

export class Symbols {
  private readonly kernel: Kernel;
  /** By vnode: it is what does not change while a program is replaced by another of its name. null: no ELF file. */
  private readonly tables = new WeakMap<Vnode, { readonly size: number; readonly table: SymbolTable | null }>();

  private readonly frames = new WeakMap<Vnode, { readonly size: number; readonly table: EhFrame | null }>();

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  /** The file and offset that an address is mapped from. => null: from none */
  place(proc: Process, va: number): Place | null {
    const e = entryAt(proc, va);
    return e === null || e.object?.kind !== UO_VNODE ? null : { vnode: e.object.owner as Vnode, offset: e.offsetOf(va) };
  }

  /** The symbol of a place in a file, with its start in the file's own addresses. => null: the file has none there */
  symbolAt({ vnode, offset }: Place): SymbolAt | null {
    const table = this.tableOf(vnode);
    return table === null ? null : table.at(table.vaOfOffset(offset));
  }

  /** The symbol of a process' address; its start as an address of the process. */
  symbol(proc: Process, va: number): SymbolAt | null {
    const at = this.place(proc, va), s = at === null ? null : this.symbolAt(at);
    return s === null ? null : { name: s.name, start: va - s.offset, offset: s.offset };
  }

  /** An address in words: "main+0x1c", "libc.so+0x4a2c8" for a file without symbols, "[stack]", or "" for what is not mapped. */
  name(proc: Process, va: number): string {
    const at = this.place(proc, va);
    if (at !== null) return this.placeName(at);
    const e = entryAt(proc, va);
    return e === null ? "" : areaName(proc, e);
  }

  placeName(at: Place): string {
    const s = this.symbolAt(at), table = this.tableOf(at.vnode), va = table?.vaOfOffset(at.offset) ?? -1;
    if (s !== null) return s.offset === 0 ? s.name : `${s.name}+${hex(s.offset)}`;
    return `${baseName(this.kernel.kern.pathOfVnode(at.vnode))}+${hex(va >= 0 ? va : at.offset)}`;
  }

  /** The call frame information at an address of a process, and that address in the file. => null: there is none */
  callFrame(proc: Process, va: number): { readonly fde: Fde; readonly va: number } | null {
    const at = this.place(proc, va), fileVa = at === null ? -1 : this.tableOf(at.vnode)?.vaOfOffset(at.offset) ?? -1;
    const fde = at === null || fileVa < 0 ? null : this.cached(this.frames, at.vnode, readEhFrame)?.at(fileVa) ?? null;
    return fde === null ? null : { fde, va: fileVa };
  }

  private tableOf(v: Vnode): SymbolTable | null {
    return this.cached(this.tables, v, readSymbolTable);
  }

  private cached<T>(cache: WeakMap<Vnode, { readonly size: number; readonly table: T | null }>, v: Vnode, make: (read: ReadFile) => T | null): T | null {
    const known = cache.get(v);
    // A file that grew or shrank is another program.
    if (known !== undefined && known.size === v.vSize) return known.table;
    let isWhole = true;
    const table = make((offset, len) => {
      const bytes = readStill(this.kernel, v, offset, len);
      if (bytes === null) isWhole = false;
      return bytes;
    });
    // What could not be read now may be read later.
    if (isWhole) cache.set(v, { size: v.vSize, table });
    return table;
  }
}
