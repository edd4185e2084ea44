// F and D. The fast way is the wasm operation alone: right when it rounds to nearest even, NX is set already (so that a
// lost bit changes no flag) and the result is an ordinary number. Everything else is done exactly in TypeScript.
//
// coldFloat's numbers name the operation for hart/softfloat.ts: FP_* below, plus FP_SINGLE for the single form.
import type { Op } from "../jit/wasm.ts";
import { FRM } from "../hart/layout.ts";
import type { Builder, Row, Semantics, V } from "./builder.ts";

export const FP_ADD = 0, FP_SUB = 1, FP_MUL = 2, FP_DIV = 3, FP_SQRT = 4, FP_MIN = 5, FP_MAX = 6, FP_EQ = 7, FP_LT = 8, FP_LE = 9, FP_CLASS = 10,
  FP_MADD = 11, FP_MSUB = 12, FP_NMSUB = 13, FP_NMADD = 14, FP_TO_W = 15, FP_TO_WU = 16, FP_TO_L = 17, FP_TO_LU = 18, FP_FROM_W = 19,
  FP_FROM_WU = 20, FP_FROM_L = 21, FP_FROM_LU = 22, FP_CONVERT = 23;
/** Added for the single form; of FP_CONVERT: to single. */
export const FP_SINGLE = 32;

const R = 0xfe00707f | 0, RM = 0xfe00007f | 0, RM_UNARY = 0xfff0007f | 0, UNARY = 0xfff0707f | 0, R4 = 0x0600007f, I = 0x707f;
const RTZ = 1, RDN = 2, RUP = 3, DYN = 7, RESERVED_MODE = 5, NX = 1;

/** What differs between the formats. */
interface Format {
  readonly suffix: "s" | "d";
  readonly ext: "f" | "d";
  readonly bits: number;
  readonly cold: number;
  readonly t: "f32" | "f64";
  value(c: Builder, r: "fs1" | "fs2" | "fs3"): V;
  set(c: Builder, v: V): void;
  num(n: number): V;
}

const SINGLE: Format = {
  suffix: "s", ext: "f", bits: 0, cold: FP_SINGLE, t: "f32", value: (c, r) => c.f32(r),
  set: (c, v) => c.setFs(c.op("i32.reinterpret_f32", v)), num: (n) => ({ type: 0x7d, bytes: [0x43, ...new Uint8Array(new Float32Array([n]).buffer)] }),
};
const DOUBLE: Format = {
  suffix: "d", ext: "d", bits: 1 << 25, cold: 0, t: "f64", value: (c, r) => c.f64(r),
  set: (c, v) => c.setF(c.op("i64.reinterpret_f64", v)), num: (n) => ({ type: 0x7c, bytes: [0x44, ...new Uint8Array(new Float64Array([n]).buffer)] }),
};
const MIN_NORMAL = { f32: 2 ** -126, f64: 2 ** -1022 };

/** Sums cannot underflow inexactly, so any finite one stands; products and quotients must be normal. */
function ordinary(c: Builder, f: Format, result: V, sum: boolean): V {
  const size = c.let(c.op(`${f.t}.abs` as Op, result)), finite = c.op(`${f.t}.lt` as Op, size, f.num(Infinity));
  return sum ? finite : c.op("i32.and", finite, c.op(`${f.t}.gt` as Op, size, f.num(MIN_NORMAL[f.t])));
}

const binary = (f: Format, op: string, number: number): Semantics => (c) => {
  c.needFloat();
  const sum = op === "add" || op === "sub", held = (v: V) => (sum ? v : c.let(v)), a = held(f.value(c, "fs1")), b = held(f.value(c, "fs2"));
  const result = c.let(c.op(`${f.t}.${op}` as Op, a, b));
  const stands = c.op("i32.and", c.fastRounding(), ordinary(c, f, result, sum)), exactly = () => c.coldFloat(number + f.cold);
  const isZero = (v: V) => c.op(`${f.t}.eq` as Op, v, f.num(0));
  // A zero that comes of a zero is exact in every mode that is one.
  const zero = () => c.op("i32.and", isZero(result), c.op("i32.and", validMode(c), op === "mul" ? c.op("i32.or", isZero(a), isZero(b)) : isZero(a)));
  c.when(stands, () => f.set(c, result), sum ? exactly : () => c.when(zero(), () => f.set(c, result), exactly));
};

/** A dynamic rounding mode would not be reserved; static ones that are do not get here. */
const validMode = (c: Builder): V => c.op("i32.lt_u", c.field("i32.load", FRM), c.i32(RESERVED_MODE));

const sqrt = (f: Format): Semantics => (c) => {
  c.needFloat();
  const result = c.let(c.op(`${f.t}.sqrt` as Op, f.value(c, "fs1")));
  c.when(c.op("i32.and", c.fastRounding(), ordinary(c, f, result, false)), () => f.set(c, result), () => c.coldFloat(FP_SQRT + f.cold));
};

/** Sign injection on raw bits; an unboxed single counts as the canonical NaN. */
const inject = (f: Format, how: "copy" | "negate" | "xor"): Semantics => (c) => {
  c.needFloat();
  const single = f.t === "f32", t = single ? "i32" : "i64", bitsOf = (r: "fs1" | "fs2") => (single ? c.op("i32.reinterpret_f32", c.f32(r)) : c.fbits(r));
  const sign = single ? c.i32(-0x80000000) : c.i64(-0x8000000000000000n), rest = single ? c.i32(0x7fffffff) : c.i64(0x7fffffffffffffffn);
  const a = c.let(bitsOf("fs1")), b = bitsOf("fs2");
  const flip = how === "negate" ? c.op(`${t}.xor`, b, single ? c.i32(-1) : c.i64(-1n)) : b;
  const result = how === "xor" ? c.op(`${t}.xor`, a, c.op(`${t}.and`, b, sign)) : c.op(`${t}.or`, c.op(`${t}.and`, a, rest), c.op(`${t}.and`, flip, sign));
  if (single) c.setFs(result);
  else c.setF(result);
};

const extreme = (f: Format, op: "min" | "max", number: number): Semantics => (c) => {
  c.needFloat();
  const result = c.let(c.op(`${f.t}.${op}` as Op, f.value(c, "fs1"), f.value(c, "fs2")));
  c.when(c.op(`${f.t}.eq` as Op, result, result), () => f.set(c, result), () => c.coldFloat(number + f.cold));
};

const compare = (f: Format, op: "eq" | "lt" | "le", number: number): Semantics => (c) => {
  c.needFloat();
  const a = c.let(f.value(c, "fs1")), b = c.let(f.value(c, "fs2")), t = f.t;
  c.when(c.op("i32.and", c.op(`${t}.eq` as Op, a, a), c.op(`${t}.eq` as Op, b, b)),
    () => c.setX(c.op("i64.extend_i32_u", c.op(`${t}.${op}` as Op, a, b))), () => c.coldFloat(number + f.cold));
};

/** Floating point to integer, within the range of the target; rounding to nearest with ties away is left to TypeScript. */
const toInteger = (f: Format, number: number, low: number, high: number, narrow: boolean): Semantics => (c) => {
  c.needFloat();
  const v = c.let(f.t === "f32" ? c.op("f64.promote_f32", c.f32("fs1")) : c.f64("fs1")), field = c.let(c.imm32());
  const mode = c.let(c.select(c.op("i32.eq", field, c.i32(DYN)), c.field("i32.load", FRM), field)), is = (m: number) => c.op("i32.eq", mode, c.i32(m));
  const directed = c.select(is(RDN), c.op("f64.floor", v), c.select(is(RUP), c.op("f64.ceil", v), c.op("f64.nearest", v)));
  const rounded = c.let(c.select(is(RTZ), c.op("f64.trunc", v), directed));
  const inRange = c.op("i32.and", c.op("f64.gt", rounded, DOUBLE.num(low)), c.op("f64.lt", rounded, DOUBLE.num(high)));
  c.when(c.op("i32.and", c.op("i32.le_u", mode, c.i32(RUP)), inRange), () => {
    const whole = c.let(c.op("i64.trunc_f64_s", rounded));
    if (narrow) c.setW(c.op("i32.wrap_i64", whole));
    else c.setX(whole);
    c.when(c.op("f64.ne", rounded, v), () => c.raiseFlags(c.i32(NX)));
  }, () => c.coldFloat(number + f.cold));
};

/** An integer that the format holds exactly needs no rounding; only a reserved frm can make the instruction illegal. */
const fromInteger = (f: Format, number: number, wide: boolean, signed: boolean): Semantics => (c) => {
  c.needFloat();
  const v = c.let(wide ? c.x("rs1") : c.op(signed ? "i64.extend_i32_s" : "i64.extend_i32_u", c.w("rs1")));
  const limit = f.t === "f32" ? 1n << 24n : 1n << 53n;
  const small = signed ? c.op("i64.le_u", c.op("i64.add", v, c.i64(limit)), c.i64(2n * limit)) : c.op("i64.le_u", v, c.i64(limit));
  c.when(c.op("i32.and", small, validMode(c)),
    () => f.set(c, c.op(f.t === "f32" ? "f32.convert_i64_s" : "f64.convert_i64_s", v)), () => c.coldFloat(number + f.cold));
};

function narrow(c: Builder): void {
  c.needFloat();
  const v = c.let(c.f64("fs1")), result = c.let(c.op("f32.demote_f64", v));
  const exact = c.op("i32.and", validMode(c), c.op("f64.eq", c.op("f64.promote_f32", result), v));
  c.when(c.op("i32.or", exact, c.op("i32.and", c.fastRounding(), ordinary(c, SINGLE, result, false))),
    () => SINGLE.set(c, result), () => c.coldFloat(FP_CONVERT + FP_SINGLE));
}

function widen(c: Builder): void {
  c.needFloat();
  const result = c.let(c.op("f64.promote_f32", c.f32("fs1")));
  c.when(c.op("i32.and", c.op("f64.eq", result, result), validMode(c)), () => DOUBLE.set(c, result), () => c.coldFloat(FP_CONVERT));
}

/** One bit of ten: the sign and the exponent choose among the numbers, the fraction's first bit among the NaNs. */
const classify = (f: Format): Semantics => (c) => {
  c.needFloat();
  const single = f.t === "f32", fractionBits = single ? 23n : 52n, top = single ? 255n : 2047n, num = (n: bigint) => c.i64(n);
  const bits = c.let(single ? c.op("i64.extend_i32_u", c.op("i32.reinterpret_f32", c.f32("fs1"))) : c.fbits("fs1"));
  const exponent = c.let(c.op("i64.and", c.op("i64.shr_u", bits, num(fractionBits)), num(top)));
  const fraction = c.let(c.op("i64.and", bits, num((1n << fractionBits) - 1n))), none = c.let(c.op("i64.eqz", fraction));
  const negative = c.op("i64.ne", c.op("i64.shr_u", bits, num(single ? 31n : 63n)), num(0n));
  // Infinity, normal, subnormal, zero are 0 to 3 from the negative end, mirrored for positive numbers.
  const small = c.select(none, num(3n), num(2n)), size = c.let(c.select(c.op("i64.eqz", exponent), small, num(1n)));
  const isTop = c.let(c.op("i64.eq", exponent, num(top))), kind = c.let(c.select(isTop, num(0n), size));
  const number = c.select(negative, kind, c.op("i64.sub", num(7n), kind));
  const nan = c.select(c.op("i64.eqz", c.op("i64.shr_u", fraction, num(fractionBits - 1n))), num(8n), num(9n));
  c.setX(c.op("i64.shl", num(1n), c.select(c.op("i32.and", isTop, c.op("i32.eqz", none)), nan, number)));
};

/**
 * A fused operation of singles in doubles: the product is exact, and the sum is rounded to odd, which makes rounding it again
 * to a single the same as rounding once.
 */
function sumToOdd(c: Builder, product: V, addend: V): V {
  const p = c.let(product), d = c.let(addend), sum = c.let(c.op("f64.add", p, d)), back = c.let(c.op("f64.sub", sum, p));
  const error = c.let(c.op("f64.add", c.op("f64.sub", p, c.op("f64.sub", sum, back)), c.op("f64.sub", d, back)));
  const bits = c.let(c.op("i64.reinterpret_f64", sum)), zero = DOUBLE.num(0);
  const away = c.op("i32.eq", c.op("f64.gt", error, zero), c.op("f64.gt", sum, zero));
  const moves = c.op("i32.and", c.op("f64.ne", error, zero), c.op("i64.eqz", c.op("i64.and", bits, c.i64(1n))));
  const odd = c.op("i64.add", bits, c.select(away, c.i64(1n), c.i64(-1n)));
  return c.op("f64.reinterpret_i64", c.select(moves, odd, bits));
}

/** fmadd and its relatives: the signs of product and addend. */
const fused = (f: Format, number: number, negateProduct: boolean, negateAddend: boolean): Semantics => (c) => {
  c.needFloat();
  const single = f.t === "f32", wide = (v: V) => (single ? c.op("f64.promote_f32", v) : v);
  const first = wide(f.value(c, "fs1")), a = negateProduct ? c.op("f64.neg", first) : first, b = wide(f.value(c, "fs2"));
  const third = wide(f.value(c, "fs3")), d = negateAddend ? c.op("f64.neg", third) : third;
  const result = c.let(single ? c.op("f32.demote_f64", sumToOdd(c, c.op("f64.mul", a, b), d)) : c.fma(a, b, d));
  c.when(c.op("i32.and", c.fastRounding(), ordinary(c, f, result, false)), () => f.set(c, result), () => c.coldFloat(number + f.cold));
};

function rowsOf(f: Format): Row[] {
  const { suffix: s, ext, bits } = f;
  const row = (name: string, match: number, mask: number, args: string, sem: Semantics): Row =>
    ({ name: `${name}.${s}`, match: (match | bits) | 0, mask, args, sem, ext });
  const fused4 = (name: string, opcode: number, number: number, product: boolean, addend: boolean) =>
    row(name, opcode, R4, "fd,fs1,fs2,fs3,rm", fused(f, number, product, addend));
  return [
    row("fadd", 0x53, RM, "fd,fs1,fs2,rm", binary(f, "add", FP_ADD)), row("fsub", 0x08000053, RM, "fd,fs1,fs2,rm", binary(f, "sub", FP_SUB)),
    row("fmul", 0x10000053, RM, "fd,fs1,fs2,rm", binary(f, "mul", FP_MUL)), row("fdiv", 0x18000053, RM, "fd,fs1,fs2,rm", binary(f, "div", FP_DIV)),
    row("fsqrt", 0x58000053, RM_UNARY, "fd,fs1,rm", sqrt(f)),
    row("fsgnj", 0x20000053, R, "fd,fs1,fs2", inject(f, "copy")), row("fsgnjn", 0x20001053, R, "fd,fs1,fs2", inject(f, "negate")),
    row("fsgnjx", 0x20002053, R, "fd,fs1,fs2", inject(f, "xor")),
    row("fmin", 0x28000053, R, "fd,fs1,fs2", extreme(f, "min", FP_MIN)), row("fmax", 0x28001053, R, "fd,fs1,fs2", extreme(f, "max", FP_MAX)),
    row("feq", 0xa0002053, R, "rd,fs1,fs2", compare(f, "eq", FP_EQ)), row("flt", 0xa0001053, R, "rd,fs1,fs2", compare(f, "lt", FP_LT)),
    row("fle", 0xa0000053, R, "rd,fs1,fs2", compare(f, "le", FP_LE)),
    row("fclass", 0xe0001053, UNARY, "rd,fs1", classify(f)),
    fused4("fmadd", 0x43, FP_MADD, false, false), fused4("fmsub", 0x47, FP_MSUB, false, true),
    fused4("fnmsub", 0x4b, FP_NMSUB, true, false), fused4("fnmadd", 0x4f, FP_NMADD, true, true),
    ...conversionsOf(f),
  ];
}

function conversionsOf(f: Format): Row[] {
  const { suffix: s, ext, bits } = f;
  const to = (type: string, n: number, sem: Semantics): Row =>
    ({ name: `fcvt.${type}.${s}`, match: (0xc0000053 | bits | (n << 20)) | 0, mask: RM_UNARY, args: "rd,fs1,rm", sem, ext });
  const from = (type: string, n: number, sem: Semantics): Row =>
    ({ name: `fcvt.${s}.${type}`, match: (0xd0000053 | bits | (n << 20)) | 0, mask: RM_UNARY, args: "fd,rs1,rm", sem, ext });
  return [
    to("w", 0, toInteger(f, FP_TO_W, -2147483649, 2147483648, true)), to("wu", 1, toInteger(f, FP_TO_WU, -1, 4294967296, true)),
    to("l", 2, toInteger(f, FP_TO_L, -(2 ** 63), 2 ** 63, false)), to("lu", 3, toInteger(f, FP_TO_LU, -1, 2 ** 63, false)),
    from("w", 0, fromInteger(f, FP_FROM_W, false, true)), from("wu", 1, fromInteger(f, FP_FROM_WU, false, false)),
    from("l", 2, fromInteger(f, FP_FROM_L, true, true)), from("lu", 3, fromInteger(f, FP_FROM_LU, true, false)),
  ];
}

const withFloat = (sem: Semantics): Semantics => (c) => { c.needFloat(); sem(c); };
const address = (c: Builder): V => c.op("i64.add", c.x("rs1"), c.imm());

const moves: Row[] = [
  { name: "fmv.x.w", match: 0xe0000053 | 0, mask: UNARY, args: "rd,fs1", ext: "f", sem: withFloat((c) => c.setX(c.op("i64.extend32_s", c.fbits("fs1")))) },
  { name: "fmv.w.x", match: 0xf0000053 | 0, mask: UNARY, args: "fd,rs1", ext: "f", sem: withFloat((c) => c.setFs(c.w("rs1"))) },
  { name: "fmv.x.d", match: 0xe2000053 | 0, mask: UNARY, args: "rd,fs1", ext: "d", sem: withFloat((c) => c.setX(c.fbits("fs1"))) },
  { name: "fmv.d.x", match: 0xf2000053 | 0, mask: UNARY, args: "fd,rs1", ext: "d", sem: withFloat((c) => c.setF(c.x("rs1"))) },
  { name: "fcvt.s.d", match: 0x40100053, mask: RM_UNARY, args: "fd,fs1,rm", ext: "d", sem: narrow },
  { name: "fcvt.d.s", match: 0x42000053, mask: RM_UNARY, args: "fd,fs1,rm", ext: "d", sem: widen },
  { name: "flw", match: 0x2007, mask: I, args: "fd,i(rs1)", ext: "f",
    sem: withFloat((c) => c.setFs(c.op("i32.wrap_i64", c.load("i64.load32_u", address(c))))) },
  { name: "fld", match: 0x3007, mask: I, args: "fd,i(rs1)", ext: "d", sem: withFloat((c) => c.setF(c.load("i64.load", address(c)))) },
  { name: "fsw", match: 0x2027, mask: I, args: "fs2,s(rs1)", ext: "f", sem: withFloat((c) => c.store("i64.store32", address(c), c.fbits("fs2"))) },
  { name: "fsd", match: 0x3027, mask: I, args: "fs2,s(rs1)", ext: "d", sem: withFloat((c) => c.store("i64.store", address(c), c.fbits("fs2"))) },
];

export const floatRows: readonly Row[] = [...rowsOf(SINGLE), ...rowsOf(DOUBLE), ...moves];
