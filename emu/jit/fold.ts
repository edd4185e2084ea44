// Constant folding for translated code: what immediates, x0, auipc and lui make known is computed here once.
import type { V } from "../isa/builder.ts";
import { I32, I64, type Op, resultType, sleb } from "./wasm.ts";

/** A value of translated code. k: signed, of an i32 or i64 constant; last: the operation that it ends with. */
export interface StaticV extends V { readonly k?: bigint; readonly last?: Op }

const s32 = (n: bigint): bigint => BigInt.asIntN(32, n), s64 = (n: bigint): bigint => BigInt.asIntN(64, n), u64 = (n: bigint): bigint => BigInt.asUintN(64, n);
const truth = (b: boolean): bigint => (b ? 1n : 0n);

/** Operations on two constants. */
const BINARY: Partial<Record<Op, (a: bigint, b: bigint) => bigint>> = {
  "i64.add": (a, b) => s64(a + b), "i64.sub": (a, b) => s64(a - b), "i64.and": (a, b) => a & b, "i64.or": (a, b) => a | b, "i64.xor": (a, b) => a ^ b,
  "i64.shl": (a, b) => s64(a << (b & 63n)), "i64.shr_u": (a, b) => s64(u64(a) >> (b & 63n)), "i64.shr_s": (a, b) => a >> (b & 63n),
  "i32.add": (a, b) => s32(a + b), "i32.sub": (a, b) => s32(a - b), "i32.and": (a, b) => a & b, "i32.or": (a, b) => a | b, "i32.xor": (a, b) => a ^ b,
  "i32.eq": (a, b) => truth(a === b), "i32.ne": (a, b) => truth(a !== b), "i32.lt_u": (a, b) => truth(BigInt.asUintN(32, a) < BigInt.asUintN(32, b)),
  "i32.le_u": (a, b) => truth(BigInt.asUintN(32, a) <= BigInt.asUintN(32, b)), "i64.eq": (a, b) => truth(a === b), "i64.ne": (a, b) => truth(a !== b),
  "i64.lt_s": (a, b) => truth(a < b), "i64.ge_s": (a, b) => truth(a >= b), "i64.lt_u": (a, b) => truth(u64(a) < u64(b)), "i64.ge_u": (a, b) => truth(u64(a) >= u64(b)),
};

const UNARY: Partial<Record<Op, (a: bigint) => bigint>> = {
  "i32.wrap_i64": s32, "i64.extend_i32_s": (a) => a, "i64.extend_i32_u": (a) => BigInt.asUintN(32, a), "i32.eqz": (a) => truth(a === 0n),
  "i64.eqz": (a) => truth(a === 0n),
};

/** Operations of which a right operand of 0 changes nothing. */
const IDENTITY = new Set<Op>(["i64.add", "i64.sub", "i64.or", "i64.xor", "i64.shl", "i64.shr_u", "i64.shr_s", "i32.add", "i32.sub", "i32.or", "i32.xor", "i32.shl",
  "i32.shr_u", "i32.shr_s"]);
const COMMUTES = new Set<Op>(["i64.add", "i64.or", "i64.xor", "i32.add", "i32.or", "i32.xor"]);
/** An operation right behind its inverse vanishes. Reinterpreting bits only, so nothing is lost. */
const INVERSE: Partial<Record<Op, Op>> = {
  "f64.reinterpret_i64": "i64.reinterpret_f64", "i64.reinterpret_f64": "f64.reinterpret_i64", "f32.reinterpret_i32": "i32.reinterpret_f32",
  "i32.reinterpret_f32": "f32.reinterpret_i32",
};

export function constant(type: typeof I32 | typeof I64, k: bigint): StaticV {
  const bytes = [type === I32 ? 0x41 : 0x42];
  sleb(bytes, k);
  return { type, bytes, k };
}

const typeOf = (name: Op): typeof I32 | typeof I64 => (resultType(name) === I32 ? I32 : I64);

/** => the result when it is simpler than the operation, else null */
export function fold(name: Op, a: StaticV, b: StaticV | undefined): StaticV | null {
  if (b === undefined) {
    const f = a.k === undefined ? undefined : UNARY[name];
    if (f !== undefined) return constant(typeOf(name), f(a.k!));
    const inverse = INVERSE[name];
    return inverse !== undefined && a.last === inverse ? { type: resultType(name), bytes: a.bytes.slice(0, -1) } : null;
  }
  if (a.k === undefined && b.k === undefined) return null;
  if (a.k !== undefined && b.k !== undefined) {
    const f = BINARY[name];
    return f === undefined ? null : constant(typeOf(name), f(a.k, b.k));
  }
  if (b.k === 0n && IDENTITY.has(name)) return a;
  if (a.k === 0n && COMMUTES.has(name)) return b;
  return null;
}
