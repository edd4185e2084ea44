// The entries of a map: a ring by address (entry.prev, entry.next, closed by a header) and a treap over it for lookup in
// O(log n), in which each node knows the largest gap below it, so that a hole is found in O(log n) too. A sorted array
// was considered: lookup is as fast, but finding a hole is linear, and a program may hold tens of thousands of entries.
//
//            e5                  gap(e)    = e.next.start - e.end
//          /    \                maxGap(e) = max(gap(e), maxGap of both children)
//        e2      e7              priority  : parent's is highest; from a counter hashed, so runs repeat exactly
import { KASSERT } from "../lib/kassert.ts";
import { VmMapEntry } from "./mapentry.ts";

type Node = VmMapEntry | null;

function update(e: VmMapEntry): void {
  let m = e.gap;
  if (e.left && e.left.maxGap > m) m = e.left.maxGap;
  if (e.right && e.right.maxGap > m) m = e.right.maxGap;
  e.maxGap = m;
}

function rotateRight(e: VmMapEntry): VmMapEntry {
  const l = e.left!;
  e.left = l.right;
  l.right = e;
  update(e);
  update(l);
  return l;
}

function rotateLeft(e: VmMapEntry): VmMapEntry {
  const r = e.right!;
  e.right = r.left;
  r.left = e;
  update(e);
  update(r);
  return r;
}

function merge(a: Node, b: Node): Node {
  if (!a) return b;
  if (!b) return a;
  if (a.priority > b.priority) {
    a.right = merge(a.right, b);
    update(a);
    return a;
  }
  b.left = merge(a, b.left);
  update(b);
  return b;
}

function insert(root: Node, e: VmMapEntry): VmMapEntry {
  if (!root) {
    update(e);
    return e;
  }
  if (e.start < root.start) {
    root.left = insert(root.left, e);
    if (root.left.priority > root.priority) return rotateRight(root);
  } else {
    root.right = insert(root.right, e);
    if (root.right.priority > root.priority) return rotateLeft(root);
  }
  update(root);
  return root;
}

function remove(root: Node, e: VmMapEntry): Node {
  if (root === e) return merge(e.left, e.right);
  if (!root) return null;
  if (e.start < root.start) root.left = remove(root.left, e);
  else root.right = remove(root.right, e);
  update(root);
  return root;
}

export class MapTree {
  /** Before the first and after the last entry: [min, min) and, seen as `next`, starting at max. */
  readonly header: VmMapEntry;
  count = 0;
  private root: Node = null;
  private readonly min: number;
  private readonly max: number;
  private seed = 1;

  constructor(min: number, max: number) {
    this.min = min;
    this.max = max;
    this.header = new VmMapEntry(min, min);
    this.header.gap = max - min;
  }

  private gapAfter(e: VmMapEntry): number {
    return (e.next === this.header ? this.max : e.next.start) - e.end;
  }

  /** The entry that holds `va`, or else the last one before it (the header when none). Contents: check `va < e.end`. */
  floor(va: number): VmMapEntry {
    let best: VmMapEntry = this.header, e = this.root;
    while (e) {
      if (va < e.start) e = e.left;
      else {
        best = e;
        e = e.right;
      }
    }
    return best;
  }

  /** Links `e` after `prev`. => fits in the gap there */
  insertAfter(prev: VmMapEntry, e: VmMapEntry): void {
    KASSERT(e.start >= prev.end && e.end <= (prev.next === this.header ? this.max : prev.next.start), "map entry overlaps");
    e.prev = prev;
    e.next = prev.next;
    prev.next.prev = e;
    prev.next = e;
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) | 0;
    e.priority = (this.seed ^ (this.seed >>> 15)) & 0x3fffffff;
    e.left = null;
    e.right = null;
    e.gap = this.gapAfter(e);
    this.root = insert(this.root, e);
    this.resized(prev);
    this.count++;
  }

  /** Unlinks `e`. Its own prev and next stay, so that a walk may go on. */
  remove(e: VmMapEntry): void {
    this.root = remove(this.root, e);
    e.left = null;
    e.right = null;
    e.prev.next = e.next;
    e.next.prev = e.prev;
    this.resized(e.prev);
    this.count--;
  }

  /** The gap after `e` changed, as its end or the next one's start moved. */
  resized(e: VmMapEntry): void {
    e.gap = this.gapAfter(e);
    if (e !== this.header) this.refresh(this.root, e);
  }

  private refresh(at: Node, e: VmMapEntry): void {
    if (!at) return;
    if (at !== e) this.refresh(e.start < at.start ? at.left : at.right, e);
    update(at);
  }

  /** The highest free range of `size` bytes that ends at or below `limit`; -1 when there is none. */
  findBelow(limit: number, size: number): number {
    const found = this.searchBelow(this.root, Math.min(limit, this.max), size);
    if (found >= 0) return found;
    const end = Math.min(this.header.end + this.header.gap, limit);
    return end - this.min >= size ? end - size : -1;
  }

  private searchBelow(e: Node, limit: number, size: number): number {
    if (!e || e.maxGap < size) return -1;
    if (e.start < limit) {
      const found = this.searchBelow(e.right, limit, size);
      if (found >= 0) return found;
      const end = Math.min(e.end + e.gap, limit);
      if (end - e.end >= size) return end - size;
    }
    return this.searchBelow(e.left, limit, size);
  }

  /** The lowest free range of `size` bytes at or above `from`; -1 when there is none. Kernel maps. */
  findAbove(from: number, size: number): number {
    for (let e = this.floor(from); ; e = e.next) {
      const at = Math.max(e.end, from), end = e.next === this.header ? this.max : e.next.start;
      if (end - at >= size) return at;
      if (e.next === this.header) return -1;
    }
  }

  /** Entries in order of address. */
  *entries(): Generator<VmMapEntry> {
    for (let e = this.header.next; e !== this.header; e = e.next) yield e;
  }

  /** Height of the treap, and whether tree and ring agree: for the checker. */
  check(): string[] {
    const bad: string[] = [], order: VmMapEntry[] = [];
    const walk = (e: Node): void => {
      if (!e) return;
      walk(e.left);
      order.push(e);
      walk(e.right);
      const m = Math.max(e.gap, e.left?.maxGap ?? 0, e.right?.maxGap ?? 0);
      if (e.maxGap !== m) bad.push(`entry ${e.start.toString(16)}: maxGap ${e.maxGap}, should be ${m}`);
      if (e.gap !== this.gapAfter(e)) bad.push(`entry ${e.start.toString(16)}: gap ${e.gap}, should be ${this.gapAfter(e)}`);
    };
    walk(this.root);
    if (order.length !== this.count) bad.push(`${order.length} entries in the tree, ${this.count} counted`);
    let i = 0;
    for (const e of this.entries()) if (order[i++] !== e) bad.push(`tree and ring differ at ${e.start.toString(16)}`);
    return bad;
  }
}
