// Reverse mappings: for each frame the set of (pmap, vpn) that map it, and the attributes referenced and modified.
// Guarded by the pmap lock. Entries are columns of a pool with a free list; a frame's list is linked through it.
import { panic } from "../lib/kassert.ts";
import type { Pmap } from "./pmap.ts";

export const ATTR_REFERENCED = 1, ATTR_MODIFIED = 2;
const NONE = 0, FIRST_POOL = 1024;

export class PvLists {
  /** First entry of each frame; 0 none. */
  private readonly head: Int32Array;
  private next = new Int32Array(FIRST_POOL);
  private vpns = new Int32Array(FIRST_POOL);
  private readonly pmaps: (Pmap | null)[] = [null];
  private free = NONE;
  private used = 1;
  /** ATTR_* of each frame. */
  readonly attrs: Uint8Array;

  constructor(npages: number) {
    this.head = new Int32Array(npages);
    this.attrs = new Uint8Array(npages);
  }

  add(pg: number, pm: Pmap, vpn: number): void {
    let at = this.free;
    if (at !== NONE) this.free = this.next[at]!;
    else at = this.grow();
    this.pmaps[at] = pm;
    this.vpns[at] = vpn;
    this.next[at] = this.head[pg]!;
    this.head[pg] = at;
  }

  private grow(): number {
    if (this.used === this.next.length) {
      const next = new Int32Array(this.used * 2), vpns = new Int32Array(this.used * 2);
      next.set(this.next);
      vpns.set(this.vpns);
      this.next = next;
      this.vpns = vpns;
    }
    return this.used++;
  }

  /** => the frame is mapped there */
  remove(pg: number, pm: Pmap, vpn: number): void {
    let before = NONE;
    for (let at = this.head[pg]!; at !== NONE; before = at, at = this.next[at]!) {
      if (this.pmaps[at] !== pm || this.vpns[at] !== vpn) continue;
      if (before === NONE) this.head[pg] = this.next[at]!;
      else this.next[before] = this.next[at]!;
      this.pmaps[at] = null;
      this.next[at] = this.free;
      this.free = at;
      return;
    }
    panic(`frame ${pg}: a mapping without a pv entry`);
  }

  // Walking: for (let at = first(pg); at; at = after(at)) … pmapOf(at), vpnOf(at). Fetch `after` first when removing.
  first(pg: number): number { return this.head[pg]!; }
  after(at: number): number { return this.next[at]!; }
  pmapOf(at: number): Pmap { return this.pmaps[at]!; }
  vpnOf(at: number): number { return this.vpns[at]!; }
}
