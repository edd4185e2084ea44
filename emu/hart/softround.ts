// The ground of exact floating point: formats, taking numbers apart, and rounding.
//
// A finite number is (-1)^sign * sig * 2^exp with sig a BigInt of any length. Each operation computes its exact result in
// that form, or one whose lowest bit stands for all the lost ones ("jammed"), and round() alone knows about rounding,
// overflow and underflow. Formats differ in three numbers.
//
//   bits of a format    sign | exponent | fraction

/** Flags, as in fflags. */
export const NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16;
/** Rounding modes, as in frm. Numbers above are reserved. */
export const RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4;

/** Where an operation leaves the flags that it raises, or-ed in. */
export interface FloatFlags { flags: number }

export interface Format {
  /** Bits of the significand, the hidden one included. */
  readonly precision: number;
  /** Exponent of the lowest bit of a subnormal number. */
  readonly lowest: number;
  /** Bits of the whole. */
  readonly width: number;
  readonly infinity: bigint;
  /** The canonical NaN: the result of all operations that give one. */
  readonly quietNaN: bigint;
}

export const F32: Format = { precision: 24, lowest: -149, width: 32, infinity: 0x7f800000n, quietNaN: 0x7fc00000n };
export const F64: Format = { precision: 53, lowest: -1074, width: 64, infinity: 0x7ff0000000000000n, quietNaN: 0x7ff8000000000000n };

export const KIND_ZERO = 0, KIND_FINITE = 1, KIND_INFINITE = 2, KIND_QUIET = 3, KIND_SIGNALLING = 4;

/** A number taken apart. */
export interface Unpacked { kind: number; sign: number; exp: number; sig: bigint }

/** Takes a format's bits (unsigned) apart. */
export function unpack(f: Format, bits: bigint): Unpacked {
  const fractionBits = BigInt(f.precision - 1), fraction = bits & ((1n << fractionBits) - 1n), field = Number((bits & f.infinity) >> fractionBits);
  const sig = field === 0 ? fraction : fraction | (1n << fractionBits);
  let kind = sig === 0n ? KIND_ZERO : KIND_FINITE;
  if ((bits & f.infinity) === f.infinity) {
    kind = fraction === 0n ? KIND_INFINITE : fraction >> (fractionBits - 1n) === 0n ? KIND_SIGNALLING : KIND_QUIET;
  }
  return { kind, sign: Number(bits >> BigInt(f.width - 1)), exp: f.lowest + Math.max(0, field - 1), sig };
}

export const isNan = (u: Unpacked): boolean => u.kind >= KIND_QUIET;

/** Raises NV. => the canonical NaN */
export function invalid(f: Format, out: FloatFlags): bigint {
  out.flags |= NV;
  return f.quietNaN;
}

/** Puts a sign on a magnitude. */
export function signed(f: Format, sign: number, magnitude: bigint): bigint {
  return sign === 0 ? magnitude : magnitude | (1n << BigInt(f.width - 1));
}

/** Bits of a positive BigInt below 2^1000. */
export function bitLength(n: bigint): number {
  // The logarithm of a rounded number may be one too high or, next to a power of two, one too low.
  const guess = Math.floor(Math.log2(Number(n)));
  return guess + (n >> BigInt(guess + 1) !== 0n ? 2 : n >> BigInt(guess) !== 0n ? 1 : 0);
}

/** Whether a magnitude grows when `rest` (above 0 and below `2 * half`) is cut off. */
export function roundsUp(rm: number, sign: number, odd: boolean, rest: bigint, half: bigint): boolean {
  switch (rm) {
    case RNE: return rest > half || (rest === half && odd);
    case RMM: return rest >= half;
    case RDN: return sign === 1;
    case RUP: return sign === 0;
    default: return false;
  }
}

/**
 * The number of the format that the rounding mode chooses, and the flags.
 *
 * => 0 < sig < 2^1000; when jammed, at least two bits longer than the precision
 */
export function round(f: Format, rm: number, sign: number, exp: number, sig: bigint, out: FloatFlags): bigint {
  const natural = bitLength(sig) + exp - f.precision, unit = Math.max(natural, f.lowest), shift = unit - exp;
  let kept = sig, rest = 0n;
  if (shift <= 0) {
    kept = sig << BigInt(-shift);
  } else {
    const half = 1n << BigInt(shift - 1);
    kept = sig >> BigInt(shift);
    rest = sig & ((half << 1n) - 1n);
    if (rest !== 0n && roundsUp(rm, sign, (kept & 1n) === 1n, rest, half)) kept++;
  }
  // A carry out of the significand, and a subnormal that became normal, come out right by themselves.
  const magnitude = kept + (BigInt(unit - f.lowest) << BigInt(f.precision - 1));
  if (magnitude >= f.infinity) return overflow(f, rm, sign, out);
  if (rest !== 0n) out.flags |= natural < f.lowest && isTiny(f, rm, sign, natural, exp, sig) ? UF | NX : NX;
  return signed(f, sign, magnitude);
}

/** Tininess after rounding: below the smallest normal number even when rounded with an unbounded exponent. */
function isTiny(f: Format, rm: number, sign: number, natural: number, exp: number, sig: bigint): boolean {
  const shift = natural - exp;
  if (natural < f.lowest - 1 || shift <= 0) return true;
  const half = 1n << BigInt(shift - 1), kept = sig >> BigInt(shift), rest = sig & ((half << 1n) - 1n);
  const up = rest !== 0n && roundsUp(rm, sign, (kept & 1n) === 1n, rest, half);
  return !(up && kept + 1n === 1n << BigInt(f.precision));
}

function overflow(f: Format, rm: number, sign: number, out: FloatFlags): bigint {
  out.flags |= OF | NX;
  const toInfinity = rm === RNE || rm === RMM || rm === (sign === 1 ? RDN : RUP);
  return signed(f, sign, toInfinity ? f.infinity : f.infinity - 1n);
}
