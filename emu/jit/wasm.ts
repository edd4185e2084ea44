// Writes WebAssembly modules: LEB128, sections, and instructions by their standard names.
//
// A function body is a list of bytes that an Emitter collects. Only what Loanword emits is here: one memory and at most one
// table, both imported, imported and own functions, tail calls; no globals.

export const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c;
export type WasmType = typeof I32 | typeof I64 | typeof F32 | typeof F64;
const FUNC = 0x60, FUNCREF = 0x70, VOID = 0x40;

/** Opcodes without immediate operands, by name. */
export const OPCODES = {
  unreachable: 0x00, nop: 0x01, else: 0x05, end: 0x0b, return: 0x0f, drop: 0x1a, select: 0x1b,
  "i32.eqz": 0x45, "i32.eq": 0x46, "i32.ne": 0x47, "i32.lt_s": 0x48, "i32.lt_u": 0x49, "i32.gt_s": 0x4a, "i32.gt_u": 0x4b, "i32.le_s": 0x4c,
  "i32.le_u": 0x4d, "i32.ge_s": 0x4e, "i32.ge_u": 0x4f, "i64.eqz": 0x50, "i64.eq": 0x51, "i64.ne": 0x52, "i64.lt_s": 0x53, "i64.lt_u": 0x54,
  "i64.gt_s": 0x55, "i64.gt_u": 0x56, "i64.le_s": 0x57, "i64.le_u": 0x58, "i64.ge_s": 0x59, "i64.ge_u": 0x5a, "f32.eq": 0x5b, "f32.ne": 0x5c,
  "f32.lt": 0x5d, "f32.gt": 0x5e, "f32.le": 0x5f, "f32.ge": 0x60, "f64.eq": 0x61, "f64.ne": 0x62, "f64.lt": 0x63, "f64.gt": 0x64, "f64.le": 0x65,
  "f64.ge": 0x66, "i32.clz": 0x67, "i32.ctz": 0x68, "i32.popcnt": 0x69, "i32.add": 0x6a, "i32.sub": 0x6b, "i32.mul": 0x6c, "i32.div_s": 0x6d,
  "i32.div_u": 0x6e, "i32.rem_s": 0x6f, "i32.rem_u": 0x70, "i32.and": 0x71, "i32.or": 0x72, "i32.xor": 0x73, "i32.shl": 0x74, "i32.shr_s": 0x75,
  "i32.shr_u": 0x76, "i32.rotl": 0x77, "i32.rotr": 0x78, "i64.clz": 0x79, "i64.ctz": 0x7a, "i64.popcnt": 0x7b, "i64.add": 0x7c, "i64.sub": 0x7d,
  "i64.mul": 0x7e, "i64.div_s": 0x7f, "i64.div_u": 0x80, "i64.rem_s": 0x81, "i64.rem_u": 0x82, "i64.and": 0x83, "i64.or": 0x84, "i64.xor": 0x85,
  "i64.shl": 0x86, "i64.shr_s": 0x87, "i64.shr_u": 0x88, "i64.rotl": 0x89, "i64.rotr": 0x8a, "f32.abs": 0x8b, "f32.neg": 0x8c, "f32.sqrt": 0x91,
  "f32.add": 0x92, "f32.sub": 0x93, "f32.mul": 0x94, "f32.div": 0x95, "f32.min": 0x96, "f32.max": 0x97, "f64.abs": 0x99, "f64.neg": 0x9a, "f64.sqrt": 0x9f, "f64.add": 0xa0,
  "f64.sub": 0xa1, "f64.mul": 0xa2, "f64.div": 0xa3, "f64.min": 0xa4, "f64.max": 0xa5, "i32.wrap_i64": 0xa7, "i64.extend_i32_s": 0xac, "i64.extend_i32_u": 0xad,
  "f64.ceil": 0x9b, "f64.floor": 0x9c, "f64.trunc": 0x9d, "f64.nearest": 0x9e,
  "i64.trunc_f64_s": 0xb0, "f32.convert_i32_s": 0xb2, "f32.convert_i64_s": 0xb4, "f32.demote_f64": 0xb6, "f64.convert_i32_s": 0xb7,
  "f64.convert_i32_u": 0xb8, "f64.convert_i64_s": 0xb9, "f64.convert_i64_u": 0xba, "f64.promote_f32": 0xbb, "i32.reinterpret_f32": 0xbc,
  "i64.reinterpret_f64": 0xbd, "f32.reinterpret_i32": 0xbe, "f64.reinterpret_i64": 0xbf, "i32.extend8_s": 0xc0, "i32.extend16_s": 0xc1,
  "i64.extend8_s": 0xc2, "i64.extend16_s": 0xc3, "i64.extend32_s": 0xc4,
} as const;
export type Op = keyof typeof OPCODES;

/** Loads and stores, by name. */
export const MEMORY_OPS = {
  "i32.load": 0x28, "i64.load": 0x29, "f32.load": 0x2a, "f64.load": 0x2b, "i32.load8_s": 0x2c, "i32.load8_u": 0x2d, "i32.load16_s": 0x2e,
  "i32.load16_u": 0x2f, "i64.load8_s": 0x30, "i64.load8_u": 0x31, "i64.load16_s": 0x32, "i64.load16_u": 0x33, "i64.load32_s": 0x34,
  "i64.load32_u": 0x35, "i32.store": 0x36, "i64.store": 0x37, "f32.store": 0x38, "f64.store": 0x39, "i32.store8": 0x3a, "i32.store16": 0x3b,
  "i64.store8": 0x3c, "i64.store16": 0x3d, "i64.store32": 0x3e,
} as const;
export type MemoryOp = keyof typeof MEMORY_OPS;

/** Operations of SIMD, behind their prefix. */
const SIMD_OPS = { "f64x2.splat": 0x14, "f64x2.extract_lane": 0x21, "f64x2.relaxed_madd": 0x107 } as const;

function typeOfResult(op: Op): WasmType {
  const [type, what] = op.split(".");
  if (what && /^(eqz|eq|ne|lt|gt|le|ge)(_[su])?$/.test(what)) return I32;
  return type === "i32" ? I32 : type === "i64" ? I64 : type === "f32" ? F32 : F64;
}

function bytesMoved(op: MemoryOp): number {
  const bits = /(8|16|32)(_[su])?$/.exec(op.split(".")[1]!)?.[1];
  return bits ? Number(bits) / 8 : op.startsWith("i32") || op.startsWith("f32") ? 4 : 8;
}

const RESULT_TYPES = new Map((Object.keys(OPCODES) as Op[]).map((op) => [op, typeOfResult(op)]));
const BYTES_MOVED = new Map((Object.keys(MEMORY_OPS) as MemoryOp[]).map((op) => [op, bytesMoved(op)]));

/** The type that an operation leaves. */
export function resultType(op: Op): WasmType {
  return RESULT_TYPES.get(op)!;
}

/** Bytes that a load or store moves. */
export function sizeOf(op: MemoryOp): number {
  return BYTES_MOVED.get(op)!;
}

/** Appends an unsigned LEB128 number below 2^32. */
export function uleb(out: number[], value: number): void {
  for (value >>>= 0; value > 0x7f; value >>>= 7) out.push((value & 0x7f) | 0x80);
  out.push(value);
}

/** Appends a signed LEB128 number of 32 bits. */
export function sleb32(out: number[], value: number): void {
  value |= 0;
  while (value < -64 || value > 63) {
    out.push((value & 0x7f) | 0x80);
    value >>= 7;
  }
  out.push(value & 0x7f);
}

/** Appends a signed LEB128 number of up to 64 bits. */
export function sleb(out: number[], value: bigint): void {
  const near = Number(value);
  if (near >= -0x80000000 && near <= 0x7fffffff) return sleb32(out, near);
  for (;;) {
    const low = Number(value & 0x7fn);
    value >>= 7n;
    if ((value === 0n && (low & 0x40) === 0) || (value === -1n && (low & 0x40) !== 0)) return void out.push(low);
    out.push(low | 0x80);
  }
}

/** Collects instructions: of a function's body, or of an expression, of which there are very many. */
export class Code {
  readonly bytes: number[] = [];
  /** Labels that are open: those of block, loop and if. */
  depth = 0;

  op(name: Op): this {
    if (name === "end") this.depth--;
    this.bytes.push(OPCODES[name]);
    return this;
  }

  simd(name: keyof typeof SIMD_OPS): this {
    this.bytes.push(0xfd);
    uleb(this.bytes, SIMD_OPS[name]);
    return this;
  }

  i32(value: number): this {
    this.bytes.push(0x41);
    sleb32(this.bytes, value);
    return this;
  }

  i64(value: bigint): this {
    this.bytes.push(0x42);
    sleb(this.bytes, BigInt.asIntN(64, value));
    return this;
  }

  f64(value: number): this {
    this.bytes.push(0x44, ...new Uint8Array(new Float64Array([value]).buffer));
    return this;
  }

  f32(value: number): this {
    this.bytes.push(0x43, ...new Uint8Array(new Float32Array([value]).buffer));
    return this;
  }

  get(local: number): this {
    this.bytes.push(0x20);
    uleb(this.bytes, local);
    return this;
  }

  set(local: number): this {
    this.bytes.push(0x21);
    uleb(this.bytes, local);
    return this;
  }

  tee(local: number): this {
    this.bytes.push(0x22);
    uleb(this.bytes, local);
    return this;
  }

  /** A load or store at the address on the stack plus `offset`. Alignment hints of 1: guests misalign. */
  mem(name: MemoryOp, offset: number): this {
    this.bytes.push(MEMORY_OPS[name], 0);
    uleb(this.bytes, offset);
    return this;
  }

  call(index: number): this {
    this.bytes.push(0x10);
    uleb(this.bytes, index);
    return this;
  }

  /** Calls the table's function whose number is on the stack; `type` is a number from ModuleBuilder.functionType. */
  callIndirect(type: number): this {
    this.bytes.push(0x11);
    uleb(this.bytes, type);
    this.bytes.push(0);
    return this;
  }

  /** Calls in place of the function that runs. */
  returnCall(index: number): this {
    this.bytes.push(0x12);
    uleb(this.bytes, index);
    return this;
  }

  returnCallIndirect(type: number): this {
    this.bytes.push(0x13);
    uleb(this.bytes, type);
    this.bytes.push(0);
    return this;
  }

  block(type: WasmType | 0 = 0): this {
    this.depth++;
    this.bytes.push(0x02, type || VOID);
    return this;
  }

  loop(): this {
    this.depth++;
    this.bytes.push(0x03, VOID);
    return this;
  }

  if(type: WasmType | 0 = 0): this {
    this.depth++;
    this.bytes.push(0x04, type || VOID);
    return this;
  }

  br(depth: number): this {
    this.bytes.push(0x0c);
    uleb(this.bytes, depth);
    return this;
  }

  brIf(depth: number): this {
    this.bytes.push(0x0d);
    uleb(this.bytes, depth);
    return this;
  }

  brTable(depths: readonly number[], standard: number): this {
    this.bytes.push(0x0e);
    uleb(this.bytes, depths.length);
    for (const d of depths) uleb(this.bytes, d);
    uleb(this.bytes, standard);
    return this;
  }

  raw(bytes: readonly number[]): this {
    for (const b of bytes) this.bytes.push(b);
    return this;
  }
}

/** Collects the body of one function. */
export class Emitter extends Code {
  /** Offsets of conditional branches, and whether they are likely taken. */
  private readonly hints: { at: number; likely: boolean | null }[] = [];
  private readonly locals: WasmType[] = [];
  private readonly paramCount: number;

  constructor(paramCount: number) {
    super();
    this.paramCount = paramCount;
  }

  /** A new local variable. => its index */
  local(type: WasmType): number {
    this.locals.push(type);
    return this.paramCount + this.locals.length - 1;
  }

  /** Says of the branch that is emitted next whether its condition mostly holds. => the hint's number */
  hint(likely: boolean): number {
    return this.hints.push({ at: this.bytes.length, likely }) - 1;
  }

  /** Changes a hint, or takes it back with null. */
  changeHint(hint: number, likely: boolean | null): void {
    this.hints[hint]!.likely = likely;
  }

  /** Puts code without hints in front of all; labels that it opens are outside of those here. */
  prepend(front: Emitter): void {
    const by = front.bytes.length;
    this.bytes.unshift(...front.bytes);
    for (const h of this.hints) h.at += by;
  }

  /** The body with its locals, as the code section wants it; hints count from its beginning. */
  finish(): Body {
    const groups: [number, WasmType][] = [];
    for (const type of this.locals) {
      const last = groups.at(-1);
      if (last && last[1] === type) last[0]++;
      else groups.push([1, type]);
    }
    const head: number[] = [];
    uleb(head, groups.length);
    for (const [count, type] of groups) {
      uleb(head, count);
      head.push(type);
    }
    const hints = this.hints.flatMap(({ at, likely }) => (likely === null ? [] : [[at + head.length, likely] as const]));
    this.bytes.push(OPCODES.end);
    return { body: joined([new Uint8Array(head), new Uint8Array(this.bytes)]), hints };
  }
}

interface Body { readonly body: Uint8Array; readonly hints: readonly (readonly [at: number, likely: boolean])[] }
interface FunctionType { readonly params: readonly WasmType[]; readonly results: readonly WasmType[] }

/** Collects a module. Imports come first, so that function indices are known when bodies are written. */
export class ModuleBuilder {
  private readonly types: FunctionType[] = [];
  private readonly imports: { module: string; name: string; type: number }[] = [];
  private readonly functions: (Body & { readonly type: number })[] = [];
  private readonly exports: { name: string; index: number }[] = [];
  private readonly shared: boolean;
  private readonly pages: number;
  private tableSize = 0;

  /** => the memory `env.memory` of at least `pages` 64 KiB pages is imported */
  constructor(pages: number, shared = false) {
    this.pages = pages;
    this.shared = shared;
  }

  private type(params: readonly WasmType[], results: readonly WasmType[]): number {
    const same = (t: FunctionType) => t.params.join() === params.join() && t.results.join() === results.join();
    const at = this.types.findIndex(same);
    return at >= 0 ? at : this.types.push({ params, results }) - 1;
  }

  /** The number of a function type, for callIndirect. */
  functionType(params: readonly WasmType[], results: readonly WasmType[]): number {
    return this.type(params, results);
  }

  /** Imports the table `env.table` of at least `size` functions. */
  importTable(size: number): void {
    this.tableSize = size;
  }

  /** Imports `env.name`. => its function index */
  importFunction(name: string, params: readonly WasmType[], results: readonly WasmType[]): number {
    if (this.functions.length > 0) throw new Error("wasm: imports come before functions");
    return this.imports.push({ module: "env", name, type: this.type(params, results) }) - 1;
  }

  /** Index of the function that is added next. */
  get nextFunction(): number {
    return this.imports.length + this.functions.length;
  }

  /** Adds a function. => its index */
  addFunction(params: readonly WasmType[], results: readonly WasmType[], body: Emitter, exportName = ""): number {
    const index = this.nextFunction;
    this.functions.push({ type: this.type(params, results), ...body.finish() });
    if (exportName) this.exports.push({ name: exportName, index });
    return index;
  }

  bytes(): Uint8Array {
    const memory = [...text("env"), ...text("memory"), 2, this.shared ? 3 : 0];
    uleb(memory, this.pages);
    if (this.shared) uleb(memory, 65536);
    const table = this.tableSize === 0 ? [] : [withUleb([...text("env"), ...text("table"), 1, FUNCREF, 0], this.tableSize)];
    return joined([
      Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
      ...section(1, this.types.map((t) => [FUNC, t.params.length, ...t.params, t.results.length, ...t.results])),
      ...section(2, [memory, ...table, ...this.imports.map((i) => withUleb([...text(i.module), ...text(i.name), 0], i.type))]),
      ...section(3, this.functions.map((f) => withUleb([], f.type))),
      ...section(7, this.exports.map((e) => withUleb([...text(e.name), 0], e.index))),
      ...this.hintSection(),
      ...section(10, this.functions.flatMap((f) => [withUleb([], f.body.length), f.body]), this.functions.length),
      ...this.nameSection(),
    ]);
  }

  /** Names of functions, for profilers: those that they are exported by. */
  private nameSection(): Uint8Array[] {
    const names: number[] = [], body = text("name");
    uleb(names, this.exports.length);
    for (const { name, index } of this.exports) {
      uleb(names, index);
      names.push(...text(name));
    }
    body.push(1);
    uleb(body, names.length);
    return [new Uint8Array(withUleb([0], body.length + names.length)), new Uint8Array([...body, ...names])];
  }

  /** The custom section of branch hints. For each function with some: offset, a length of 1, and 1 for likely. */
  private hintSection(): Uint8Array[] {
    const body = text("metadata.code.branch_hint"), hinted = this.functions.map((f, i) => ({ f, i })).filter(({ f }) => f.hints.length > 0);
    if (hinted.length === 0) return [];
    uleb(body, hinted.length);
    for (const { f, i } of hinted) {
      uleb(body, this.imports.length + i);
      uleb(body, f.hints.length);
      for (const [at, likely] of f.hints) {
        uleb(body, at);
        body.push(1, likely ? 1 : 0);
      }
    }
    return [new Uint8Array(withUleb([0], body.length)), new Uint8Array(body)];
  }
}

function withUleb(bytes: number[], value: number): number[] {
  uleb(bytes, value);
  return bytes;
}

function text(s: string): number[] {
  const bytes = [...new TextEncoder().encode(s)];
  return [...withUleb([], bytes.length), ...bytes];
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** => count: of items, when an item has several parts */
function section(id: number, parts: readonly (readonly number[] | Uint8Array)[], count = parts.length): Uint8Array[] {
  const head: number[] = [], length = parts.reduce((n, p) => n + p.length, 0);
  uleb(head, count);
  const start = [id];
  uleb(start, length + head.length);
  return [new Uint8Array([...start, ...head]), ...parts.map((p) => (p instanceof Uint8Array ? p : new Uint8Array(p)))];
}
