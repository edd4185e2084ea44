// Engine mode "check": each region runs beside the interpreter, and all state is compared where the region is left.
//
//   registers and pages as they are ─► region, N instructions ─► put aside, everything back ─► interpreter, N instructions ─► compare
//
// Pages are copied when the TLB first lets anybody write to them, which after a flush is before the first store. Regions do
// not chain: no cell is ever stamped. The interpreter's result is what the guest goes on with.
import {
  CELL, CELL_ENTRY, CELL_SLOT, CELLS, FFLAGS, FRM, FS, HART_STRIDE, LEFT, PC, RESERVATION, RESERVED_VALUE, STATUS, X0, X_SINK,
} from "../hart/layout.ts";

/** A region and the interpreter disagree: a bug of the translator. */
export class CheckFailure extends Error {
  override name = "CheckFailure";
}

export interface CheckParts {
  readonly memory: WebAssembly.Memory;
  readonly hartBlock: number;
  readonly table: WebAssembly.Table;
  /** Forgets all cached rights to write. */
  forgetWrites(): void;
}

type RegionFunction = (pc: bigint, left: number, ret: bigint, how: number) => number;
const PAGE = 4096, NOWHERE = 1n;
/** Words that both must leave the same: x and f registers lie before PC, without the sink. */
const FIELDS: readonly (readonly [name: string, offset: number])[] = [
  ["pc", PC], ["pc", PC + 4], ["instructions left", LEFT], ["fflags", FFLAGS], ["frm", FRM], ["mstatus.FS", FS], ["mstatus", STATUS], ["reservation", RESERVATION],
  ["reserved value", RESERVED_VALUE], ["reserved value", RESERVED_VALUE + 4],
];

export class Checker {
  private readonly bytes: Uint8Array;
  private readonly i32: Int32Array;
  private readonly block: number;
  private readonly parts: CheckParts;
  /** Pages by host offset as they were before the run under way. */
  private pages: Map<number, Uint8Array> | null = null;
  /** The interpreter's function for so many instructions. */
  exact: ((left: number, stop: number) => number) | null = null;
  checks = 0;

  constructor(parts: CheckParts) {
    this.parts = parts;
    this.bytes = new Uint8Array(parts.memory.buffer);
    this.i32 = new Int32Array(parts.memory.buffer);
    this.block = parts.hartBlock;
  }

  /** Somebody may write to this page from now on. */
  writable(page: number): void {
    if (this.pages !== null && !this.pages.has(page)) this.pages.set(page, this.bytes.slice(page, page + PAGE));
  }

  /** Runs the region of a cell both ways. => instructions that retired; throws CheckFailure */
  run(cell: number, name: string): number {
    const { bytes, i32, block } = this, at = (CELLS + cell * CELL) >> 2, left = i32[(block + LEFT) >> 2]!;
    const before = bytes.slice(block, block + HART_STRIDE), region = this.parts.table.get(i32[at + CELL_SLOT / 4]!) as unknown as RegionFunction;
    const first = this.record(() => region(0n, left, NOWHERE, i32[at + CELL_ENTRY / 4]!));
    const done = left - i32[(block + LEFT) >> 2]!, after = bytes.slice(block, block + HART_STRIDE);
    const written = new Map([...first].map(([page]) => [page, bytes.slice(page, page + PAGE)] as const));
    for (const [page, old] of first) bytes.set(old, page);
    bytes.set(before, block);
    if (done === 0) return 0;
    const second = this.record(() => this.exact!(left, left - done));
    this.checks++;
    this.compareHart(after, name);
    for (const page of new Set([...first.keys(), ...second.keys()])) {
      const expected = written.get(page) ?? second.get(page)!, now = bytes.subarray(page, page + PAGE);
      const differs = expected.findIndex((b, i) => b !== now[i]);
      if (differs >= 0) throw new CheckFailure(`${name}: byte 0x${(page + differs).toString(16)} is ${expected[differs]} translated, ${now[differs]} interpreted`);
    }
    return done;
  }

  private record(run: () => void): Map<number, Uint8Array> {
    const pages = this.pages = new Map<number, Uint8Array>();
    this.parts.forgetWrites();
    run();
    this.pages = null;
    return pages;
  }

  private compareHart(after: Uint8Array, name: string): void {
    const theirs = new Int32Array(after.buffer), ours = this.i32.subarray(this.block >> 2, (this.block + HART_STRIDE) >> 2);
    const differ = (what: string, offset: number): void => {
      if (theirs[offset >> 2] === ours[offset >> 2]) return;
      throw new CheckFailure(`${name}: ${what} is 0x${(theirs[offset >> 2]! >>> 0).toString(16)} translated, 0x${(ours[offset >> 2]! >>> 0).toString(16)} interpreted`);
    };
    for (let offset = X0; offset < PC; offset += 4) {
      if (offset >= X_SINK && offset < X_SINK + 8) continue;
      differ(offset < X_SINK ? `x${offset >> 3}` : `f${(offset - X_SINK - 8) >> 3}`, offset);
    }
    for (const [what, offset] of FIELDS) differ(what, offset);
  }
}
