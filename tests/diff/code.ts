// A buffer of machine code, and encoding of 16-bit instructions by search: the table can only decode them.
import { compressedRows } from "../../emu/isa/compressed.ts";
import type { Operands } from "../../emu/isa/compressed.ts";
import { asm, type AsmOperands } from "../helpers/asm.ts";
import type { Random } from "./random.ts";

export class Code {
  private readonly view: DataView;
  private readonly base: number;
  at = 0;
  /** Instructions written. */
  count = 0;

  /** => code at address `base`, into `bytes` */
  constructor(bytes: Uint8Array, base: number) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.base = base;
  }

  get pc(): number {
    return this.base + this.at;
  }

  get free(): number {
    return this.view.byteLength - this.at;
  }

  /** One instruction: 16 bits when its low bits say so. */
  raw(insn: number): void {
    const short = (insn & 3) !== 3;
    if (short) this.view.setUint16(this.at, insn & 0xffff, true);
    else this.view.setInt32(this.at, insn, true);
    this.at += short ? 2 : 4;
    this.count++;
  }

  /** A word of data among the code, which is no instruction. */
  word(value: number): void {
    this.view.setInt32(this.at, value, true);
    this.at += 4;
  }

  setWord(at: number, value: number): void {
    this.view.setInt32(at, value, true);
  }

  op(name: string, o: AsmOperands = {}): void {
    this.raw(asm(name, o));
  }

  /** Overwrites an instruction. */
  patch(at: number, insn: number): void {
    if ((insn & 3) === 3) this.view.setInt32(at, insn, true);
    else this.view.setUint16(at, insn & 0xffff, true);
  }

  /** A 64-bit constant that fits 32. */
  constant(rd: number, value: number): void {
    const low = (value << 20) >> 20;
    this.op("lui", { rd, imm: (value - low) | 0 });
    this.op("addiw", { rd, rs1: rd, imm: low });
  }
}

/** All 16-bit instructions of one row by their operands' look; only those that are not reserved. */
const all = new Map(compressedRows.map((row) => {
  const found: { insn: number; o: Operands }[] = [];
  for (let insn = 0; insn < 65536; insn++) {
    if ((insn & row.mask) !== row.match || compressedRows.find((r) => (insn & r.mask) === r.match) !== row) continue;
    const o: Operands = { rd: 0, rs1: 0, rs2: 0, rs3: 0, imm: 0 };
    if (insn !== 0 && row.expand(insn, o)) found.push({ insn, o });
  }
  return [row.name, found] as const;
}));

export const compressedNames: readonly string[] = compressedRows.map((r) => r.name);

/** A random encoding of a 16-bit row whose operands pass. */
export function compressed(r: Random, name: string, pass: (o: Operands) => boolean): number {
  const list = all.get(name)!;
  for (let tries = 0; tries < 2000; tries++) {
    const { insn, o } = r.pick(list);
    if (pass(o)) return insn;
  }
  throw new Error(`no encoding of ${name}`);
}

/** The encoding of a 16-bit jump or branch with a distance. */
export function compressedJump(r: Random, name: string, distance: number): number {
  return r.pick(all.get(name)!.filter(({ o }) => o.imm === distance)).insn;
}
