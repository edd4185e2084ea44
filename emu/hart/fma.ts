// a * b + c with one rounding, in WebAssembly, which may have no such operation.
//
// Dekker's product gives a * b as two doubles uh + ul. The three numbers uh, ul, c are summed so that the last addition
// rounds a value whose own rounding was to odd: then rounding twice is rounding once (Boldo and Melquiond, 2008).
// Sound when nothing overflows or underflows on the way: exponents are checked, and NaN says that TypeScript has to do it.
import { emitRelaxedMadd } from "../jit/features.ts";
import { type Emitter, F64, I64, type WasmType } from "../jit/wasm.ts";

const LARGE = 2 ** 450, SMALL = 2 ** -450, SPLIT = 2 ** 27 + 1;

/** Emits s = x + y and the exact error of that sum. */
function twoSum(e: Emitter, x: number, y: number, s: number, err: number, t: number): void {
  e.get(x).get(y).op("f64.add").set(s).get(s).get(x).op("f64.sub").set(t);
  e.get(x).get(s).get(t).op("f64.sub").op("f64.sub").get(y).get(t).op("f64.sub").op("f64.add").set(err);
}

/** Emits hi + lo = x with 26 bits each. */
function split(e: Emitter, x: number, hi: number, lo: number, t: number): void {
  e.get(x).f64(SPLIT).op("f64.mul").tee(t).get(t).get(x).op("f64.sub").op("f64.sub").set(hi).get(x).get(hi).op("f64.sub").set(lo);
}

/** Leaves i32 1 when SMALL < |x| < LARGE. */
function moderate(e: Emitter, x: number): Emitter {
  return e.get(x).op("f64.abs").f64(SMALL).op("f64.gt").get(x).op("f64.abs").f64(LARGE).op("f64.lt").op("i32.and");
}

/** Emits a * b + c, or NaN, of three locals. `take` gives temporaries. => fused: the host has an operation that does it */
export function emitFma(e: Emitter, [a, b, c]: readonly [number, number, number], fused: boolean, take: (type: WasmType) => number): void {
  if (fused) return emitRelaxedMadd(e, a, b, c);
  const f = () => take(F64);
  const uh = f(), ul = f(), ah = f(), al = f(), bh = f(), bl = f(), t = f(), th = f(), tl = f(), vh = f(), vl = f(), z = f(), err = f(), bits = take(I64);
  e.block(F64);
  moderate(e, a);
  moderate(e, b).op("i32.and");
  moderate(e, c).get(c).f64(0).op("f64.eq").op("i32.or").op("i32.and").op("i32.eqz").if().f64(NaN).br(1).op("end");
  e.get(a).get(b).op("f64.mul").set(uh);
  split(e, a, ah, al, t);
  split(e, b, bh, bl, t);
  e.get(ah).get(bh).op("f64.mul").get(uh).op("f64.sub").get(ah).get(bl).op("f64.mul").op("f64.add").get(al).get(bh).op("f64.mul").op("f64.add");
  e.get(al).get(bl).op("f64.mul").op("f64.add").set(ul);
  twoSum(e, c, ul, th, tl, t);
  twoSum(e, uh, th, vh, vl, t);
  twoSum(e, tl, vl, z, err, t);
  // Round to odd: an inexact even z moves one unit towards its error.
  e.get(z).op("i64.reinterpret_f64").set(bits);
  e.get(err).f64(0).op("f64.ne").get(bits).op("i32.wrap_i64").i32(1).op("i32.and").op("i32.eqz").op("i32.and").if();
  e.get(bits).i64(1n).i64(-1n).get(err).f64(0).op("f64.gt").get(z).f64(0).op("f64.gt").op("i32.eq").op("select").op("i64.add").op("f64.reinterpret_i64").set(z);
  e.op("end").get(vh).get(z).op("f64.add").op("end");
}
