// Small loops become several rounds of themselves: a round costs a check of the budget and the moves that bring
// registers back to where the loop began. What it is worth: README.md here.
//
//   head ─► body ─┐          head ─► body ─► head' ─► body' ─► head'' ─► body'' ─┐
//    ▲────────────┘           ▲──────────────────────────────────────────────────┘
//
// Every copy may leave as the original does. Only the first head is jumped back to, so only it checks the budget, for all rounds.
import { type Block, END_BRANCH, END_FALL, END_JUMP, type Region } from "./region.ts";
import { type Part, structureOf } from "./structure.ts";

/** Rounds at the most: more gain nothing, and are code that V8 has to compile. */
const ROUNDS_MAX = 6;

/** Instructions of a block, whichever way its branch goes. */
const lengthOf = (b: Block): number => b.insns.length + b.skipped.length;

/**
 * The region with its innermost loops unrolled: the one that it begins with, which made it hot, and others half as far, as nobody knows how
 * often they go around, and more code takes longer to compile. Blocks keep their numbers; copies come behind them.
 *
 * => insnsMax: instructions of all rounds together
 */
export function unroll(region: Region, insnsMax: number): Region {
  const blocks = [...region.blocks];
  for (const loop of innermost(structureOf(region))) {
    const members = loop.parts.map((p) => region.blocks[p.block]!), insns = members.reduce((n, b) => n + lengthOf(b), 0);
    const rounds = Math.min(ROUNDS_MAX, Math.floor(insnsMax / (loop.cut === region.entries[0] ? 1 : 2) / Math.max(insns, 1)));
    if (rounds > 1 && members.every((b) => b.end === END_BRANCH || b.end === END_FALL || b.end === END_JUMP)) repeat(blocks, members, loop.cut, rounds);
  }
  return blocks.length === region.blocks.length ? region : { ...region, blocks };
}

/** Loops with one head and no loop within. */
function* innermost(parts: readonly Part[]): Generator<Part, void> {
  for (const p of parts) {
    if (p.heads === null) continue;
    if (p.heads.length === 1 && p.parts.every((inner) => inner.heads === null)) yield p;
    else yield* innermost(p.parts);
  }
}

/** Adds the rounds behind the first, and leads each round's jumps to the head on to the next. */
function repeat(blocks: Block[], members: readonly Block[], head: number, rounds: number): void {
  const headVa = blocks[head]!.va, copies: Map<number, number>[] = [new Map(members.map((b) => [b.va, b.id]))];
  for (let round = 1; round < rounds; round++) copies.push(new Map(members.map((b, i) => [b.va, blocks.length + (round - 1) * members.length + i])));
  for (let round = rounds - 1; round >= 0; round--) {
    const own = copies[round]!, next = copies[(round + 1) % rounds]!;
    const idOf = (va: number): number | undefined => (va === headVa ? next : own).get(va);
    for (const b of members) {
      const chosen = new Map<number, number>();
      for (const va of b.targets) {
        const id = idOf(va);
        if (id !== undefined) chosen.set(va, id);
      }
      const outside = b.succ.filter((id) => !members.some((m) => m.id === id));
      const id = own.get(b.va)!;
      blocks[id] = { ...b, id, chosen, succ: [...outside, ...new Set(chosen.values())] };
    }
  }
}
