// The builder that instruction semantics are written against: each instruction says once what it does, in terms of
// WebAssembly's own operations on its operands. A dynamic context takes operands from predecoded records and makes the
// interpreter; a static context will fold them into translated code.
import type { MemoryOp, Op, WasmType } from "../jit/wasm.ts";

/** A value: an expression that has not been evaluated yet. Used once, unless it came from `let`. */
export interface V { readonly type: WasmType; readonly bytes: readonly number[] }

/** Which operand of the instruction. */
export type Source = "rs1" | "rs2";
export type FloatSource = "fs1" | "fs2" | "fs3";

export interface Builder {
  // ---- operands ----
  /** An x register, 64 bits, or its low word as i32. */
  x(r: Source): V;
  w(r: Source): V;
  /** The immediate, sign-extended to 64 bits, or as i32. */
  imm(): V;
  imm32(): V;
  /** Address of the instruction, and of the next one. */
  pc(): V;
  next(): V;
  /** Writes rd: 64 bits, or an i32 that is sign-extended. */
  setX(v: V): void;
  setW(v: V): void;

  // ---- expressions ----
  op(name: Op, a: V, b?: V): V;
  i32(n: number): V;
  i64(n: bigint): V;
  select(cond: V, yes: V, no: V): V;
  /** Evaluates once, now; the result can be used any number of times. */
  let(v: V): V;
  /** Runs `then`, or `otherwise`, by an i32 condition. */
  when(cond: V, then: () => void, otherwise?: () => void): void;

  // ---- memory ----
  /** A load of a value at a guest virtual address. */
  load(op: MemoryOp, addr: V): V;
  store(op: MemoryOp, addr: V, value: V): void;
  /** Checks an address for LR or AMO: aligned, readable or writable. => its i32 host offset, usable once more by `at` */
  place(addr: V, sizeBytes: 4 | 8, kind: number): V;
  /** A plain load or store at a host offset from `place`, or in the hart's block. */
  at(op: MemoryOp, place: V): V;
  putAt(op: MemoryOp, place: V, value: V): void;
  field(op: MemoryOp, offset: number): V;
  setField(op: MemoryOp, offset: number, value: V): void;

  // ---- control ----
  /** Goes to pc + imm when the i32 condition holds. */
  branch(cond: V): void;
  /** Goes to pc + imm. */
  jumpRelative(): void;
  /** Goes to an address whose lowest bit is cleared here. */
  jump(target: V): void;
  /** Raises an exception. */
  trap(cause: number, tval: V): void;
  /** CSR number and rs1 field of a CSR instruction, or null where they are known only when it runs. */
  csr(): { number: number; source: number } | null;
  /** ecall's cause depends on the privilege: TypeScript decides. */
  system(): void;

  // ---- floating point ----
  /** Raises illegal instruction when mstatus.FS is off. The first thing that each floating-point instruction does. */
  needFloat(): void;
  /** An f register as 64 bits, as a double, or as a single: the canonical NaN unless it is boxed properly. */
  fbits(r: FloatSource): V;
  f64(r: FloatSource): V;
  f32(r: FloatSource): V;
  /** Writes fd and marks the state dirty: 64 raw bits; 32 raw bits (i32), boxed. */
  setF(bits: V): void;
  setFs(bits: V): void;
  /** i32 1 when the wasm operation may stand alone for the instruction's rounding mode. */
  fastRounding(): V;
  /** Ors i32 flags into fflags. */
  raiseFlags(flags: V): void;
  /** Does the instruction exactly in TypeScript (cold). Writes its destination and flags; may raise illegal instruction. */
  coldFloat(op: number): void;
  /** A fused multiply-add done by the core module's exact helper: a * b + c of doubles; NaN when TypeScript must do it. */
  fma(a: V, b: V, c: V): V;
}

export type Semantics = (c: Builder) => void;

/** One instruction. */
export interface Row {
  readonly name: string;
  /** Bits that identify it: insn & mask == match. */
  readonly match: number;
  readonly mask: number;
  /**
   * Operands in assembly order, separated by commas; they also say where the decoder finds them.
   *
   *   rd rs1 rs2 fd fs1 fs2 fs3    registers
   *   i   12-bit immediate         i(rs1)   the same as an address      s(rs2's store form) s(rs1)
   *   b j branch, jump distance    u  upper immediate                   sh5 sh6  shift amounts
   *   csr zimm                     rm rounding mode, fence: predecessor and successor, (rs1) plain address
   */
  readonly args: string;
  readonly sem: Semantics;
  /** Which extension it belongs to, for the device tree and the tests. */
  readonly ext: string;
}
