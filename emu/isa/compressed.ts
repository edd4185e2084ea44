// The C extension: each row expands a 16-bit instruction into a 32-bit row and its operands.
//
//   CR  funct4 rd/rs1 rs2 op        CI  funct3 imm rd/rs1 imm op       CSS funct3 imm rs2 op     CIW funct3 imm rd' op
//   CL  funct3 imm rs1' imm rd' op  CS  funct3 imm rs1' imm rs2' op    CB  funct3 off rs1' off op    CJ  funct3 target op
//
// rd' and its like are x8..x15, or f8..f15.

/** Operands after expansion: register numbers and the immediate. */
export interface Operands { rd: number; rs1: number; rs2: number; rs3: number; imm: number }

export interface CompressedRow {
  readonly name: string;
  readonly match: number;
  readonly mask: number;
  /** The 32-bit instruction that it is. */
  readonly base: string;
  /** Fills in the operands. => false for a reserved encoding */
  readonly expand: (insn: number, o: Operands) => boolean;
  /** Operands in assembly order, as objdump shows the 16-bit form; see Row.args. */
  readonly args: string;
}

const field = (insn: number, high: number, low: number): number => (insn >>> low) & ((1 << (high - low + 1)) - 1);
const signed = (value: number, bits: number): number => (value << (32 - bits)) >> (32 - bits);

const full = (insn: number): number => field(insn, 11, 7);
const second = (insn: number): number => field(insn, 6, 2);
const low = (insn: number): number => 8 + field(insn, 4, 2);
const high = (insn: number): number => 8 + field(insn, 9, 7);

const ciImm = (insn: number): number => signed((field(insn, 12, 12) << 5) | field(insn, 6, 2), 6);
const shamt = (insn: number): number => (field(insn, 12, 12) << 5) | field(insn, 6, 2);
const wordOffset = (insn: number): number => (field(insn, 12, 10) << 3) | (field(insn, 6, 6) << 2) | (field(insn, 5, 5) << 6);
const doubleOffset = (insn: number): number => (field(insn, 12, 10) << 3) | (field(insn, 6, 5) << 6);
const wordFromSp = (insn: number): number => (field(insn, 12, 12) << 5) | (field(insn, 6, 4) << 2) | (field(insn, 3, 2) << 6);
const doubleFromSp = (insn: number): number => (field(insn, 12, 12) << 5) | (field(insn, 6, 5) << 3) | (field(insn, 4, 2) << 6);
const wordToSp = (insn: number): number => (field(insn, 12, 9) << 2) | (field(insn, 8, 7) << 6);
const doubleToSp = (insn: number): number => (field(insn, 12, 10) << 3) | (field(insn, 9, 7) << 6);
const jumpOffset = (insn: number): number => signed(
  (field(insn, 12, 12) << 11) | (field(insn, 11, 11) << 4) | (field(insn, 10, 9) << 8) | (field(insn, 8, 8) << 10) | (field(insn, 7, 7) << 6)
  | (field(insn, 6, 6) << 7) | (field(insn, 5, 3) << 1) | (field(insn, 2, 2) << 5), 12);
const branchOffset = (insn: number): number => signed(
  (field(insn, 12, 12) << 8) | (field(insn, 11, 10) << 3) | (field(insn, 6, 5) << 6) | (field(insn, 4, 3) << 1) | (field(insn, 2, 2) << 5), 9);

function set(o: Operands, rd: number, rs1: number, rs2: number, imm: number): true {
  o.rd = rd;
  o.rs1 = rs1;
  o.rs2 = rs2;
  o.rs3 = 0;
  o.imm = imm;
  return true;
}

const F3 = 0xe003;
const row = (name: string, match: number, mask: number, base: string, args: string, expand: CompressedRow["expand"]): CompressedRow => ({ name, match, mask, base, args, expand });
/** Register-register arithmetic on rd' (the CA format). */
const arith = (name: string, match: number, base: string) => row(name, match, 0xfc63, base, "rd,rs2", (n, o) => set(o, high(n), high(n), low(n), 0));

export const compressedRows: readonly CompressedRow[] = [
  row("c.addi4spn", 0x0000, F3, "addi", "rd,rs1,i", (n, o) => {
    const imm = (field(n, 12, 11) << 4) | (field(n, 10, 7) << 6) | (field(n, 6, 6) << 2) | (field(n, 5, 5) << 3);
    return set(o, low(n), 2, 0, imm) && imm !== 0;
  }),
  row("c.fld", 0x2000, F3, "fld", "fd,i(rs1)", (n, o) => set(o, low(n), high(n), 0, doubleOffset(n))),
  row("c.lw", 0x4000, F3, "lw", "rd,i(rs1)", (n, o) => set(o, low(n), high(n), 0, wordOffset(n))),
  row("c.ld", 0x6000, F3, "ld", "rd,i(rs1)", (n, o) => set(o, low(n), high(n), 0, doubleOffset(n))),
  row("c.fsd", 0xa000, F3, "fsd", "fs2,s(rs1)", (n, o) => set(o, 0, high(n), low(n), doubleOffset(n))),
  row("c.sw", 0xc000, F3, "sw", "rs2,s(rs1)", (n, o) => set(o, 0, high(n), low(n), wordOffset(n))),
  row("c.sd", 0xe000, F3, "sd", "rs2,s(rs1)", (n, o) => set(o, 0, high(n), low(n), doubleOffset(n))),
  row("c.nop", 0x0001, 0xef83, "addi", "", (_n, o) => set(o, 0, 0, 0, 0)),
  row("c.addi", 0x0001, F3, "addi", "rd,i", (n, o) => set(o, full(n), full(n), 0, ciImm(n))),
  row("c.addiw", 0x2001, F3, "addiw", "rd,i", (n, o) => set(o, full(n), full(n), 0, ciImm(n)) && full(n) !== 0),
  row("c.li", 0x4001, F3, "addi", "rd,i", (n, o) => set(o, full(n), 0, 0, ciImm(n))),
  row("c.addi16sp", 0x6101, 0xef83, "addi", "rd,i", (n, o) => {
    const imm = signed((field(n, 12, 12) << 9) | (field(n, 6, 6) << 4) | (field(n, 5, 5) << 6) | (field(n, 4, 3) << 7) | (field(n, 2, 2) << 5), 10);
    return set(o, 2, 2, 0, imm) && imm !== 0;
  }),
  row("c.lui", 0x6001, F3, "lui", "rd,u", (n, o) => set(o, full(n), 0, 0, ciImm(n) << 12) && ciImm(n) !== 0),
  row("c.srli", 0x8001, 0xec03, "srli", "rd,i", (n, o) => set(o, high(n), high(n), 0, shamt(n))),
  row("c.srai", 0x8401, 0xec03, "srai", "rd,i", (n, o) => set(o, high(n), high(n), 0, shamt(n))),
  row("c.andi", 0x8801, 0xec03, "andi", "rd,i", (n, o) => set(o, high(n), high(n), 0, ciImm(n))),
  arith("c.sub", 0x8c01, "sub"), arith("c.xor", 0x8c21, "xor"), arith("c.or", 0x8c41, "or"), arith("c.and", 0x8c61, "and"),
  arith("c.subw", 0x9c01, "subw"), arith("c.addw", 0x9c21, "addw"),
  row("c.j", 0xa001, F3, "jal", "j", (n, o) => set(o, 0, 0, 0, jumpOffset(n))),
  row("c.beqz", 0xc001, F3, "beq", "rs1,b", (n, o) => set(o, 0, high(n), 0, branchOffset(n))),
  row("c.bnez", 0xe001, F3, "bne", "rs1,b", (n, o) => set(o, 0, high(n), 0, branchOffset(n))),
  row("c.slli", 0x0002, F3, "slli", "rd,i", (n, o) => set(o, full(n), full(n), 0, shamt(n))),
  row("c.fldsp", 0x2002, F3, "fld", "fd,i(rs1)", (n, o) => set(o, full(n), 2, 0, doubleFromSp(n))),
  row("c.lwsp", 0x4002, F3, "lw", "rd,i(rs1)", (n, o) => set(o, full(n), 2, 0, wordFromSp(n)) && full(n) !== 0),
  row("c.ldsp", 0x6002, F3, "ld", "rd,i(rs1)", (n, o) => set(o, full(n), 2, 0, doubleFromSp(n)) && full(n) !== 0),
  row("c.jr", 0x8002, 0xf07f, "jalr", "rs1", (n, o) => set(o, 0, full(n), 0, 0) && full(n) !== 0),
  row("c.mv", 0x8002, 0xf003, "add", "rd,rs2", (n, o) => set(o, full(n), 0, second(n), 0)),
  row("c.ebreak", 0x9002, 0xffff, "ebreak", "", (_n, o) => set(o, 0, 0, 0, 0)),
  row("c.jalr", 0x9002, 0xf07f, "jalr", "rs1", (n, o) => set(o, 1, full(n), 0, 0)),
  row("c.add", 0x9002, 0xf003, "add", "rd,rs2", (n, o) => set(o, full(n), full(n), second(n), 0)),
  row("c.fsdsp", 0xa002, F3, "fsd", "fs2,s(rs1)", (n, o) => set(o, 0, 2, second(n), doubleToSp(n))),
  row("c.swsp", 0xc002, F3, "sw", "rs2,s(rs1)", (n, o) => set(o, 0, 2, second(n), wordToSp(n))),
  row("c.sdsp", 0xe002, F3, "sd", "rs2,s(rs1)", (n, o) => set(o, 0, 2, second(n), doubleToSp(n))),
];
