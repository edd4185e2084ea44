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
  return arrange(region, region.blocks.map((b) => b.id), new Set(region.entries), new Set());
}

/** Blocks that close cycles: every cycle has one. */
export function cycleHeads(parts: readonly Part[], into: Set<number> = new Set()): Set<number> {
  for (const p of parts) {
    if (p.heads !== null) into.add(p.cut);
    cycleHeads(p.parts, into);
  }
  return into;
}

/** => entered: blocks that something outside `nodes` goes to; cut: heads whose incoming edges are the loop's own business */
function arrange(region: Region, nodes: readonly number[], entered: ReadonlySet<number>, cut: ReadonlySet<number>): Part[] {
  const inside = new Set(nodes), components = stronglyConnected(region, nodes, inside, cut);
  const parts: Part[] = [];
  for (const component of components) {
    const only = component[0]!;
    const isLoop = component.length > 1 || (region.blocks[only]!.succ.includes(only) && !cut.has(only));
    if (!isLoop) {
      parts.push({ block: only, heads: null, cut: -1, parts: [] });
      continue;
    }
    const members = new Set(component), heads = new Set(component.filter((b) => entered.has(b)));
    for (const b of nodes) {
      if (members.has(b)) continue;
      for (const t of region.blocks[b]!.succ) if (members.has(t) && !cut.has(t)) heads.add(t);
    }
    const chosen = closingHead(region, component, heads), inner = arrange(region, component, heads, new Set([...cut, chosen]));
    parts.push({ block: -1, heads: [...heads].sort((a, b) => a - b), cut: chosen, parts: inner });
  }
  return parts;
}

/** The head that most of the loop goes back to; of equals, the first in memory. */
function closingHead(region: Region, component: readonly number[], heads: ReadonlySet<number>): number {
  const ways = new Map<number, number>();
  for (const b of component) for (const t of region.blocks[b]!.succ) if (heads.has(t)) ways.set(t, (ways.get(t) ?? 0) + 1);
  return [...heads].reduce((best, h) => {
    const more = (ways.get(h) ?? 0) - (ways.get(best) ?? 0);
    return more > 0 || (more === 0 && h < best) ? h : best;
  });
}

/** Tarjan's algorithm without recursion. => components in topological order */
function stronglyConnected(region: Region, nodes: readonly number[], inside: ReadonlySet<number>, cut: ReadonlySet<number>): number[][] {
  const index = new Map<number, number>(), low = new Map<number, number>(), onStack = new Set<number>(), stack: number[] = [], found: number[][] = [];
  const frames: { node: number; at: number }[] = [];
  const open = (node: number): void => {
    index.set(node, index.size);
    low.set(node, index.size - 1);
    stack.push(node);
    onStack.add(node);
    frames.push({ node, at: 0 });
  };
  for (const root of nodes) {
    if (index.has(root)) continue;
    open(root);
    while (frames.length > 0) {
      const frame = frames.at(-1)!, { node } = frame, { succ } = region.blocks[node]!;
      if (frame.at < succ.length) {
        const t = succ[frame.at++]!;
        if (!inside.has(t) || cut.has(t)) continue;
        if (!index.has(t)) open(t);
        else if (onStack.has(t)) low.set(node, Math.min(low.get(node)!, index.get(t)!));
        continue;
      }
      frames.pop();
      const above = frames.at(-1);
      if (above !== undefined) low.set(above.node, Math.min(low.get(above.node)!, low.get(node)!));
      if (low.get(node) !== index.get(node)) continue;
      const component: number[] = [];
      for (;;) {
        const member = stack.pop()!;
        onStack.delete(member);
        component.push(member);
        if (member === node) break;
      }
      found.push(component.sort((a, b) => a - b));
    }
  }
  return found.reverse();
}
