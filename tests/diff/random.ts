// Random choices from a seed, and odd values: those at the ends of ranges, where mistakes are.

/** xorshift64*: the same seed gives the same program everywhere. */
export class Random {
  private state: bigint;

  constructor(seed: number) {
    this.state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + 0x1234567n) || 1n;
    for (let i = 0; i < 4; i++) this.bits64();
  }

  bits64(): bigint {
    let s = this.state;
    s ^= s >> 12n;
    s ^= BigInt.asUintN(64, s << 25n);
    s ^= s >> 27n;
    this.state = s;
    return BigInt.asUintN(64, s * 0x2545f4914f6cdd1dn);
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    return Number((this.bits64() >> 16n) % BigInt(n));
  }

  /** A whole number in [low, high]. */
  range(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True in n of 100 cases. */
  percent(n: number): boolean {
    return this.below(100) < n;
  }

  pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!;
  }

  word(): number {
    return Number(this.bits64() >> 32n) | 0;
  }

  /** An integer with few different bits, near a power of two, or any. */
  integer(): bigint {
    const r = this.bits64(), n = BigInt(this.below(64));
    switch (this.below(6)) {
      case 0: return r;
      case 1: return BigInt.asUintN(64, (1n << n) + BigInt(this.below(5) - 2));
      case 2: return BigInt.asUintN(64, -(1n << n) + BigInt(this.below(5) - 2));
      case 3: return BigInt.asUintN(64, BigInt(this.below(9) - 4));
      case 4: return r >> n;
      default: return BigInt.asUintN(64, BigInt.asIntN(64, r) >> n);
    }
  }

  /** Bits of a double, or of a single. Exponents often meet, so that sums cancel and products reach the ends. */
  float(single: boolean): bigint {
    const fractionBits = single ? 23 : 52, top = single ? 255 : 2047, bias = top >> 1, all = (1n << BigInt(fractionBits)) - 1n, r = this.bits64() & all;
    const exponent = this.pick([this.below(top), 0, 0, 1, top - 1, top, bias, bias + this.below(70) - 3, bias - this.below(64), bias + this.below(12) - 6, (bias >> 1) + this.below(4)]);
    const part = BigInt(this.below(fractionBits));
    const fraction = this.pick([r, r, 0n, 0n, all, 1n, (all << part) & all, 1n << part, all - 1n, all >> part]);
    return (BigInt(this.below(2)) << BigInt(single ? 31 : 63)) | (BigInt(exponent) << BigInt(fractionBits)) | fraction;
  }

  /** 64 bits for an f register: a double, a boxed single, or now and then a badly boxed one. */
  floatRegister(): bigint {
    if (this.percent(55)) return this.float(false);
    return this.percent(90) ? 0xffffffff00000000n | this.float(true) : (this.bits64() << 32n & 0xffffffff00000000n) | this.float(true);
  }
}
