// Callouts: functions to run at a virtual time. A binary heap by time, then by order of arming, so that a run repeats exactly.
// BSD: callout(9).

export class Callout {
  atNs = Infinity;
  /** Order of arming; a heap entry with another number is stale. */
  seq = 0;
  readonly fn: () => void;
  constructor(fn: () => void) {
    this.fn = fn;
  }

  get isArmed(): boolean {
    return this.atNs !== Infinity;
  }
}

interface Slot {
  readonly atNs: number;
  readonly seq: number;
  readonly callout: Callout;
}

const before = (a: Slot, b: Slot): boolean => a.atNs < b.atNs || (a.atNs === b.atNs && a.seq < b.seq);

export class Callouts {
  private readonly heap: Slot[] = [];
  private seq = 0;
  /** Called when the earliest time may have become earlier. */
  onEarlier: (() => void) | null = null;

  /** Arms or moves. */
  arm(c: Callout, atNs: number): void {
    c.seq = ++this.seq;
    c.atNs = atNs;
    if (atNs === Infinity) return;
    this.push({ atNs, seq: c.seq, callout: c });
    if (this.heap[0]!.seq === c.seq) this.onEarlier?.();
  }

  cancel(c: Callout): void {
    c.atNs = Infinity;
    c.seq = 0;
  }

  /** The earliest time, or Infinity. */
  next(): number {
    for (let top = this.heap[0]; top !== undefined; top = this.heap[0]) {
      if (top.callout.seq === top.seq) return top.atNs;
      this.pop();
    }
    return Infinity;
  }

  /** Runs what is due. */
  run(nowNs: number): void {
    while (this.next() <= nowNs) {
      const { callout } = this.heap[0]!;
      this.pop();
      callout.atNs = Infinity;
      callout.seq = 0;
      callout.fn();
    }
  }

  private push(s: Slot): void {
    const { heap } = this;
    let i = heap.length;
    heap.push(s);
    for (let up = (i - 1) >> 1; i > 0 && before(s, heap[up]!); i = up, up = (i - 1) >> 1) {
      heap[i] = heap[up]!;
      heap[up] = s;
    }
  }

  private pop(): void {
    const { heap } = this, last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let i = 0; ; ) {
      let kid = 2 * i + 1;
      if (kid >= heap.length) return;
      if (kid + 1 < heap.length && before(heap[kid + 1]!, heap[kid]!)) kid++;
      if (!before(heap[kid]!, last)) return;
      heap[i] = heap[kid]!;
      heap[kid] = last;
      i = kid;
    }
  }
}
