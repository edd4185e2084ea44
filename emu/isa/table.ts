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

/** Rows that an instruction may be by its bits 14:12 and 6:2, in the order of the table. */
const candidates: readonly number[][] = Array.from({ length: 256 }, () => []);
rows.forEach(({ match, mask }, at) => {
  const decisive = mask & 0x707c;
  for (let key = 0; key < 256; key++) if (((match ^ (((key >>> 5) << 12) | ((key & 31) << 2))) & decisive) === 0) candidates[key]!.push(at);
});

const compressedBase = compressedRows.map((r) => rowNamed(r.base));
/** By halfword, 1 more than its place in compressedRows, or NO_ROW; 0 while nobody has asked. */
const compressedRowOf = new Uint8Array(65536), NO_ROW = 255;

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
  const list = candidates[((insn >>> 7) & 0xe0) | ((insn >>> 2) & 31)]!;
  for (let i = 0; i < list.length; i++) {
    const at = list[i]!, r = rows[at]!;
    if ((insn & r.mask) !== r.match) continue;
    d.row = at;
    operands(insn, immediateKinds[at]!, d);
    return;
  }
}

function decodeCompressed(insn: number, d: Decoded): void {
  d.lenBytes = 2;
  d.row = -1;
  if (compressedRowOf[insn] === 0) compressedRowOf[insn] = (compressedRows.findIndex((r) => (insn & r.mask) === r.match) + 1) || NO_ROW;
  const at = compressedRowOf[insn]! - 1, r = compressedRows[at];
  d.compressed = r ?? null;
  // The all-zero instruction and the reserved ones are illegal, not some other row.
  if (r !== undefined && insn !== 0 && r.expand(insn, d)) d.row = compressedBase[at]!;
}

/** Where the operands lie follows from their names. */
function operands(insn: number, kind: ImmediateKind, d: Decoded): void {
  d.rd = (insn >>> 7) & 31;
  d.rs1 = (insn >>> 15) & 31;
  d.rs2 = (insn >>> 20) & 31;
  d.rs3 = insn >>> 27;
  d.imm = immediate(insn, kind);
}

/** Operands that name an immediate; of rows with none of them the immediate is the instruction itself, as for system instructions. */
const IMMEDIATES = ["i", "i(rs1)", "s(rs1)", "b", "j", "u", "sh6", "sh5", "rm"] as const;
type ImmediateKind = typeof IMMEDIATES[number] | "none";

/** By row. */
const immediateKinds: readonly ImmediateKind[] = rows.map((r) => IMMEDIATES.find((kind) => r.args.split(",").includes(kind)) ?? "none");

function immediate(insn: number, kind: ImmediateKind): number {
  switch (kind) {
    case "i": case "i(rs1)": return insn >> 20;
    case "s(rs1)": return ((insn >> 25) << 5) | ((insn >>> 7) & 31);
    case "b": return ((insn >> 31) << 12) | (((insn >>> 7) & 1) << 11) | (((insn >>> 25) & 63) << 5) | (((insn >>> 8) & 15) << 1);
    case "j": return ((insn >> 31) << 20) | (insn & 0xff000) | (((insn >>> 20) & 1) << 11) | (((insn >>> 21) & 1023) << 1);
    case "u": return insn & 0xfffff000;
    case "sh6": return (insn >>> 20) & 63;
    case "sh5": return (insn >>> 20) & 31;
    case "rm": return (insn >>> 12) & 7;
    case "none": return insn;
  }
}
