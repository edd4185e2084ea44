// Exact floating point: arithmetic of both formats in all rounding modes, with all flags. Operands and results are the
// bits of a format as unsigned BigInts; flags are or-ed into `out`. Results that are NaNs are canonical.
//
// This is for what generated code cannot do by a WebAssembly operation alone, at about half a microsecond an operation.
// Rounding is in softround.ts; comparisons and conversions, also offered from here, are in softconvert.ts.
import {
  bitLength, DZ, type FloatFlags, type Format, invalid, isNan, KIND_FINITE, KIND_INFINITE, KIND_SIGNALLING, KIND_ZERO, RDN, round, signed,
  unpack, type Unpacked,
} from "./softround.ts";
export { classify, compare, convert, fromInteger, minMax, toInteger } from "./softconvert.ts";
export { DZ, F32, F64, type FloatFlags, type Format, NV, NX, OF, RDN, RMM, RNE, RTZ, RUP, UF } from "./softround.ts";

/** The NaN that an operation with a NaN operand gives. */
function nanOf(f: Format, out: FloatFlags, a: Unpacked, b: Unpacked): bigint {
  return a.kind === KIND_SIGNALLING || b.kind === KIND_SIGNALLING ? invalid(f, out) : f.quietNaN;
}

/** Changes the sign, of NaNs too. */
export function negate(f: Format, x: bigint): bigint {
  return x ^ (1n << BigInt(f.width - 1));
}

export function add(f: Format, x: bigint, y: bigint, rm: number, out: FloatFlags): bigint {
  return sum(f, unpack(f, x), unpack(f, y), rm, out);
}

export function sub(f: Format, x: bigint, y: bigint, rm: number, out: FloatFlags): bigint {
  return sum(f, unpack(f, x), unpack(f, negate(f, y)), rm, out);
}

function sum(f: Format, a: Unpacked, b: Unpacked, rm: number, out: FloatFlags): bigint {
  if (isNan(a) || isNan(b)) return nanOf(f, out, a, b);
  if (a.kind === KIND_INFINITE) {
    if (b.kind === KIND_INFINITE && a.sign !== b.sign) return invalid(f, out);
    return signed(f, a.sign, f.infinity);
  }
  if (b.kind === KIND_INFINITE) return signed(f, b.sign, f.infinity);
  if (a.kind === KIND_ZERO && b.kind === KIND_ZERO) return signed(f, a.sign === b.sign ? a.sign : Number(rm === RDN), 0n);
  if (a.kind === KIND_ZERO) return round(f, rm, b.sign, b.exp, b.sig, out);
  if (b.kind === KIND_ZERO) return round(f, rm, a.sign, a.exp, a.sig, out);
  return a.exp >= b.exp ? aligned(f, a, b, rm, out) : aligned(f, b, a, rm, out);
}

/** The sum of two finite numbers, that with the higher exponent first. A far smaller one counts as one lost bit. */
function aligned(f: Format, high: Unpacked, low: Unpacked, rm: number, out: FloatFlags): bigint {
  // A product has at most 106 bits: past 256 its top is below the 128 bits by which `high` is extended.
  const distance = high.exp - low.exp, far = distance > 256, shift = far ? 128 : distance;
  const h = high.sig << BigInt(shift), l = far ? 1n : low.sig;
  const total = (high.sign === 1 ? -h : h) + (low.sign === 1 ? -l : l);
  if (total === 0n) return signed(f, Number(rm === RDN), 0n);
  return round(f, rm, total < 0n ? 1 : 0, high.exp - shift, total < 0n ? -total : total, out);
}

export function mul(f: Format, x: bigint, y: bigint, rm: number, out: FloatFlags): bigint {
  const a = unpack(f, x), b = unpack(f, y), sign = a.sign ^ b.sign;
  if (isNan(a) || isNan(b)) return nanOf(f, out, a, b);
  if (a.kind === KIND_INFINITE || b.kind === KIND_INFINITE) {
    return a.kind === KIND_ZERO || b.kind === KIND_ZERO ? invalid(f, out) : signed(f, sign, f.infinity);
  }
  if (a.kind === KIND_ZERO || b.kind === KIND_ZERO) return signed(f, sign, 0n);
  return round(f, rm, sign, a.exp + b.exp, a.sig * b.sig, out);
}

export function div(f: Format, x: bigint, y: bigint, rm: number, out: FloatFlags): bigint {
  const a = unpack(f, x), b = unpack(f, y), sign = a.sign ^ b.sign;
  if (isNan(a) || isNan(b)) return nanOf(f, out, a, b);
  if (a.kind === KIND_INFINITE) return b.kind === KIND_INFINITE ? invalid(f, out) : signed(f, sign, f.infinity);
  if (b.kind === KIND_INFINITE) return signed(f, sign, 0n);
  if (b.kind === KIND_ZERO) {
    if (a.kind === KIND_ZERO) return invalid(f, out);
    out.flags |= DZ;
    return signed(f, sign, f.infinity);
  }
  if (a.kind === KIND_ZERO) return signed(f, sign, 0n);
  // Even the smallest quotient of significands gets the precision and two more bits; a remainder is jammed.
  const shift = 2 * f.precision + 3, dividend = a.sig << BigInt(shift), quotient = dividend / b.sig;
  const lost = quotient * b.sig === dividend ? 0n : 1n;
  return round(f, rm, sign, a.exp - b.exp - shift - 1, (quotient << 1n) | lost, out);
}

export function sqrt(f: Format, x: bigint, rm: number, out: FloatFlags): bigint {
  const a = unpack(f, x);
  if (isNan(a)) return nanOf(f, out, a, a);
  if (a.kind === KIND_ZERO) return x;
  if (a.sign === 1) return invalid(f, out);
  if (a.kind === KIND_INFINITE) return x;
  // The radicand gets an even exponent, and twice the bits that the root shall have.
  let shift = 2 * f.precision + 6 - bitLength(a.sig);
  if ((a.exp - shift) & 1) shift++;
  const radicand = a.sig << BigInt(shift), root = rootOf(radicand), lost = root * root === radicand ? 0n : 1n;
  return round(f, rm, 0, (a.exp - shift) / 2 - 1, (root << 1n) | lost, out);
}

/** Integer square root. */
function rootOf(n: bigint): bigint {
  let r = BigInt(Math.floor(Math.sqrt(Number(n))));
  r = (r + n / r) >> 1n;
  while (r * r > n) r--;
  while ((r + 1n) * (r + 1n) <= n) r++;
  return r;
}

/** x * y + z with one rounding. */
export function fma(f: Format, x: bigint, y: bigint, z: bigint, rm: number, out: FloatFlags): bigint {
  const a = unpack(f, x), b = unpack(f, y), c = unpack(f, z);
  const infinite = a.kind === KIND_INFINITE || b.kind === KIND_INFINITE, zero = a.kind === KIND_ZERO || b.kind === KIND_ZERO;
  // Infinity times zero is invalid even when the addend is a quiet NaN.
  if (!isNan(a) && !isNan(b) && infinite && zero) return invalid(f, out);
  if (isNan(a) || isNan(b) || isNan(c)) return c.kind === KIND_SIGNALLING ? invalid(f, out) : nanOf(f, out, a, b);
  const kind = infinite ? KIND_INFINITE : zero ? KIND_ZERO : KIND_FINITE;
  return sum(f, { kind, sign: a.sign ^ b.sign, exp: a.exp + b.exp, sig: a.sig * b.sig }, c, rm, out);
}
