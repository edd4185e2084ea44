// A region: the basic blocks that are translated into one function. It grows from a hot address along branches, jumps and
// fall-through; a call's callee is not part of it, the place that the call returns to is.
//
//   code bytes --decode--> instructions by address --leaders--> blocks --edges by address--> region
//
// Only code that has run and that the hart could fetch now is followed: nothing here raises faults or sets A bits.
import { isPunted, isSieSwitch, type InsnShape, shapeOf } from "./shape.ts";
import { STANDARD, type Tuning } from "./tuning.ts";
import { decode, type Decoded, isCompressed, newDecoded, rowNamed } from "../isa/table.ts";

export interface Insn {
  readonly va: number;
  readonly row: number;
  readonly lenBytes: 2 | 4;
  readonly rd: number;
  readonly rs1: number;
  readonly rs2: number;
  readonly rs3: number;
  readonly imm: number;
  readonly shape: InsnShape;
}

/** How a block ends. FALL has no instruction of its own; PUNT ends before an instruction that is the interpreter's. */
export const END_FALL = 0, END_BRANCH = 1, END_JUMP = 2, END_CALL = 3, END_RETURN = 4, END_INDIRECT = 5, END_PUNT = 6;

export interface Block {
  /** Place in Region.blocks. */
  id: number;
  readonly va: number;
  readonly insns: Insn[];
  end: number;
  /** Of a block whose branch skips a few plain instructions: these. It goes on behind them either way, and branches no more. */
  skipped: readonly Insn[];
  /** Where it goes: FALL [next]; BRANCH [taken, next]; JUMP [target]; CALL [return site]; INDIRECT the profiled targets. */
  targets: number[];
  /** Address behind the last instruction; of PUNT, of the instruction that is left. */
  endVa: number;
  /** Blocks of the region among `targets`, without duplicates. */
  succ: number[];
  /** Of a block of an unrolled loop: which of the copies it goes to, by address; see unroll.ts. */
  readonly chosen?: ReadonlyMap<number, number>;
}

export interface Region {
  readonly entryVa: number;
  readonly blocks: Block[];
  /** Blocks that are entered from outside; the first is the region's own beginning. */
  readonly entries: number[];
  /** Addresses outside that its branches and jumps lead to, and its straight lines. */
  readonly exits: readonly number[];
  /** Virtual pages that the code lies on, and the RAM pages behind them. */
  readonly pages: readonly { readonly va: number; readonly ramPage: number; readonly lo: number; readonly hi: number }[];
  readonly insnCount: number;
  /** The stack pointer's place in its page when the region was hot; NaN unknown. */
  readonly stackPlace: number;
}

/** What discovery knows of the machine. */
export interface CodeSource {
  /** RAM page behind a virtual page that is fetched from, or -1. */
  codePage(pageVa: number): number;
  /** 16 bits of RAM. */
  half(ramPage: number, offset: number): number;
  /** Whether the instruction was executed before: what never ran is left out. */
  hasRun(ramPage: number, offset: number): boolean;
  /** Of a region that is entered at an address: where it is left by branches, jumps and falling through. Else null. */
  exitsOf(va: number): readonly number[] | null;
  /** Addresses on the page that were jumped to, by the profile. */
  targets(ramPage: number): readonly number[];
}

/** What a region depends on besides the code: whether it leaves out the loops within that have regions already, and Region.stackPlace. */
export interface HotPlace { readonly leavesLoops: boolean; readonly stackPlace: number }

const ANY_PLACE: HotPlace = { leavesLoops: false, stackPlace: NaN };
const INSNS_MAX = 1500, BLOCKS_MAX = 400, CANDIDATES_MAX = 160;
/** A plain jump farther than this leaves for another function. */
const JUMP_FAR = 1 << 15;
/** Indirect targets are looked for so far around what is known of the function. */
const SWITCH_REACH = 2048;
/** Cycles of a loop that are longer than both are another loop's. */
const CYCLE_MIN = 96, CYCLE_FACTOR = 3;
/** Instructions of the interpreter's in a row that are skipped. */
const PUNTED_MAX = 16;
const RA = 1;
const ROW_JAL = rowNamed("jal"), ROW_JALR = rowNamed("jalr");

class Discovery {
  private readonly source: CodeSource;
  private readonly tuning: Tuning;
  private readonly leavesLoops: boolean;
  private readonly stackPlace: number;
  private readonly pages = new Map<number, { ramPage: number; lo: number; hi: number }>();
  private readonly insns = new Map<number, Insn>();
  private readonly leaders = new Set<number>();
  private readonly work: number[] = [];
  private readonly entryVas: number[] = [];
  private entryVa = 0;
  private hasIndirect = false;
  private candidates: number[] = [];
  private readonly d: Decoded = newDecoded();

  /** => leavesLoops: loops within that have a region already are not part of this one */
  constructor(source: CodeSource, tuning: Tuning, { leavesLoops, stackPlace }: HotPlace) {
    this.source = source;
    this.tuning = tuning;
    this.leavesLoops = leavesLoops;
    this.stackPlace = stackPlace;
  }

  run(entryVa: number): Region | null {
    this.entryVa = entryVa;
    this.enter(entryVa);
    this.drain();
    if (this.hasIndirect) this.addCandidates();
    const all = this.makeBlocks(), first = all.find((b) => b.va === entryVa);
    if (first === undefined || (first.insns.length === 0 && first.end === END_PUNT)) return null;
    return this.finish(entryVa, nearCycles(all, first));
  }

  /** A block that is entered from outside begins here. */
  private enter(va: number): void {
    if (!this.entryVas.includes(va)) this.entryVas.push(va);
    this.lead(va);
  }

  private lead(va: number): void {
    if (this.leaders.has(va) || this.leaders.size >= BLOCKS_MAX) return;
    const page = this.page(va);
    if (page === null || !this.source.hasRun(page.ramPage, va - Math.floor(va / 4096) * 4096)) return;
    const exits = this.leavesLoops && va !== this.entryVa ? this.source.exitsOf(va) : null;
    if (exits !== null) return this.enterBehind(exits);
    this.leaders.add(va);
    if (!this.insns.has(va)) this.work.push(va);
  }

  /** Goes on where a loop that has its own region is left. */
  private enterBehind(exits: readonly number[]): void {
    for (const va of exits) if (!this.entryVas.includes(va)) this.enter(va);
  }

  private page(va: number): { ramPage: number; lo: number; hi: number } | null {
    const pageVa = Math.floor(va / 4096) * 4096;
    let page = this.pages.get(pageVa);
    if (page === undefined) {
      const ramPage = this.source.codePage(pageVa);
      if (ramPage < 0) return null;
      page = { ramPage, lo: 4096, hi: 0 };
      this.pages.set(pageVa, page);
    }
    return page;
  }

  private half(va: number): number {
    const page = this.page(va);
    if (page === null) return -1;
    const offset = va - Math.floor(va / 4096) * 4096;
    page.lo = Math.min(page.lo, offset);
    page.hi = Math.max(page.hi, offset + 2);
    return this.source.half(page.ramPage, offset);
  }

  /** Decodes what is at an address into d. => false: nothing there, or no instruction */
  private decoded(va: number): boolean {
    const low = this.half(va);
    if (low < 0) return false;
    const high = isCompressed(low) ? 0 : this.half(va + 2);
    if (high < 0) return false;
    decode(low | (high << 16), this.d);
    return this.d.row >= 0;
  }

  /** Decodes the instruction at an address once. => null: not there, or not one to translate */
  private at(va: number): Insn | null {
    const known = this.insns.get(va);
    if (known !== undefined) return known;
    if (this.insns.size >= INSNS_MAX || !this.decoded(va)) return null;
    const { d } = this, shape = shapeOf(d.row);
    if (isPunted(shape, d.imm)) return null;
    const insn: Insn = { va, row: d.row, lenBytes: d.lenBytes, rd: d.rd, rs1: d.rs1, rs2: d.rs2, rs3: d.rs3, imm: d.imm, shape };
    this.insns.set(va, insn);
    return insn;
  }

  /** Where the interpreter goes on after an instruction that is its own: a system call, a CSR. => -1: there is none, or control goes elsewhere */
  behindPunted(va: number): number {
    if (!this.decoded(va)) return -1;
    const { d } = this, shape = shapeOf(d.row);
    return (shape.isCold || shape.isCsr) && !shape.isLeaving && isPunted(shape, d.imm) ? va + d.lenBytes : -1;
  }

  private drain(): void {
    for (let va = this.work.pop(); va !== undefined; va = this.work.pop()) this.follow(va);
  }

  /** Decodes from a leader to the end of its straight line. */
  private follow(from: number): void {
    for (let va = from; ;) {
      const insn = this.at(va);
      if (insn === null) {
        const behind = this.behindPunted(va);
        if (behind >= 0) this.enter(behind);
        return;
      }
      const next = va + insn.lenBytes;
      // Where it changes more than SIE the interpreter comes back behind it.
      if (insn.shape.readsX1 && insn.rs1 !== 0 && isSieSwitch(insn.shape, insn.imm)) return this.enter(next);
      if (insn.shape.isBranch) {
        this.lead(next);
        this.lead(va + insn.imm);
        return;
      }
      if (insn.row === ROW_JAL) {
        if (insn.rd === 0 && Math.abs(insn.imm) < JUMP_FAR) this.lead(va + insn.imm);
        else if (insn.rd === RA) this.enter(next);
        return;
      }
      if (insn.row === ROW_JALR) {
        if (insn.rd === RA) this.enter(next);
        else if (insn.rd === 0 && insn.rs1 !== RA) this.hasIndirect = true;
        return;
      }
      if (this.insns.has(next)) return;
      va = next;
    }
  }

  /** Profiled jump targets in and around the function: where its switches go. */
  private addCandidates(): void {
    let low = Infinity, high = -Infinity;
    for (const va of this.insns.keys()) {
      low = Math.min(low, va);
      high = Math.max(high, va);
    }
    const found: number[] = [];
    for (let pageVa = Math.floor((low - SWITCH_REACH) / 4096) * 4096; pageVa <= high + SWITCH_REACH; pageVa += 4096) {
      const ramPage = this.source.codePage(pageVa);
      if (ramPage < 0) continue;
      for (const offset of this.source.targets(ramPage)) {
        const va = pageVa + offset;
        if (va >= low - SWITCH_REACH && va < high + SWITCH_REACH && va % 2 === 0) found.push(va);
      }
    }
    this.candidates = found.slice(0, CANDIDATES_MAX).sort((a, b) => a - b);
    for (const va of this.candidates) this.lead(va);
    this.drain();
    this.candidates = this.candidates.filter((va) => this.insns.has(va));
  }

  private makeBlocks(): Block[] {
    const blocks: Block[] = [];
    for (const va of [...this.leaders].sort((a, b) => a - b)) blocks.push(this.blockAt(va, blocks.length));
    return blocks;
  }

  private blockAt(start: number, id: number): Block {
    const insns: Insn[] = [];
    for (let va = start; ;) {
      const insn = this.insns.get(va);
      const block = (end: number, targets: number[], endVa: number): Block => ({ id, va: start, insns, end, skipped: [], targets, endVa, succ: [] });
      if (insn === undefined) return block(END_PUNT, [], va);
      insns.push(insn);
      const next = va + insn.lenBytes;
      if (insn.shape.isBranch) return block(END_BRANCH, [va + insn.imm, next], next);
      if (insn.row === ROW_JAL) return insn.rd === RA ? block(END_CALL, [next], next) : block(END_JUMP, [va + insn.imm], next);
      if (insn.row === ROW_JALR) {
        if (insn.rd === RA) return block(END_CALL, [next], next);
        if (insn.rd === 0 && insn.rs1 === RA) return block(END_RETURN, [], next);
        return block(END_INDIRECT, insn.rd === 0 ? this.candidates : [], next);
      }
      if (this.leaders.has(next)) return block(END_FALL, [next], next);
      va = next;
    }
  }

  /** Drops what cannot be reached, numbers the rest, and resolves edges. */
  private finish(entryVa: number, all: Block[]): Region {
    const byVa = new Map(all.map((b) => [b.va, b]));
    const reached = new Set<Block>(), stack: Block[] = [];
    const reach = (va: number): void => {
      const b = byVa.get(va);
      if (b === undefined || reached.has(b)) return;
      reached.add(b);
      stack.push(b);
    };
    const entryVas = this.entryVas.filter((va) => byVa.has(va));
    entryVas.forEach(reach);
    for (let b = stack.pop(); b !== undefined; b = stack.pop()) b.targets.forEach(reach);
    const blocks = foldHammocks(all.filter((b) => reached.has(b)), new Set(entryVas), this.tuning.fold);
    blocks.forEach((b, i) => { b.id = i; });
    for (const b of blocks) b.succ = [...new Set(b.targets.map((va) => byVa.get(va)).filter((t) => t !== undefined).map((t) => t.id))];
    const usable = (b: Block): boolean => b.insns.length > 0;
    // An entry in the middle of a loop would spoil its shape: there the interpreter goes on to the loop's head.
    const entered = entryVas.map((va) => byVa.get(va)!).filter((b) => b.va === entryVa || (usable(b) && !onCycle(b, blocks)));
    // What only such a place led to is reached by nothing now: a cycle of it would have no head.
    const kept = reachable(entered, blocks), entries = entered.map((b) => b.id);
    const pages = [...this.pages].filter(([, p]) => p.hi > 0).map(([va, p]) => ({ va, ...p }));
    const known = new Set(kept.map((b) => b.va)), exits = [...new Set(kept.flatMap((b) => b.targets))].filter((va) => !known.has(va));
    return { entryVa, blocks: kept, entries, exits, pages, stackPlace: this.stackPlace, insnCount: kept.reduce((n, b) => n + b.insns.length + b.skipped.length, 0) };
  }
}

/**
 * A branch over a few instructions that only compute becomes a choice between the results: compilers branch where other
 * processors would move conditionally, often on data that no predictor guesses. Stretches longer than `longest` are better jumped over.
 */
function foldHammocks(blocks: readonly Block[], entries: ReadonlySet<number>, longest: number): Block[] {
  const byVa = new Map(blocks.map((b) => [b.va, b])), ways = new Map<number, number>(), gone = new Set<Block>();
  for (const b of blocks) for (const va of new Set(b.targets)) ways.set(va, (ways.get(va) ?? 0) + 1);
  for (const b of blocks) {
    if (b.end !== END_BRANCH) continue;
    const [over, next] = b.targets as [number, number], f = byVa.get(next);
    if (f === undefined || f === b || f.end !== END_FALL || f.targets[0] !== over || ways.get(next) !== 1 || entries.has(next)) continue;
    if (f.insns.length > longest || !f.insns.every((insn) => insn.shape.isPlain) || f.skipped.length > 0) continue;
    b.skipped = f.insns;
    b.end = END_FALL;
    b.targets = [over];
    gone.add(f);
  }
  return blocks.filter((b) => !gone.has(b));
}

/**
 * Of a loop's head, only what lies on cycles not much longer than the shortest: the loop, not the function around it, which
 * gets a region of its own when it is hot. Of what is no loop's head, everything.
 */
function nearCycles(blocks: Block[], entry: Block): Block[] {
  const byVa = new Map(blocks.map((b) => [b.va, b])), before = new Map<Block, Block[]>();
  for (const b of blocks) {
    for (const va of b.targets) {
      const t = byVa.get(va);
      if (t === undefined) continue;
      const list = before.get(t);
      if (list === undefined) before.set(t, [b]);
      else list.push(b);
    }
  }
  const there = distances(entry, (b) => b.targets.map((va) => byVa.get(va)).filter((t) => t !== undefined));
  const back = distances(entry, (b) => before.get(b) ?? []);
  // Both ways leave out the block itself; with it no block on the way to another counts for longer than that.
  const length = (b: Block): number => (there.get(b) ?? Infinity) + b.insns.length + (back.get(b) ?? Infinity);
  const shortest = Math.min(...(before.get(entry) ?? []).map((b) => (there.get(b) ?? Infinity) + b.insns.length));
  if (shortest === Infinity) return blocks;
  const limit = Math.max(CYCLE_MIN, CYCLE_FACTOR * shortest);
  return blocks.filter((b) => b === entry || length(b) <= limit);
}

function onCycle(block: Block, blocks: readonly Block[]): boolean {
  const seen = new Uint8Array(blocks.length), work = [...block.succ];
  for (let id = work.pop(); id !== undefined; id = work.pop()) {
    if (id === block.id) return true;
    for (const t of blocks[id]!.succ) {
      if (seen[t] === 1) continue;
      seen[t] = 1;
      work.push(t);
    }
  }
  return false;
}

/** => the blocks that some of `from` lead to, in order; they and the edges between them are numbered anew */
function reachable(from: readonly Block[], blocks: readonly Block[]): Block[] {
  const seen = new Set<Block>(from), work = [...from];
  for (let b = work.pop(); b !== undefined; b = work.pop()) {
    for (const id of b.succ) {
      const t = blocks[id]!;
      if (seen.has(t)) continue;
      seen.add(t);
      work.push(t);
    }
  }
  const kept = blocks.filter((b) => seen.has(b)), succ = kept.map((b) => b.succ.map((id) => blocks[id]!));
  kept.forEach((b, i) => { b.id = i; });
  kept.forEach((b, i) => { b.succ = succ[i]!.map((t) => t.id); });
  return kept;
}

/** Instructions on the shortest way from a block to each other, counting the blocks before it. */
function distances(from: Block, next: (b: Block) => readonly Block[]): Map<Block, number> {
  const far = new Map<Block, number>([[from, 0]]), work = [from];
  for (let i = 0; i < work.length; i++) {
    const b = work[i]!, d = far.get(b)! + b.insns.length;
    for (const t of next(b)) {
      if ((far.get(t) ?? Infinity) <= d) continue;
      far.set(t, d);
      work.push(t);
    }
  }
  return far;
}

/** The first instruction at or behind an address that is not the interpreter's own: a trap's handler begins with CSRs. */
export function firstToTranslate(va: number, source: CodeSource, tuning = STANDARD): number {
  const d = new Discovery(source, tuning, ANY_PLACE);
  let at = va;
  for (let tries = 0, next = d.behindPunted(at); next >= 0 && tries < PUNTED_MAX; tries++, next = d.behindPunted(at)) at = next;
  return at;
}

/**
 * Finds the region that begins at an address.
 *
 * => null: its first instruction cannot be translated
 */
export function discoverRegion(entryVa: number, source: CodeSource, tuning = STANDARD, place = ANY_PLACE): Region | null {
  return new Discovery(source, tuning, place).run(entryVa);
}
