// Floating-point instructions that the generated code leaves to TypeScript: reads the operands of the record, computes
// exactly, writes register and flags.
//
// Operations that round to nearest are tried with the host's own arithmetic first: where it can be shown that the result is
// exact, or NX is set anyway, nothing else is needed. Programs on whole numbers never set NX and would crawl otherwise.
import {
  FP_ADD, FP_CLASS, FP_CONVERT, FP_DIV, FP_EQ, FP_FROM_L, FP_FROM_LU, FP_FROM_W, FP_FROM_WU, FP_LT, FP_MADD, FP_MAX, FP_MIN, FP_MSUB,
  FP_MUL, FP_NMADD, FP_NMSUB, FP_SINGLE, FP_SQRT, FP_SUB, FP_TO_L, FP_TO_LU, FP_TO_W,
} from "../isa/rows-fd.ts";
import { FFLAGS, FP_FAST_DYN, FP_FAST_RNE, FRM, FS, REC_IMM, REC_RD, REC_RS1, REC_RS2, REC_RS3 } from "./layout.ts";
import * as soft from "./softfloat.ts";

const MIN_NORMAL = 2 ** -1022, SPLIT = 2 ** 27 + 1, LARGE = 2 ** 450, SMALL = 2 ** -450, BOXED = 0xffffffff00000000n, LOW = 0xffffffffn;

/** The floating-point part of a hart's block, with what the fast path reads derived from it. */
export class FloatFields {
  private readonly i32: Int32Array;
  private readonly at: number;

  constructor(memory: ArrayBufferLike, hart: number) {
    this.i32 = new Int32Array(memory);
    this.at = hart / 4;
  }

  get fflags(): number { return this.i32[this.at + FFLAGS / 4]!; }
  set fflags(v: number) { this.i32[this.at + FFLAGS / 4] = v; this.derive(); }
  get frm(): number { return this.i32[this.at + FRM / 4]!; }
  set frm(v: number) { this.i32[this.at + FRM / 4] = v; this.derive(); }
  get fs(): number { return this.i32[this.at + FS / 4]!; }
  set fs(v: number) { this.i32[this.at + FS / 4] = v; }

  private derive(): void {
    const nx = this.fflags & soft.NX;
    this.i32[this.at + FP_FAST_RNE / 4] = nx;
    this.i32[this.at + FP_FAST_DYN / 4] = this.frm === soft.RNE ? nx : 0;
  }
}

export class ColdFloat {
  private readonly fields: FloatFields;
  private readonly hart: number;
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;
  private readonly f32: Float32Array;
  private readonly f64: Float64Array;
  private readonly u64: BigUint64Array;
  private readonly i64: BigInt64Array;
  private readonly out: soft.FloatFlags = { flags: 0 };

  constructor(memory: ArrayBufferLike, hart: number, fields: FloatFields) {
    this.fields = fields;
    this.hart = hart;
    this.u16 = new Uint16Array(memory);
    this.i32 = new Int32Array(memory);
    this.f32 = new Float32Array(memory);
    this.f64 = new Float64Array(memory);
    this.u64 = new BigUint64Array(memory);
    this.i64 = new BigInt64Array(memory);
  }

  /** Performs operation `op` of the record. => false: illegal instruction (reserved rounding mode) */
  perform(op: number, record: number): boolean {
    const rm = this.roundingMode(op, record);
    if (rm > soft.RMM) return false;
    if (rm !== soft.RNE || !((op & FP_SINGLE) !== 0 ? this.quickSingle(op & ~FP_SINGLE, record) : this.quick(op, record))) this.exact(op, record, rm);
    this.fields.fs = 3;
    return true;
  }

  /** Instructions without a rounding mode answer RNE. */
  private roundingMode(op: number, record: number): number {
    const kind = op & ~FP_SINGLE;
    if (kind >= FP_MIN && kind <= FP_CLASS) return soft.RNE;
    const rm = this.i32[(record + REC_IMM) / 4]! & 7;
    return rm === 7 ? this.fields.frm : rm;
  }

  private slot(record: number, field: number): number {
    return (this.hart + this.u16[(record + field) / 2]!) / 8;
  }

  /** Tries the host's double arithmetic. => done */
  private quick(op: number, record: number): boolean {
    const a = this.f64[this.slot(record, REC_RS1)]!, b = this.f64[this.slot(record, REC_RS2)]!, settled = (this.fields.fflags & soft.NX) !== 0;
    let result = 0, exact = false;
    switch (op) {
      case FP_ADD: result = a + b; exact = sumExact(a, b, result); break;
      case FP_SUB: result = a - b; exact = sumExact(a, -b, result); break;
      case FP_MUL: result = a * b; exact = a === 0 || b === 0 || productExact(a, b, result); break;
      case FP_DIV: result = a / b; exact = b !== 0 && (a === 0 || productExact(result, b, a)); break;
      case FP_SQRT: result = Math.sqrt(a); exact = a === 0 || productExact(result, result, a); break;
      case FP_MADD: case FP_MSUB: case FP_NMSUB: case FP_NMADD: return this.quickFused(op, record, a, b);
      default: return false;
    }
    const size = Math.abs(result);
    const inRange = size < Infinity && (size > MIN_NORMAL || op <= FP_SUB || (exact && size === 0 && (a === 0 || b === 0)));
    if (!inRange || !(exact || settled)) return false;
    this.f64[this.slot(record, REC_RD)] = result;
    return true;
  }

  /** A fused operation whose product and sum are both exact, or whose product is an exact zero. */
  private quickFused(op: number, record: number, a: number, b: number): boolean {
    const c = this.f64[this.slot(record, REC_RS3)]!, addend = op === FP_MSUB || op === FP_NMADD ? -c : c;
    const left = op === FP_NMSUB || op === FP_NMADD ? -a : a, product = left * b, result = product + addend;
    const productOk = ((a === 0 || b === 0) && product === 0) || productExact(left, b, product);
    if (!productOk || !(Math.abs(result) < Infinity) || !sumExact(product, addend, result)) return false;
    this.f64[this.slot(record, REC_RD)] = result;
    return true;
  }

  /** The single in a register as a number; NaN when it is not boxed. */
  private single(record: number, field: number): number {
    const at = 2 * this.slot(record, field);
    return this.i32[at + 1] === -1 ? this.f32[at]! : NaN;
  }

  /** The same for singles, in doubles: a product of two is exact there, and a quotient or root is exact if multiplying goes back. */
  private quickSingle(op: number, record: number): boolean {
    const a = this.single(record, REC_RS1), b = op === FP_SQRT ? a : this.single(record, REC_RS2);
    let result = 0, exact = true;
    switch (op) {
      case FP_ADD: result = a + b; exact = sumExact(a, b, result); break;
      case FP_SUB: result = a - b; exact = sumExact(a, -b, result); break;
      case FP_MUL: result = a * b; break;
      case FP_DIV: result = Math.fround(a / b); exact = b !== 0 && result * b === a; break;
      case FP_SQRT: result = Math.fround(Math.sqrt(a)); exact = result * result === a; break;
      case FP_MADD: case FP_MSUB: case FP_NMSUB: case FP_NMADD: {
        const c = this.single(record, REC_RS3), addend = op === FP_MSUB || op === FP_NMADD ? -c : c;
        const product = (op === FP_NMSUB || op === FP_NMADD ? -a : a) * b;
        result = product + addend;
        exact = sumExact(product, addend, result);
        break;
      }
      default: return false;
    }
    if (!exact || !(Math.abs(result) < Infinity) || Math.fround(result) !== result) return false;
    const at = 2 * this.slot(record, REC_RD);
    this.f32[at] = result;
    this.i32[at + 1] = -1;
    return true;
  }

  private operand(record: number, field: number, single: boolean): bigint {
    const bits = this.u64[this.slot(record, field)]!;
    return !single ? bits : bits >> 32n === LOW ? bits & LOW : soft.F32.quietNaN;
  }

  private exact(op: number, record: number, rm: number): void {
    const single = (op & FP_SINGLE) !== 0, f = single ? soft.F32 : soft.F64, kind = op & ~FP_SINGLE;
    this.out.flags = 0;
    if (kind === FP_CONVERT) {
      const from = single ? soft.F64 : soft.F32;
      this.putFloat(record, single, soft.convert(from, f, this.operand(record, REC_RS1, !single), rm, this.out));
    } else if (kind >= FP_FROM_W && kind <= FP_FROM_LU) {
      this.putFloat(record, single, soft.fromInteger(f, this.integerOperand(record, kind), rm, this.out));
    } else if (kind >= FP_TO_W && kind <= FP_TO_LU) {
      this.putInteger(record, this.toInteger(f, kind, this.operand(record, REC_RS1, single), rm));
    } else if (kind >= FP_EQ && kind <= FP_CLASS) {
      this.putInteger(record, this.test(f, kind, this.operand(record, REC_RS1, single), this.operand(record, REC_RS2, single)));
    } else {
      this.putFloat(record, single, this.arithmetic(f, kind, record, single, rm));
    }
    if (this.out.flags) this.fields.fflags |= this.out.flags;
  }

  private arithmetic(f: soft.Format, kind: number, record: number, single: boolean, rm: number): bigint {
    const a = this.operand(record, REC_RS1, single), b = kind === FP_SQRT ? 0n : this.operand(record, REC_RS2, single), out = this.out;
    switch (kind) {
      case FP_ADD: return soft.add(f, a, b, rm, out);
      case FP_SUB: return soft.sub(f, a, b, rm, out);
      case FP_MUL: return soft.mul(f, a, b, rm, out);
      case FP_DIV: return soft.div(f, a, b, rm, out);
      case FP_SQRT: return soft.sqrt(f, a, rm, out);
      case FP_MIN: return soft.minMax(f, a, b, false, out);
      case FP_MAX: return soft.minMax(f, a, b, true, out);
    }
    const c = this.operand(record, REC_RS3, single);
    const product = kind === FP_NMSUB || kind === FP_NMADD ? soft.negate(f, a) : a, addend = kind === FP_MSUB || kind === FP_NMADD ? soft.negate(f, c) : c;
    return soft.fma(f, product, b, addend, rm, out);
  }

  private test(f: soft.Format, kind: number, a: bigint, b: bigint): bigint {
    if (kind === FP_CLASS) return soft.classify(f, a);
    return soft.compare(f, a, b, kind === FP_EQ ? "eq" : kind === FP_LT ? "lt" : "le", this.out);
  }

  private integerOperand(record: number, kind: number): bigint {
    const value = this.i64[this.slot(record, REC_RS1)]!;
    switch (kind) {
      case FP_FROM_W: return BigInt.asIntN(32, value);
      case FP_FROM_WU: return BigInt.asUintN(32, value);
      case FP_FROM_L: return value;
      default: return BigInt.asUintN(64, value);
    }
  }

  /** 32-bit results are sign-extended, the unsigned one too. */
  private toInteger(f: soft.Format, kind: number, bits: bigint, rm: number): bigint {
    const wide = kind === FP_TO_L || kind === FP_TO_LU, signed = kind === FP_TO_W || kind === FP_TO_L;
    return BigInt.asIntN(wide ? 64 : 32, soft.toInteger(f, bits, wide ? 64 : 32, signed, rm, this.out));
  }

  private putFloat(record: number, single: boolean, bits: bigint): void {
    this.u64[this.slot(record, REC_RD)] = single ? BOXED | bits : bits;
  }

  private putInteger(record: number, value: bigint): void {
    this.i64[this.slot(record, REC_RD)] = value;
  }
}

/** Whether s = a + b lost nothing: the error of a rounded sum is itself a double (Knuth). */
function sumExact(a: number, b: number, s: number): boolean {
  const t = s - a;
  return a - (s - t) + (b - t) === 0;
}

const moderate = (x: number): boolean => Math.abs(x) > SMALL && Math.abs(x) < LARGE;

/** Whether p = a * b exactly (Dekker). Says no outside the range where that can be told. */
function productExact(a: number, b: number, p: number): boolean {
  if (!moderate(a) || !moderate(b)) return false;
  const ta = a * SPLIT, ah = ta - (ta - a), al = a - ah, tb = b * SPLIT, bh = tb - (tb - b), bl = b - bh;
  return ah * bh - p + ah * bl + al * bh + al * bl === 0;
}
