// A hart alone, for tests of the interpreter: no CSRs, no devices; memory is RAM at its own address, except pages that a
// test maps elsewhere or forbids. A trap always stops it, and so does ecall.
import { CAUSE_ECALL_U, CAUSE_FETCH_PAGE, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, KIND_AMO, KIND_SIZE, KIND_STORE, SLOW_AT, SLOW_DONE, SLOW_RETRY, SLOW_TRAP, SYS_NEXT, SYS_TRAP } from "../../emu/hart/cold.ts";
import { GO_ON, Hart, newMemory, type Privileged, STOP_TRAP } from "../../emu/hart/hart.ts";
import {
  BANK_STRIDE, DATA_BANK, DATA_ENTRIES, DATA_ENTRY, FETCH_BANK, FETCH_ENTRIES, FETCH_ENTRY, FETCH_IN_BANK, FETCH_RECORDS, HART_BASE, HOST_PAGE,
  NO_TAG, noTag, RAM_OFFSET, RAM_PA, SCRATCH_AT, SCRATCH_VA, SCRATCH_VALUE, TAG_READ, TAG_WRITE, TLB_BASE,
} from "../../emu/hart/layout.ts";

const RAM_BYTES = 1 << 20, TWO32 = 4294967296;

export class BareHart implements Privileged {
  readonly hart: Hart;
  readonly ram: Uint8Array;
  readonly view: DataView;
  /** Page number of RAM by virtual page number, where it is not the same; -1: faults. */
  readonly pages = new Map<number, number>();
  misses = 0;
  fetchMisses = 0;
  /** Called by csrr x0-like instructions, to look at the hart in the middle of a run. */
  onSystem: () => void = () => {};
  private readonly ramBytes: number;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;

  constructor(ramBytes = RAM_BYTES) {
    const memory = newMemory(ramBytes);
    this.ramBytes = ramBytes;
    this.words = new Int32Array(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.ram = new Uint8Array(memory.buffer, RAM_OFFSET, ramBytes);
    this.view = new DataView(memory.buffer, RAM_OFFSET, ramBytes);
    this.hart = new Hart(memory, ramBytes);
    this.hart.setField(DATA_BANK, TLB_BASE);
    this.hart.setField(FETCH_BANK, TLB_BASE + FETCH_IN_BANK);
    this.hart.code.onCodePage = () => this.flush();
    this.hart.code.onEvict = () => this.flush();
    this.flush();
    this.hart.attach(this);
    this.hart.float.fs = 1;
  }

  /** Empties the one bank that is used. */
  flush(): void {
    this.words.fill(NO_TAG, TLB_BASE / 4, (TLB_BASE + BANK_STRIDE) / 4);
    for (let n = 0; n < DATA_ENTRIES; n++) {
      for (const tag of [TAG_READ, TAG_WRITE]) {
        const at = (TLB_BASE + n * DATA_ENTRY + tag) / 4;
        this.words[at] = noTag(n);
        this.words[at + 1] = 0;
      }
    }
  }

  /** Puts instructions at an offset of RAM: 32-bit ones, and 16-bit ones where the number ends in 00, 01 or 10. => bytes put */
  code(at: number, ...insns: number[]): number {
    const from = at;
    for (const insn of insns) {
      this.view.setUint16(at, insn & 0xffff, true);
      if ((insn & 3) === 3) this.view.setUint16(at + 2, insn >>> 16, true);
      at += (insn & 3) === 3 ? 4 : 2;
    }
    for (let page = from >>> 12; page <= (at - 1) >>> 12; page++) this.hart.code.written(page);
    return at - from;
  }

  /** Runs from an offset of RAM. => STOP_* */
  run(at: number, budget: number): number {
    this.hart.pc = RAM_PA + at;
    return this.hart.run(budget);
  }

  regionMiss(): number {
    return 0;
  }

  /** Host offset of a page by its address, or -1. */
  private page(va: number): number {
    const vpn = Math.floor(va / 4096), known = this.pages.get(vpn), page = known ?? vpn - RAM_PA / 4096;
    return page >= 0 && page < this.ramBytes / 4096 ? RAM_OFFSET + page * 4096 : -1;
  }

  private signed(offset: number): number {
    return this.words[offset / 4 + 1]! * TWO32 + (this.words[offset / 4]! >>> 0);
  }

  // ---- Privileged ----

  dataMiss(kind: number): number {
    this.misses++;
    const va = this.signed(HART_BASE + SCRATCH_VA), size = kind & KIND_SIZE, store = (kind & (KIND_STORE | KIND_AMO)) !== 0, offset = ((va % 4096) + 4096) % 4096;
    const first = this.page(va), second = offset + size > 4096 ? this.page(va - offset + 4096) : first;
    if (first < 0 || second < 0) {
      const fault = first < 0 ? va : va - offset + 4096;
      this.raise(store ? CAUSE_STORE_PAGE : CAUSE_LOAD_PAGE, fault | 0, Math.floor(fault / TWO32));
      return SLOW_TRAP;
    }
    const inFirst = Math.min(4096 - offset, size), value = HART_BASE + SCRATCH_VALUE;
    if (offset + size > 4096) {
      if (!store) {
        this.bytes.copyWithin(value, first + offset, first + 4096);
        this.bytes.copyWithin(value + inFirst, second, second + size - inFirst);
        this.words[(HART_BASE + SCRATCH_AT) / 4] = value;
        return SLOW_AT;
      }
      this.hart.code.storeTo(first + offset - RAM_OFFSET, inFirst);
      this.hart.code.storeTo(second - RAM_OFFSET, size - inFirst);
      this.bytes.copyWithin(first + offset, value, value + inFirst);
      this.bytes.copyWithin(second, value + inFirst, value + size);
      return SLOW_DONE;
    }
    const ramPage = (first - RAM_OFFSET) >>> 12, hasCode = this.hart.code.hasCode[ramPage] === 1;
    if (store && hasCode) this.hart.code.storeTo(first - RAM_OFFSET + offset, size);
    if (store && hasCode) {
      this.words[(HART_BASE + SCRATCH_AT) / 4] = first + offset;
      return SLOW_AT;
    }
    const at = (TLB_BASE + (Math.floor(va / 4096) & (DATA_ENTRIES - 1)) * DATA_ENTRY) / 4, lo = (va - offset) | 0, hi = Math.floor(va / TWO32);
    for (const tag of hasCode ? [TAG_READ] : [TAG_READ, TAG_WRITE]) {
      this.words[at + tag / 4] = lo;
      this.words[at + tag / 4 + 1] = hi;
    }
    this.words[at + HOST_PAGE / 4] = first;
    return SLOW_RETRY;
  }

  fetchMiss(): number {
    this.fetchMisses++;
    const { hart } = this, page = this.page(hart.pc);
    if (page < 0) {
      this.raise(CAUSE_FETCH_PAGE, hart.pcLo, hart.pcHi);
      return SLOW_TRAP;
    }
    const records = hart.code.recordsOf((page - RAM_OFFSET) >>> 12), at = (TLB_BASE + FETCH_IN_BANK + ((hart.pcLo >>> 12) & (FETCH_ENTRIES - 1)) * FETCH_ENTRY) / 4;
    this.words[at] = hart.pcLo & ~4095;
    this.words[at + 1] = hart.pcHi;
    this.words[at + FETCH_RECORDS / 4] = records;
    return 0;
  }

  fetchSecond(): number {
    const va = this.hart.pc + 2, page = this.page(va);
    if (page < 0) this.raise(CAUSE_FETCH_PAGE, va | 0, Math.floor(va / TWO32));
    return page;
  }

  system(insn: number): number {
    this.onSystem();
    if (insn !== 0x73) return SYS_NEXT;
    this.raise(CAUSE_ECALL_U, 0, 0);
    return SYS_TRAP;
  }

  raise(cause: number, tvalLo: number, tvalHi: number): void {
    this.hart.cause = cause;
    this.hart.tvalLo = tvalLo;
    this.hart.tvalHi = tvalHi;
  }

  before(): number { return GO_ON; }
  trapped(): number { return STOP_TRAP; }
}
