// Encodes single instructions by name from the instruction table: the reverse of decoding, for tests.
import type { Row } from "../../emu/isa/builder.ts";
import { rowNamed, rows } from "../../emu/isa/table.ts";

/** Register numbers and the immediate; what an instruction does not have is ignored, what is missing is 0. */
export interface AsmOperands { rd?: number; rs1?: number; rs2?: number; rs3?: number; imm?: number; rm?: number; csr?: number; zimm?: number; aq?: boolean; rl?: boolean }

const RM_DYN = 7;

/** The bits that one operand sets. */
function bitsOf(arg: string, o: AsmOperands): number {
  const imm = o.imm ?? 0;
  switch (arg) {
    case "rd": case "fd": return (o.rd ?? 0) << 7;
    case "rs1": case "fs1": case "(rs1)": return (o.rs1 ?? 0) << 15;
    case "rs2": case "fs2": return (o.rs2 ?? 0) << 20;
    case "fs3": return (o.rs3 ?? 0) << 27;
    case "i": return imm << 20;
    case "i(rs1)": return (imm << 20) | ((o.rs1 ?? 0) << 15);
    case "s(rs1)": return ((imm >> 5) << 25) | ((imm & 31) << 7) | ((o.rs1 ?? 0) << 15);
    case "b": return ((imm >> 12) << 31) | (((imm >> 5) & 63) << 25) | (((imm >> 1) & 15) << 8) | (((imm >> 11) & 1) << 7);
    case "j": return ((imm >> 20) << 31) | (((imm >> 1) & 1023) << 21) | (((imm >> 11) & 1) << 20) | (imm & 0xff000);
    case "u": return imm & ~0xfff;
    case "sh5": case "sh6": return imm << 20;
    case "csr": return (o.csr ?? 0) << 20;
    case "zimm": return (o.zimm ?? 0) << 15;
    case "rm": return (o.rm ?? RM_DYN) << 12;
    case "fence": return imm << 20;
    default: throw new Error(`asm: operand ${arg}`);
  }
}

/** Encodes a row's instruction. => its 32 bits, as a signed number */
export function encodeRow(row: Row, o: AsmOperands = {}): number {
  let insn = row.match;
  for (const arg of row.args === "" ? [] : row.args.split(",")) insn |= bitsOf(arg, o);
  if (row.ext === "a") insn |= (o.aq === true ? 1 << 26 : 0) | (o.rl === true ? 1 << 25 : 0);
  return insn | 0;
}

/** Encodes an instruction by its name. => its 32 bits, as a signed number */
export function asm(name: string, o: AsmOperands = {}): number {
  return encodeRow(rows[rowNamed(name)]!, o);
}
