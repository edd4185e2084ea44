// ELF64 files for RISC-V: headers, program segments, symbols. Reads headers only; segments are read by who wants them.
//
//   file header (64) | program headers (56 each) | … | section headers (64 each)
//
// Files come from anywhere, so every offset is checked before use, and the error says which one is wrong.
import { type Bytes, type ByteSource, copyOf, sourceOf } from "./bytesource.ts";

export const ET_EXEC = 2, ET_DYN = 3;
export const PT_LOAD = 1, PT_INTERP = 3, PT_TLS = 7;
export const PF_X = 1, PF_W = 2, PF_R = 4;
export const EM_RISCV = 243;

const EHDR_BYTES = 64, PHDR_BYTES = 56, SHDR_BYTES = 64, SYM_BYTES = 24;
const SHT_SYMTAB = 2;
const MACHINES: Record<number, string> = {
  3: "32-bit x86", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 40: "32-bit ARM", 62: "x86-64", 183: "AArch64", 258: "LoongArch",
};

/** A file that is not what it should be. The message completes "FILE: …". */
export class ElfError extends Error {}

export interface ElfSegment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  /** Signed, as canonical addresses are JS numbers here. */
  readonly va: number;
  readonly pa: number;
  readonly fileBytes: number;
  readonly memBytes: number;
  readonly align: number;
}

export interface ElfFile {
  readonly type: number;
  readonly entry: number;
  readonly flags: number;
  readonly segments: readonly ElfSegment[];
  /** Reads the symbol tables. => the address of the symbol, or null */
  symbol(name: string): number | null;
}

/** Whether bytes begin as an ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Reads a file's headers. => throws ElfError with what is wrong, and what the source throws */
export function parseElf(file: Bytes): ElfFile {
  const source = sourceOf(file), bytes = copyOf(source, 0, EHDR_BYTES);
  if (bytes.length === 0) throw new ElfError("is empty");
  if (!isElf(bytes)) throw new ElfError("is not an ELF file");
  if (bytes.length < EHDR_BYTES) throw new ElfError(`is truncated: ${bytes.length} bytes are less than an ELF header`);
  const v = viewOf(bytes), machine = v.getUint16(18, bytes[5] !== 2);
  if (machine !== EM_RISCV) throw new ElfError(`is for ${MACHINES[machine] ?? `machine ${machine}`}, not for RISC-V`);
  if (bytes[4] !== 2) throw new ElfError("is a 32-bit RISC-V file, not a 64-bit one");
  if (bytes[5] !== 1) throw new ElfError("is big-endian");
  const type = v.getUint16(16, true);
  if (type !== ET_EXEC && type !== ET_DYN) throw new ElfError(type === 1 ? "is an object file: link it first" : `is not an executable (ELF type ${type})`);
  return {
    type, entry: signed(v, 24), flags: v.getUint32(48, true), segments: readSegments(source, v), symbol: (name) => findSymbol(source, v, name),
  };
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** An unsigned 64-bit field as a number; those beyond 2^53 are rounded, and too big for anything anyway. */
function unsigned(v: DataView, at: number): number {
  return v.getUint32(at, true) + v.getUint32(at + 4, true) * 4294967296;
}

function signed(v: DataView, at: number): number {
  return v.getUint32(at, true) + v.getInt32(at + 4, true) * 4294967296;
}

/** => header: that of the file, here and below */
function readSegments(source: ByteSource, header: DataView): ElfSegment[] {
  const at = unsigned(header, 32), size = header.getUint16(54, true), count = header.getUint16(56, true), { sizeBytes } = source;
  if (count === 0) throw new ElfError("has no program segments");
  if (size !== PHDR_BYTES) throw new ElfError(`has program headers of ${size} bytes instead of ${PHDR_BYTES}`);
  if (at + count * size > sizeBytes) throw new ElfError(`is truncated: its program headers end at byte ${at + count * size}, the file at ${sizeBytes}`);
  const v = viewOf(copyOf(source, at, count * size)), segments: ElfSegment[] = [];
  for (let i = 0; i < count; i++) {
    const p = i * size, type = v.getUint32(p, true), offset = unsigned(v, p + 8), fileBytes = unsigned(v, p + 32), memBytes = unsigned(v, p + 40);
    if (type === PT_LOAD && offset + fileBytes > sizeBytes) {
      throw new ElfError(`is truncated: segment ${i} ends at byte ${offset + fileBytes}, the file at ${sizeBytes}`);
    }
    if (type === PT_LOAD && memBytes < fileBytes) throw new ElfError(`has a segment ${i} larger in the file than in memory`);
    segments.push({
      type, flags: v.getUint32(p + 4, true), offset, va: signed(v, p + 16), pa: unsigned(v, p + 24), fileBytes, memBytes, align: unsigned(v, p + 48),
    });
  }
  return segments;
}

/** Symbols help people only: a damaged table is as good as none. => the address of the first of this name, or null */
function findSymbol(source: ByteSource, header: DataView, name: string): number | null {
  const at = unsigned(header, 40), size = header.getUint16(58, true), count = header.getUint16(60, true), { sizeBytes } = source;
  if (at === 0 || size !== SHDR_BYTES || at + count * size > sizeBytes) return null;
  const sections = viewOf(copyOf(source, at, count * size)), wanted = new TextEncoder().encode(`${name}\0`);
  for (let s = 0; s < count * size; s += size) {
    if (sections.getUint32(s + 4, true) !== SHT_SYMTAB) continue;
    const tab = unsigned(sections, s + 24), tabBytes = unsigned(sections, s + 32), link = sections.getUint32(s + 40, true);
    if (link >= count || tab + tabBytes > sizeBytes) continue;
    const strings = unsigned(sections, link * size + 24), stringsBytes = unsigned(sections, link * size + 32);
    if (strings + stringsBytes > sizeBytes) continue;
    const found = findIn(viewOf(copyOf(source, tab, tabBytes)), copyOf(source, strings, stringsBytes), wanted);
    if (found !== null) return found;
  }
  return null;
}

/** => wanted: a name with the zero behind it; null when the table has none of that name */
function findIn(table: DataView, strings: Uint8Array, wanted: Uint8Array): number | null {
  for (let e = 0; e + SYM_BYTES <= table.byteLength; e += SYM_BYTES) {
    const at = table.getUint32(e, true);
    if (wanted.every((byte, i) => strings[at + i] === byte)) return signed(table, e + 8);
  }
  return null;
}
