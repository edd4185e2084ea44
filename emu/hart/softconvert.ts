// Exact floating point, the rest: comparisons, minimum and maximum, classification, conversions. See softfloat.ts.
import {
  type FloatFlags, type Format, invalid, isNan, KIND_FINITE, KIND_INFINITE, KIND_QUIET, KIND_SIGNALLING, KIND_ZERO, NV, NX, round, roundsUp,
  signed, unpack, type Unpacked,
} from "./softround.ts";

/** A number that orders as the floating-point number does; both zeros are 0. */
function order(f: Format, bits: bigint): bigint {
  const signBit = 1n << BigInt(f.width - 1);
  return bits >= signBit ? signBit - bits : bits;
}

/** Raises NV when an operand is a signalling NaN. */
function noteSignalling(a: Unpacked, b: Unpacked, out: FloatFlags): void {
  if (a.kind === KIND_SIGNALLING || b.kind === KIND_SIGNALLING) out.flags |= NV;
}

/** The smaller operand, or the larger: -0 is below +0, and a number beats a NaN. */
export function minMax(f: Format, x: bigint, y: bigint, max: boolean, out: FloatFlags): bigint {
  const a = unpack(f, x), b = unpack(f, y);
  noteSignalling(a, b, out);
  if (isNan(a)) return isNan(b) ? f.quietNaN : y;
  if (isNan(b)) return x;
  const ox = order(f, x), oy = order(f, y), firstIsLess = ox < oy || (ox === oy && a.sign > b.sign);
  return firstIsLess !== max ? x : y;
}

/** 1 or 0. Ordering a NaN is invalid; asking for equality is so with a signalling one only. */
export function compare(f: Format, x: bigint, y: bigint, how: "eq" | "lt" | "le", out: FloatFlags): bigint {
  const a = unpack(f, x), b = unpack(f, y);
  if (isNan(a) || isNan(b)) {
    if (how === "eq") noteSignalling(a, b, out);
    else out.flags |= NV;
    return 0n;
  }
  const ox = order(f, x), oy = order(f, y);
  return BigInt(how === "eq" ? ox === oy : how === "lt" ? ox < oy : ox <= oy);
}

/** fclass: bit 0 negative infinity, then normal, subnormal, zero, and the same mirrored for positive; 8 signalling, 9 quiet NaN. */
export function classify(f: Format, x: bigint): bigint {
  const a = unpack(f, x), bit = (negative: number) => 1n << BigInt(a.sign === 1 ? negative : 7 - negative);
  switch (a.kind) {
    case KIND_SIGNALLING: return 1n << 8n;
    case KIND_QUIET: return 1n << 9n;
    case KIND_INFINITE: return bit(0);
    case KIND_ZERO: return bit(3);
    default: return bit(a.sig >> BigInt(f.precision - 1) === 0n ? 2 : 1);
  }
}

/** => an integer of the type's range; what lies outside is invalid and gives the nearer end, a NaN the upper one */
export function toInteger(f: Format, x: bigint, size: 32 | 64, isSigned: boolean, rm: number, out: FloatFlags): bigint {
  const a = unpack(f, x), top = 1n << BigInt(isSigned ? size - 1 : size), min = isSigned ? -top : 0n, max = top - 1n;
  if (a.kind === KIND_ZERO) return 0n;
  let magnitude = top << 1n, rest = 0n;
  if (a.kind === KIND_FINITE && a.exp <= 64) {
    magnitude = a.sig << BigInt(Math.max(0, a.exp));
    if (a.exp < 0) {
      const half = 1n << BigInt(-a.exp - 1);
      magnitude = a.sig >> BigInt(-a.exp);
      rest = a.sig & ((half << 1n) - 1n);
      if (rest !== 0n && roundsUp(rm, a.sign, (magnitude & 1n) === 1n, rest, half)) magnitude++;
    }
  }
  const value = a.sign === 1 && !isNan(a) ? -magnitude : magnitude;
  if (value < min || value > max) {
    out.flags |= NV;
    return value < min ? min : max;
  }
  if (rest !== 0n) out.flags |= NX;
  return value;
}

export function fromInteger(f: Format, value: bigint, rm: number, out: FloatFlags): bigint {
  if (value === 0n) return 0n;
  return round(f, rm, value < 0n ? 1 : 0, 0, value < 0n ? -value : value, out);
}

export function convert(from: Format, to: Format, x: bigint, rm: number, out: FloatFlags): bigint {
  const a = unpack(from, x);
  if (isNan(a)) return a.kind === KIND_SIGNALLING ? invalid(to, out) : to.quietNaN;
  if (a.kind === KIND_INFINITE) return signed(to, a.sign, to.infinity);
  if (a.kind === KIND_ZERO) return signed(to, a.sign, 0n);
  return round(to, rm, a.sign, a.exp, a.sig, out);
}
