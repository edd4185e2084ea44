// The shape of a region's control flow: strongly connected components, nested. What is not a loop is in topological order;
// a loop is one of its heads and, inside, the same again without the edges back to that one. WebAssembly's blocks and loops
// follow it. A loop with several heads begins with a switch over where it is entered; only the way back to the head that was
// cut goes through it.
import type { Region } from "./region.ts";

/** A single block, or a loop. */
export interface Part {
  /** The block, of one that is no loop. */
  readonly block: number;
  /** Blocks of the loop that are entered from outside it, or null. */
  readonly heads: readonly number[] | null;
  /** The head that closes each cycle, of a loop. */
  readonly cut: number;
  /** Parts of the loop in topological order. */
  readonly parts: readonly Part[];
}

/** The region as parts in topological order. */
export function structureOf(region: Region): Part[] {
  return new Shaper(region).shape();
}

/** Blocks that close cycles: every cycle has one. */
export function cycleHeads(parts: readonly Part[], into: Set<number> = new Set()): Set<number> {
  for (const p of parts) {
    if (p.heads !== null) into.add(p.cut);
    cycleHeads(p.parts, into);
  }
  return into;
}

/** By block: all working memory of the nesting. An arranged set of blocks is those whose `scope` is its number. */
class Shaper {
  private readonly region: Region;
  private readonly scope: Int32Array;
  private scopes = 0;
  /** Heads whose incoming edges are the business of a loop around. */
  private readonly cut: Uint8Array;
  private readonly isHead: Uint8Array;
  /** Component that a block was put in last. */
  private readonly component: Int32Array;
  private components = 0;
  // Tarjan's: order of discovery, lowest number reached, the open blocks; and the way that is being walked.
  private readonly index: Int32Array;
  private readonly low: Int32Array;
  private readonly open: number[] = [];
  private readonly way: number[] = [];
  private readonly edge: Int32Array;

  constructor(region: Region) {
    const n = region.blocks.length, column = () => new Int32Array(n);
    this.region = region;
    this.scope = column();
    this.component = column();
    this.index = column();
    this.low = column();
    this.edge = column();
    this.cut = new Uint8Array(n);
    this.isHead = new Uint8Array(n);
  }

  shape(): Part[] {
    for (const b of this.region.entries) this.isHead[b] = 1;
    return this.arrange(this.region.blocks.map((b) => b.id));
  }

  /** => isHead marks the blocks that something outside goes to */
  private arrange(nodes: readonly number[]): Part[] {
    const scope = ++this.scopes, { component, cut, isHead } = this;
    for (const b of nodes) this.scope[b] = scope;
    const found = this.stronglyConnected(nodes, scope);
    for (const b of nodes) for (const t of this.succ(b)) if (this.scope[t] === scope && cut[t] === 0 && component[t] !== component[b]) isHead[t] = 1;
    return found.map((members) => {
      const only = members[0]!;
      if (members.length === 1 && (cut[only] === 1 || !this.succ(only).includes(only))) return { block: only, heads: null, cut: -1, parts: [] };
      const heads = members.filter((b) => isHead[b] === 1), chosen = this.closingHead(members, heads);
      cut[chosen] = 1;
      return { block: -1, heads, cut: chosen, parts: this.within(members, heads, chosen) };
    });
  }

  /** The parts of a loop whose head is cut: when a shorter loop has the same head, that one first. */
  private within(members: readonly number[], heads: readonly number[], cut: number): readonly Part[] {
    const inner = heads.length === 1 ? this.shortestLoop(members, cut) : members;
    if (inner.length === members.length) return this.arrange(members);
    const isInner = new Set(inner), rest = members.filter((b) => !isInner.has(b));
    // Nothing leads from the rest into the inner loop but the way back to the head.
    for (const b of inner) for (const t of this.succ(b)) if (!isInner.has(t)) this.isHead[t] = 1;
    return [{ block: -1, heads, cut, parts: this.arrange(inner) }, ...this.arrange(rest)];
  }

  /**
   * Of two ways back to a head, the loop of the one that fewer blocks lead to. Of more it is all: those are turns of one loop, as
   * the operations of an interpreter are.
   *
   * => blocks in order
   */
  private shortestLoop(members: readonly number[], head: number): readonly number[] {
    const latches = members.filter((b) => this.succ(b).includes(head));
    if (latches.length !== 2) return members;
    const [a, b] = latches.map((latch) => this.bodyOf(members, head, latch)) as [ReadonlySet<number>, ReadonlySet<number>];
    const body = a.size <= b.size ? a : b;
    return members.filter((block) => body.has(block));
  }

  /** The natural loop of one way back: what reaches its latch without passing the head. */
  private bodyOf(members: readonly number[], head: number, latch: number): ReadonlySet<number> {
    const body = new Set([head, latch]);
    for (let grown = latch !== head; grown;) {
      grown = false;
      for (const b of members) {
        if (body.has(b) || !this.succ(b).some((t) => t !== head && body.has(t))) continue;
        body.add(b);
        grown = true;
      }
    }
    return body;
  }

  private succ(block: number): readonly number[] {
    return this.region.blocks[block]!.succ;
  }

  /** The head that most of the loop goes back to; of equals, the first in memory. */
  private closingHead(members: readonly number[], heads: readonly number[]): number {
    if (heads.length === 1) return heads[0]!;
    const ways = new Map<number, number>(heads.map((h) => [h, 0]));
    for (const b of members) for (const t of this.succ(b)) if (ways.has(t)) ways.set(t, ways.get(t)! + 1);
    return heads.reduce((best, h) => (ways.get(h)! > ways.get(best)! ? h : best));
  }

  /** Tarjan's algorithm without recursion. => components in topological order, the blocks of each in order */
  private stronglyConnected(nodes: readonly number[], scope: number): number[][] {
    const { index, low, open, way, edge, cut } = this, found: number[][] = [];
    let count = 0;
    const visit = (b: number): void => {
      index[b] = low[b] = ++count;
      edge[b] = 0;
      open.push(b);
      way.push(b);
    };
    for (const b of nodes) index[b] = 0;
    for (const root of nodes) {
      if (index[root] !== 0) continue;
      visit(root);
      while (way.length > 0) {
        const b = way[way.length - 1]!, succ = this.succ(b);
        if (edge[b]! < succ.length) {
          const t = succ[edge[b]!++]!;
          if (this.scope[t] !== scope || cut[t] === 1) continue;
          if (index[t] === 0) visit(t);
          else if (index[t]! < low[b]!) low[b] = index[t]!;
          continue;
        }
        way.pop();
        const above = way[way.length - 1];
        if (above !== undefined && low[b]! < low[above]!) low[above] = low[b]!;
        if (low[b] === index[b]) found.push(this.close(b));
      }
    }
    return found.reverse();
  }

  /** The open blocks from one on are a component. Nothing that is met later leads to a lower number through them. */
  private close(first: number): number[] {
    const members = this.open.splice(this.open.lastIndexOf(first)), number = ++this.components;
    for (const b of members) {
      this.component[b] = number;
      this.index[b] = DONE;
    }
    return members.sort((a, b) => a - b);
  }
}

/** Discovery order of a block whose component is complete: lower than no other. */
const DONE = 0x7fffffff;
