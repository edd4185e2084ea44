// What the translator has to know of an instruction besides its meaning: which registers it reads and writes, and whether
// it may leave the translated code. All of it follows from its row in the table.
import { MSTATUS_SIE, SSTATUS } from "../hart/csrnum.ts";
import { isFloatCsr } from "../isa/rows-sys.ts";
import { rows } from "../isa/table.ts";

export interface InsnShape {
  readonly readsX1: boolean;
  readonly readsX2: boolean;
  readonly writesX: boolean;
  readonly readsF1: boolean;
  readonly readsF2: boolean;
  readonly readsF3: boolean;
  readonly writesF: boolean;
  readonly isBranch: boolean;
  readonly hasRm: boolean;
  /** It may end the translated code with itself not done: memory accesses and floating point. */
  readonly mayLeave: boolean;
  /** The interpreter's: it changes more than registers and memory. CSR instructions are, but for floating-point CSRs. */
  readonly isCold: boolean;
  /** What follows it is no continuation of it. */
  readonly isLeaving: boolean;
  readonly isCsr: boolean;
  /** A CSR instruction that sets or clears bits. */
  readonly isBitwise: boolean;
  /** A plain load or store: rs1 + imm. */
  readonly isAccess: boolean;
  readonly isStore: boolean;
  /** It computes an x register from x registers, and nothing else happens. */
  readonly isPlain: boolean;
}

const COLD = new Set(["ecall", "ebreak", "mret", "sret", "wfi", "sfence.vma"]);

const LEAVING = new Set(["ebreak", "mret", "sret"]);

const PLAIN_EXTENSIONS = new Set(["i", "m", "zba", "zbb", "zbs", "zicond"]);

const shapes: readonly InsnShape[] = rows.map((r) => {
  const args = r.args.split(","), has = (a: string) => args.includes(a), address = has("i(rs1)") || has("s(rs1)") || has("(rs1)");
  return {
    readsX1: has("rs1") || address, readsX2: has("rs2"), writesX: has("rd"), readsF1: has("fs1"), readsF2: has("fs2"), readsF3: has("fs3"),
    writesF: has("fd"), isBranch: has("b"), hasRm: has("rm"), mayLeave: address && r.name !== "jalr" || r.ext === "f" || r.ext === "d" || has("csr"),
    isCold: COLD.has(r.name), isLeaving: LEAVING.has(r.name), isCsr: has("csr"), isBitwise: /^csrr[sc]/.test(r.name),
    isAccess: (has("i(rs1)") && r.name !== "jalr") || has("s(rs1)"), isStore: has("s(rs1)"),
    isPlain: has("rd") && !address && !has("b") && !has("j") && !has("csr") && !COLD.has(r.name) && PLAIN_EXTENSIONS.has(r.ext) && !/^(div|rem)/.test(r.name),
  };
});

export function shapeOf(row: number): InsnShape {
  return shapes[row]!;
}

/** Whether an instruction is always the interpreter's; rounding modes 5 and 6 are reserved. => imm: of a CSR instruction all its bits */
export function isPunted(shape: InsnShape, imm: number): boolean {
  return shape.isCold || (shape.isCsr && !isFloatCsr(imm >>> 20) && !isSieSwitch(shape, imm)) || (shape.hasRm && (imm === 5 || imm === 6));
}

/** An instruction that switches interrupts on or off, or may do so: by a register it may concern other bits, which are the interpreter's. */
export function isSieSwitch(shape: InsnShape, imm: number): boolean {
  return shape.isBitwise && imm >>> 20 === SSTATUS && (shape.readsX1 || ((imm >>> 15) & 31 & ~MSTATUS_SIE) === 0);
}

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, d: 8 };
const sizes = rows.map((r, at) => (shapes[at]!.isAccess ? SIZES[r.name.replace(/^f?[ls]|u$/g, "")] ?? 0 : 0));

/** Bytes that a plain load or store moves. */
export function sizeOfRow(row: number): number {
  return sizes[row]!;
}
