// RV64I, M, Zicond, Zba, Zbb and Zbs: instructions on x registers alone, loads, stores and jumps.
import type { MemoryOp } from "../jit/wasm.ts";
import type { Builder, Row, Semantics, V } from "./builder.ts";

const R = 0xfe00707f, I = 0x0000707f, SHIFT6 = 0xfc00707f, UNARY = 0xfff0707f | 0, OPCODE = 0x7f;

/** The four forms of register-register and register-immediate instructions. */
const r = (ext: string, name: string, match: number, sem: Semantics): Row => ({ name, match, mask: R | 0, args: "rd,rs1,rs2", sem, ext });
const i = (ext: string, name: string, match: number, sem: Semantics): Row => ({ name, match, mask: I, args: "rd,rs1,i", sem, ext });
const sh6 = (ext: string, name: string, match: number, sem: Semantics): Row => ({ name, match, mask: SHIFT6 | 0, args: "rd,rs1,sh6", sem, ext });
const sh5 = (ext: string, name: string, match: number, sem: Semantics): Row => ({ name, match, mask: R | 0, args: "rd,rs1,sh5", sem, ext });
const unary = (ext: string, name: string, match: number, sem: Semantics): Row => ({ name, match: match | 0, mask: UNARY, args: "rd,rs1", sem, ext });

const bool = (c: Builder, v: V): V => c.op("i64.extend_i32_u", v);
const not = (c: Builder, v: V): V => c.op("i64.xor", v, c.i64(-1n));

/** The high 64 bits of a product, from four 32-bit products. */
function mulHighUnsigned(c: Builder, a: V, b: V): V {
  const low = c.i64(0xffffffffn), thirtyTwo = c.i64(32n);
  const al = c.let(c.op("i64.and", a, low)), ah = c.let(c.op("i64.shr_u", a, thirtyTwo));
  const bl = c.let(c.op("i64.and", b, low)), bh = c.let(c.op("i64.shr_u", b, thirtyTwo));
  const mid = c.let(c.op("i64.add", c.op("i64.mul", ah, bl), c.op("i64.shr_u", c.op("i64.mul", al, bl), thirtyTwo)));
  const mid2 = c.let(c.op("i64.add", c.op("i64.mul", al, bh), c.op("i64.and", mid, low)));
  return c.op("i64.add", c.op("i64.add", c.op("i64.mul", ah, bh), c.op("i64.shr_u", mid, thirtyTwo)), c.op("i64.shr_u", mid2, thirtyTwo));
}

/** Corrects an unsigned high product for a signed operand: minus `other` when `v` is negative. */
const correction = (c: Builder, v: V, other: V): V => c.op("i64.and", c.op("i64.shr_s", v, c.i64(63n)), other);

function mulh(c: Builder): void {
  const a = c.let(c.x("rs1")), b = c.let(c.x("rs2"));
  c.setX(c.op("i64.sub", c.op("i64.sub", mulHighUnsigned(c, a, b), correction(c, a, b)), correction(c, b, a)));
}

function mulhsu(c: Builder): void {
  const a = c.let(c.x("rs1")), b = c.let(c.x("rs2"));
  c.setX(c.op("i64.sub", mulHighUnsigned(c, a, b), correction(c, a, b)));
}

function mulhu(c: Builder): void {
  c.setX(mulHighUnsigned(c, c.let(c.x("rs1")), c.let(c.x("rs2"))));
}

/** Division by zero gives -1, or the dividend as remainder; the one overflow gives the dividend, or 0. */
const divide = (wide: boolean, signed: boolean, remainder: boolean): Semantics => (c) => {
  const t = wide ? "i64" : "i32", set = (v: V) => (wide ? c.setX(v) : c.setW(v)), num = (n: number) => (wide ? c.i64(BigInt(n)) : c.i32(n));
  const a = c.let(wide ? c.x("rs1") : c.w("rs1")), b = c.let(wide ? c.x("rs2") : c.w("rs2"));
  const plain = () => set(c.op(`${t}.${remainder ? "rem" : "div"}_${signed ? "s" : "u"}` as const, a, b));
  // Negating covers the overflow case and costs no more than testing for it; wasm's rem_s never traps on it.
  const safe = () => (signed && !remainder ? c.when(c.op(`${t}.eq`, b, num(-1)), () => set(c.op(`${t}.sub`, num(0), a)), plain) : plain());
  c.when(c.op(`${t}.eqz`, b), () => set(remainder ? a : num(-1)), safe);
};

const loadRow = (name: string, funct3: number, op: MemoryOp): Row =>
  ({ name, match: 0x03 | (funct3 << 12), mask: I, args: "rd,i(rs1)", ext: "i", sem: (c) => c.setX(c.load(op, c.op("i64.add", c.x("rs1"), c.imm()))) });
const storeRow = (name: string, funct3: number, op: MemoryOp): Row =>
  ({ name, match: 0x23 | (funct3 << 12), mask: I, args: "rs2,s(rs1)", ext: "i", sem: (c) => c.store(op, c.op("i64.add", c.x("rs1"), c.imm()), c.x("rs2")) });
const branchRow = (name: string, funct3: number, op: "i64.eq" | "i64.ne" | "i64.lt_s" | "i64.ge_s" | "i64.lt_u" | "i64.ge_u"): Row =>
  ({ name, match: 0x63 | (funct3 << 12), mask: I, args: "rs1,rs2,b", ext: "i", sem: (c) => c.branch(c.op(op, c.x("rs1"), c.x("rs2"))) });

/** Shifts take the low 5 bits of an i32 amount in wasm, as in RISC-V: no masking. */
const baseRows: Row[] = [
  { name: "lui", match: 0x37, mask: OPCODE, args: "rd,u", ext: "i", sem: (c) => c.setX(c.imm()) },
  { name: "auipc", match: 0x17, mask: OPCODE, args: "rd,u", ext: "i", sem: (c) => c.setX(c.op("i64.add", c.pc(), c.imm())) },
  { name: "jal", match: 0x6f, mask: OPCODE, args: "rd,j", ext: "i", sem: (c) => { c.setX(c.next()); c.jumpRelative(); } },
  { name: "jalr", match: 0x67, mask: I, args: "rd,i(rs1)", ext: "i", sem: (c) => {
    const target = c.let(c.op("i64.add", c.x("rs1"), c.imm()));
    c.setX(c.next());
    c.jump(target);
  } },
  branchRow("beq", 0, "i64.eq"), branchRow("bne", 1, "i64.ne"), branchRow("blt", 4, "i64.lt_s"), branchRow("bge", 5, "i64.ge_s"),
  branchRow("bltu", 6, "i64.lt_u"), branchRow("bgeu", 7, "i64.ge_u"),
  loadRow("lb", 0, "i64.load8_s"), loadRow("lh", 1, "i64.load16_s"), loadRow("lw", 2, "i64.load32_s"), loadRow("ld", 3, "i64.load"),
  loadRow("lbu", 4, "i64.load8_u"), loadRow("lhu", 5, "i64.load16_u"), loadRow("lwu", 6, "i64.load32_u"),
  storeRow("sb", 0, "i64.store8"), storeRow("sh", 1, "i64.store16"), storeRow("sw", 2, "i64.store32"), storeRow("sd", 3, "i64.store"),
  i("i", "addi", 0x13, (c) => c.setX(c.op("i64.add", c.x("rs1"), c.imm()))),
  i("i", "slti", 0x2013, (c) => c.setX(bool(c, c.op("i64.lt_s", c.x("rs1"), c.imm())))),
  i("i", "sltiu", 0x3013, (c) => c.setX(bool(c, c.op("i64.lt_u", c.x("rs1"), c.imm())))),
  i("i", "xori", 0x4013, (c) => c.setX(c.op("i64.xor", c.x("rs1"), c.imm()))),
  i("i", "ori", 0x6013, (c) => c.setX(c.op("i64.or", c.x("rs1"), c.imm()))),
  i("i", "andi", 0x7013, (c) => c.setX(c.op("i64.and", c.x("rs1"), c.imm()))),
  sh6("i", "slli", 0x1013, (c) => c.setX(c.op("i64.shl", c.x("rs1"), c.imm()))),
  sh6("i", "srli", 0x5013, (c) => c.setX(c.op("i64.shr_u", c.x("rs1"), c.imm()))),
  sh6("i", "srai", 0x40005013, (c) => c.setX(c.op("i64.shr_s", c.x("rs1"), c.imm()))),
  r("i", "add", 0x33, (c) => c.setX(c.op("i64.add", c.x("rs1"), c.x("rs2")))),
  r("i", "sub", 0x40000033, (c) => c.setX(c.op("i64.sub", c.x("rs1"), c.x("rs2")))),
  r("i", "sll", 0x1033, (c) => c.setX(c.op("i64.shl", c.x("rs1"), c.x("rs2")))),
  r("i", "slt", 0x2033, (c) => c.setX(bool(c, c.op("i64.lt_s", c.x("rs1"), c.x("rs2"))))),
  r("i", "sltu", 0x3033, (c) => c.setX(bool(c, c.op("i64.lt_u", c.x("rs1"), c.x("rs2"))))),
  r("i", "xor", 0x4033, (c) => c.setX(c.op("i64.xor", c.x("rs1"), c.x("rs2")))),
  r("i", "srl", 0x5033, (c) => c.setX(c.op("i64.shr_u", c.x("rs1"), c.x("rs2")))),
  r("i", "sra", 0x40005033, (c) => c.setX(c.op("i64.shr_s", c.x("rs1"), c.x("rs2")))),
  r("i", "or", 0x6033, (c) => c.setX(c.op("i64.or", c.x("rs1"), c.x("rs2")))),
  r("i", "and", 0x7033, (c) => c.setX(c.op("i64.and", c.x("rs1"), c.x("rs2")))),
  i("i", "addiw", 0x1b, (c) => c.setW(c.op("i32.add", c.w("rs1"), c.imm32()))),
  sh5("i", "slliw", 0x101b, (c) => c.setW(c.op("i32.shl", c.w("rs1"), c.imm32()))),
  sh5("i", "srliw", 0x501b, (c) => c.setW(c.op("i32.shr_u", c.w("rs1"), c.imm32()))),
  sh5("i", "sraiw", 0x4000501b, (c) => c.setW(c.op("i32.shr_s", c.w("rs1"), c.imm32()))),
  r("i", "addw", 0x3b, (c) => c.setW(c.op("i32.add", c.w("rs1"), c.w("rs2")))),
  r("i", "subw", 0x4000003b, (c) => c.setW(c.op("i32.sub", c.w("rs1"), c.w("rs2")))),
  r("i", "sllw", 0x103b, (c) => c.setW(c.op("i32.shl", c.w("rs1"), c.w("rs2")))),
  r("i", "srlw", 0x503b, (c) => c.setW(c.op("i32.shr_u", c.w("rs1"), c.w("rs2")))),
  r("i", "sraw", 0x4000503b, (c) => c.setW(c.op("i32.shr_s", c.w("rs1"), c.w("rs2")))),
];

const mRows: Row[] = [
  r("m", "mul", 0x02000033, (c) => c.setX(c.op("i64.mul", c.x("rs1"), c.x("rs2")))),
  r("m", "mulh", 0x02001033, mulh), r("m", "mulhsu", 0x02002033, mulhsu), r("m", "mulhu", 0x02003033, mulhu),
  r("m", "div", 0x02004033, divide(true, true, false)), r("m", "divu", 0x02005033, divide(true, false, false)),
  r("m", "rem", 0x02006033, divide(true, true, true)), r("m", "remu", 0x02007033, divide(true, false, true)),
  r("m", "mulw", 0x0200003b, (c) => c.setW(c.op("i32.mul", c.w("rs1"), c.w("rs2")))),
  r("m", "divw", 0x0200403b, divide(false, true, false)), r("m", "divuw", 0x0200503b, divide(false, false, false)),
  r("m", "remw", 0x0200603b, divide(false, true, true)), r("m", "remuw", 0x0200703b, divide(false, false, true)),
];

const condRows: Row[] = [
  r("zicond", "czero.eqz", 0x0e005033, (c) => c.setX(c.select(c.op("i64.eqz", c.x("rs2")), c.i64(0n), c.x("rs1")))),
  r("zicond", "czero.nez", 0x0e007033, (c) => c.setX(c.select(c.op("i64.eqz", c.x("rs2")), c.x("rs1"), c.i64(0n)))),
];

const shadd = (name: string, match: number, n: bigint): Row =>
  r("zba", name, match, (c) => c.setX(c.op("i64.add", c.op("i64.shl", c.x("rs1"), c.i64(n)), c.x("rs2"))));
const shaddUw = (name: string, match: number, n: bigint): Row =>
  r("zba", name, match, (c) => c.setX(c.op("i64.add", c.op("i64.shl", c.op("i64.extend_i32_u", c.w("rs1")), c.i64(n)), c.x("rs2"))));

const zbaRows: Row[] = [
  shadd("sh1add", 0x20002033, 1n), shadd("sh2add", 0x20004033, 2n), shadd("sh3add", 0x20006033, 3n),
  shaddUw("add.uw", 0x0800003b, 0n), shaddUw("sh1add.uw", 0x2000203b, 1n), shaddUw("sh2add.uw", 0x2000403b, 2n), shaddUw("sh3add.uw", 0x2000603b, 3n),
  sh6("zba", "slli.uw", 0x0800101b, (c) => c.setX(c.op("i64.shl", c.op("i64.extend_i32_u", c.w("rs1")), c.imm()))),
];

const pick = (op: "i64.lt_s" | "i64.lt_u" | "i64.gt_s" | "i64.gt_u"): Semantics => (c) => {
  const a = c.let(c.x("rs1")), b = c.let(c.x("rs2"));
  c.setX(c.select(c.op(op, a, b), a, b));
};

/** All-ones in each byte that is not zero: the sum carries into the top bit of such a byte. */
function orcb(c: Builder): void {
  const v = c.let(c.x("rs1")), low7 = c.i64(0x7f7f7f7f7f7f7f7fn);
  const tops = c.op("i64.and", c.op("i64.or", c.op("i64.add", c.op("i64.and", v, low7), low7), v), c.i64(-0x7f7f7f7f7f7f7f80n));
  const ones = c.let(c.op("i64.shr_u", tops, c.i64(7n)));
  c.setX(c.op("i64.mul", ones, c.i64(255n)));
}

function rev8(c: Builder): void {
  let v = c.x("rs1");
  for (const [bits, mask] of [[8n, 0x00ff00ff00ff00ffn], [16n, 0x0000ffff0000ffffn]] as const) {
    const whole = c.let(v);
    v = c.op("i64.or", c.op("i64.shl", c.op("i64.and", whole, c.i64(mask)), c.i64(bits)), c.op("i64.and", c.op("i64.shr_u", whole, c.i64(bits)), c.i64(mask)));
  }
  c.setX(c.op("i64.rotl", v, c.i64(32n)));
}

const zbbRows: Row[] = [
  r("zbb", "andn", 0x40007033, (c) => c.setX(c.op("i64.and", c.x("rs1"), not(c, c.x("rs2"))))),
  r("zbb", "orn", 0x40006033, (c) => c.setX(c.op("i64.or", c.x("rs1"), not(c, c.x("rs2"))))),
  r("zbb", "xnor", 0x40004033, (c) => c.setX(not(c, c.op("i64.xor", c.x("rs1"), c.x("rs2"))))),
  unary("zbb", "clz", 0x60001013, (c) => c.setX(c.op("i64.clz", c.x("rs1")))),
  unary("zbb", "ctz", 0x60101013, (c) => c.setX(c.op("i64.ctz", c.x("rs1")))),
  unary("zbb", "cpop", 0x60201013, (c) => c.setX(c.op("i64.popcnt", c.x("rs1")))),
  unary("zbb", "sext.b", 0x60401013, (c) => c.setX(c.op("i64.extend8_s", c.x("rs1")))),
  unary("zbb", "sext.h", 0x60501013, (c) => c.setX(c.op("i64.extend16_s", c.x("rs1")))),
  unary("zbb", "clzw", 0x6000101b, (c) => c.setW(c.op("i32.clz", c.w("rs1")))),
  unary("zbb", "ctzw", 0x6010101b, (c) => c.setW(c.op("i32.ctz", c.w("rs1")))),
  unary("zbb", "cpopw", 0x6020101b, (c) => c.setW(c.op("i32.popcnt", c.w("rs1")))),
  unary("zbb", "zext.h", 0x0800403b, (c) => c.setX(c.op("i64.and", c.x("rs1"), c.i64(0xffffn)))),
  unary("zbb", "orc.b", 0x28705013, orcb), unary("zbb", "rev8", 0x6b805013, rev8),
  r("zbb", "max", 0x0a006033, pick("i64.gt_s")), r("zbb", "maxu", 0x0a007033, pick("i64.gt_u")),
  r("zbb", "min", 0x0a004033, pick("i64.lt_s")), r("zbb", "minu", 0x0a005033, pick("i64.lt_u")),
  r("zbb", "rol", 0x60001033, (c) => c.setX(c.op("i64.rotl", c.x("rs1"), c.x("rs2")))),
  r("zbb", "ror", 0x60005033, (c) => c.setX(c.op("i64.rotr", c.x("rs1"), c.x("rs2")))),
  sh6("zbb", "rori", 0x60005013, (c) => c.setX(c.op("i64.rotr", c.x("rs1"), c.imm()))),
  r("zbb", "rolw", 0x6000103b, (c) => c.setW(c.op("i32.rotl", c.w("rs1"), c.w("rs2")))),
  r("zbb", "rorw", 0x6000503b, (c) => c.setW(c.op("i32.rotr", c.w("rs1"), c.w("rs2")))),
  sh5("zbb", "roriw", 0x6000501b, (c) => c.setW(c.op("i32.rotr", c.w("rs1"), c.imm32()))),
];

const bit = (c: Builder, by: V): V => c.op("i64.shl", c.i64(1n), by);
/** A register form and an immediate form of one single-bit operation. */
const single = (name: string, match: number, immediate: number, f: (c: Builder, by: V) => V): Row[] => [
  r("zbs", name, match, (c) => c.setX(f(c, c.x("rs2")))),
  sh6("zbs", `${name}i`, immediate, (c) => c.setX(f(c, c.imm()))),
];

const zbsRows: Row[] = [
  ...single("bclr", 0x48001033, 0x48001013, (c, by) => c.op("i64.and", c.x("rs1"), not(c, bit(c, by)))),
  ...single("bext", 0x48005033, 0x48005013, (c, by) => c.op("i64.and", c.op("i64.shr_u", c.x("rs1"), by), c.i64(1n))),
  ...single("binv", 0x68001033, 0x68001013, (c, by) => c.op("i64.xor", c.x("rs1"), bit(c, by))),
  ...single("bset", 0x28001033, 0x28001013, (c, by) => c.op("i64.or", c.x("rs1"), bit(c, by))),
];

export const integerRows: readonly Row[] = [...baseRows, ...mRows, ...condRows, ...zbaRows, ...zbbRows, ...zbsRows];
