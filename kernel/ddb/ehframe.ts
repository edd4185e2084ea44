// Call frame information of an ELF file (.eh_frame): which instructions of it have a description of their function's frame.
//
//   CIE   what many functions share: alignments, which column is the return address, how addresses are written, first instructions
//   FDE   a function: [start, end), its CIE, instructions (cfi.ts runs them)
//
// Found by the section, or in a file without sections by its program header (PT_GNU_EH_FRAME). What is damaged describes nothing.
import { PHDR_BYTES, type ReadFile, readElfTables, SHDR_BYTES, TABLE_BYTES_MAX, textAt, u64, view, type ElfTables } from "./symtab.ts";

export interface Cie {
  readonly codeAlign: number;
  readonly dataAlign: number;
  readonly raColumn: number;
  /** DW_EH_PE_* of addresses. */
  readonly encoding: number;
  readonly isSignal: boolean;
  readonly hasData: boolean;
  readonly program: Uint8Array;
}

export interface Fde {
  /** In the file's own addresses. */
  readonly start: number;
  readonly end: number;
  readonly cie: Cie;
  readonly program: Uint8Array;
}

const PT_GNU_EH_FRAME = 0x6474e550;
const PE_ABS = 0, PE_ULEB = 1, PE_UDATA2 = 2, PE_UDATA4 = 3, PE_UDATA8 = 4, PE_SLEB = 9, PE_SDATA2 = 10, PE_SDATA4 = 11, PE_SDATA8 = 12, PE_PCREL = 0x10, PE_OMIT = 0xff;
const POINTER_BYTES = 8;

/** Reads bytes one after the other. Past the end there are zeros, and `isBad`. */
export class Cursor {
  readonly bytes: Uint8Array;
  at: number;
  isBad = false;
  private readonly d: DataView;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
    this.d = view(bytes);
  }

  get isAtEnd(): boolean {
    return this.isBad || this.at >= this.bytes.length;
  }

  /** => where a field of n bytes begins, or -1 */
  private take(n: number): number {
    const { at } = this;
    if (!(n >= 0) || at + n > this.bytes.length) this.isBad = true;
    else this.at += n;
    return this.isBad ? -1 : at;
  }

  skip(n: number): void {
    this.take(n);
  }

  u8(): number {
    const at = this.take(1);
    return at < 0 ? 0 : this.d.getUint8(at);
  }

  u16(): number {
    const at = this.take(2);
    return at < 0 ? 0 : this.d.getUint16(at, true);
  }

  u32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : this.d.getUint32(at, true);
  }

  /** Exact below 2^53. */
  i64(): number {
    const at = this.take(8);
    return at < 0 ? 0 : this.d.getInt32(at + 4, true) * 2 ** 32 + this.d.getUint32(at, true);
  }

  uleb(): number {
    let v = 0, unit = 1;
    for (;;) {
      const b = this.u8();
      v += (b & 127) * unit;
      if (b < 128) return v;
      unit *= 128;
    }
  }

  sleb(): number {
    let v = 0, unit = 1;
    for (;;) {
      const b = this.u8();
      v += (b & 127) * unit;
      unit *= 128;
      if (b < 128) return (b & 64) !== 0 ? v - unit : v;
    }
  }

  text(): string {
    const s = textAt(this.bytes, this.at);
    this.skip(s.length + 1);
    return s;
  }

  part(n: number): Uint8Array {
    const at = this.take(n);
    return at < 0 ? new Uint8Array(0) : this.bytes.subarray(at, at + n);
  }

  /** An address as DW_EH_PE says. `va`: of the bytes' beginning. => NaN: written in a way that is not known here */
  pointer(encoding: number, va: number): number {
    const here = va + this.at, base = (encoding & 0x70) === PE_PCREL ? here : (encoding & 0xf0) === 0 ? 0 : NaN, v = this.value(encoding & 15);
    return base + v;
  }

  value(format: number): number {
    switch (format) {
      case PE_ABS: case PE_UDATA8: case PE_SDATA8: return this.i64();
      case PE_ULEB: return this.uleb();
      case PE_SLEB: return this.sleb();
      case PE_UDATA2: return this.u16();
      case PE_SDATA2: return (this.u16() << 16) >> 16;
      case PE_UDATA4: return this.u32();
      case PE_SDATA4: return this.u32() | 0;
      default: return NaN;
    }
  }
}

export class EhFrame {
  /** In order of address. */
  private readonly fdes: readonly Fde[];

  constructor(bytes: Uint8Array, va: number) {
    this.fdes = readRecords(bytes, va).sort((a, b) => a.start - b.start);
  }

  get count(): number {
    return this.fdes.length;
  }

  /** What describes an address of the file. => null: nothing does */
  at(va: number): Fde | null {
    const { fdes } = this;
    let lo = 0, hi = fdes.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (fdes[mid]!.start <= va) lo = mid + 1;
      else hi = mid;
    }
    const f = fdes[lo - 1];
    return f !== undefined && va < f.end ? f : null;
  }
}

/** The functions that are described. A record that cannot be read is left out. */
function readRecords(bytes: Uint8Array, va: number): Fde[] {
  const cies = new Map<number, Cie | null>(), found: Fde[] = [];
  for (let at = 0; ; ) {
    const r = recordAt(bytes, at);
    if (r === null) return found;
    if (r.id !== 0) {
      const cieAt = r.idAt - r.id;
      if (!cies.has(cieAt)) cies.set(cieAt, cieOf(bytes, cieAt, va));
      const cie = cies.get(cieAt)!, fde = cie === null ? null : fdeOf(bytes, r, cie, va);
      if (fde !== null) found.push(fde);
    }
    at = r.end;
  }
}

interface Record { readonly id: number; readonly idAt: number; readonly end: number }

/** => null: the end */
function recordAt(bytes: Uint8Array, at: number): Record | null {
  if (!(at >= 0)) return null;
  const c = new Cursor(bytes, at), short = c.u32(), length = short === 0xffffffff ? c.i64() : short, idAt = c.at, id = c.u32(), end = idAt + length;
  return c.isBad || !(length >= 4) || end > bytes.length ? null : { id, idAt, end };
}

function cieOf(bytes: Uint8Array, at: number, va: number): Cie | null {
  const r = recordAt(bytes, at);
  if (r === null || r.id !== 0) return null;
  const c = new Cursor(bytes.subarray(0, r.end), r.idAt + 4), version = c.u8(), letters = c.text();
  if ((version !== 1 && version !== 3) || (letters !== "" && letters[0] !== "z")) return null;
  const codeAlign = c.uleb(), dataAlign = c.sleb(), raColumn = version === 1 ? c.u8() : c.uleb();
  let encoding = PE_ABS, isSignal = false, program = c.at;
  if (letters !== "") {
    program = c.uleb();
    program += c.at;
    for (const letter of letters.slice(1)) {
      if (letter === "R") encoding = c.u8();
      else if (letter === "L") c.u8();
      else if (letter === "P") c.pointer(c.u8(), va);
      else if (letter === "S") isSignal = true;
      else return null;
    }
  }
  if (c.isBad || program > r.end) return null;
  return { codeAlign, dataAlign, raColumn, encoding, isSignal, hasData: letters !== "", program: bytes.subarray(program, r.end) };
}

function fdeOf(bytes: Uint8Array, r: Record, cie: Cie, va: number): Fde | null {
  const c = new Cursor(bytes.subarray(0, r.end), r.idAt + 4), start = c.pointer(cie.encoding, va), size = c.value(cie.encoding & 15);
  if (cie.hasData) c.skip(c.uleb());
  return c.isBad || !(size > 0) || Number.isNaN(start) ? null : { start, end: start + size, cie, program: bytes.subarray(c.at, r.end) };
}

/** Reads a file's call frame information. => null: it has none */
export function readEhFrame(read: ReadFile): EhFrame | null {
  const elf = readElfTables(read), at = elf === null ? null : bySection(read, elf) ?? byHeader(read, elf);
  if (at === null || at.bytes > TABLE_BYTES_MAX) return null;
  const bytes = read(at.offset, at.bytes);
  return bytes === null ? null : new EhFrame(bytes, at.va);
}

interface Place { readonly offset: number; readonly va: number; readonly bytes: number }

function bySection(read: ReadFile, { head, sections }: ElfTables): Place | null {
  const count = Math.floor((sections?.length ?? 0) / SHDR_BYTES), namesAt = head.getUint16(62, true);
  if (sections === null || namesAt >= count) return null;
  const section = (i: number): DataView => view(sections.subarray(i * SHDR_BYTES, (i + 1) * SHDR_BYTES)), nameTable = section(namesAt);
  const names = u64(nameTable, 32) <= TABLE_BYTES_MAX ? read(u64(nameTable, 24), u64(nameTable, 32)) : null;
  for (let i = 0; names !== null && i < count; i++) {
    const s = section(i);
    if (textAt(names, s.getUint32(0, true)) === ".eh_frame") return { offset: u64(s, 24), va: u64(s, 16), bytes: u64(s, 32) };
  }
  return null;
}

/** .eh_frame_hdr says where .eh_frame begins; it goes on to its record of length 0, within the segment. */
function byHeader(read: ReadFile, { programs, loads }: ElfTables): Place | null {
  for (let at = 0; programs !== null && at + PHDR_BYTES <= programs.length; at += PHDR_BYTES) {
    const p = view(programs.subarray(at, at + PHDR_BYTES));
    if (p.getUint32(0, true) !== PT_GNU_EH_FRAME) continue;
    const header = read(u64(p, 8), 4 + POINTER_BYTES), va = u64(p, 16);
    if (header === null || header[0] !== 1 || header[1] === PE_OMIT) return null;
    const c = new Cursor(header, 4), start = c.pointer(header[1]!, va), l = loads.find((s) => start >= s.va && start < s.va + s.bytes);
    return l === undefined || c.isBad ? null : { offset: l.offset + start - l.va, va: start, bytes: l.va + l.bytes - start };
  }
  return null;
}
