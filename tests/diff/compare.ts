// Compares what two machines made of one program, and says where they first differ.
import { disassemble, F_NAMES, X_NAMES } from "../../emu/isa/disasm.ts";
import { BASE, CODE, CODE_LIMIT, LOG, ODD_VA, R_CAUSE, R_EPC, R_F, R_FCSR, R_STATUS, R_TVAL, RECORD_WORDS, REPAIR_COUNT, REPAIR_FIRST, TABLES, WINDOWS } from "./layout.ts";
import type { OurRun } from "./machines.ts";
import type { Program } from "./program.ts";

/** Fields that the specification settles: not FS and SD, of which a hart may think dirty what is clean. */
const STATUS_MASK = ~((3n << 13n) | (3n << 15n) | (3n << 9n) | (1n << 63n));

const ACCESS_FAULTS: ReadonlySet<bigint> = new Set([5n, 7n]), STORE_PAGE_FAULT = 15n;

const PTE_A = 0x40, PTE_D = 0x80;

const hex = (v: bigint): string => `0x${BigInt.asUintN(64, v).toString(16)}`;

function fieldName(i: number): string {
  if (i === R_CAUSE) return "mcause";
  if (i < R_EPC) return X_NAMES[i]!;
  if (i >= R_F) return F_NAMES[i - R_F]!;
  return { [R_EPC]: "mepc", [R_TVAL]: "mtval", [R_STATUS]: "mstatus", [R_FCSR]: "fcsr" }[i]!;
}

/** The code from one address to another, disassembled. */
function listing(p: Program, from: number, to: number): string {
  const view = new DataView(p.image.buffer, p.image.byteOffset), lines: string[] = [];
  if (from < CODE || to < from || to >= CODE_LIMIT || to - from > 1024) return `  (from ${hex(BigInt(from))} to ${hex(BigInt(to))})`;
  for (let va = from; va <= to;) {
    const { text, lenBytes } = disassemble(view.getInt32(va - BASE, true), va);
    lines.push(`  ${va.toString(16)}  ${text}`);
    va += lenBytes;
  }
  return lines.join("\n");
}

/** Records of a log as 64-bit words; the first holds the registers at the start. */
class Log {
  readonly words: BigUint64Array;
  readonly count: number;
  constructor(ram: Uint8Array) {
    this.words = new BigUint64Array(ram.buffer, ram.byteOffset + LOG - BASE, (ram.byteLength - (LOG - BASE)) >> 3);
    let n = 1;
    // No record has mepc 0: that is where the log ends.
    while ((n + 1) * RECORD_WORDS < this.words.length && this.at(n, R_EPC) !== 0n) n++;
    this.count = n;
  }
  at(record: number, field: number): bigint {
    return this.words[record * RECORD_WORDS + field]!;
  }
}

/** Whether there is an atomic read-modify-write instruction at an address. */
function isAmo(p: Program, va: number): boolean {
  if (va < CODE || va >= CODE_LIMIT) return false;
  const insn = new DataView(p.image.buffer, p.image.byteOffset).getUint32(va - BASE, true);
  return (insn & 0x7f) === 0x2f && insn >>> 27 !== 2;
}

/**
 * What of a field the specification settles. To QEMU an atomic operation is a load and then a store, so that it marks the
 * page of a load that never happens, and gives the load's cause; the specification has stores' causes for both.
 */
function settled(p: Program, log: Log, record: number, field: number): bigint {
  const v = log.at(record, field);
  if (field === R_CAUSE && v >= 4n && v <= 15n && isAmo(p, Number(log.at(record, R_EPC)))) return v === 4n || v === 6n ? 6n : 15n;
  // Of a misaligned access to missing memory QEMU names an aligned part.
  if (field === R_TVAL && ACCESS_FAULTS.has(log.at(record, R_CAUSE))) return v & ~7n;
  // Of a breakpoint tval may be its address, or 0.
  if (field === R_TVAL && log.at(record, R_CAUSE) === 3n) return 0n;
  return field === R_STATUS ? v & STATUS_MASK : v;
}

/**
 * Whether QEMU's handler leaves a page as it is and ours repairs it: of an atomic operation on memory that is missing, behind a page that
 * may be read but not written, QEMU gives the fault of its load. What follows is another program.
 */
function partsWays(p: Program, theirs: Log, ours: Log, record: number): boolean {
  const page = Math.floor((Number(BigInt.asIntN(64, ours.at(record, R_TVAL))) - ODD_VA) / 4096) - REPAIR_FIRST;
  return isAmo(p, Number(ours.at(record, R_EPC))) && ACCESS_FAULTS.has(theirs.at(record, R_CAUSE)) && ours.at(record, R_CAUSE) === STORE_PAGE_FAULT && page >= 0 && page < REPAIR_COUNT;
}

/** => "" when two runs of this machine agree in all; otherwise a report of the first difference */
export function twinDifference(p: Program, a: OurRun, b: OurRun): string {
  const report = difference(p, a.ram, b.ram, ["interp", "jit"]);
  return report === "" && a.retired !== b.retired ? `seed ${p.seed}: interp retires ${a.retired}, jit ${b.retired}` : report;
}

/** => "" when both agree; otherwise a report of the first difference. With other names than QEMU's everything must agree */
export function difference(p: Program, theirs: Uint8Array, ours: Uint8Array, [one, other]: readonly [string, string] = ["QEMU", "here"]): string {
  const relevant = one === "QEMU" ? settled : (_: Program, log: Log, record: number, field: number) => log.at(record, field), marked = one === "QEMU" ? isMarkedOnly : () => false;
  const a = new Log(theirs), b = new Log(ours), n = Math.min(a.count, b.count), head = `seed ${p.seed}, ${p.insns} instructions: `;
  for (let record = 1; record < n; record++) {
    const fields = Array.from({ length: RECORD_WORDS }, (_, i) => i).filter((i) => relevant(p, a, record, i) !== relevant(p, b, record, i));
    if (fields.length === 0) {
      if (one === "QEMU" && partsWays(p, a, b, record)) return "";
      continue;
    }
    const show = (i: number) => `  ${fieldName(i).padEnd(8)} ${one} ${hex(a.at(record, i)).padEnd(20)} ${other} ${hex(b.at(record, i)).padEnd(20)} before ${hex(a.at(record - 1, i))}`;
    const from = Number(a.at(record - 1, R_EPC)), to = Number(a.at(record, R_EPC));
    const fcsr = `fcsr before ${hex(a.at(record - 1, R_FCSR))}, mcause ${a.at(record, R_CAUSE)}`;
    return `${head}record ${record} differs (${fcsr})\n${fields.map(show).join("\n")}\n${listing(p, from, to)}\n${operands(p, a, record, from, to)}`;
  }
  if (a.count !== b.count) return `${head}${one} has ${a.count} records, ${other} ${b.count}`;
  for (let at = TABLES - BASE; at < LOG - BASE; at++) {
    if (theirs[at] === ours[at] || marked(p, theirs, ours, at)) continue;
    const where = at + BASE < WINDOWS ? "page tables" : at + BASE < CODE ? "data" : "code";
    return `${head}memory (${where}) differs at ${hex(BigInt(at + BASE))}: ${one} 0x${theirs[at]!.toString(16)}, ${other} 0x${ours[at]!.toString(16)}`;
  }
  return "";
}

/** A page-table entry that differs in A and D, in a program that tries atomic operations on odd pages: see settled(). */
function isMarkedOnly(p: Program, theirs: Uint8Array, ours: Uint8Array, at: number): boolean {
  return p.loose && at < WINDOWS - BASE && at % 8 === 0 && ((theirs[at]! ^ ours[at]!) & ~(PTE_A | PTE_D)) === 0;
}

/** The registers that the listed code starts from: those that differ are seldom enough. */
function operands(p: Program, log: Log, record: number, from: number, to: number): string {
  const text = listing(p, from, to), before = (i: number) => hex(log.at(record - 1, i));
  const xs = X_NAMES.map((name, i) => [name, i] as const).filter(([name, i]) => i > 0 && new RegExp(`\\b${name}\\b`).test(text));
  const fs = F_NAMES.map((name, i) => [name, i + R_F] as const).filter(([name]) => new RegExp(`\\b${name}\\b`).test(text));
  return `  before: ${[...xs, ...fs].map(([name, i]) => `${name}=${before(i)}`).join(" ")}`;
}
