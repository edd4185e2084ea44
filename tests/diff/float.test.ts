// Generated code's fast ways through floating point against exact arithmetic, on operands made to land on ties, next to
// them, and at the ends of the formats, with NX clear and set. (softfloat.test.ts holds the exact arithmetic to a model.)
import * as soft from "../../emu/hart/softfloat.ts";
import { asm } from "../helpers/asm.ts";
import { BareHart } from "../helpers/barehart.ts";
import { assert, suite } from "../helpers/suite.ts";
import { Random } from "./random.ts";

const test = suite("floating point, fast and exact");
const BOX = 0xffffffff00000000n, CASES = 20000;
const FLOAT_RESULTS = ["fadd", "fsub", "fmul", "fdiv", "fsqrt", "fmin", "fmax", "fmadd", "fmsub", "fnmsub", "fnmadd"] as const;
const INTEGERS = ["w", "wu", "l", "lu"] as const;

/** 1 and two more bits, with an exponent near 0: sums, products and quotients of such numbers often come close to a tie. */
function sparse(r: Random, f: soft.Format): bigint {
  const fractionBits = BigInt(f.precision - 1), one = 1n << fractionBits, bit = () => (r.percent(30) ? 0n : 1n << BigInt(r.below(f.precision - 1)));
  const sig = r.percent(50) ? one + bit() + bit() : 2n * one - 1n - bit(), near = BigInt(f === soft.F64 ? 1023 : 127) + BigInt(r.range(-f.precision - 2, f.precision + 2));
  const exponent = r.percent(90) ? near : BigInt(r.below(f === soft.F64 ? 2047 : 255));
  return (BigInt(r.below(2)) << BigInt(f.width - 1)) | (exponent << fractionBits) | (sig & (one - 1n));
}

/** => what the instruction should give, and its flags in `out` */
function exact(f: soft.Format, name: string, a: bigint, b: bigint, c: bigint, rm: number, out: soft.FloatFlags): bigint {
  switch (name) {
    case "fadd": return soft.add(f, a, b, rm, out);
    case "fsub": return soft.sub(f, a, b, rm, out);
    case "fmul": return soft.mul(f, a, b, rm, out);
    case "fdiv": return soft.div(f, a, b, rm, out);
    case "fsqrt": return soft.sqrt(f, a, rm, out);
    case "fmin": case "fmax": return soft.minMax(f, a, b, name === "fmax", out);
    case "fmadd": return soft.fma(f, a, b, c, rm, out);
    case "fmsub": return soft.fma(f, a, b, soft.negate(f, c), rm, out);
    case "fnmsub": return soft.fma(f, soft.negate(f, a), b, c, rm, out);
    default: return soft.fma(f, soft.negate(f, a), b, soft.negate(f, c), rm, out);
  }
}

class Bench {
  readonly bare = new BareHart();
  private readonly places = new Map<string, number>();
  private next = 0;

  /** Runs one instruction with f1, f2, f3, x1 as operands; its result is in f4 or x4. => flags */
  run(name: string, operands: bigint[], x1: bigint, rm: number, flags: number, frm = 0): number {
    const key = `${name} ${rm}`, { hart } = this.bare;
    let at = this.places.get(key);
    if (at === undefined) {
      this.places.set(key, (at = this.next));
      this.next += this.bare.code(at, asm(name, { rd: 4, rs1: 1, rs2: 2, rs3: 3, rm }));
    }
    operands.forEach((bits, i) => (hart.f64bits[i + 1] = bits));
    hart.x64[1] = x1;
    hart.float.fflags = flags;
    hart.float.frm = frm;
    this.bare.run(at, 1);
    return hart.float.fflags;
  }
}

const hex = (v: bigint): string => `0x${BigInt.asUintN(64, v).toString(16)}`;

for (const f of [soft.F64, soft.F32]) {
  const letter = f === soft.F64 ? "d" : "s", boxed = (bits: bigint) => (f === soft.F64 ? bits : bits | BOX);

  test(`${f.width}-bit arithmetic of generated code is exact, flags and all`, () => {
    const r = new Random(f.width), bench = new Bench();
    for (let i = 0; i < CASES; i++) {
      const make = () => (r.percent(75) ? sparse(r, f) : r.float(letter === "s"));
      let [a, b, c] = [make(), make(), make()];
      // Near squares, so that a product differs from a representable number by very little.
      if (r.percent(25)) b = a ^ (1n << BigInt(r.below(f.precision - 1)));
      const name = r.pick(FLOAT_RESULTS), rm = r.percent(70) ? 0 : r.below(5), before = r.percent(60) ? 1 : 0, out = { flags: before };
      const wanted = boxed(exact(f, name, a, b, c, rm, out));
      const flags = bench.run(`${name}.${letter}`, [boxed(a), boxed(b), boxed(c)], 0n, rm, before), got = BigInt.asUintN(64, bench.bare.hart.f64bits[4]!);
      if (got !== wanted || flags !== out.flags) assert.unreachable(`${name}.${letter} ${hex(a)} ${hex(b)} ${hex(c)} mode ${rm} flags ${before}: ${hex(got)} ${flags}, wanted ${hex(wanted)} ${out.flags}`);
    }
  });

  test(`conversions of ${f.width}-bit numbers are exact`, () => {
    const r = new Random(f.width + 1), bench = new Bench();
    for (let i = 0; i < CASES / 2; i++) {
      const kind = r.pick(INTEGERS), size = kind.startsWith("w") ? 32 : 64, isSigned = !kind.endsWith("u"), rm = r.below(5), before = r.below(2), out = { flags: before };
      if (r.percent(50)) {
        const a = r.percent(60) ? sparse(r, f) : r.float(letter === "s"), wanted = BigInt.asIntN(size, soft.toInteger(f, a, size, isSigned, rm, out));
        const flags = bench.run(`fcvt.${kind}.${letter}`, [boxed(a)], 0n, rm, before), got = bench.bare.hart.x64[4]!;
        if (got !== wanted || flags !== out.flags) assert.unreachable(`fcvt.${kind}.${letter} ${hex(a)} mode ${rm}: ${got} ${flags}, wanted ${wanted} ${out.flags}`);
      } else {
        const x = BigInt.asIntN(64, r.integer()), value = isSigned ? BigInt.asIntN(size, x) : BigInt.asUintN(size, x), wanted = boxed(soft.fromInteger(f, value, rm, out));
        const flags = bench.run(`fcvt.${letter}.${kind}`, [], x, rm, before), got = BigInt.asUintN(64, bench.bare.hart.f64bits[4]!);
        if (got !== wanted || flags !== out.flags) assert.unreachable(`fcvt.${letter}.${kind} ${hex(x)} mode ${rm}: ${hex(got)} ${flags}, wanted ${hex(wanted)} ${out.flags}`);
      }
    }
  });
}

test("classes, and conversions between the formats", () => {
  const r = new Random(5), bench = new Bench();
  for (let i = 0; i < CASES; i++) {
    const f = r.percent(50) ? soft.F64 : soft.F32, to = f === soft.F64 ? soft.F32 : soft.F64, letter = f === soft.F64 ? "d" : "s", other = f === soft.F64 ? "s" : "d";
    const a = r.percent(30) ? sparse(r, f) : r.float(f === soft.F32), operand = f === soft.F64 ? a : a | BOX, rm = r.below(5), before = r.below(2), out = { flags: before };
    bench.run(`fclass.${letter}`, [operand], 0n, rm, before);
    assert.is(bench.bare.hart.x64[4], soft.classify(f, a), `fclass.${letter} ${hex(a)}`);
    const wanted = soft.convert(f, to, a, rm, out) | (to === soft.F32 ? BOX : 0n), flags = bench.run(`fcvt.${other}.${letter}`, [operand], 0n, rm, before);
    const got = BigInt.asUintN(64, bench.bare.hart.f64bits[4]!);
    if (got !== wanted || flags !== out.flags) assert.unreachable(`fcvt.${other}.${letter} ${hex(a)} mode ${rm}: ${hex(got)} ${flags}, wanted ${hex(wanted)} ${out.flags}`);
  }
});

test("a single fused operation is not rounded twice", () => {
  const bits = (x: number) => BigInt(new Uint32Array(new Float32Array([x]).buffer)[0]!), u = 2 ** -20, bench = new Bench();
  // 1 + 2^-23 + 2^-24 - 2^-64: as a double it is a tie between two singles, which it is not.
  const a = bits((1 + u) * 2 ** -12), b = bits((1 - u) * 2 ** -12), c = bits(1 + 2 ** -23);
  bench.run("fmadd.s", [a | BOX, b | BOX, c | BOX], 0n, 0, 1);
  assert.is(BigInt.asUintN(64, bench.bare.hart.f64bits[4]!), c | BOX);
});

test.run();
