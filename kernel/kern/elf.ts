// ELF files as execve reads them: the header and program headers, checked before anything is changed.
import { ENOEXEC } from "../lib/errno.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { VM_MAX_USER } from "../uvm/vmspace.ts";

export const ET_EXEC = 2, ET_DYN = 3, PT_LOAD = 1, PT_INTERP = 3, PT_PHDR = 6, PT_GNU_STACK = 0x6474e551;
const EM_RISCV = 243, EHDR_BYTES = 64;
export const PHDR_BYTES = 56;
const EF_RISCV_RVE = 8, MAX_PHDRS = 128;

/** The file header's fields that matter. */
export interface ElfHeader {
  readonly type: number;
  readonly entry: number;
  readonly phoff: number;
  readonly phnum: number;
}

export interface Segment {
  readonly type: number;
  readonly prot: number;
  readonly offset: number;
  readonly va: number;
  readonly fileBytes: number;
  readonly memBytes: number;
}

export const isElfMagic = (b: Uint8Array): boolean => b[0] === 0x7f && b[1] === 0x45 && b[2] === 0x4c && b[3] === 0x46;

const u64 = (d: DataView, at: number): number => d.getUint32(at + 4, true) * 2 ** 32 + d.getUint32(at, true);

/** Reads the file header. => -ENOEXEC: not a little-endian RV64 program */
export function readElfHeader(b: Uint8Array): ElfHeader | number {
  if (b.length < EHDR_BYTES || !isElfMagic(b)) return -ENOEXEC;
  const d = new DataView(b.buffer, b.byteOffset, b.length), type = d.getUint16(16, true), phnum = d.getUint16(56, true);
  if (b[4] !== 2 || b[5] !== 1 || d.getUint16(18, true) !== EM_RISCV || (type !== ET_EXEC && type !== ET_DYN)) return -ENOEXEC;
  if ((d.getUint32(48, true) & EF_RISCV_RVE) !== 0 || d.getUint16(54, true) !== PHDR_BYTES || phnum === 0 || phnum > MAX_PHDRS) return -ENOEXEC;
  return { type, entry: u64(d, 24), phoff: u64(d, 32), phnum };
}

/** Reads program headers. => -ENOEXEC: a segment that cannot be mapped */
export function readSegments(b: Uint8Array, phnum: number): Segment[] | number {
  if (b.length < phnum * PHDR_BYTES) return -ENOEXEC;
  const d = new DataView(b.buffer, b.byteOffset, b.length), out: Segment[] = [];
  for (let at = 0; at < phnum * PHDR_BYTES; at += PHDR_BYTES) {
    const flags = d.getUint32(at + 4, true);
    const prot = ((flags & 4) !== 0 ? PROT_READ : 0) | ((flags & 2) !== 0 ? PROT_WRITE : 0) | ((flags & 1) !== 0 ? PROT_EXEC : 0);
    const s = { type: d.getUint32(at, true), prot, offset: u64(d, at + 8), va: u64(d, at + 16), fileBytes: u64(d, at + 32), memBytes: u64(d, at + 40) };
    if (s.type === PT_LOAD && !isMappable(s)) return -ENOEXEC;
    out.push(s);
  }
  return out.some((s) => s.type === PT_LOAD) ? out : -ENOEXEC;
}

function isMappable(s: Segment): boolean {
  return s.fileBytes <= s.memBytes && s.va % 4096 === s.offset % 4096 && s.va + s.memBytes <= VM_MAX_USER && s.offset + s.fileBytes < 2 ** 52;
}

/** Lowest address and end of all loaded segments, page aligned. */
export function loadRange(segments: readonly Segment[]): { lo: number; hi: number } {
  let lo = Infinity, hi = 0;
  for (const s of segments) {
    if (s.type !== PT_LOAD) continue;
    lo = Math.min(lo, Math.floor(s.va / 4096) * 4096);
    hi = Math.max(hi, Math.ceil((s.va + s.memBytes) / 4096) * 4096);
  }
  return { lo, hi };
}
