// What this host's WebAssembly can do beyond the standard, found out by trying.
import { Emitter, F64, ModuleBuilder } from "./wasm.ts";

/** Emits a * b + c of three f64 on the stack as one fused operation of SIMD. => only where `hasFusedMadd` holds */
export function emitRelaxedMadd(e: Emitter, a: number, b: number, c: number): void {
  e.get(a).simd("f64x2.splat").get(b).simd("f64x2.splat").get(c).simd("f64x2.splat").simd("f64x2.relaxed_madd").simd("f64x2.extract_lane").raw([0]);
}

/** Whether relaxed multiply-and-add is there, and rounds once. It may do either, but always the same on one machine. */
export function hasFusedMadd(): boolean {
  const e = new Emitter(3), m = new ModuleBuilder(0);
  emitRelaxedMadd(e, 0, 1, 2);
  m.addFunction([F64, F64, F64], [F64], e, "f");
  const bytes = m.bytes() as BufferSource;
  if (!WebAssembly.validate(bytes)) return false;
  const env = { memory: new WebAssembly.Memory({ initial: 0 }) };
  const f = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env }).exports["f"] as (a: number, b: number, c: number) => number;
  const x = 1 + 2 ** -30;
  return f(x, x, -(x * x)) === 2 ** -60 && f(3, 5, 7) === 22;
}
