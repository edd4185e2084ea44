// The whole instruction table, and decoding by it.
import type { Row } from "./builder.ts";
import { type CompressedRow, compressedRows, type Operands } from "./compressed.ts";
import { floatRows } from "./rows-fd.ts";
import { integerRows } from "./rows-i.ts";
import { systemInstructionRows } from "./rows-sys.ts";

/** Every 32-bit instruction. */
export const rows: readonly Row[] = [...integerRows, ...systemInstructionRows, ...floatRows];
const byName = new Map(rows.map((r, at) => [r.name, at]));

/** Index into `rows`. => the name exists */
export function rowNamed(name: string): number {
  const at = byName.get(name);
  if (at === undefined) throw new Error(`isa: no instruction is named ${name}`);
  return at;
}

/** Rows that share the major opcode (bits 6:2), most specific first. */
const byOpcode: readonly (readonly number[])[] = Array.from({ length: 32 }, (_, opcode) =>
  rows.map((r, at) => ({ r, at })).filter(({ r }) => ((r.match >>> 2) & 31) === opcode).map(({ at }) => at));

const compressedBase = compressedRows.map((r) => rowNamed(r.base));

/** What decoding found. One object is reused: decoding allocates nothing. */
export interface Decoded extends Operands {
  /** Index into `rows`, or -1: illegal. */
  row: number;
  /** The 16-bit form, or null. */
  compressed: CompressedRow | null;
  lenBytes: 2 | 4;
}

export function newDecoded(): Decoded {
  return { row: -1, compressed: null, lenBytes: 4, rd: 0, rs1: 0, rs2: 0, rs3: 0, imm: 0 };
}

/** Whether the halfword begins a 16-bit instruction. */
export const isCompressed = (half: number): boolean => (half & 3) !== 3;

/** Decodes one instruction: 32 bits, of which a 16-bit one uses the low half. */
export function decode(insn: number, d: Decoded): void {
  if (isCompressed(insn)) return decodeCompressed(insn & 0xffff, d);
  d.lenBytes = 4;
  d.compressed = null;
  d.row = -1;
  for (const at of byOpcode[(insn >>> 2) & 31]!) {
    const r = rows[at]!;
    if ((insn & r.mask) !== r.match) continue;
    d.row = at;
    operands(insn, r.args, d);
    return;
  }
}

function decodeCompressed(insn: number, d: Decoded): void {
  d.lenBytes = 2;
  d.row = -1;
  for (let i = 0; i < compressedRows.length; i++) {
    const r = compressedRows[i]!;
    if ((insn & r.mask) !== r.match) continue;
    d.compressed = r;
    // The all-zero instruction and the reserved ones are illegal, not something else further down.
    if (insn !== 0 && r.expand(insn, d)) d.row = compressedBase[i]!;
    return;
  }
  d.compressed = null;
}

/** Where the operands lie follows from their names. */
function operands(insn: number, args: string, d: Decoded): void {
  d.rd = (insn >>> 7) & 31;
  d.rs1 = (insn >>> 15) & 31;
  d.rs2 = (insn >>> 20) & 31;
  d.rs3 = insn >>> 27;
  d.imm = immediate(insn, args);
}

/** The immediate by the kind of operand that the row names; of system instructions the instruction itself. */
export function immediate(insn: number, args: string): number {
  for (const arg of args.split(",")) {
    switch (arg) {
      case "i": case "i(rs1)": return insn >> 20;
      case "s(rs1)": return ((insn >> 25) << 5) | ((insn >>> 7) & 31);
      case "b": return ((insn >> 31) << 12) | (((insn >>> 7) & 1) << 11) | (((insn >>> 25) & 63) << 5) | (((insn >>> 8) & 15) << 1);
      case "j": return ((insn >> 31) << 20) | (insn & 0xff000) | (((insn >>> 20) & 1) << 11) | (((insn >>> 21) & 1023) << 1);
      case "u": return insn & 0xfffff000;
      case "sh6": return (insn >>> 20) & 63;
      case "sh5": return (insn >>> 20) & 31;
      case "rm": return (insn >>> 12) & 7;
    }
  }
  return insn;
}
