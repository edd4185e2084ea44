// The symbol table of an ELF file: which function or object an address of the file lies in. Only the parts of the file that
// are needed are asked for: header, program headers, section headers, symbols and their names.
//
// A file that is damaged, or none, has no symbols: nothing here fails.

/** Bytes of a file, or null where they cannot be had. */
export type ReadFile = (offset: number, lenBytes: number) => Uint8Array | null;

/** The symbol at or before an address; offset in bytes from its start. */
export interface SymbolAt { readonly name: string; readonly start: number; readonly offset: number }

/** A part of a file and where it is loaded, in the file's own addresses. */
export interface Load { readonly offset: number; readonly va: number; readonly bytes: number }

/** The tables at the beginning of a file. */
export interface ElfTables {
  readonly head: DataView;
  /** null: there are none, or they cannot be had. */
  readonly programs: Uint8Array | null;
  readonly sections: Uint8Array | null;
  readonly loads: readonly Load[];
}

export const PHDR_BYTES = 56, SHDR_BYTES = 64;
const EHDR_BYTES = 64, SYM_BYTES = 24, PT_LOAD = 1, SHT_SYMTAB = 2, SHT_DYNSYM = 11, STT_OBJECT = 1, STT_FUNC = 2, STT_NOTYPE = 0;
/** A table larger than this is not read: the prompt would stand still. */
export const TABLE_BYTES_MAX = 16 << 20;
/** A symbol without a size reaches this far at most. */
const REACH_BYTES = 1 << 16;

export class SymbolTable {
  /** In order of address. */
  private readonly symbols: readonly { readonly va: number; readonly size: number; readonly name: string }[];
  private readonly loads: readonly Load[];

  constructor(loads: readonly Load[], symbols: { va: number; size: number; name: string }[]) {
    this.loads = loads;
    // Where two begin together the one with a size comes last, and wins.
    this.symbols = symbols.sort((a, b) => a.va - b.va || a.size - b.size);
  }

  get count(): number {
    return this.symbols.length;
  }

  /** The file's own address of what lies at an offset of it; -1 where nothing is loaded from. */
  vaOfOffset(offset: number): number {
    const l = this.loads.find((s) => offset >= s.offset && offset < s.offset + s.bytes);
    return l === undefined ? -1 : l.va + offset - l.offset;
  }

  /** => null: no symbol covers the address */
  at(va: number): SymbolAt | null {
    const { symbols } = this;
    let lo = 0, hi = symbols.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (symbols[mid]!.va <= va) lo = mid + 1;
      else hi = mid;
    }
    const s = symbols[lo - 1];
    if (s === undefined || va - s.va >= (s.size > 0 ? s.size : REACH_BYTES)) return null;
    return { name: s.name, start: s.va, offset: va - s.va };
  }
}

export const u64 = (d: DataView, at: number): number => d.getUint32(at + 4, true) * 2 ** 32 + d.getUint32(at, true);
export const view = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength);

/** => null: it is no ELF file of ours */
export function readElfTables(read: ReadFile): ElfTables | null {
  const head = read(0, EHDR_BYTES);
  if (head === null || head.length < EHDR_BYTES || head[0] !== 0x7f || head[1] !== 0x45 || head[2] !== 0x4c || head[3] !== 0x46 || head[4] !== 2 || head[5] !== 1) return null;
  const d = view(head), phnum = d.getUint16(56, true), shnum = d.getUint16(60, true), loads: Load[] = [];
  const programs = d.getUint16(54, true) === PHDR_BYTES ? read(u64(d, 32), phnum * PHDR_BYTES) : null;
  if (programs !== null) {
    for (let at = 0; at + PHDR_BYTES <= programs.length; at += PHDR_BYTES) {
      const p = view(programs.subarray(at));
      if (p.getUint32(0, true) === PT_LOAD) loads.push({ offset: u64(p, 8), va: u64(p, 16), bytes: u64(p, 32) });
    }
  }
  const sections = d.getUint16(58, true) === SHDR_BYTES && shnum > 0 ? read(u64(d, 40), shnum * SHDR_BYTES) : null;
  return { head: d, programs, sections, loads };
}

/** Reads a file's table. => null: it is no ELF file of ours; a table without symbols when it is stripped */
export function readSymbolTable(read: ReadFile): SymbolTable | null {
  const elf = readElfTables(read);
  return elf === null ? null : new SymbolTable(elf.loads, elf.sections === null ? [] : symbolsOf(read, elf.sections));
}

/** The symbols of .symtab, or of .dynsym in a stripped file. */
function symbolsOf(read: ReadFile, sections: Uint8Array): { va: number; size: number; name: string }[] {
  const count = Math.floor(sections.length / SHDR_BYTES), section = (i: number): DataView => view(sections.subarray(i * SHDR_BYTES, (i + 1) * SHDR_BYTES));
  for (const wanted of [SHT_SYMTAB, SHT_DYNSYM]) {
    for (let i = 0; i < count; i++) {
      const s = section(i), link = s.getUint32(40, true);
      if (s.getUint32(4, true) !== wanted || link >= count) continue;
      const names = section(link), tableBytes = u64(s, 32), nameBytes = u64(names, 32);
      if (tableBytes > TABLE_BYTES_MAX || nameBytes > TABLE_BYTES_MAX) continue;
      const table = read(u64(s, 24), tableBytes), strings = read(u64(names, 24), nameBytes);
      if (table !== null && strings !== null) return entriesOf(table, strings);
    }
  }
  return [];
}

function entriesOf(table: Uint8Array, strings: Uint8Array): { va: number; size: number; name: string }[] {
  const found: { va: number; size: number; name: string }[] = [], d = view(table);
  for (let at = 0; at + SYM_BYTES <= table.length; at += SYM_BYTES) {
    const type = table[at + 4]! & 15, isDefined = d.getUint16(at + 6, true) !== 0;
    if (!isDefined || (type !== STT_FUNC && type !== STT_OBJECT && type !== STT_NOTYPE)) continue;
    const name = textAt(strings, d.getUint32(at, true));
    // Mapping symbols such as $x and local labels name no function.
    if (name !== "" && !name.startsWith("$") && !name.startsWith(".L")) found.push({ va: u64(d, at + 8), size: u64(d, at + 16), name });
  }
  return found;
}

export function textAt(bytes: Uint8Array, at: number): string {
  let s = "";
  for (let i = at; i < bytes.length && bytes[i] !== 0; i++) s += String.fromCharCode(bytes[i]!);
  return s;
}
