// Exact floating point against the host's doubles, against hand-made cases, and against a model that shares nothing with
// it: exact rationals, and a binary search over a format's numbers for the two neighbours of the exact result.
import * as soft from "../../../emu/hart/softfloat.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("softfloat");
const { F32, F64, NX, UF, OF, DZ, NV, RNE, RTZ, RDN, RUP, RMM } = soft;
const words = new BigUint64Array(1), doubles = new Float64Array(words.buffer), singles = new Float32Array(words.buffer), halves = new Uint32Array(words.buffer);

const bitsOf = (x: number): bigint => { doubles[0] = x; return words[0]!; };
const bits32 = (x: number): bigint => { singles[0] = x; return BigInt(halves[0]!); };
const numberOf = (f: soft.Format, bits: bigint): number => {
  words[0] = bits;
  return f === F64 ? doubles[0]! : singles[0]!;
};

/** xorshift, so that a failure repeats. */
class Random {
  private s: bigint;
  constructor(seed: number) { this.s = BigInt(seed) * 0x9e3779b97f4a7c15n + 1n; }
  next64(): bigint {
    let s = this.s;
    s ^= BigInt.asUintN(64, s << 13n);
    s ^= s >> 7n;
    s ^= BigInt.asUintN(64, s << 17n);
    return (this.s = BigInt.asUintN(64, s));
  }
  below(n: number): number { return Number(this.next64() % BigInt(n)); }
  /** Often at an end of a range: of exponents, of fractions. */
  float(f: soft.Format, near: bigint): bigint {
    const fractionBits = f.precision - 1, fields = f === F64 ? 2047 : 255, random = this.next64();
    const exponent = [random % BigInt(fields), 0n, 1n, BigInt(fields) - 1n, BigInt((fields >> 1) + this.below(8) - 4), near + BigInt(this.below(5) - 2)][this.below(6)]!;
    const all = (1n << BigInt(fractionBits)) - 1n, r = this.next64() & all;
    const fraction = [r, 0n, all, 1n, all << BigInt(this.below(fractionBits)) & all, 1n << BigInt(this.below(fractionBits))][this.below(6)]!;
    const e = exponent < 0n ? 0n : exponent >= BigInt(fields) ? BigInt(fields) - 1n : exponent;
    return (BigInt(this.below(2)) << BigInt(f.width - 1)) | (e << BigInt(fractionBits)) | fraction;
  }
}

/** A signed fraction n / d, d > 0. */
interface Rational { n: bigint; d: bigint }
const pow2 = (e: number): Rational => (e >= 0 ? { n: 1n << BigInt(e), d: 1n } : { n: 1n, d: 1n << BigInt(-e) });
const times = (a: Rational, b: Rational): Rational => ({ n: a.n * b.n, d: a.d * b.d });
const plus = (a: Rational, b: Rational): Rational => ({ n: a.n * b.d + b.n * a.d, d: a.d * b.d });
const signOf = (n: bigint): number => (n > 0n ? 1 : n < 0n ? -1 : 0);

/** The value of a format's finite number, or of what infinity's bits would mean in a larger format. */
function valueOf(f: soft.Format, bits: bigint): Rational {
  const fractionBits = BigInt(f.precision - 1), magnitude = bits & ((1n << BigInt(f.width - 1)) - 1n), field = Number(magnitude >> fractionBits);
  const sig = (magnitude & ((1n << fractionBits) - 1n)) + (field > 0 ? 1n << fractionBits : 0n);
  const v = times({ n: sig, d: 1n }, pow2(f.lowest + Math.max(field, 1) - 1));
  return bits >> BigInt(f.width - 1) ? { n: -v.n, d: v.d } : v;
}

/** What the model is asked to round: its sign, and how its magnitude compares with a rational one. */
interface Exact { sign: number; compare(c: Rational): number }
const rational = (v: Rational): Exact => {
  const m = v.n < 0n ? -v.n : v.n;
  return { sign: v.n < 0n ? 1 : 0, compare: (c) => signOf(m * c.d - c.n * v.d) };
};
const root = (v: Rational): Exact => ({ sign: 0, compare: (c) => signOf(v.n * c.d * c.d - c.n * c.n * v.d) });

/** The chosen magnitude by binary search, and whether it is exact. */
function nearest(f: soft.Format, rm: number, v: Exact): { magnitude: bigint; exact: boolean } {
  let below = 0n, above = f.infinity + 1n;
  while (above - below > 1n) {
    const middle = (below + above) / 2n;
    if (v.compare(valueOf(f, middle)) >= 0) below = middle;
    else above = middle;
  }
  if (v.compare(valueOf(f, below)) === 0) return { magnitude: below, exact: true };
  const middle = v.compare(times(plus(valueOf(f, below), valueOf(f, below + 1n)), { n: 1n, d: 2n }));
  const up = rm === RNE ? middle > 0 || (middle === 0 && (below & 1n) === 1n) : rm === RMM ? middle >= 0 : rm === RUP ? v.sign === 0 : rm === RDN && v.sign === 1;
  return { magnitude: up ? below + 1n : below, exact: false };
}

function modelRound(f: soft.Format, rm: number, v: Exact): { bits: bigint; flags: number } {
  const sign = BigInt(v.sign) << BigInt(f.width - 1), { magnitude, exact } = nearest(f, rm, v), smallest = 1n << BigInt(f.precision - 1);
  if (magnitude >= f.infinity) {
    const away = rm === RNE || rm === RMM || rm === (v.sign ? RDN : RUP);
    return { bits: sign | (away ? f.infinity : f.infinity - 1n), flags: OF | NX };
  }
  if (exact) return { bits: sign | magnitude, flags: 0 };
  // With an unbounded exponent: as if all were 2^100 times as large.
  const scaled: Exact = { sign: v.sign, compare: (c) => v.compare(times(c, pow2(-100))) };
  const tiny = nearest(f, rm, scaled).magnitude < smallest + (100n << BigInt(f.precision - 1));
  return { bits: sign | magnitude, flags: tiny ? UF | NX : NX };
}

const hex = (b: bigint): string => "0x" + b.toString(16);

/** Compares one operation with the model. */
function check(what: string, f: soft.Format, rm: number, v: Exact, zeroSign: number, actual: bigint, flags: number): void {
  const zero = v.compare({ n: 0n, d: 1n }) === 0;
  const expected = zero ? { bits: BigInt(zeroSign) << BigInt(f.width - 1), flags: 0 } : modelRound(f, rm, v);
  if (actual !== expected.bits || flags !== expected.flags) {
    assert.unreachable(`${what}, mode ${rm}: ${hex(actual)} flags ${flags}, expected ${hex(expected.bits)} flags ${expected.flags}`);
  }
}

function modelCase(f: soft.Format, r: Random, op: number): void {
  const a = r.float(f, 1000n), near = (a >> BigInt(f.precision - 1)) & (f === F64 ? 2047n : 255n), b = r.float(f, near), rm = r.below(5);
  const va = valueOf(f, a), vb = valueOf(f, b), sa = Number(a >> BigInt(f.width - 1)), sb = Number(b >> BigInt(f.width - 1));
  const out = { flags: 0 }, what = `${f.width}-bit operation ${op} of ${hex(a)} and ${hex(b)}`, cancel = Number(rm === RDN);
  const zeroSum = (s: number, t: number, zeros: boolean) => (zeros && s === t ? s : cancel);
  switch (op) {
    case 0: return check(what, f, rm, rational(plus(va, vb)), zeroSum(sa, sb, va.n === 0n), soft.add(f, a, b, rm, out), out.flags);
    case 1: return check(what, f, rm, rational(plus(va, { n: -vb.n, d: vb.d })), zeroSum(sa, sb ^ 1, va.n === 0n), soft.sub(f, a, b, rm, out), out.flags);
    case 2: return check(what, f, rm, rational(times(va, vb)), sa ^ sb, soft.mul(f, a, b, rm, out), out.flags);
    case 3: {
      if (vb.n === 0n) return;
      const q = times(va, { n: vb.n < 0n ? -vb.d : vb.d, d: vb.n < 0n ? -vb.n : vb.n });
      return check(what, f, rm, rational(q), sa ^ sb, soft.div(f, a, b, rm, out), out.flags);
    }
    case 4: return sa ? undefined : check(what, f, rm, root(va), 0, soft.sqrt(f, a, rm, out), out.flags);
    default: {
      const product = times(va, vb), sp = sa ^ sb, exponent = near + ((b >> BigInt(f.precision - 1)) & (f === F64 ? 2047n : 255n)) - (f === F64 ? 1023n : 127n);
      const c = r.float(f, exponent), vc = valueOf(f, c), sc = Number(c >> BigInt(f.width - 1));
      return check(`${what} and ${hex(c)}`, f, rm, rational(plus(product, vc)), zeroSum(sp, sc, product.n === 0n), soft.fma(f, a, b, c, rm, out), out.flags);
    }
  }
}

for (const f of [F64, F32]) {
  test(`${f.width}-bit arithmetic in all modes agrees with exact rationals`, () => {
    const r = new Random(f.width);
    for (let i = 0; i < (f === F64 ? 1800 : 6000); i++) modelCase(f, r, i % 6);
  });
}

test("nearest-even arithmetic of doubles agrees with the host", () => {
  const r = new Random(3), same = (bits: bigint, x: number) => (Number.isNaN(x) ? bits === F64.quietNaN : bits === bitsOf(x)), out = { flags: 0 };
  for (let i = 0; i < 20000; i++) {
    const a = i % 7 ? r.float(F64, 1n) : r.next64(), b = r.float(F64, (a >> 52n) & 2047n), x = numberOf(F64, a), y = numberOf(F64, b);
    const results: [string, bigint, number][] = [
      ["+", soft.add(F64, a, b, RNE, out), x + y], ["-", soft.sub(F64, a, b, RNE, out), x - y], ["*", soft.mul(F64, a, b, RNE, out), x * y],
      ["/", soft.div(F64, a, b, RNE, out), x / y], ["sqrt", soft.sqrt(F64, a, RNE, out), Math.sqrt(x)],
    ];
    for (const [op, bits, host] of results) if (!same(bits, host)) assert.unreachable(`${x} ${op} ${y}: ${numberOf(F64, bits)}, host ${host}`);
    const single = soft.convert(F64, F32, a, RNE, out), host = Math.fround(x);
    if (!Number.isNaN(host) && single !== bits32(host)) assert.unreachable(`to single ${x}: ${hex(single)}`);
  }
});

test("conversions between integers and doubles agree with the model", () => {
  const r = new Random(4);
  for (let i = 0; i < 3000; i++) {
    const rm = r.below(5), f = i & 1 ? F64 : F32, size = i & 2 ? 64 : 32, isSigned = (i & 4) !== 0, out = { flags: 0 };
    const n = BigInt.asIntN(64, r.next64() >> BigInt(r.below(64)));
    if (n !== 0n) check(`from ${n}`, f, rm, rational({ n, d: 1n }), 0, soft.fromInteger(f, n, rm, out), out.flags);
    const exponent = BigInt((f === F64 ? 1023 : 127) + r.below(68) - 2), x = (r.float(f, 0n) & ~f.infinity) | (exponent << BigInt(f.precision - 1)), v = valueOf(f, x);
    const floor = v.n >= 0n ? v.n / v.d : -((-v.n + v.d - 1n) / v.d), twice = 2n * (v.n - floor * v.d) - v.d, away = v.n >= 0n;
    const up = v.n === floor * v.d ? false : rm === RUP || (rm === RTZ && !away) || (rm === RNE && (twice > 0n || (twice === 0n && (floor & 1n) === 1n)))
      || (rm === RMM && (twice > 0n || (twice === 0n && away)));
    const whole = up ? floor + 1n : floor, min = isSigned ? -(1n << BigInt(size - 1)) : 0n, max = isSigned ? -min - 1n : (1n << BigInt(size)) - 1n;
    const expected = whole < min ? min : whole > max ? max : whole, flags = expected !== whole ? NV : v.n === floor * v.d ? 0 : NX;
    out.flags = 0;
    const actual = soft.toInteger(f, x, size, isSigned, rm, out);
    if (actual !== expected || out.flags !== flags) assert.unreachable(`to integer ${hex(x)} mode ${rm} size ${size}: ${actual} ${out.flags}, expected ${expected} ${flags}`);
  }
});

const INF = Infinity, SNAN = 0x7ff0000000000001n, MIN = 1n, MAX = F64.infinity - 1n, ONE = bitsOf(1), MINUS = bitsOf(-1), NORMAL = bitsOf(2 ** -1022);

test("infinities, zeros and NaNs give what the standard says, with its flags", () => {
  const nan = F64.quietNaN, inf = bitsOf(INF), zero = 0n, minusZero = bitsOf(-0);
  const of = (run: (out: soft.FloatFlags) => bigint): [bigint, number] => { const out = { flags: 0 }, bits = run(out); return [bits, out.flags]; };
  const cases: [string, [bigint, number], bigint, number][] = [
    ["inf - inf", of((o) => soft.sub(F64, inf, inf, RNE, o)), nan, NV], ["inf + inf", of((o) => soft.add(F64, inf, inf, RNE, o)), inf, 0],
    ["inf * 0", of((o) => soft.mul(F64, inf, zero, RNE, o)), nan, NV], ["0 / 0", of((o) => soft.div(F64, zero, zero, RNE, o)), nan, NV],
    ["-1 / 0", of((o) => soft.div(F64, MINUS, zero, RNE, o)), bitsOf(-INF), DZ], ["inf / 0", of((o) => soft.div(F64, inf, zero, RNE, o)), inf, 0],
    ["sqrt -1", of((o) => soft.sqrt(F64, MINUS, RNE, o)), nan, NV], ["sqrt -0", of((o) => soft.sqrt(F64, minusZero, RNE, o)), minusZero, 0],
    ["quiet NaN + 1", of((o) => soft.add(F64, nan | 5n, ONE, RNE, o)), nan, 0], ["signalling NaN * 1", of((o) => soft.mul(F64, SNAN, ONE, RNE, o)), nan, NV],
    ["inf * 0 + NaN", of((o) => soft.fma(F64, inf, zero, nan, RNE, o)), nan, NV], ["1 * 1 + sNaN", of((o) => soft.fma(F64, ONE, ONE, SNAN, RNE, o)), nan, NV],
    ["inf * 1 - inf", of((o) => soft.fma(F64, inf, ONE, bitsOf(-INF), RNE, o)), nan, NV], ["1 - 1 down", of((o) => soft.sub(F64, ONE, ONE, RDN, o)), minusZero, 0],
    ["MAX + MAX to zero", of((o) => soft.add(F64, MAX, MAX, RTZ, o)), MAX, OF | NX], ["MAX + tiny up", of((o) => soft.add(F64, MAX, MIN, RUP, o)), inf, OF | NX],
    ["MAX + tiny to zero", of((o) => soft.add(F64, MAX, MIN, RTZ, o)), MAX, NX], ["tiny / 2", of((o) => soft.div(F64, MIN, bitsOf(2), RNE, o)), zero, UF | NX],
    ["tiny / 2 away", of((o) => soft.div(F64, MIN, bitsOf(2), RMM, o)), MIN, UF | NX], ["subnormal exact", of((o) => soft.mul(F64, MIN, bitsOf(3), RNE, o)), 3n, 0],
    // Just below the smallest normal number: rounds to it with any exponent range, or not quite.
    ["not tiny", of((o) => soft.mul(F64, NORMAL + 1n, bitsOf(1 - 2 ** -53), RUP, o)), NORMAL + 1n, NX],
    ["tiny although the result is normal", of((o) => soft.mul(F64, NORMAL, bitsOf(1 - 2 ** -53), RNE, o)), NORMAL, UF | NX],
    ["single of sNaN", of((o) => soft.convert(F64, F32, SNAN, RNE, o)), F32.quietNaN, NV],
  ];
  for (const [what, [bits, flags], wanted, wantedFlags] of cases) assert.equal([hex(bits), flags], [hex(wanted), wantedFlags], what);
});

test("minimum, maximum, comparisons and classes", () => {
  const zero = 0n, minusZero = bitsOf(-0), nan = F64.quietNaN, out = { flags: 0 };
  assert.is(soft.minMax(F64, zero, minusZero, false, out), minusZero);
  assert.is(soft.minMax(F64, minusZero, zero, true, out), zero);
  assert.is(soft.minMax(F64, nan, ONE, false, out), ONE);
  assert.is(soft.minMax(F64, nan | 7n, nan, true, out), nan);
  assert.is(out.flags, 0);
  assert.is(soft.minMax(F64, SNAN, ONE, true, out), ONE);
  assert.is(out.flags, NV);
  assert.is(soft.compare(F64, zero, minusZero, "eq", out), 1n);
  assert.is(soft.compare(F64, minusZero, zero, "lt", out), 0n);
  assert.is(soft.compare(F64, bitsOf(-2), bitsOf(-1), "lt", out), 1n);
  for (const [how, operand, flags] of [["eq", nan, 0], ["eq", SNAN, NV], ["lt", nan, NV], ["le", nan, NV]] as const) {
    out.flags = 0;
    assert.is(soft.compare(F64, operand, ONE, how, out), 0n);
    assert.is(out.flags, flags, `${how} of a NaN`);
  }
  const classes = [bitsOf(-INF), MINUS, (1n << 63n) | 1n, minusZero, zero, 1n, ONE, bitsOf(INF), SNAN, nan];
  classes.forEach((bits, at) => assert.is(soft.classify(F64, bits), 1n << BigInt(at), `class ${at}`));
  const smalls = [0xff800000n, 0xbf800000n, 0x80000001n, 0x80000000n, 0n, 1n, 0x3f800000n, 0x7f800000n, 0x7f800001n, 0x7fc00000n];
  smalls.forEach((bits, at) => assert.is(soft.classify(F32, bits), 1n << BigInt(at), `single class ${at}`));
});

test("conversions to integers saturate", () => {
  const cases: [number, 32 | 64, boolean, bigint, number][] = [
    [NaN, 32, true, 0x7fffffffn, NV], [-INF, 64, true, -0x8000000000000000n, NV], [INF, 64, false, 0xffffffffffffffffn, NV], [-0.5, 32, false, 0n, NX],
    [-1, 64, false, 0n, NV], [2 ** 63, 64, true, 0x7fffffffffffffffn, NV], [-(2 ** 63), 64, true, -0x8000000000000000n, 0], [1e300, 32, false, 0xffffffffn, NV],
    [4294967295, 32, false, 4294967295n, 0], [2 ** 64 - 2048, 64, false, 2n ** 64n - 2048n, 0],
  ];
  for (const [x, size, isSigned, wanted, flags] of cases) {
    const out = { flags: 0 };
    assert.is(soft.toInteger(F64, bitsOf(x), size, isSigned, RNE, out), wanted, `${x}`);
    assert.is(out.flags, flags, `flags of ${x}`);
  }
});

test.run();
