// Units of random code: one or a few instructions that belong together, so that whatever their operands are, control
// comes out at their end, at the latest through the trap handler.
import { decode, newDecoded, rowNamed, rows } from "../../emu/isa/table.ts";
import type { Row } from "../../emu/isa/builder.ts";
import { encodeRow } from "../helpers/asm.ts";
import { type Code, compressed, compressedJump, compressedNames } from "./code.ts";
import { COUNTER, GP, RA, RESERVED, S0, S1, SP, TP } from "./layout.ts";
import type { Random } from "./random.ts";
import { FAR_ADDRESSES, oddEntry, oddOffset, type OddOptions, satpOf } from "./tables.ts";

/** What a unit may know of where it runs. */
export interface Place {
  readonly r: Random;
  readonly code: Code;
  readonly privilege: 0 | 1 | 3;
  /** Address of the table of random entries, which S-mode code changes. */
  readonly oddTable: number;
  /** See Program. */
  readonly loose: boolean;
  readonly sum: boolean;
  /** Not for QEMU: counters, and instructions that it has not. */
  readonly ticks: boolean;
  /** For entries that S-mode code makes. */
  readonly odd: OddOptions;
}

type Unit = (p: Place) => void;

const WINDOW_BASES = [SP, S0, S1] as const;
const T1 = 6, T2 = 7, MSTATUS = 0x300;
const FREE_REGISTERS = Array.from({ length: 32 }, (_, i) => i).filter((i) => !RESERVED.has(i) && i !== T1 && i !== T2);
const args = (row: Row): string[] => row.args.split(",");
const memory = (row: Row): boolean => /\(rs1\)/.test(row.args);

// This QEMU has no Zicond, and its ctzw looks at the upper word when the lower is 0.
const plainRows = rows.filter((row) => ["i", "m", "zba", "zbb", "zbs"].includes(row.ext) && row.name !== "ctzw" && /^rd,(rs1|u)/.test(row.args) && !memory(row));
const loadRows = rows.filter((row) => row.args === "rd,i(rs1)" && row.name !== "jalr"), storeRows = rows.filter((row) => row.args === "rs2,s(rs1)");
const floatLoads = rows.filter((row) => row.args === "fd,i(rs1)"), floatStores = rows.filter((row) => row.args === "fs2,s(rs1)");
const floatRows = rows.filter((row) => ["f", "d"].includes(row.ext) && !memory(row));
const branchRows = rows.filter((row) => args(row).includes("b"));
const amoRows = rows.filter((row) => row.ext === "a" && row.name.startsWith("amo"));

const target = (r: Random): number => (r.percent(4) ? 0 : r.pick(FREE_REGISTERS));
const source = (r: Random): number => r.below(32);

function plain({ r, code }: Place): void {
  const row = r.pick(plainRows), shift = args(row).includes("sh6") ? 63 : args(row).includes("sh5") ? 31 : 0;
  const imm = shift ? r.range(0, shift) : args(row).includes("u") ? r.word() & ~0xfff : r.range(-2048, 2047);
  code.raw(encodeRow(row, { rd: target(r), rs1: source(r), rs2: source(r), imm }));
}

/** A fresh value from the pool. */
function fresh({ r, code }: Place): void {
  code.op("ld", { rd: target(r), rs1: GP, imm: 8 * r.range(-256, 255) });
}

function freshFloat({ r, code }: Place): void {
  code.op(r.percent(70) ? "fld" : "flw", { rd: r.below(32), rs1: GP, imm: 8 * r.range(-256, 255) });
}

const roundingMode = (r: Random): number => (r.percent(2) ? r.pick([5, 6]) : r.percent(40) ? 7 : r.below(5));

function float(p: Place): void {
  const { r, code } = p, row = r.pick(floatRows), f = () => r.below(r.percent(60) ? 8 : 32);
  if (r.percent(40)) freshFloat(p);
  if (r.percent(20)) code.op("fld", { rd: r.below(8), rs1: GP, imm: 8 * r.range(-256, 255) });
  const intoX = args(row)[0] === "rd", fromX = args(row).includes("rs1");
  code.raw(encodeRow(row, { rd: intoX ? target(r) : f(), rs1: fromX ? source(r) : f(), rs2: f(), rs3: f(), rm: roundingMode(r) }));
}

/** The same operands in each rounding mode and both formats would hide nothing: fused operations that nearly cancel. */
function fused({ r, code }: Place): void {
  const s = r.percent(50) ? "s" : "d", load = s === "s" ? "flw" : "fld", at = () => 8 * r.range(-256, 255);
  code.op(load, { rd: 1, rs1: GP, imm: at() });
  code.op(load, { rd: 2, rs1: GP, imm: at() });
  code.op(`fmul.${s}`, { rd: 3, rs1: 1, rs2: 2, rm: 0 });
  if (r.percent(50)) code.op("csrrci", { csr: 1, zimm: 31 });
  code.op(r.pick([`fmsub.${s}`, `fnmadd.${s}`, `fmadd.${s}`, `fnmsub.${s}`]), { rd: 4, rs1: 1, rs2: 2, rs3: 3, rm: r.below(5) });
}

function floatState({ r, code }: Place): void {
  const kind = r.below(6);
  if (kind === 0) code.op("csrrwi", { rd: target(r), csr: 1, zimm: r.pick([0, 0, 1, 31]) });
  else if (kind === 1) code.op("csrrwi", { rd: target(r), csr: 2, zimm: r.below(5) });
  else if (kind === 2) code.op(r.pick(["csrrs", "csrrc", "csrrw"]), { rd: target(r), rs1: 0, csr: r.range(1, 3) });
  else if (kind === 3) code.op(r.pick(["csrrsi", "csrrci"]), { rd: target(r), csr: 1, zimm: r.below(32) });
  else if (kind === 4) code.op("csrrci", { rd: target(r), csr: 1, zimm: 31 });
  else {
    // A reserved dynamic mode, for one operation.
    const row = r.pick(floatRows);
    code.op("csrrwi", { rd: 0, csr: 2, zimm: r.range(5, 7) });
    code.raw(encodeRow(row, { rd: args(row)[0] === "rd" ? target(r) : r.below(32), rs1: r.below(32), rs2: r.below(32), rs3: r.below(32), rm: 7 }));
    code.op("csrrwi", { rd: target(r), csr: 2, zimm: r.below(5) });
  }
}

/** In M-mode: floating point off, an instruction that wants it, and the handler puts it on again. */
function floatOff({ r, code, privilege }: Place): void {
  if (privilege === 0) return;
  const row = r.pick([...floatRows, ...floatLoads, ...floatStores]);
  code.op("lui", { rd: T1, imm: 0x6000 });
  code.op("csrrc", { rd: 0, rs1: T1, csr: privilege === 3 ? 0x300 : 0x100 });
  code.raw(encodeRow(row, { rd: args(row)[0] === "rd" ? target(r) : r.below(32), rs1: memory(row) ? SP : r.below(32), rs2: r.below(32), imm: 0, rm: 0 }));
}

function access({ r, code }: Place): void {
  const row = r.pick(r.percent(50) ? [...loadRows, ...floatLoads] : [...storeRows, ...floatStores]);
  const rd = args(row)[0] === "rd" ? target(r) : r.below(32), step = r.percent(60) ? 8 : 1;
  code.raw(encodeRow(row, { rd, rs1: r.pick(WINDOW_BASES), rs2: source(r), imm: r.range(-2048 / step, 2047 / step | 0) * step }));
}

function atomic({ r, code }: Place): void {
  const row = r.pick(amoRows), imm = r.percent(85) ? 8 * r.range(-256, 255) : r.range(-2048, 2047);
  code.op("addi", { rd: T1, rs1: SP, imm: r.percent(85) ? imm : imm + 4 > 2047 ? imm : imm + 4 });
  code.raw(encodeRow(row, { rd: target(r), rs1: T1, rs2: source(r), aq: r.percent(30), rl: r.percent(30) }));
}

function reservation(p: Place): void {
  const { r, code } = p, size = r.pick(["w", "d"]), shape = r.below(4);
  code.op("addi", { rd: T1, rs1: S0, imm: 8 * r.range(-200, 200) });
  if (shape === 0) return code.op(`lr.${size}`, { rd: target(r), rs1: SP });
  if (shape === 1) {
    // Without a reservation of this place.
    code.op(`lr.${size}`, { rd: target(r), rs1: SP });
    return code.op(`sc.${size}`, { rd: target(r), rs1: T1, rs2: source(r) });
  }
  const rd = r.pick(FREE_REGISTERS);
  code.op(`lr.${size}`, { rd, rs1: T1 });
  if (r.percent(20)) code.op("fence", { imm: r.below(256) });
  for (let i = r.below(4); i > 0; i--) plain(p);
  if (shape === 3) {
    // A store in between that changes the value.
    code.op("xori", { rd: T2, rs1: rd, imm: -1 });
    code.op("sd", { rs2: T2, rs1: T1, imm: 0 });
  }
  code.op(`sc.${size}`, { rd: target(r), rs1: T1, rs2: source(r) });
  if (r.percent(50)) code.op(`sc.${size}`, { rd: target(r), rs1: T1, rs2: source(r) });
}

function short({ r, code }: Place): void {
  const name = r.pick(compressedNames);
  const ok = (rd: number) => !RESERVED.has(rd) && rd !== T1 && rd !== T2;
  const base = (rs1: number) => rs1 === SP || rs1 === S0 || rs1 === S1;
  if (/^c\.(j|jr|jalr|beqz|bnez|addi16sp)$/.test(name)) return;
  if (/^c\.f?[ls]w|^c\.f?[ls]d/.test(name)) {
    const intoX = /^c\.l/.test(name);
    return code.raw(compressed(r, name, (o) => base(o.rs1) && (!intoX || ok(o.rd))));
  }
  code.raw(compressed(r, name, (o) => ok(o.rd) || /nop|ebreak/.test(name)));
}

/** c.addi16sp moves the stack pointer and back. */
function stackMove({ r, code }: Place): void {
  const by = 16 * (r.range(1, 31) * (r.percent(50) ? 1 : -1));
  code.raw(compressed(r, "c.addi16sp", (o) => o.imm === by));
  code.raw(compressed(r, "c.ldsp", (o) => !RESERVED.has(o.rd)));
  code.raw(compressed(r, "c.addi16sp", (o) => o.imm === -by));
}

function body(p: Place, least: number, most: number): void {
  for (let i = p.r.range(least, most); i > 0; i--) p.r.pick([plain, plain, fresh, short, access, float])(p);
}

function branch(p: Place): void {
  const { r, code } = p, at = code.at, kind = r.below(5);
  code.raw(kind < 2 ? 1 : 0x13);
  body(p, 1, 3);
  const distance = code.at - at;
  if (kind === 0) code.patch(at, compressedJump(r, "c.j", distance));
  else if (kind === 1) code.patch(at, compressedJump(r, r.pick(["c.beqz", "c.bnez"]), distance));
  else if (kind === 2) code.patch(at, encodeRow(rows[rowNamed("jal")]!, { rd: target(r), imm: distance }));
  else code.patch(at, encodeRow(r.pick(branchRows), { rs1: source(r), rs2: source(r), imm: distance }));
}

function indirect(p: Place): void {
  const { r, code } = p, at = code.at, kind = r.below(3), name = r.pick(["c.jr", "c.jalr"]);
  code.op("auipc", { rd: T1 });
  code.op("addi", { rd: T1, rs1: T1 });
  if (kind === 0) code.raw(compressed(r, name, (o) => o.rs1 === T1));
  else code.op("jalr", { rd: target(r), rs1: T1, imm: 0 });
  const jump = code.at - (kind === 0 ? 2 : 4);
  body(p, 0, 2);
  // jalr clears the lowest bit of its target.
  const distance = code.at - at, part = kind === 0 ? 0 : r.range(-100, 100), odd = kind === 2 ? 1 : 0;
  code.patch(at + 4, encodeRow(rows[rowNamed("addi")]!, { rd: T1, rs1: T1, imm: distance - part + odd }));
  if (kind !== 0) code.patch(jump, encodeRow(rows[rowNamed("jalr")]!, { rd: target(r) === T1 ? 0 : target(r), rs1: T1, imm: part }));
}

function loop(p: Place): void {
  const { r, code } = p;
  code.op("addi", { rd: COUNTER, rs1: 0, imm: r.range(1, 4) });
  const top = code.at;
  body(p, 1, 4);
  if (r.percent(15)) code.op("ecall");
  code.op("addi", { rd: COUNTER, rs1: COUNTER, imm: -1 });
  code.op("bne", { rs1: COUNTER, rs2: 0, imm: top - code.at });
}

/** Code that changes itself: the second turn finds another instruction. */
function modify(p: Place): void {
  const { r, code } = p, row = r.pick(plainRows.filter((x) => !args(x).includes("u")));
  const make = () => encodeRow(row, { rd: r.pick(FREE_REGISTERS), rs1: source(r), rs2: source(r), imm: r.below(32) });
  const first = make(), second = make(), half = r.percent(20);
  code.op("addi", { rd: COUNTER, rs1: 0, imm: 2 });
  const start = code.at;
  code.op("auipc", { rd: T1 });
  code.constant(T2, second);
  const top = code.at;
  code.raw(first);
  if (half) {
    code.op("sh", { rs1: T1, rs2: T2, imm: top - start });
    code.op("srli", { rd: T2, rs1: T2, imm: 16 });
    code.op("sh", { rs1: T1, rs2: T2, imm: top - start + 2 });
    code.constant(T2, second);
  } else {
    code.op("sw", { rs1: T1, rs2: T2, imm: top - start });
  }
  code.op("fence.i");
  code.op("addi", { rd: COUNTER, rs1: COUNTER, imm: -1 });
  code.op("bne", { rs1: COUNTER, rs2: 0, imm: top - code.at });
}

/** Puts an address that may well fault into T1. */
function oddAddress({ r, code, privilege }: Place): void {
  if (privilege === 3 || r.percent(15)) {
    const far = r.pick(FAR_ADDRESSES);
    code.constant(T1, Number(BigInt.asIntN(32, far >> 32n)));
    code.op("slli", { rd: T1, rs1: T1, imm: 32 });
    code.constant(T2, Number(BigInt.asIntN(32, far)));
    code.op("slli", { rd: T2, rs1: T2, imm: 32 });
    code.op("srli", { rd: T2, rs1: T2, imm: 32 });
    code.op("add", { rd: T1, rs1: T1, rs2: T2 });
  } else {
    code.op("lui", { rd: T1, imm: oddOffset(r) });
    code.op("add", { rd: T1, rs1: T1, rs2: TP });
  }
}

/** Loads, stores and jumps where they fault, or not: the page decides. */
function odd(p: Place): void {
  const { r, code, loose } = p;
  oddAddress(p);
  const kind = r.below(10);
  if (kind < 4) {
    const row = r.pick([...loadRows, ...floatLoads]);
    code.raw(encodeRow(row, { rd: args(row)[0] === "rd" ? target(r) : r.below(32), rs1: T1, imm: r.range(-7, 2040) }));
  } else if (kind < 8) {
    // The upper half of each page stays what it is: returns.
    code.raw(encodeRow(r.pick([...storeRows, ...floatStores]), { rs1: T1, rs2: source(r), imm: r.percent(90) || loose ? r.range(0, 2040) : r.range(-7, -1) }));
  } else if (kind === 8 && loose) {
    code.op("addi", { rd: T1, rs1: T1, imm: 8 * r.below(250) });
    code.raw(encodeRow(r.pick(amoRows), { rd: target(r), rs1: T1, rs2: source(r) }));
  } else {
    code.op("addi", { rd: T1, rs1: T1, imm: r.range(1024, 2046) & ~1 });
    code.op("jalr", { rd: RA, rs1: T1, imm: 2000 - 0 });
  }
}

/** In M-mode: one access with the rights and the translation of another mode. */
function borrowed(p: Place): void {
  const { r, code, privilege, loose } = p, mode = r.below(2) as 0 | 1, satp = satpOf(mode);
  if (privilege !== 3) return;
  code.constant(T2, Number(BigInt.asIntN(32, satp >> 32n)));
  code.op("slli", { rd: T2, rs1: T2, imm: 32 });
  code.constant(T1, Number(BigInt.asIntN(32, satp)));
  code.op("slli", { rd: T1, rs1: T1, imm: 32 });
  code.op("srli", { rd: T1, rs1: T1, imm: 32 });
  code.op("add", { rd: T2, rs1: T1, rs2: T2 });
  code.op("csrrw", { rd: 0, rs1: T2, csr: 0x180 });
  code.op("sfence.vma", { rs1: 0, rs2: 0 });
  code.op("lui", { rd: T1, imm: oddOffset(r) });
  code.op("add", { rd: T1, rs1: T1, rs2: TP });
  code.constant(T2, 0x1800);
  code.op("csrrc", { rd: 0, rs1: T2, csr: MSTATUS });
  code.constant(T2, 0x20000 | (mode << 11));
  code.op("csrrs", { rd: 0, rs1: T2, csr: MSTATUS });
  const row = r.pick(r.percent(50) ? loadRows : storeRows), intoX = args(row)[0] === "rd";
  code.raw(encodeRow(row, { rd: intoX ? r.pick(FREE_REGISTERS) : 0, rs1: T1, rs2: source(r), imm: r.percent(90) || loose ? r.range(0, 2040) : r.range(-7, -1) }));
  code.op("csrrc", { rd: 0, rs1: T2, csr: MSTATUS });
  code.op("csrrw", { rd: 0, rs1: 0, csr: 0x180 });
}

/** Changes a page-table entry, fences, and tries it. */
function remap(p: Place): void {
  const { r, code, privilege, oddTable, odd } = p;
  if (privilege !== 1) return;
  const page = r.below(512), entry = oddEntry(r, odd), fence = r.below(4);
  code.constant(T2, Number(BigInt.asIntN(32, entry)));
  code.constant(T1, Number(BigInt.asIntN(32, entry >> 32n)));
  code.op("slli", { rd: T1, rs1: T1, imm: 32 });
  code.op("slli", { rd: T2, rs1: T2, imm: 32 });
  code.op("srli", { rd: T2, rs1: T2, imm: 32 });
  code.op("add", { rd: T2, rs1: T1, rs2: T2 });
  code.constant(T1, oddTable | 0);
  code.op("slli", { rd: T1, rs1: T1, imm: 32 });
  code.op("srli", { rd: T1, rs1: T1, imm: 32 });
  code.op("addi", { rd: T1, rs1: T1, imm: 2047 });
  code.op("addi", { rd: T1, rs1: T1, imm: 1 });
  code.op("sd", { rs1: T1, rs2: T2, imm: 8 * (page & 255) - (page >= 256 ? 0 : 2048) });
  code.op("lui", { rd: T1, imm: page * 4096 });
  code.op("add", { rd: T1, rs1: T1, rs2: TP });
  code.op("sfence.vma", { rs1: fence & 1 ? T1 : 0, rs2: 0 });
  code.op(r.pick(["lw", "ld", "lbu"]), { rd: target(r), rs1: T1, imm: r.below(2000) });
  code.op(r.pick(["sw", "sd", "sb"]), { rs2: source(r), rs1: T1, imm: r.below(2000) });
}

/** SUM and MXR change what S-mode may read. */
function status({ r, code, privilege, sum }: Place): void {
  if (privilege === 0) return;
  code.op("lui", { rd: T1, imm: sum ? r.pick([0x40000, 0x80000, 0xc0000]) : 0x80000 });
  code.op(r.pick(["csrrs", "csrrc"]), { rd: 0, rs1: T1, csr: privilege === 3 ? 0x300 : 0x100 });
}

/** Interrupts off and on, none of which is enabled: what SIE, SPIE and SPP were. FS may be dirty to one and clean to the other. */
function switches({ r, code, privilege }: Place): void {
  if (privilege === 0 && r.percent(80)) return;
  const rd = r.pick([0, T1, T1]);
  if (r.percent(50)) code.op(r.pick(["csrrsi", "csrrci"]), { rd, csr: 0x100, zimm: r.pick([2, 2, 2, 0, 3]) });
  else {
    code.op("addi", { rd: T2, rs1: 0, imm: r.pick([2, 2, 0, 0x20, 0x22]) });
    code.op(r.pick(["csrrs", "csrrc"]), { rd, rs1: r.pick([T2, T2, T2, 0]), csr: 0x100 });
  }
  if (rd === 0) return;
  code.op("andi", { rd: T1, rs1: T1, imm: 0x122 });
  code.op("add", { rd: target(r), rs1: T1, rs2: 0 });
}

/**
 * sscratch, scause, stval. Of other registers QEMU keeps bits that the specification fixes (mepc and sepc bit 0, the
 * hypervisor's in mideleg and mip, the upper half of mcounteren), has modes
 * that this machine has not (satp), or does another lawful thing with what is reserved.
 */
const CSRS: readonly number[] = [0x140, 0x142, 0x143];

/** In M-mode: writes a register in three ways, reads it back, and puts 0 there again. */
function csr({ r, code, privilege }: Place): void {
  if (privilege !== 3) return;
  const number = r.pick(CSRS);
  for (const name of ["csrrw", "csrrs", "csrrc"]) code.op(name, { rd: r.pick(FREE_REGISTERS), rs1: r.pick(FREE_REGISTERS), csr: number });
  code.op("csrrs", { rd: r.pick(FREE_REGISTERS), rs1: 0, csr: number });
  code.op("csrrw", { rd: 0, rs1: 0, csr: number });
}

/** Words that are no instruction here, with the opcodes of arithmetic; and privileged ones. */
function illegal({ r, code, privilege }: Place): void {
  const d = newDecoded();
  if (r.percent(30)) {
    const never = [0xc0001073, 0x00000000, 0x7b200073, 0x5c001073, 0xffffffff, 0x5c0020f3, 0xf1101073, 0x9002, 0x100073];
    const below = [0x30200073, 0x30002073, 0x34051073, 0x30401073], user = [0x10200073, 0x12000073, 0x10002073, 0x18002073];
    return code.raw(r.pick([...never, ...(privilege < 3 ? below : []), ...(privilege === 0 ? user : [])]) | 0);
  }
  for (;;) {
    const insn = (r.word() & ~0x7f) | r.pick([0x33, 0x13, 0x1b, 0x3b, 0x53, 0x03, 0x23, 0x63, 0x67, 0x2f]);
    decode(insn, d);
    if (d.row < 0 && !inOtherExtensions(insn)) return code.raw(insn);
  }
}

/** Encodings of extensions that QEMU has and this machine has not, or the other way round. */
function inOtherExtensions(insn: number): boolean {
  const opcode = insn & 0x7f, f3 = (insn >>> 12) & 7, f7 = insn >>> 25;
  if (opcode === 0x33 && (f7 === 5 || f7 === 7)) return true;
  return opcode === 0x53 && ((insn >>> 25) & 3) >= 2 || (opcode === 0x03 && f3 === 7);
}

const weights: readonly (readonly [number, Unit])[] = [
  [22, plain], [10, fresh], [6, freshFloat], [28, float], [3, fused], [4, floatState], [1, floatOff], [14, access], [5, atomic], [3, reservation],
  [18, short], [1, stackMove], [6, branch], [3, indirect], [2, loop], [1, modify], [5, odd], [2, remap], [1, status], [3, switches], [2, illegal], [2, csr], [2, borrowed],
];
const pool = weights.flatMap(([n, unit]) => new Array<Unit>(n).fill(unit));

const oursAlone = rows.filter((row) => row.name.startsWith("czero") || row.name === "ctzw");

/** Counters at exact instructions, and what this QEMU has not. */
function counter({ r, code }: Place): void {
  if (r.percent(60)) return code.op("csrrs", { rd: target(r), rs1: 0, csr: r.pick([0xc00, 0xc01, 0xc02]) });
  code.raw(encodeRow(r.pick(oursAlone), { rd: target(r), rs1: source(r), rs2: source(r) }));
}

/** Writes one random unit. */
export function randomUnit(p: Place): void {
  (p.ticks && p.r.percent(8) ? counter : p.r.pick(pool))(p);
}
