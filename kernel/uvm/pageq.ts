// Lists of pages, linked through two columns of `Pages`. A list's head is a record past the end of RAM, so insertion
// and removal have no special cases.
//
//   head ⇄ pg ⇄ pg ⇄ … ⇄ head        next[head] is the first, prev[head] the last

export class PageList {
  length = 0;
  private readonly next: Int32Array;
  private readonly prev: Int32Array;
  private readonly head: number;

  /** => `head` is an index of both columns that is no page */
  constructor(next: Int32Array, prev: Int32Array, head: number) {
    this.next = next;
    this.prev = prev;
    this.head = head;
    next[head] = head;
    prev[head] = head;
  }

  /** The first page, 0 when empty. */
  first(): number {
    const pg = this.next[this.head]!;
    return pg === this.head ? 0 : pg;
  }

  /** The page after `pg`, 0 at the end. */
  after(pg: number): number {
    const n = this.next[pg]!;
    return n === this.head ? 0 : n;
  }

  pushTail(pg: number): void {
    const { next, prev, head } = this, last = prev[head]!;
    next[last] = pg;
    prev[pg] = last;
    next[pg] = head;
    prev[head] = pg;
    this.length++;
  }

  pushHead(pg: number): void {
    const { next, prev, head } = this, first = next[head]!;
    next[head] = pg;
    prev[pg] = head;
    next[pg] = first;
    prev[first] = pg;
    this.length++;
  }

  remove(pg: number): void {
    const { next, prev } = this, n = next[pg]!, p = prev[pg]!;
    next[p] = n;
    prev[n] = p;
    next[pg] = 0;
    prev[pg] = 0;
    this.length--;
  }

  /** Every page in order: for the checker and ddb. */
  *pages(): Generator<number> {
    for (let pg = this.first(); pg !== 0; pg = this.after(pg)) yield pg;
  }
}
