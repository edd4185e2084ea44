// Hot code for differential tests: what translated regions are made of, and what makes them leave or be dropped.
//
//   hotLoop    OUTER rounds of { random units, and some of: }
//     nested     INNER rounds, with branches to the latch and out of the loop
//     call       a function written before, from several places; functions call functions
//     table      a jump through a table of addresses
//     rewrite    a store into code ahead, with fence.i or without; stores to data beside code
//     strides    loads and stores that walk over pages that the trap handler gives back as they fault (frame() in layout.ts)
//     exchange   LR/SC until it succeeds
//     rounding   arithmetic in the mode of a register that changes each time
//     trap       ecall, ebreak
//
// Whatever the operands, every loop ends: units never write counters and links.
import { rows } from "../../emu/isa/table.ts";
import { encodeRow } from "../helpers/asm.ts";
import type { Code } from "./code.ts";
import { COUNTER, INNER, LINK, LINK2, OUTER, RA, REPAIR_COUNT, REPAIR_FIRST, S0, SP, TP } from "./layout.ts";
import { type Place, randomUnit } from "./units.ts";

/** Bytes that a unit writes at most, and the most code in a loop: its branch has to reach back. */
const UNIT_BYTES = 256, LOOP_BYTES = 3000;
const ROUNDS = 12, INNER_ROUNDS = 7, MAX_FUNCTIONS = 24;
const T1 = 6, T2 = 7;
const FRM = 2, FFLAGS = 1;

const plainRows = rows.filter((row) => ["i", "m", "zba", "zbb", "zbs"].includes(row.ext) && row.name !== "ctzw" && /^rd,rs1/.test(row.args) && !/\(rs1\)/.test(row.args) && row.name !== "jalr");
const branchRows = rows.filter((row) => row.args.split(",").includes("b"));
const dynamicRows = rows.filter((row) => ["f", "d"].includes(row.ext) && row.args.split(",").includes("rm"));
const loads = ["lb", "lbu", "lh", "lhu", "lw", "lwu", "ld", "fld", "flw"], stores = ["sb", "sh", "sw", "sd", "fsd", "fsw"];

export class HotWriter {
  private readonly place: Place;
  private readonly code: Code;
  /** Where functions begin: offsets in the code. */
  private readonly leaves: number[] = [];
  private readonly callers: number[] = [];

  constructor(place: Place) {
    this.place = place;
    this.code = place.code;
  }

  /** A register that random code may write. */
  private free(): number {
    return this.place.r.pick([10, 11, 12, 13, 14, 15, 16, 17, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]);
  }

  /** Overwrites what `hole` left: a branch to here. */
  private branchHere(at: number): void {
    const { r } = this.place;
    if (this.code.at - at > 4000) return this.jumpHere(at);
    this.code.patch(at, encodeRow(r.pick(branchRows), { rs1: r.below(32), rs2: r.below(32), imm: this.code.at - at }));
  }

  private jumpHere(at: number): void {
    this.code.patch(at, encodeRow(rows.find((row) => row.name === "jal")!, { rd: 0, imm: this.code.at - at }));
  }

  private hole(): number {
    const at = this.code.at;
    this.code.raw(0x13);
    return at;
  }

  /** The end of a loop. */
  private latch(counter: number, top: number): void {
    const { code, place: { r } } = this;
    code.op("addi", { rd: counter, rs1: counter, imm: -1 });
    const [name, rs1, rs2] = r.pick([["bne", counter, 0], ["blt", 0, counter], ["bltu", 0, counter]] as const);
    if (top - code.at > -4000) return code.op(name, { rs1, rs2, imm: top - code.at });
    code.op("beq", { rs1: counter, rs2: 0, imm: 8 });
    code.op("jal", { rd: 0, imm: top - code.at });
  }

  private units(least: number, most: number, start: number): void {
    const { r } = this.place;
    for (let i = r.range(least, most); i > 0 && this.code.at - start < LOOP_BYTES && this.code.free > 4 * UNIT_BYTES; i--) randomUnit(this.place);
  }

  /** One loop with its units; before it, now and then, a function that it may call. */
  loop(): void {
    const { r } = this.place, { code } = this;
    if (r.percent(30)) this.writeFunction();
    code.op("addi", { rd: OUTER, rs1: 0, imm: 2 + r.below(ROUNDS) });
    const start = code.at;
    for (let i = 2 + r.below(8); i > 0 && code.at - start < LOOP_BYTES && code.free > 8 * UNIT_BYTES; i--) {
      if (r.percent(65)) randomUnit(this.place);
      else this.special();
    }
    this.latch(OUTER, start);
  }

  private special(): void {
    const all = [this.nested, this.call, this.call, this.table, this.rewrite, this.strides, this.exchange, this.rounding, this.trap];
    this.place.r.pick(all).call(this);
  }

  private nested(): void {
    const { r } = this.place, { code } = this;
    code.op("addi", { rd: INNER, rs1: 0, imm: 1 + r.below(INNER_ROUNDS) });
    const top = code.at, out: number[] = [], again: number[] = [];
    for (let i = r.range(1, 3); i > 0; i--) {
      this.units(1, 3, top);
      if (r.percent(40)) (r.percent(50) ? out : again).push(this.hole());
      if (r.percent(25)) r.pick([this.call, this.exchange, this.strides, this.rewrite]).call(this);
      // Branches reach 4 KiB.
      if (code.at - top > LOOP_BYTES / 2) break;
    }
    for (const at of again) this.branchHere(at);
    this.latch(INNER, top);
    for (const at of out) this.branchHere(at);
  }

  /** A function, jumped over: a leaf keeps its link in LINK, one that calls leaves in LINK2. */
  private writeFunction(): void {
    const { r } = this.place, { code } = this, calls = this.leaves.length > 0 && r.percent(40), link = calls ? LINK2 : LINK, over = this.hole(), at = code.at;
    code.op("addi", { rd: link, rs1: RA, imm: 0 });
    this.units(1, 3, at);
    const early = r.percent(30) ? this.hole() : 0;
    if (calls) for (let i = r.range(1, 2); i > 0; i--) this.callTo(r.pick(this.leaves));
    this.units(0, 2, at);
    if (early) this.branchHere(early);
    code.op("addi", { rd: RA, rs1: link, imm: 0 });
    if (r.percent(50)) code.raw(0x8082);
    else code.op("jalr", { rd: 0, rs1: RA, imm: 0 });
    this.jumpHere(over);
    const list = calls ? this.callers : this.leaves;
    list.push(at);
    if (list.length > MAX_FUNCTIONS) list.shift();
  }

  private callTo(at: number): void {
    const { code, place: { r } } = this;
    if (r.percent(70)) return code.op("jal", { rd: RA, imm: at - code.at });
    // auipc and jalr, as far calls are.
    const distance = at - code.at, low = (distance << 20) >> 20;
    code.op("auipc", { rd: T1, imm: (distance - low) | 0 });
    code.op("jalr", { rd: RA, rs1: T1, imm: low });
  }

  private call(): void {
    const { r } = this.place, all = [...this.leaves, ...this.callers];
    if (all.length > 0) this.callTo(r.pick(all));
  }

  /** A jump to one of four or eight places, by an address from a table among the code. */
  private table(): void {
    const { r } = this.place, { code } = this, count = r.pick([4, 8]), start = code.at, jumps: number[] = [];
    code.op("auipc", { rd: T1 });
    code.op("andi", { rd: T2, rs1: r.below(32), imm: 8 * (count - 1) });
    code.op("add", { rd: T2, rs1: T2, rs2: T1 });
    const load = code.at;
    code.raw(0x13);
    code.op("jalr", { rd: r.percent(50) ? 0 : RA, rs1: T2, imm: 0 });
    while (code.at % 8 !== 0) code.raw(1);
    const words = code.at;
    for (let i = 0; i < 2 * count; i++) code.word(0);
    code.patch(load, encodeRow(rows.find((row) => row.name === "ld")!, { rd: T2, rs1: T2, imm: words - start }));
    for (let i = 0; i < count; i++) {
      // Table entries are sign-extended physical addresses: their upper half is 0.
      code.setWord(words + 8 * i, code.pc | 0);
      this.units(0, 1, start);
      jumps.push(this.hole());
    }
    for (const at of jumps) this.jumpHere(at);
  }

  /** Code ahead changes to and fro; without fence.i a jump must lie between, or QEMU goes on with what it has translated. */
  private rewrite(): void {
    const { r } = this.place, { code } = this, start = code.at;
    if (r.percent(30)) {
      // Data beside code.
      code.op("auipc", { rd: T1 });
      code.op("jal", { rd: 0, imm: 12 });
      code.word(0);
      code.word(0);
      return code.op(r.pick(["sb", "sh", "sw"]), { rs1: T1, rs2: r.below(32), imm: 8 + r.below(5) });
    }
    const row = r.pick(plainRows), other = r.percent(50) ? row : r.pick(plainRows);
    const make = (x: typeof row) => encodeRow(x, { rd: this.free(), rs1: r.below(32), rs2: r.below(32), imm: r.below(32) });
    const first = make(row), second = make(other), hole = code.at;
    code.op("auipc", { rd: T1 });
    code.constant(T2, first ^ second);
    const load = code.at;
    code.raw(0x13);
    code.op("xor", { rd: T2, rs1: T2, rs2: COUNTER });
    const store = code.at;
    code.raw(0x13);
    if (r.percent(50)) code.op("fence.i");
    else code.op("jal", { rd: 0, imm: 4 });
    if (r.percent(50)) this.units(1, 2, start);
    const target = code.at - hole;
    code.patch(load, encodeRow(rows.find((x) => x.name === "lw")!, { rd: COUNTER, rs1: T1, imm: target }));
    code.patch(store, encodeRow(rows.find((x) => x.name === "sw")!, { rs1: T1, rs2: T2, imm: target }));
    code.raw(first);
  }

  /** Loads and stores over pages that come and go. */
  private strides(): void {
    const { r, privilege } = this.place;
    // To M-mode these are addresses of the log.
    if (privilege === 3) return;
    const { code } = this, step = r.pick([4096, 4096, 1016, 2048, 8192 + 8, 3]), page = r.below(REPAIR_COUNT - 1), cross = r.percent(30);
    code.op("lui", { rd: T1, imm: (REPAIR_FIRST + page) * 4096 });
    code.op("add", { rd: T1, rs1: T1, rs2: TP });
    code.op("lui", { rd: T2, imm: (step + 2048) & ~0xfff });
    code.op("addi", { rd: T2, rs1: T2, imm: (step << 20) >> 20 });
    code.op("addi", { rd: COUNTER, rs1: 0, imm: 1 + r.below(Math.min(8, REPAIR_COUNT - 1 - page) || 1) });
    const top = code.at;
    for (let i = r.range(1, 3); i > 0; i--) {
      const isLoad = r.percent(50), name = r.pick(isLoad ? loads : stores);
      // Returns lie in the upper half of each page, up to 4050: stores stay below.
      const imm = r.below(1024);
      if (isLoad) code.op(name, { rd: name.startsWith("f") ? r.below(32) : this.free(), rs1: T1, imm });
      else if (step !== 1016 && step !== 2048) code.op(name, { rs2: r.below(32), rs1: T1, imm });
    }
    if (cross && step === 4096) {
      // The last bytes of the page before the next: page-crossing, in two pages that may both be missing.
      code.op("lui", { rd: 28, imm: 4096 });
      code.op("add", { rd: 28, rs1: 28, rs2: T1 });
      code.op(r.pick(["sd", "ld", "lw", "sw", "lh", "sh", "fld", "fsd"]), { rd: 29, rs1: 28, rs2: r.below(32), imm: -r.range(1, 7) });
    }
    if (step === 4096 && r.percent(30)) {
      code.op("addi", { rd: 28, rs1: T1, imm: r.range(1024, 2046) & ~1 });
      code.op("jalr", { rd: RA, rs1: 28, imm: 2000 });
    }
    code.op("add", { rd: T1, rs1: T1, rs2: T2 });
    this.latch(COUNTER, top);
  }

  /** Tries until the store succeeds; what lies between is arithmetic. */
  private exchange(): void {
    const { r } = this.place, { code } = this, size = r.pick(["w", "d"]), rd = this.free();
    code.op("addi", { rd: T1, rs1: r.pick([SP, S0]), imm: 8 * r.range(-200, 0) });
    const top = code.at;
    code.op(`lr.${size}`, { rd, rs1: T1, aq: r.percent(30) });
    for (let i = r.below(3); i > 0; i--) code.raw(encodeRow(r.pick(plainRows), { rd: this.free(), rs1: r.below(32), rs2: r.below(32), imm: r.below(32) }));
    code.op(`sc.${size}`, { rd: T2, rs1: T1, rs2: r.percent(50) ? rd : r.below(32), rl: r.percent(30) });
    code.op("bne", { rs1: T2, rs2: 0, imm: top - code.at });
  }

  /** Each round has its own rounding mode, reserved ones among them, and reads the flags. */
  private rounding(): void {
    const { r } = this.place, { code } = this, rounds = r.pick([4, 4, 4, 7]);
    code.op("addi", { rd: COUNTER, rs1: 0, imm: rounds });
    const top = code.at;
    code.op("csrrw", { rd: this.free(), rs1: COUNTER, csr: FRM });
    for (let i = r.range(1, 4); i > 0; i--) {
      const row = r.pick(dynamicRows), intoX = row.args.startsWith("rd");
      const rs1 = r.below(row.args.split(",").includes("rs1") ? 32 : 8), rm = r.percent(80) ? 7 : r.below(5);
      code.raw(encodeRow(row, { rd: intoX ? this.free() : r.below(8), rs1, rs2: r.below(8), rs3: r.below(8), rm }));
    }
    code.op(r.pick(["csrrs", "csrrw"]), { rd: this.free(), rs1: 0, csr: FFLAGS });
    this.latch(COUNTER, top);
    code.op("csrrwi", { rd: 0, zimm: r.below(5), csr: FRM });
  }

  private trap(): void {
    this.code.raw(this.place.r.pick([0x73, 0x100073, 0x9002, 0xc0001073 | 0]));
  }
}

/** Room that a hot loop may need. */
export const HOT_BYTES = 4 * LOOP_BYTES;
