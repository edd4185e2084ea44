// What both contexts of the builder have in common: expressions, conditions and fields of the hart's block become
// WebAssembly here. Where operands come from and how an instruction leaves is theirs (handler.ts, jit/staticbuilder.ts).
import type { FloatSource, V } from "../isa/builder.ts";
import { setFloatFlags } from "../isa/floatflags.ts";
import { Code, type Emitter, F64, I32, I64, type MemoryOp, type Op, OPCODES, resultType, type WasmType } from "../jit/wasm.ts";
import { emitFma } from "./fma.ts";
import { FFLAGS, FRM } from "./layout.ts";

/** The NaN that stands for every result and every badly boxed single. */
const NAN_F32 = 0x7fc00000, BOX = -0x100000000n;

export abstract class WasmBuilder {
  protected readonly e: Emitter;
  /** Byte offset of the hart's block. */
  protected readonly hart: number;
  protected readonly pool: LocalPool;
  private readonly fusedMadd: boolean;
  /** How many times the code so far leaves the fast way. */
  protected colds = 0;
  /** Arms of `when` around the present place. */
  protected nested = 0;

  constructor(e: Emitter, hart: number, pool: LocalPool, fusedMadd: boolean) {
    this.e = e;
    this.hart = hart;
    this.pool = pool;
    this.fusedMadd = fusedMadd;
  }

  abstract fbits(r: FloatSource): V;
  abstract setF(bits: V): void;

  protected put(v: V): void {
    this.e.raw(v.bytes);
  }

  /** Captures what `write` emits as a value. */
  protected value(type: WasmType, write: (e: Code) => void): V {
    const e = new Code();
    write(e);
    return { type, bytes: e.bytes };
  }

  protected local(type: WasmType, index: number): V {
    return { type, bytes: index < 128 ? [0x20, index] : [0x20, (index & 0x7f) | 0x80, index >> 7] };
  }

  // ---- expressions ----
  op(name: Op, ...args: V[]): V {
    const bytes: number[] = [];
    for (const a of args) for (const b of a.bytes) bytes.push(b);
    bytes.push(OPCODES[name]);
    return { type: resultType(name), bytes };
  }

  i32(n: number): V { return { type: I32, bytes: new Code().i32(n).bytes }; }
  i64(n: bigint): V { return { type: I64, bytes: new Code().i64(n).bytes }; }

  select(cond: V, yes: V, no: V): V {
    return { type: yes.type, bytes: [...yes.bytes, ...no.bytes, ...cond.bytes, OPCODES.select] };
  }

  let(v: V): V {
    const local = this.pool.take(v.type);
    this.put(v);
    this.e.set(local);
    return this.local(v.type, local);
  }

  when(cond: V, then: () => void, otherwise?: () => void): void {
    this.put(cond);
    const hint = this.e.hint(true), before = this.colds;
    this.e.if();
    this.nested++;
    then();
    const between = this.colds;
    if (otherwise) {
      this.e.op("else");
      otherwise();
    }
    this.nested--;
    this.e.op("end");
    // The arm that leaves is the unlikely one; where neither does, nothing is known.
    if (between !== before) this.e.changeHint(hint, false);
    else if (this.colds === between) this.e.changeHint(hint, null);
  }

  // ---- host memory ----
  at(op: MemoryOp, place: V): V { return this.value(I64, (e) => e.raw(place.bytes).mem(op, 0)); }

  putAt(op: MemoryOp, place: V, value: V): void {
    this.put(place);
    this.put(value);
    this.e.mem(op, 0);
  }

  field(op: MemoryOp, offset: number): V {
    return this.value(op.startsWith("i64") ? I64 : I32, (e) => e.i32(0).mem(op, this.hart + offset));
  }

  setField(op: MemoryOp, offset: number, value: V): void {
    this.e.i32(0);
    this.put(value);
    this.e.mem(op, this.hart + offset);
  }

  // ---- floating point ----
  f32(r: FloatSource): V {
    const bits = this.let(this.fbits(r));
    const boxed = this.op("i64.eq", this.op("i64.shr_s", bits, this.i64(32n)), this.i64(-1n));
    return this.op("f32.reinterpret_i32", this.select(boxed, this.op("i32.wrap_i64", bits), this.i32(NAN_F32)));
  }

  setFs(bits: V): void { this.setF(this.op("i64.or", this.op("i64.extend_i32_u", bits), this.i64(BOX))); }

  raiseFlags(flags: V): void {
    setFloatFlags(this, this.let(this.op("i32.or", this.field("i32.load", FFLAGS), flags)), this.field("i32.load", FRM));
  }

  fma(a: V, b: V, c: V): V {
    const [x, y, z] = [a, b, c].map((v) => {
      const local = this.pool.take(F64);
      this.put(v);
      this.e.set(local);
      return local;
    });
    const result = this.pool.take(F64);
    emitFma(this.e, [x!, y!, z!], this.fusedMadd, (type) => this.pool.take(type));
    this.e.set(result);
    return this.local(F64, result);
  }
}

/** Temporaries, reused by each instruction. */
export class LocalPool {
  private readonly e: Emitter;
  /** By type, the locals there are and how many of them are taken. */
  private readonly of: number[][] = [[], [], [], []];
  private readonly used = [0, 0, 0, 0];

  constructor(e: Emitter) {
    this.e = e;
  }

  reset(): void {
    this.used.fill(0);
  }

  take(type: WasmType): number {
    const kind = I32 - type, all = this.of[kind]!, at = this.used[kind]!++;
    if (at === all.length) all.push(this.e.local(type));
    return all[at]!;
  }
}
