// The disassembler: text of an instruction from its row, in objdump's syntax.
//
//   decode -> row + operands -> pseudo-instruction, if one is meant -> operand texts in the order of row.args
//
// 16-bit instructions show under their own names (c.addi) unless the aliases are asked for, as objdump itself has it.
import { csrName } from "../hart/csrnum.ts";
import type { CompressedRow } from "./compressed.ts";
import { decode, type Decoded, newDecoded, rows } from "./table.ts";

export const X_NAMES: readonly string[] = ["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7",
  "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"];
export const F_NAMES: readonly string[] = ["ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
  "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"];
export const ROUNDING_NAMES: readonly string[] = ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"];

/** csrrw x0, cycle, x0: what compilers put where no code can be. */
const UNIMP = 0xc0001073 | 0;
/** By the bits rl and aq of atomics. */
const ORDERING: readonly string[] = ["", ".rl", ".aq", ".aqrl"];

export interface DisasmOptions {
  /** What stands at an address, as "main+0x10"; null when nothing is known. */
  readonly symbolize?: (va: number) => string | null;
  /** Show 16-bit instructions as what they expand to. */
  readonly expand?: boolean;
  /** No pseudo-instructions: every operand as encoded. */
  readonly plain?: boolean;
}

export interface Disassembled {
  /** Name and operands, with a tab between them. */
  readonly text: string;
  readonly lenBytes: 2 | 4;
}

/** What a row is shown as. `args` names operands as Row.args does. */
interface Shown { readonly name: string; readonly args: string }

/**
 * The text of one instruction.
 *
 * => insn: 32 bits, of which a 16-bit instruction uses the low half; va: its address, for targets of jumps
 * => what is no instruction gives ".insn" or ".half" with its bits
 */
export function disassemble(insn: number, va: number, options: DisasmOptions = {}): Disassembled {
  const d = newDecoded();
  decode(insn, d);
  if (d.row < 0) return { text: unknown(insn, d.lenBytes), lenBytes: d.lenBytes };
  if (insn === UNIMP) return { text: "unimp", lenBytes: 4 };
  const short = options.expand === true ? null : d.compressed, shown = short ?? (options.plain === true ? rows[d.row]! : alias(insn, d));
  const show = (arg: string): string => operand(arg, insn, d, va, short, options);
  const args = shown.args === "" ? [] : shown.args.split(",").map(show).filter((text) => text !== "");
  const name = rows[d.row]!.ext === "a" ? shown.name + ORDERING[(insn >>> 25) & 3]! : shown.name;
  return { text: args.length ? `${name}\t${args.join(",")}` : name, lenBytes: d.lenBytes };
}

const hex = (n: number): string => `0x${n.toString(16)}`;

function unknown(insn: number, lenBytes: 2 | 4): string {
  if (lenBytes === 2 && (insn & 0xffff) === 0) return "unimp";
  return lenBytes === 2 ? `.half\t${hex(insn & 0xffff)}` : `.insn\t${hex(insn >>> 0)}`;
}

/** One operand; "" when it is not shown. */
function operand(arg: string, insn: number, d: Decoded, va: number, short: CompressedRow | null, options: DisasmOptions): string {
  switch (arg) {
    case "rd": return X_NAMES[d.rd]!;
    case "rs1": return X_NAMES[d.rs1]!;
    case "rs2": return X_NAMES[d.rs2]!;
    case "fd": return F_NAMES[d.rd]!;
    case "fs1": return F_NAMES[d.rs1]!;
    case "fs2": return F_NAMES[d.rs2]!;
    case "fs3": return F_NAMES[d.rs3]!;
    case "(rs1)": return `(${X_NAMES[d.rs1]!})`;
    case "i(rs1)": case "s(rs1)": return `${d.imm}(${X_NAMES[d.rs1]!})`;
    case "i": return short !== null && /sh[56]/.test(rows[d.row]!.args) ? hex(d.imm) : String(d.imm);
    case "sh5": case "sh6": return hex(d.imm);
    case "u": return hex(d.imm >>> 12);
    case "b": case "j": return target(va + d.imm, options);
    case "csr": return csrName(insn >>> 20);
    case "zimm": return String(d.rs1);
    case "rm": return d.imm === 7 || exactAlways(d.row) ? "" : ROUNDING_NAMES[d.imm]!;
    case "fence": return fenceSets(insn);
    default: return arg;
  }
}

function target(va: number, { symbolize }: DisasmOptions): string {
  const at = va < 0 ? BigInt.asUintN(64, BigInt(va)).toString(16) : va.toString(16), symbol = symbolize?.(va) ?? null;
  return symbol === null ? `0x${at}` : `0x${at} <${symbol}>`;
}

/** Conversions that never round: their rounding mode is written 0 by assemblers and means nothing. */
function exactAlways(row: number): boolean {
  return /^fcvt\.d\.(s|wu?)$/.test(rows[row]!.name);
}

function fenceSets(insn: number): string {
  const set = (bits: number) => ["i", "o", "r", "w"].filter((_, i) => (bits & (8 >> i)) !== 0).join("") || "0";
  return `${set((insn >>> 24) & 15)},${set((insn >>> 20) & 15)}`;
}

/** Pseudo-instructions: the row's name, when it is one, and what is shown for it. The first that fits is taken. */
const aliases: Readonly<Record<string, readonly (readonly [(d: Decoded, insn: number) => boolean, string, string])[]>> = {
  addi: [
    [(d) => d.rd === 0 && d.rs1 === 0 && d.imm === 0, "nop", ""], [(d) => d.rs1 === 0, "li", "rd,i"], [(d) => d.imm === 0, "mv", "rd,rs1"],
  ],
  add: [[(d) => d.rs1 === 0 && d.row >= 0, "mv", "rd,rs2"]],
  addiw: [[(d) => d.imm === 0, "sext.w", "rd,rs1"]],
  "add.uw": [[(d) => d.rs2 === 0, "zext.w", "rd,rs1"]],
  xori: [[(d) => d.imm === -1, "not", "rd,rs1"]],
  andi: [[(d) => d.imm === 255, "zext.b", "rd,rs1"]],
  sub: [[(d) => d.rs1 === 0, "neg", "rd,rs2"]],
  subw: [[(d) => d.rs1 === 0, "negw", "rd,rs2"]],
  sltiu: [[(d) => d.imm === 1, "seqz", "rd,rs1"]],
  sltu: [[(d) => d.rs1 === 0, "snez", "rd,rs2"]],
  slt: [[(d) => d.rs2 === 0, "sltz", "rd,rs1"], [(d) => d.rs1 === 0, "sgtz", "rd,rs2"]],
  beq: [[(d) => d.rs2 === 0, "beqz", "rs1,b"]],
  bne: [[(d) => d.rs2 === 0, "bnez", "rs1,b"]],
  blt: [[(d) => d.rs2 === 0, "bltz", "rs1,b"], [(d) => d.rs1 === 0, "bgtz", "rs2,b"]],
  bge: [[(d) => d.rs2 === 0, "bgez", "rs1,b"], [(d) => d.rs1 === 0, "blez", "rs2,b"]],
  jal: [[(d) => d.rd === 0, "j", "j"], [(d) => d.rd === 1, "jal", "j"]],
  jalr: [
    [(d) => d.rd === 0 && d.rs1 === 1 && d.imm === 0, "ret", ""], [(d) => d.rd === 0 && d.imm === 0, "jr", "rs1"], [(d) => d.rd === 0, "jr", "i(rs1)"],
    [(d) => d.rd === 1 && d.imm === 0, "jalr", "rs1"], [(d) => d.rd === 1, "jalr", "i(rs1)"],
    [(d) => d.imm === 0, "jalr", "rd,rs1"],
  ],
  "fsgnj.s": [[(d) => d.rs1 === d.rs2, "fmv.s", "fd,fs1"]], "fsgnj.d": [[(d) => d.rs1 === d.rs2, "fmv.d", "fd,fs1"]],
  "fsgnjn.s": [[(d) => d.rs1 === d.rs2, "fneg.s", "fd,fs1"]], "fsgnjn.d": [[(d) => d.rs1 === d.rs2, "fneg.d", "fd,fs1"]],
  "fsgnjx.s": [[(d) => d.rs1 === d.rs2, "fabs.s", "fd,fs1"]], "fsgnjx.d": [[(d) => d.rs1 === d.rs2, "fabs.d", "fd,fs1"]],
  fence: [[(_d, insn) => (insn >>> 20) === 0x0ff, "fence", ""], [(_d, insn) => (insn >>> 20) === 0x833, "fence.tso", ""]],
  "sfence.vma": [[(d) => d.rs1 === 0 && d.rs2 === 0, "sfence.vma", ""], [(d) => d.rs2 === 0, "sfence.vma", "rs1"]],
  csrrs: [
    [(d, insn) => (insn >>> 20) === 2 && d.rs1 === 0, "frrm", "rd"], [(d, insn) => (insn >>> 20) === 1 && d.rs1 === 0, "frflags", "rd"],
    [(d, insn) => (insn >>> 20) === 3 && d.rs1 === 0, "frcsr", "rd"], [(d, insn) => (insn >>> 20) === 0xc00 && d.rs1 === 0, "rdcycle", "rd"],
    [(d, insn) => (insn >>> 20) === 0xc01 && d.rs1 === 0, "rdtime", "rd"], [(d, insn) => (insn >>> 20) === 0xc02 && d.rs1 === 0, "rdinstret", "rd"],
    [(d) => d.rs1 === 0, "csrr", "rd,csr"], [(d) => d.rd === 0, "csrs", "csr,rs1"],
  ],
  csrrw: [
    [(d, insn) => (insn >>> 20) === 2 && d.rd === 0, "fsrm", "rs1"], [(d, insn) => (insn >>> 20) === 1 && d.rd === 0, "fsflags", "rs1"],
    [(d, insn) => (insn >>> 20) === 3 && d.rd === 0, "fscsr", "rs1"], [(_d, insn) => (insn >>> 20) === 2, "fsrm", "rd,rs1"],
    [(_d, insn) => (insn >>> 20) === 1, "fsflags", "rd,rs1"], [(_d, insn) => (insn >>> 20) === 3, "fscsr", "rd,rs1"], [(d) => d.rd === 0, "csrw", "csr,rs1"],
  ],
  csrrc: [[(d) => d.rd === 0, "csrc", "csr,rs1"]],
  csrrwi: [
    [(d, insn) => (insn >>> 20) === 2 && d.rd === 0, "fsrmi", "zimm"], [(d, insn) => (insn >>> 20) === 1 && d.rd === 0, "fsflagsi", "zimm"],
    [(d) => d.rd === 0, "csrwi", "csr,zimm"],
  ],
  csrrsi: [[(d) => d.rd === 0, "csrsi", "csr,zimm"]],
  csrrci: [[(d) => d.rd === 0, "csrci", "csr,zimm"]],
};

function alias(insn: number, d: Decoded): Shown {
  const row = rows[d.row]!;
  for (const [fits, name, args] of aliases[row.name] ?? []) if (fits(d, insn)) return { name, args };
  return row;
}
