// ELF64 files for RISC-V: headers, program segments, symbols. Reads from bytes, keeps views, copies nothing.
//
//   file header (64) | program headers (56 each) | … | section headers (64 each)
//
// Files come from anywhere, so every offset is checked before use, and the error says which one is wrong.

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
  /** The bytes in the file. */
  readonly bytes: Uint8Array;
}

export interface ElfSymbol {
  readonly name: string;
  readonly va: number;
  readonly size: number;
  /** STT_*: 1 object, 2 function. */
  readonly type: number;
}

export interface ElfFile {
  readonly type: number;
  readonly entry: number;
  readonly flags: number;
  readonly segments: readonly ElfSegment[];
  readonly symbols: readonly ElfSymbol[];
  /** => the address of the symbol, or null */
  symbol(name: string): number | null;
}

/** Whether bytes begin as an ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Reads a file's headers. => throws ElfError with what is wrong */
export function parseElf(bytes: Uint8Array): ElfFile {
  if (bytes.length === 0) throw new ElfError("is empty");
  if (!isElf(bytes)) throw new ElfError("is not an ELF file");
  if (bytes.length < EHDR_BYTES) throw new ElfError(`is truncated: ${bytes.length} bytes are less than an ELF header`);
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const machine = v.getUint16(18, bytes[5] !== 2);
  if (machine !== EM_RISCV) throw new ElfError(`is for ${MACHINES[machine] ?? `machine ${machine}`}, not for RISC-V`);
  if (bytes[4] !== 2) throw new ElfError("is a 32-bit RISC-V file, not a 64-bit one");
  if (bytes[5] !== 1) throw new ElfError("is big-endian");
  const type = v.getUint16(16, true);
  if (type !== ET_EXEC && type !== ET_DYN) throw new ElfError(type === 1 ? "is an object file: link it first" : `is not an executable (ELF type ${type})`);
  const symbols = readSymbols(bytes, v);
  return {
    type, entry: signed(v, 24), flags: v.getUint32(48, true), segments: readSegments(bytes, v), symbols,
    symbol: (name) => symbols.find((s) => s.name === name)?.va ?? null,
  };
}

/** An unsigned 64-bit field as a number; those beyond 2^53 are rounded, and too big for anything anyway. */
function unsigned(v: DataView, at: number): number {
  return v.getUint32(at, true) + v.getUint32(at + 4, true) * 4294967296;
}

function signed(v: DataView, at: number): number {
  return v.getUint32(at, true) + v.getInt32(at + 4, true) * 4294967296;
}

function readSegments(bytes: Uint8Array, v: DataView): ElfSegment[] {
  const at = unsigned(v, 32), size = v.getUint16(54, true), count = v.getUint16(56, true);
  if (count === 0) throw new ElfError("has no program segments");
  if (size !== PHDR_BYTES) throw new ElfError(`has program headers of ${size} bytes instead of ${PHDR_BYTES}`);
  if (at + count * size > bytes.length) {
    throw new ElfError(`is truncated: its program headers end at byte ${at + count * size}, the file at ${bytes.length}`);
  }
  const segments: ElfSegment[] = [];
  for (let i = 0; i < count; i++) {
    const p = at + i * size, type = v.getUint32(p, true), offset = unsigned(v, p + 8), fileBytes = unsigned(v, p + 32), memBytes = unsigned(v, p + 40);
    if (type === PT_LOAD && offset + fileBytes > bytes.length) {
      throw new ElfError(`is truncated: segment ${i} ends at byte ${offset + fileBytes}, the file at ${bytes.length}`);
    }
    if (type === PT_LOAD && memBytes < fileBytes) throw new ElfError(`has a segment ${i} larger in the file than in memory`);
    segments.push({
      type, flags: v.getUint32(p + 4, true), offset, va: signed(v, p + 16), pa: unsigned(v, p + 24), fileBytes, memBytes, align: unsigned(v, p + 48),
      bytes: bytes.subarray(offset, offset + fileBytes),
    });
  }
  return segments;
}

/** Symbols help people only: a damaged table is as good as none. */
function readSymbols(bytes: Uint8Array, v: DataView): ElfSymbol[] {
  const at = unsigned(v, 40), size = v.getUint16(58, true), count = v.getUint16(60, true), symbols: ElfSymbol[] = [];
  if (at === 0 || size !== SHDR_BYTES || at + count * size > bytes.length) return symbols;
  for (let i = 0; i < count; i++) {
    const s = at + i * size;
    if (v.getUint32(s + 4, true) !== SHT_SYMTAB) continue;
    const tab = unsigned(v, s + 24), tabBytes = unsigned(v, s + 32), link = v.getUint32(s + 40, true);
    if (link >= count || tab + tabBytes > bytes.length) continue;
    const names = at + link * size, strings = unsigned(v, names + 24), stringsEnd = strings + unsigned(v, names + 32);
    if (stringsEnd > bytes.length) continue;
    for (let e = tab; e + SYM_BYTES <= tab + tabBytes; e += SYM_BYTES) {
      const name = textAt(bytes, strings + v.getUint32(e, true), stringsEnd);
      if (name !== "") symbols.push({ name, va: signed(v, e + 8), size: unsigned(v, e + 16), type: v.getUint8(e + 4) & 15 });
    }
  }
  return symbols;
}

function textAt(bytes: Uint8Array, at: number, end: number): string {
  let s = "";
  for (let i = at; i < end && bytes[i] !== 0; i++) s += String.fromCharCode(bytes[i]!);
  return s;
}
