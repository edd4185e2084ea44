// Predecoded code. Each physical page that is executed gets a slot of records, one for each halfword (layout.ts).
//
// A page with a slot has its has-code byte set: TLB entries then carry no write tag for it, so that guest stores come to
// storeTo, and host stores call written. Both only make records undecoded again; the slot and the pages that point to it
// stay, so nothing that runs is pulled away from under the hart. A store is seen by the very next fetch, which the
// architecture allows and fence.i demands at the latest. Only where many stores came and nothing was decoded between them does
// the page lose its slot: a kernel frees the code of its start and gives the pages to data.
import { decode, type Decoded, isCompressed, newDecoded, rows } from "../isa/table.ts";
import { firstLength, firstOf, pairOf } from "./fusion.ts";
import { FIRST_ROW_OP, OP_CROSS, OP_DECODE, OP_ILLEGAL, OP_PAGE_END, opNumber } from "./ops.ts";
import {
  CODE_BASE, CODE_SLOT, CODE_SLOTS, F0, FP_FAST_DYN, FP_FAST_RNE, PAGE_RECORD_BYTES, RAM_OFFSET, RECORD, REC_EXTRA, REC_IMM, REC_OP,
  REC_RD, REC_RS1, REC_RS2, REC_RS3, X0, X_SINK,
} from "./layout.ts";

const NO_SLOT = -1, FREE = -1;
/** The records of a page come in parts: memory that no record was put into is not there, and is not touched to be made empty. */
const PART_BYTES = 4096, SLOT_PARTS = PAGE_RECORD_BYTES / PART_BYTES;
/** Rounding modes 5 and 6 are reserved. */
const RM_DYN = 7;

/**
 * Stores in a row to a page with code that make it a page of data, the first time. Each time that it has code again it takes twice as
 * many, up to 2^PATIENCE_SHIFTS times: code and data may share a page.
 */
const PATIENCE = 16, PATIENCE_SHIFTS = 8;

/** Besides jumps: what control need not come back from to the next instruction. */
const NOT_FOLLOWED = new Set(["ecall", "ebreak", "mret", "sret", "wfi"]);

/** Operand decoding of one row, worked out once. */
interface RowShape {
  readonly floatRd: boolean;
  readonly float1: boolean;
  readonly float2: boolean;
  readonly float3: boolean;
  readonly rm: boolean;
  readonly scaled: boolean;
  /** What comes behind it is not run as surely as it is. */
  readonly endsLine: boolean;
}

const shapes: readonly RowShape[] = rows.map((r) => {
  const args = r.args.split(",");
  const jumps = args.includes("b") || args.includes("j"), endsLine = jumps || r.name === "jalr" || NOT_FOLLOWED.has(r.name);
  return {
    floatRd: args.includes("fd"), float1: args.includes("fs1"), float2: args.includes("fs2"), float3: args.includes("fs3"),
    rm: args.includes("rm"), scaled: jumps, endsLine,
  };
});

export class CodeCache {
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;
  private readonly ramPages: number;
  /** Slot of each RAM page, or -1. */
  private readonly slotOf: Int16Array;
  /** RAM page of each slot, or -1. */
  private readonly pageOf = new Int32Array(CODE_SLOTS).fill(FREE);
  private nextSlot = 0;
  /** Slots before nextSlot that have no page. */
  private readonly freeSlots: number[] = [];
  /** Of each slot: bits for the parts with records. */
  private readonly usedParts = new Uint8Array(CODE_SLOTS);
  /** Of each slot: stores since its page was last decoded. */
  private readonly storesTo = new Uint16Array(CODE_SLOTS);
  /** Of each RAM page: how often it became a page of data, up to PATIENCE_SHIFTS. */
  private readonly releasesOf: Uint8Array;
  private readonly d: Decoded = newDecoded();
  /** 1 for each RAM page with decoded code. */
  readonly hasCode: Uint8Array;
  /** A page is about to have code: whoever caches write permission drops it. */
  onCodePage: (ramPage: number) => void = () => {};
  /** A slot is given to another page: whoever points to its records forgets them. */
  onEvict: (records: number) => void = () => {};
  /** Bytes [from, to) of a RAM page with records change, or its records move away: translations of them are void. */
  onCodeStore: (ramPage: number, from: number, to: number) => void = () => {};
  /** Whether translations were made of a RAM page. */
  isTranslated: (ramPage: number) => boolean = () => false;
  /** 1 for each RAM page of which PMP forbids a part: its instructions go by the operation for two pages, which asks each time. */
  readonly guarded: Uint8Array;
  decodes = 0;
  evictions = 0;
  /** Pages that became pages of data. */
  releases = 0;

  /** => memory: fresh, so zero where the records lie, which is OP_DECODE: a slot is touched only where code runs */
  constructor(memory: ArrayBufferLike, ramBytes: number) {
    this.u16 = new Uint16Array(memory);
    this.i32 = new Int32Array(memory);
    this.ramPages = Math.ceil(ramBytes / 4096);
    this.slotOf = new Int16Array(this.ramPages).fill(NO_SLOT);
    this.hasCode = new Uint8Array(this.ramPages);
    this.guarded = new Uint8Array(this.ramPages);
    this.releasesOf = new Uint8Array(this.ramPages);
  }

  /** Byte offset of the records of a RAM page (0 is the first page of RAM); takes a slot when it has none. */
  recordsOf(ramPage: number): number {
    let slot = this.slotOf[ramPage]!;
    if (slot === NO_SLOT) slot = this.takeSlot(ramPage);
    return CODE_BASE + slot * CODE_SLOT;
  }

  hasRecords(ramPage: number): boolean {
    return this.slotOf[ramPage] !== NO_SLOT;
  }

  private takeSlot(ramPage: number): number {
    const slot = this.freeSlots.pop() ?? this.oldestSlot();
    this.pageOf[slot] = ramPage;
    this.slotOf[ramPage] = slot;
    this.storesTo[slot] = 0;
    this.hasCode[ramPage] = 1;
    this.onCodePage(ramPage);
    return slot;
  }

  /** => a slot that was never used, else that of the page that has had one for longest */
  private oldestSlot(): number {
    const slot = this.nextSlot, before = this.pageOf[slot]!;
    this.nextSlot = (slot + 1) % CODE_SLOTS;
    if (before !== FREE) {
      this.evictions++;
      this.evict(slot, before);
    }
    return slot;
  }

  /** Takes a slot from its page, and leaves it as one that was never used. */
  private evict(slot: number, ramPage: number): void {
    const records = CODE_BASE + slot * CODE_SLOT;
    this.onCodeStore(ramPage, 0, 4096);
    this.pageOf[slot] = FREE;
    this.slotOf[ramPage] = NO_SLOT;
    this.hasCode[ramPage] = 0;
    this.onEvict(records);
    for (let part = 0; part < SLOT_PARTS; part++) {
      if (((this.usedParts[slot]! >> part) & 1) === 1) this.u16.fill(0, (records + part * PART_BYTES) / 2, (records + (part + 1) * PART_BYTES) / 2);
    }
    this.usedParts[slot] = 0;
  }

  private clear(records: number, from: number, to: number): void {
    // Mostly a few: a call of fill would take longer.
    for (let at = (records + from * RECORD + REC_OP) / 2, end = (records + to * RECORD) / 2; at < end; at += RECORD / 2) this.u16[at] = OP_DECODE;
  }

  /** Bytes [offset, offset + len) of RAM were stored to: whatever was decoded from them is decoded again. */
  storeTo(ramOffset: number, lenBytes: number): void {
    const last = ramOffset + lenBytes - 1;
    for (let page = ramOffset >>> 12; page <= last >>> 12; page++) {
      const slot = page < this.ramPages ? this.slotOf[page]! : NO_SLOT;
      if (slot === NO_SLOT) continue;
      const from = Math.max(ramOffset - page * 4096, 0), to = Math.min(last - page * 4096, 4095);
      this.onCodeStore(page, from, to + 1);
      // An instruction of four bytes may begin a halfword earlier, and the first of a pair two halfwords before its second.
      this.clear(CODE_BASE + slot * CODE_SLOT, Math.max((from >>> 1) - 3, 0), (to >>> 1) + 1);
    }
  }

  /**
   * The guest stores to bytes of one RAM page with code. => record: the instruction that does
   *
   * A page of data by now gives up its slot, so that further stores are not seen; not the page that runs, and none with translations,
   * which cost more to make again.
   */
  guestStore(ramOffset: number, lenBytes: number, record: number): void {
    this.storeTo(ramOffset, lenBytes);
    const ramPage = ramOffset >>> 12, slot = this.slotOf[ramPage]!, releases = this.releasesOf[ramPage]!;
    if (++this.storesTo[slot]! < PATIENCE << releases || this.slotWith(record) === slot || this.isTranslated(ramPage)) return;
    this.releasesOf[ramPage] = Math.min(releases + 1, PATIENCE_SHIFTS);
    this.releases++;
    this.evict(slot, ramPage);
    this.freeSlots.push(slot);
  }

  /** A host store somewhere in the page. */
  written(ramPage: number): void {
    if (this.hasCode[ramPage] === 1) this.storeTo(ramPage * 4096, 4096);
  }

  /** Nobody has the page any more: translations of it are void. Whoever gets it stores to it first, which its records wait for. */
  freed(ramPage: number): void {
    this.onCodeStore(ramPage, 0, 4096);
  }

  /** Host stores anywhere. */
  allWritten(): void {
    for (const ramPage of this.pageOf) if (ramPage !== FREE) this.written(ramPage);
  }

  private slotWith(record: number): number {
    return Math.floor((record - CODE_BASE) / CODE_SLOT);
  }

  /** RAM byte offset of the instruction of a record. */
  ramOffsetOf(record: number): number {
    const slot = this.slotWith(record);
    return this.pageOf[slot]! * 4096 + (record - CODE_BASE - slot * CODE_SLOT) / 8;
  }

  /** The bits of the instruction at a record; `second` gives the host offset of the next page where it crosses into it. */
  insnAt(record: number, second: () => number): number {
    const at = (RAM_OFFSET + this.ramOffsetOf(record)) / 2, low = this.u16[at]!;
    if (isCompressed(low)) return low;
    if ((at * 2) % 4096 < 4094) return low | (this.u16[at + 1]! << 16);
    const next = second();
    return next < 0 ? low : low | (this.u16[next / 2]! << 16);
  }

  /** Control that comes to a record by the instruction before it shall see it: no pair runs over it. */
  standAlone(record: number): void {
    const { u16 } = this;
    for (const lenBytes of [2, 4] as const) {
      const at = this.recordBefore(record, lenBytes) / 2;
      if (at > 0 && firstLength(u16[at]!) === lenBytes) u16[at] = firstOf(u16[at]!);
    }
  }

  /** The record of an instruction of this length that ends where the one of a record begins. => below 0: on another page */
  private recordBefore(record: number, lenBytes: 2 | 4): number {
    const distance = (lenBytes / 2) * RECORD;
    return (record - CODE_BASE) % CODE_SLOT < distance ? -1 : record - distance + REC_OP;
  }

  /** Makes what stands at a record, which was never used or is void: an instruction and those behind it, or the end of the page. */
  decodeAt(record: number): void {
    const slot = this.slotWith(record), place = record - CODE_BASE - slot * CODE_SLOT;
    if (place >= PAGE_RECORD_BYTES) {
      this.u16[(record + REC_OP) / 2] = OP_PAGE_END;
      return;
    }
    this.storesTo[slot] = 0;
    const last = place + this.decodeLine(record, this.pageOf[slot]!, place / (RECORD / 2));
    for (let part = Math.floor(place / PART_BYTES); part * PART_BYTES <= last; part++) this.usedParts[slot]! |= 1 << part;
  }

  /**
   * Decodes the instruction of a record, and those behind it to the end of the straight line: each would come here by itself. One
   * across two pages is decoded at each execution: its second page may change.
   *
   * => inPage: where the record's instruction is; returns how far behind the record the last one is
   */
  private decodeLine(record: number, ramPage: number, inPage: number): number {
    const { u16 } = this;
    let after = 0;
    for (let offset = inPage; offset < 4096; offset += this.d.lenBytes) {
      const at = record + (offset - inPage) * (RECORD / 2);
      if (offset > inPage && u16[(at + REC_OP) / 2] !== OP_DECODE) {
        this.pairUp(at);
        break;
      }
      after = at - record;
      this.decodes++;
      const half = (RAM_OFFSET + ramPage * 4096 + offset) / 2, low = u16[half]!, isShort = isCompressed(low);
      if ((!isShort && offset === 4094) || this.guarded[ramPage] === 1) {
        u16[(at + REC_OP) / 2] = OP_CROSS;
        break;
      }
      const op = u16[(at + REC_OP) / 2] = this.fill(at, low | (isShort ? 0 : u16[half + 1]! << 16), offset);
      this.pairUp(at);
      if (op === OP_ILLEGAL || shapes[this.d.row]!.endsLine) break;
    }
    return after;
  }

  /** Makes pairs of a decoded record and what was decoded before it, where there is an operation for both. */
  private pairUp(record: number): void {
    const { u16 } = this, second = firstOf(u16[(record + REC_OP) / 2]!);
    for (const lenBytes of [2, 4] as const) {
      const at = this.recordBefore(record, lenBytes) / 2, op = at > 0 ? pairOf(u16[at]!, second) : 0;
      if (op !== 0 && firstLength(op) === lenBytes) u16[at] = op;
    }
  }

  /** An instruction across two pages: fills the record's operands. => its operation */
  crossAt(record: number, nextHostOffset: number): number {
    const offset = this.ramOffsetOf(record), low = this.u16[(RAM_OFFSET + offset) / 2]!;
    return this.fill(record, low | (this.u16[nextHostOffset / 2]! << 16), offset % 4096);
  }

  /** => inPage: byte offset of the instruction in its page */
  private fill(record: number, insn: number, inPage: number): number {
    const { d, u16 } = this;
    decode(insn, d);
    if (d.row < 0) return OP_ILLEGAL;
    const shape = shapes[d.row]!, at = record / 2;
    if (shape.rm && (d.imm === 5 || d.imm === 6)) return OP_ILLEGAL;
    u16[at + REC_RD / 2] = shape.floatRd ? F0 + 8 * d.rd : d.rd === 0 ? X_SINK : X0 + 8 * d.rd;
    u16[at + REC_RS1 / 2] = (shape.float1 ? F0 : X0) + 8 * d.rs1;
    u16[at + REC_RS2 / 2] = (shape.float2 ? F0 : X0) + 8 * d.rs2;
    // Where fastRounding looks; x0 is always 0.
    u16[at + REC_EXTRA / 2] = shape.rm ? (d.imm === 0 ? FP_FAST_RNE : d.imm === RM_DYN ? FP_FAST_DYN : X0) : inPage;
    this.i32[(record + REC_IMM) / 4] = shape.scaled ? d.imm * 8 : d.imm;
    if (shape.float3) u16[at + REC_RS3 / 2] = F0 + 8 * d.rs3;
    return opNumber(d.row, d.lenBytes);
  }

  /** Index into the instruction table of a decoded record, or -1; for statistics. */
  rowAt(record: number): number {
    const op = firstOf(this.u16[record / 2]!) - FIRST_ROW_OP;
    return op >= 0 && op < rows.length ? op : -1;
  }
}
