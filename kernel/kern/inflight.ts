// Sockets in flight: descriptors of sockets that lie in receive queues, and the collector of those that only each other hold.
//
//   refs of an open file:     descriptors and calls | in flight
//   garbage:                  refs === inFlight, and every queue it lies in belongs to garbage
//
//   a ── queue ──► b             a and b were sent to each other and closed everywhere: nobody can receive them any more,
//   b ── queue ──► a             and neither is closed, since the other's queue holds it.
//
// An open file's counts become equal when its last descriptor goes; fileRelease tells, and that is the only time at which a cycle
// can have come to be. Then: from every candidate the references that lie in candidates' queues are taken off; what has some left
// is held from outside, and everything that lies in its queue with it, and so on; the rest is emptied, which closes it.
// BSD: unp_gc.
import type { KGen } from "../lib/kthread.ts";
import { fileRelease, type OpenFile } from "./file.ts";
import { type Socket, socketOf } from "./socket.ts";
import type { Mbuf } from "./sockbuf.ts";

/** Queues that end with a socket: its own, and those of connections that it did not accept. */
function* queuesOf(s: Socket): Generator<Mbuf> {
  yield* s.rcv.mbufs;
  for (const end of s.pending ?? []) yield* end.rcv.mbufs;
}

export class InFlight {
  /** Sockets' open files with references in flight. */
  private readonly files = new Set<OpenFile>();
  private isCollecting = false;
  private isWanted = false;
  /** Told of each socket whose queue was emptied. */
  private readonly emptied: (s: Socket) => void;

  constructor(emptied: (s: Socket) => void) {
    this.emptied = emptied;
  }

  /** How many sockets have references in flight. */
  get count(): number {
    return this.files.size;
  }

  /** References went into a queue. */
  enter(files: readonly OpenFile[]): void {
    for (const f of files) {
      if (f.ops.kind !== "socket") continue;
      f.inFlight++;
      this.files.add(f);
    }
  }

  /** They came out; they still are references. */
  leave(files: readonly OpenFile[]): void {
    for (const f of files) {
      if (f.ops.kind === "socket" && --f.inFlight === 0) this.files.delete(f);
    }
  }

  /** Closes what messages carried that nobody will receive. */
  *drop(mbufs: readonly Mbuf[]): KGen<void> {
    for (const m of mbufs) {
      const files = m.files.splice(0);
      this.leave(files);
      for (const f of files) yield* fileRelease(f);
    }
  }

  /** Finds what only itself holds, and closes it. => may sleep; called again meanwhile it looks again at the end */
  *collect(): KGen<void> {
    this.isWanted = true;
    if (this.isCollecting) return;
    this.isCollecting = true;
    try {
      while (this.isWanted) {
        this.isWanted = false;
        const dead: Mbuf[] = [];
        for (const f of this.garbage()) dead.push(...this.empty(socketOf(f)));
        yield* this.drop(dead);
      }
    } finally {
      this.isCollecting = false;
    }
  }

  private empty(s: Socket): Mbuf[] {
    const dead = [s, ...(s.pending ?? [])].flatMap((x) => x.rcv.flush());
    this.emptied(s);
    return dead;
  }

  /** Open files in flight that nothing outside can reach. */
  private garbage(): OpenFile[] {
    const left = new Map<OpenFile, number>();
    for (const f of this.files) if (f.refs === f.inFlight) left.set(f, f.inFlight);
    for (const f of left.keys()) {
      for (const m of queuesOf(socketOf(f))) for (const g of m.files) if (left.has(g)) left.set(g, left.get(g)! - 1);
    }
    const reached = [...left.keys()].filter((f) => left.get(f)! > 0);
    for (const f of reached) left.delete(f);
    for (let f = reached.pop(); f; f = reached.pop()) {
      for (const m of queuesOf(socketOf(f))) for (const g of m.files) if (left.delete(g)) reached.push(g);
    }
    return [...left.keys()];
  }
}
