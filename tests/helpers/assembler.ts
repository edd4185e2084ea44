// A small assembler in GNU's syntax, driven by the instruction table, for the bare programs of guest/bare: the machine that
// runs the tests may have no cross compiler. No relaxation and no compressed forms; GNU as takes the same files.
//
//   label:  name operands   # comment        pseudo-instructions li la mv j call ret beqz csrw …
//   .equ NAME, expr   .align N   .dword .word .half .byte   .asciz "text"   .space N   .globl .option: ignored
//
// Two passes: the first fixes addresses, so every pseudo-instruction has a length that does not depend on labels.
import * as csrs from "../../emu/hart/csrnum.ts";
import { rows } from "../../emu/isa/table.ts";
import { type AsmOperands, encodeRow } from "./asm.ts";

const ABI = ["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7",
  "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"];
const FABI = ["ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7",
  "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"];

const byName = new Map(rows.map((r) => [r.name, r]));
const csrNumbers = new Map(Object.entries(csrs).filter(([, v]) => typeof v === "number").map(([k, v]) => [k.toLowerCase(), v as number]));

export interface Assembled {
  readonly bytes: Uint8Array;
  readonly symbols: ReadonlyMap<string, number>;
}

interface Line {
  readonly at: number;
  readonly op: string;
  readonly args: string[];
  readonly no: number;
}

class Assembly {
  readonly symbols = new Map<string, number>();
  readonly equates = new Map<string, bigint>();
  readonly bytes: number[] = [];
  private here = 0;

  fail(line: Line, why: string): never {
    throw new Error(`line ${line.no}: ${line.op} ${line.args.join(", ")}: ${why}`);
  }

  /** Evaluates an expression: numbers, symbols, `.`, ( ) ~ - * << >> + - & |. */
  value(text: string, line: Line): bigint {
    const tokens = text.match(/0[xX][0-9a-fA-F]+|\d+[bf]?|[A-Za-z_.$][\w.$]*|<<|>>|[()~*+\-&|]|'.'/g) ?? [];
    let at = 0;
    const primary = (): bigint => {
      const t = tokens[at++] ?? this.fail(line, "an operand is missing");
      if (t === "(") {
        const v = binary(0);
        at++;
        return v;
      }
      if (t === "-") return -primary();
      if (t === "~") return ~primary();
      if (t === ".") return BigInt(this.here);
      if (t.startsWith("'")) return BigInt(t.charCodeAt(1));
      if (/^\d/.test(t)) return BigInt(t);
      const label = this.symbols.get(t);
      return this.equates.get(t) ?? (label !== undefined ? BigInt(label) : this.fail(line, `${t} is not defined`));
    };
    const levels = [["|"], ["&"], ["<<", ">>"], ["+", "-"], ["*"]];
    const binary = (level: number): bigint => {
      if (level === levels.length) return primary();
      let left = binary(level + 1);
      while (levels[level]!.includes(tokens[at] ?? "")) {
        const op = tokens[at++]!, right = binary(level + 1);
        left = op === "|" ? left | right : op === "&" ? left & right : op === "<<" ? left << right : op === ">>" ? left >> right
          : op === "+" ? left + right : op === "-" ? left - right : left * right;
      }
      return left;
    };
    return binary(0);
  }

  register(name: string, line: Line): number {
    const n = /^x(\d+)$/.exec(name) ?? /^f(\d+)$/.exec(name);
    if (n !== null) return Number(n[1]);
    const at = ABI.indexOf(name === "fp" ? "s0" : name), f = FABI.indexOf(name);
    return at >= 0 ? at : f >= 0 ? f : this.fail(line, `${name} is not a register`);
  }

  csr(name: string, line: Line): number {
    return csrNumbers.get(name) ?? Number(this.value(name, line));
  }

  emit(word: number): void {
    this.bytes.push(word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24);
    this.here += 4;
  }

  /** One instruction of the table. */
  instruction(line: Line, name: string, args: readonly string[]): void {
    const row = byName.get(name) ?? this.fail(line, "no such instruction");
    const wanted = row.args === "" ? [] : row.args.split(","), operands: AsmOperands = { imm: row.args === "fence" ? 0xff : 0 };
    wanted.forEach((kind, i) => {
      const arg = args[i];
      if (arg !== undefined) this.operand(line, kind, arg, operands);
      else if (!["rm", "fence"].includes(kind) && name !== "sfence.vma") this.fail(line, `${kind} is missing`);
    });
    if (wanted.length < args.length) this.fail(line, "too many operands");
    this.emit(encodeRow(row, operands));
  }

  private inRange(line: Line, v: number, bits: number): number {
    if (v < -(2 ** (bits - 1)) || v >= 2 ** (bits - 1)) this.fail(line, `${v} does not fit ${bits} bits`);
    return v;
  }

  /** Puts one written operand into the encoder's fields. */
  private operand(line: Line, kind: string, arg: string, o: AsmOperands): void {
    const number = () => Number(this.value(arg, line)), reg = (name = arg) => this.register(name, line);
    const address = /^(.*)\(\s*(\w+)\s*\)$/.exec(arg);
    switch (kind) {
      case "rd": case "fd": o.rd = reg(); break;
      case "rs1": case "fs1": o.rs1 = reg(); break;
      case "rs2": case "fs2": o.rs2 = reg(); break;
      case "fs3": o.rs3 = reg(); break;
      case "(rs1)": o.rs1 = reg(address?.[2]); break;
      case "i": o.imm = this.inRange(line, number(), 12); break;
      case "i(rs1)": case "s(rs1)":
        if (address === null) this.fail(line, `${arg} is not an address`);
        o.imm = this.inRange(line, address[1] === "" ? 0 : Number(this.value(address[1]!, line)), 12);
        o.rs1 = reg(address[2]);
        break;
      case "b": o.imm = this.inRange(line, number() - this.here, 13); break;
      case "j": o.imm = this.inRange(line, number() - this.here, 21); break;
      case "u": o.imm = Number(this.value(arg, line) & 0xfffffn) << 12; break;
      case "sh5": case "sh6": o.imm = number(); break;
      case "csr": o.csr = this.csr(arg, line); break;
      case "zimm": o.zimm = number() & 31; break;
      case "rm": o.rm = ["rne", "rtz", "rdn", "rup", "rmm"].indexOf(arg); break;
      case "fence": break;
      default: this.fail(line, `an operand of kind ${kind} is not known`);
    }
  }

  /** Instructions that load a constant, as short as the constant lets them be. */
  loadImmediate(rd: string, value: bigint): [string, string[]][] {
    const v = BigInt.asIntN(64, value);
    if (v >= -2048n && v < 2048n) return [["addi", [rd, "zero", `${v}`]]];
    if (v === BigInt.asIntN(32, v)) {
      const low = BigInt.asIntN(12, v), high = BigInt.asUintN(20, (v - low) >> 12n), upper: [string, string[]] = ["lui", [rd, `${high}`]];
      return low === 0n ? [upper] : [upper, ["addiw", [rd, rd, `${low}`]]];
    }
    let shift = 12n, low = BigInt.asIntN(12, v), rest = (v - low) >> 12n;
    while ((rest & 1n) === 0n) {
      rest >>= 1n;
      shift++;
    }
    const tail: [string, string[]][] = low === 0n ? [] : [["addi", [rd, rd, `${low}`]]];
    low = 0n;
    return [...this.loadImmediate(rd, rest), ["slli", [rd, rd, `${shift}`]], ...tail];
  }

  /** A pseudo-instruction's real ones, or null. `here` is the address of the first. */
  expand(line: Line, here: number, pass: 1 | 2): [string, string[]][] | null {
    const { op, args } = line, [a = "", b = "", c = ""] = args;
    switch (op) {
      case "nop": return [["addi", ["zero", "zero", "0"]]];
      case "li": return this.loadImmediate(a, this.value(b, line));
      case "la": case "call": case "tail": {
        const target = op === "la" ? b : a, d = pass === 1 ? 0 : Number(this.value(target, line)) - here;
        const low = (d << 20) >> 20, high = ((d - low) >> 12) & 0xfffff, via = op === "la" ? a : op === "call" ? "ra" : "t1";
        const last: [string, string[]] = op === "la" ? ["addi", [a, a, `${low}`]] : ["jalr", [op === "call" ? "ra" : "zero", `${low}(${via})`]];
        return [["auipc", [via, `${high}`]], last];
      }
      case "mv": return [["addi", [a, b, "0"]]];
      case "not": return [["xori", [a, b, "-1"]]];
      case "neg": return [["sub", [a, "zero", b]]];
      case "seqz": return [["sltiu", [a, b, "1"]]];
      case "snez": return [["sltu", [a, "zero", b]]];
      case "j": return [["jal", ["zero", a]]];
      case "jal": return args.length === 1 ? [["jal", ["ra", a]]] : null;
      case "jr": return [["jalr", ["zero", `0(${a})`]]];
      case "jalr": return args.length === 1 ? [["jalr", ["ra", `0(${a})`]]] : null;
      case "ret": return [["jalr", ["zero", "0(ra)"]]];
      case "beqz": return [["beq", [a, "zero", b]]];
      case "bnez": return [["bne", [a, "zero", b]]];
      case "bltz": return [["blt", [a, "zero", b]]];
      case "bgez": return [["bge", [a, "zero", b]]];
      case "bgt": return [["blt", [b, a, c]]];
      case "ble": return [["bge", [b, a, c]]];
      case "bgtu": return [["bltu", [b, a, c]]];
      case "bleu": return [["bgeu", [b, a, c]]];
      case "csrr": return [["csrrs", [a, b, "zero"]]];
      case "csrw": return [["csrrw", ["zero", a, b]]];
      case "csrs": return [["csrrs", ["zero", a, b]]];
      case "csrc": return [["csrrc", ["zero", a, b]]];
      case "csrwi": return [["csrrwi", ["zero", a, b]]];
      case "csrsi": return [["csrrsi", ["zero", a, b]]];
      case "csrci": return [["csrrci", ["zero", a, b]]];
      case "rdtime": return [["csrrs", [a, "time", "zero"]]];
      default: return null;
    }
  }

  /** => bytes of a directive's data; null when it makes none */
  data(line: Line, here: number, pass: 1 | 2): number[] | null {
    const size = { ".dword": 8, ".word": 4, ".half": 2, ".byte": 1 }[line.op];
    if (size !== undefined) {
      return line.args.flatMap((arg) => {
        const v = pass === 1 ? 0n : BigInt.asUintN(8 * size, this.value(arg, line));
        return Array.from({ length: size }, (_, i) => Number((v >> BigInt(8 * i)) & 255n));
      });
    }
    switch (line.op) {
      case ".align": return new Array<number>(-here & ((1 << Number(line.args[0])) - 1)).fill(0);
      case ".space": return new Array<number>(Number(this.value(line.args[0]!, line))).fill(0);
      case ".asciz": return Array.from(`${JSON.parse(line.args.join(", ")) as string}\0`, (c) => c.charCodeAt(0));
      case ".globl": case ".option": case ".text": return [];
      default: return null;
    }
  }

  run(source: string, base: number): void {
    const lines: Line[] = [];
    let at = base;
    source.split("\n").forEach((raw, i) => {
      let text = raw.replace(/#(?=([^"]*"[^"]*")*[^"]*$).*/, "").trim();
      for (let m = /^([\w.$]+):\s*/.exec(text); m !== null; m = /^([\w.$]+):\s*/.exec(text)) {
        this.symbols.set(m[1]!, at);
        text = text.slice(m[0].length);
      }
      if (text === "") return;
      const [op] = text.split(/\s/, 1) as [string], rest = text.slice(op.length).trim();
      const line: Line = { at, op, args: rest === "" ? [] : rest.split(/\s*,\s*/), no: i + 1 };
      this.here = at;
      if (op === ".equ") this.equates.set(line.args[0]!, this.value(line.args[1]!, line));
      else {
        at += this.data(line, at, 1)?.length ?? 4 * (this.expand(line, at, 1)?.length ?? 1);
        lines.push(line);
      }
    });
    for (const line of lines) {
      this.here = line.at;
      const data = this.data(line, line.at, 2);
      if (data !== null) this.bytes.push(...data);
      else for (const [op, args] of this.expand(line, line.at, 2) ?? [[line.op, line.args] as const]) this.instruction(line, op, args);
    }
  }
}

/** Assembles `source` for address `base`. => throws with the line that is wrong */
export function assemble(source: string, base = 0x8000_0000): Assembled {
  const a = new Assembly();
  a.run(source, base);
  return { bytes: Uint8Array.from(a.bytes), symbols: a.symbols };
}

/** An ELF executable of one segment around assembled bytes, its entry at the base; with the symbols `names`. */
export function elfOf({ bytes, symbols }: Assembled, base = 0x8000_0000, names: readonly string[] = []): Uint8Array {
  const present = names.filter((n) => symbols.has(n)), strings = `\0${present.join("\0")}\0`;
  const textAt = 128, symAt = (textAt + bytes.length + 7) & ~7, strAt = symAt + 24 * (present.length + 1), secAt = (strAt + strings.length + 7) & ~7;
  const file = new Uint8Array(secAt + 3 * 64), v = new DataView(file.buffer), u64 = (at: number, n: number) => v.setBigUint64(at, BigInt(n), true);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  [2, 243].forEach((n, i) => v.setUint16(16 + 2 * i, n, true));
  v.setUint32(20, 1, true);
  [base, 64, secAt].forEach((n, i) => u64(24 + 8 * i, n));
  [64, 56, 1, 64, 3, 0].forEach((n, i) => v.setUint16(52 + 2 * i, n, true));
  v.setUint32(64, 1, true);
  v.setUint32(68, 7, true);
  [textAt, base, base, bytes.length, bytes.length, 4096].forEach((n, i) => u64(72 + 8 * i, n));
  file.set(bytes, textAt);
  present.forEach((name, i) => {
    const at = symAt + 24 * (i + 1);
    v.setUint32(at, strings.indexOf(`\0${name}\0`) + 1, true);
    file[at + 4] = 0x10;
    v.setUint16(at + 6, 0xfff1, true);
    u64(at + 8, symbols.get(name)!);
  });
  file.set(Uint8Array.from(strings, (c) => c.charCodeAt(0)), strAt);
  const section = (i: number, type: number, at: number, len: number, link: number, size: number) => {
    v.setUint32(secAt + 64 * i + 4, type, true);
    u64(secAt + 64 * i + 24, at);
    u64(secAt + 64 * i + 32, len);
    v.setUint32(secAt + 64 * i + 40, link, true);
    v.setUint32(secAt + 64 * i + 44, 1, true);
    u64(secAt + 64 * i + 56, size);
  };
  section(1, 2, symAt, 24 * (present.length + 1), 2, 24);
  section(2, 3, strAt, strings.length, 0, 0);
  return file;
}
