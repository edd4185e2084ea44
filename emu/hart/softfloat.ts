// Exact floating point: what generated code does not do by a WebAssembly operation alone.
//
// A finite number is (-1)^sign * sig * 2^exp with sig a BigInt of any length. Each operation computes its exact result in
// that form, or one whose lowest bit stands for all the lost ones ("jammed"), and round() alone knows about rounding,
// overflow and underflow. Formats differ in three numbers.
//
//   bits of a format    sign | exponent | fraction          a single in a 64-bit register has ones above it, else it is a NaN
//
// Cold code: about half a microsecond an operation. The comparisons and conversions are in softfloatconvert.ts.

/** Flags, as in fflags. */
export const NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16;
/** Rounding modes, as in frm. Numbers above are reserved; DYN stands for frm in an instruction. */
export const RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4, DYN = 7;

export interface FloatFormat {
  /** Bits of the significand, the hidden one included. */
  readonly precision: number;
  /** Exponent of the lowest bit of a subnormal number. */
  readonly lowest: number;
  /** Bits of the whole. */
  readonly width: number;
  readonly infinity: bigint;
  readonly nan: bigint;
}

export const SINGLE: FloatFormat = { precision: 24, lowest: -149, width: 32, infinity: 0x7f800000n, nan: 0x7fc00000n };
export const DOUBLE: FloatFormat = { precision: 53, lowest: -1074, width: 64, infinity: 0x7ff0000000000000n, nan: 0x7ff8000000000000n };

export const KIND_ZERO = 0, KIND_FINITE = 1, KIND_INFINITE = 2, KIND_QUIET = 3, KIND_SIGNALLING = 4;

/** A number taken apart. */
export class Unpacked {
  kind = KIND_ZERO;
  sign = 0;
  exp = 0;
  sig = 0n;
}

const NAN_BOX = 0xffffffff00000000n;

/** A single as it lies in a 64-bit register. */
export const box = (bits: bigint): bigint => bits | NAN_BOX;
/** The low half of a register when that is a single; otherwise the canonical NaN. */
export const unbox = (bits: bigint): bigint => {
  const u = BigInt.asUintN(64, bits);
  return u >= NAN_BOX ? u & 0xffffffffn : SINGLE.nan;
};

/** Takes a format's bits (unboxed, unsigned) apart. */
export function unpack(u: Unpacked, f: FloatFormat, bits: bigint): void {
  const fractionBits = BigInt(f.precision - 1), fraction = bits & ((1n << fractionBits) - 1n), field = Number((bits & f.infinity) >> fractionBits);
  u.sign = Number(bits >> BigInt(f.width - 1));
  u.exp = f.lowest + Math.max(0, field - 1);
  u.sig = field === 0 ? fraction : fraction | (1n << fractionBits);
  if ((bits & f.infinity) !== f.infinity) u.kind = u.sig === 0n ? KIND_ZERO : KIND_FINITE;
  else if (fraction === 0n) u.kind = KIND_INFINITE;
  else u.kind = (fraction >> (fractionBits - 1n)) === 0n ? KIND_SIGNALLING : KIND_QUIET;
}

export const isNan = (u: Unpacked): boolean => u.kind >= KIND_QUIET;

/** Bits of a positive BigInt. */
export function bitLength(n: bigint): number {
  // Beyond a double's range the logarithm is taken of the top alone.
  let extra = 0;
  for (; n >= 1n << 1000n; extra += 900) n >>= 900n;
  const guess = Math.floor(Math.log2(Number(n)));
  return extra + guess + (n >> BigInt(guess + 1) !== 0n ? 2 : n >> BigInt(guess) !== 0n ? 1 : 0);
}

/** Whether a magnitude grows when `rest` (below `2 * half`, not zero) is cut off. */
export function roundsUp(rm: number, sign: number, odd: boolean, rest: bigint, half: bigint): boolean {
  switch (rm) {
    case RNE: return rest > half || (rest === half && odd);
    case RMM: return rest >= half;
    case RDN: return sign === 1;
    case RUP: return sign === 0;
    default: return false;
  }
}

/** Integer square root. */
function rootOf(n: bigint): bigint {
  let r = BigInt(Math.floor(Math.sqrt(Number(n))));
  r = (r + n / r) >> 1n;
  while (r * r > n) r--;
  while ((r + 1n) * (r + 1n) <= n) r++;
  return r;
}

/** The arithmetic. Operands and results are bits of the format, unboxed and unsigned. */
export class FloatArithmetic {
  /** Flags that operations raised since someone last cleared it. */
  flags = 0;
  protected readonly a = new Unpacked();
  protected readonly b = new Unpacked();
  protected readonly c = new Unpacked();

  /** => the canonical NaN, with NV */
  protected invalid(f: FloatFormat): bigint {
    this.flags |= NV;
    return f.nan;
  }

  /** => the NaN that an operation with a NaN operand gives */
  protected nanOf(f: FloatFormat, ...operands: Unpacked[]): bigint {
    return operands.some((o) => o.kind === KIND_SIGNALLING) ? this.invalid(f) : f.nan;
  }

  protected signed(f: FloatFormat, sign: number, magnitude: bigint): bigint {
    return sign === 0 ? magnitude : magnitude | (1n << BigInt(f.width - 1));
  }

  /**
   * The nearest number of the format by the rounding mode, and the flags.
   *
   * => sig > 0; when jammed, at least two bits longer than the precision
   */
  round(f: FloatFormat, rm: number, sign: number, exp: number, sig: bigint): bigint {
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
    if (magnitude >= f.infinity) return this.overflow(f, rm, sign);
    if (rest !== 0n) this.flags |= natural < f.lowest && this.isTiny(f, rm, sign, natural - exp, sig, natural) ? UF | NX : NX;
    return this.signed(f, sign, magnitude);
  }

  /** Tininess after rounding: below the smallest normal number even when rounded with an unbounded exponent. */
  private isTiny(f: FloatFormat, rm: number, sign: number, shift: number, sig: bigint, natural: number): boolean {
    if (natural < f.lowest - 1 || shift <= 0) return true;
    const half = 1n << BigInt(shift - 1), kept = sig >> BigInt(shift), rest = sig & ((half << 1n) - 1n);
    const up = rest !== 0n && roundsUp(rm, sign, (kept & 1n) === 1n, rest, half);
    return !(up && kept + 1n === 1n << BigInt(f.precision));
  }

  private overflow(f: FloatFormat, rm: number, sign: number): bigint {
    this.flags |= OF | NX;
    const toInfinity = rm === RNE || rm === RMM || rm === (sign === 1 ? RDN : RUP);
    return this.signed(f, sign, toInfinity ? f.infinity : f.infinity - 1n);
  }

  add(f: FloatFormat, rm: number, x: bigint, y: bigint): bigint {
    unpack(this.a, f, x);
    unpack(this.b, f, y);
    return this.sum(f, rm, this.a, this.b);
  }

  sub(f: FloatFormat, rm: number, x: bigint, y: bigint): bigint {
    unpack(this.a, f, x);
    unpack(this.b, f, y);
    this.b.sign ^= 1;
    return this.sum(f, rm, this.a, this.b);
  }

  private sum(f: FloatFormat, rm: number, a: Unpacked, b: Unpacked): bigint {
    if (isNan(a) || isNan(b)) return this.nanOf(f, a, b);
    if (a.kind === KIND_INFINITE) {
      if (b.kind === KIND_INFINITE && a.sign !== b.sign) return this.invalid(f);
      return this.signed(f, a.sign, f.infinity);
    }
    if (b.kind === KIND_INFINITE) return this.signed(f, b.sign, f.infinity);
    if (a.kind === KIND_ZERO && b.kind === KIND_ZERO) return this.signed(f, a.sign === b.sign ? a.sign : Number(rm === RDN), 0n);
    if (a.kind === KIND_ZERO) return this.round(f, rm, b.sign, b.exp, b.sig);
    if (b.kind === KIND_ZERO) return this.round(f, rm, a.sign, a.exp, a.sig);
    return a.exp >= b.exp ? this.aligned(f, rm, a, b) : this.aligned(f, rm, b, a);
  }

  /** The sum of two finite numbers, that with the higher exponent first. A far smaller one counts as one lost bit. */
  private aligned(f: FloatFormat, rm: number, high: Unpacked, low: Unpacked): bigint {
    // A product has at most 106 bits: past 256 its top is below the 128 bits by which `high` is extended.
    const distance = high.exp - low.exp, far = distance > 256, shift = far ? 128 : distance;
    const h = high.sig << BigInt(shift), l = far ? 1n : low.sig;
    const total = (high.sign === 1 ? -h : h) + (low.sign === 1 ? -l : l);
    if (total === 0n) return this.signed(f, Number(rm === RDN), 0n);
    return this.round(f, rm, total < 0n ? 1 : 0, high.exp - shift, total < 0n ? -total : total);
  }

  mul(f: FloatFormat, rm: number, x: bigint, y: bigint): bigint {
    const { a, b } = this;
    unpack(a, f, x);
    unpack(b, f, y);
    if (isNan(a) || isNan(b)) return this.nanOf(f, a, b);
    const sign = a.sign ^ b.sign;
    if (a.kind === KIND_INFINITE || b.kind === KIND_INFINITE) {
      return a.kind === KIND_ZERO || b.kind === KIND_ZERO ? this.invalid(f) : this.signed(f, sign, f.infinity);
    }
    if (a.kind === KIND_ZERO || b.kind === KIND_ZERO) return this.signed(f, sign, 0n);
    return this.round(f, rm, sign, a.exp + b.exp, a.sig * b.sig);
  }

  div(f: FloatFormat, rm: number, x: bigint, y: bigint): bigint {
    const { a, b } = this;
    unpack(a, f, x);
    unpack(b, f, y);
    if (isNan(a) || isNan(b)) return this.nanOf(f, a, b);
    const sign = a.sign ^ b.sign;
    if (a.kind === KIND_INFINITE) return b.kind === KIND_INFINITE ? this.invalid(f) : this.signed(f, sign, f.infinity);
    if (b.kind === KIND_INFINITE) return this.signed(f, sign, 0n);
    if (b.kind === KIND_ZERO) {
      if (a.kind === KIND_ZERO) return this.invalid(f);
      this.flags |= DZ;
      return this.signed(f, sign, f.infinity);
    }
    if (a.kind === KIND_ZERO) return this.signed(f, sign, 0n);
    // Even the smallest quotient of significands gets the precision and two more bits; a remainder is jammed.
    const shift = 2 * f.precision + 3, dividend = a.sig << BigInt(shift), quotient = dividend / b.sig;
    const lost = quotient * b.sig === dividend ? 0n : 1n;
    return this.round(f, rm, sign, a.exp - b.exp - shift - 1, (quotient << 1n) | lost);
  }

  sqrt(f: FloatFormat, rm: number, x: bigint): bigint {
    const { a } = this;
    unpack(a, f, x);
    if (isNan(a)) return this.nanOf(f, a);
    if (a.kind === KIND_ZERO) return x;
    if (a.sign === 1) return this.invalid(f);
    if (a.kind === KIND_INFINITE) return x;
    // The radicand gets an even exponent, and twice the bits that the root shall have.
    let shift = 2 * f.precision + 6 - bitLength(a.sig);
    if ((a.exp - shift) & 1) shift++;
    const radicand = a.sig << BigInt(shift), root = rootOf(radicand), lost = root * root === radicand ? 0n : 1n;
    return this.round(f, rm, 0, (a.exp - shift) / 2 - 1, (root << 1n) | lost);
  }

  /** x * y + z, with the product and z negated when the sign arguments are 1. */
  fma(f: FloatFormat, rm: number, x: bigint, y: bigint, z: bigint, productSign: number, addendSign: number): bigint {
    const { a, b, c } = this;
    unpack(a, f, x);
    unpack(b, f, y);
    unpack(c, f, z);
    const infinite = a.kind === KIND_INFINITE || b.kind === KIND_INFINITE, zero = a.kind === KIND_ZERO || b.kind === KIND_ZERO;
    // Infinity times zero is invalid even when the addend is a quiet NaN.
    if (!isNan(a) && !isNan(b) && infinite && zero) return this.invalid(f);
    if (isNan(a) || isNan(b) || isNan(c)) return this.nanOf(f, a, b, c);
    c.sign ^= addendSign;
    a.sign ^= b.sign ^ productSign;
    a.kind = infinite ? KIND_INFINITE : zero ? KIND_ZERO : KIND_FINITE;
    a.exp += b.exp;
    a.sig *= b.sig;
    return this.sum(f, rm, a, c);
  }
}
