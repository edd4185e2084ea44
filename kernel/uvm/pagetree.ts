// The pages of an object by page number: a radix tree of two levels. Lookups come mostly near the one before, so the last
// leaf is at hand; a Map from each number to its page cost faults 4 % of their time.
//
//   leaves: number / 64 ─► Leaf    pages[the low bits of the number]: pg, 0 none
const LEAF_PAGES = 64;

class Leaf {
  readonly pages = new Int32Array(LEAF_PAGES);
  count = 0;
}

export class PageTree {
  private readonly leaves = new Map<number, Leaf>();
  private lastKey = -1;
  private lastLeaf: Leaf | null = null;
  private count = 0;

  /** How many pages there are. */
  get size(): number {
    return this.count;
  }

  /** The page of a number, 0 none. */
  get(index: number): number {
    const leaf = this.leafOf(index);
    return leaf === null ? 0 : leaf.pages[index & (LEAF_PAGES - 1)]!;
  }

  has(index: number): boolean {
    return this.get(index) !== 0;
  }

  /** => pg: not 0; the number has no page */
  insert(index: number, pg: number): void {
    let leaf = this.leafOf(index);
    if (leaf === null) {
      this.lastKey = Math.floor(index / LEAF_PAGES);
      this.leaves.set(this.lastKey, (leaf = this.lastLeaf = new Leaf()));
    }
    leaf.pages[index & (LEAF_PAGES - 1)] = pg;
    leaf.count++;
    this.count++;
  }

  /** => the number has a page */
  remove(index: number): void {
    const leaf = this.leafOf(index)!;
    leaf.pages[index & (LEAF_PAGES - 1)] = 0;
    this.count--;
    if (--leaf.count > 0) return;
    this.leaves.delete(Math.floor(index / LEAF_PAGES));
    this.lastKey = -1;
    this.lastLeaf = null;
  }

  /** Numbers and pages, in no order that means anything. Pages may be removed meanwhile. */
  *[Symbol.iterator](): Generator<[index: number, pg: number]> {
    for (const [key, { pages }] of this.leaves) {
      for (let i = 0; i < LEAF_PAGES; i++) if (pages[i] !== 0) yield [key * LEAF_PAGES + i, pages[i]!];
    }
  }

  private leafOf(index: number): Leaf | null {
    const key = Math.floor(index / LEAF_PAGES);
    if (key !== this.lastKey) {
      const leaf = this.leaves.get(key);
      if (leaf === undefined) return null;
      this.lastKey = key;
      this.lastLeaf = leaf;
    }
    return this.lastLeaf;
  }
}
