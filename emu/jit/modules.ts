// The WebAssembly instances that regions' functions belong to, and how long each is there.
//
//   module of a caller ──imports──► module of a callee ──imports──► ...
//
// An instance lives while the table or a live importer reaches one of its functions. Importers are made after what they
// import, so counting users is exact. The cells of a module go back with it: until then callers may look at their stamps.

export interface LiveModule {
  readonly bytes: number;
  /** Every cell that its regions were ever given. */
  readonly cells: number[];
  readonly imports: readonly LiveModule[];
  /** Its regions that are in place. */
  regions: number;
  /** Live modules, and batches on their way, that import its functions. */
  users: number;
}

export class Modules {
  /** Modules that are live. */
  count = 0;
  /** Of these, such as only importers keep. */
  pinned = 0;
  /** Bytes of WebAssembly in live modules. */
  bytes = 0;
  private readonly giveBack: (cells: readonly number[]) => void;

  /** => giveBack: takes cells that nobody looks at any more */
  constructor(giveBack: (cells: readonly number[]) => void) {
    this.giveBack = giveBack;
  }

  /** A module whose regions are about to be put in place. => imports: held by the caller, whose holds it takes over */
  add(what: Pick<LiveModule, "bytes" | "cells" | "imports" | "regions">): LiveModule {
    this.count++;
    this.bytes += what.bytes;
    return { ...what, users: 0 };
  }

  hold(m: LiveModule): void {
    m.users++;
  }

  /** Ends a hold. */
  letGo(m: LiveModule): void {
    m.users--;
    if (m.users > 0 || m.regions > 0) return;
    this.pinned--;
    this.release(m);
  }

  /** A region of the module is in place no more. */
  regionGone(m: LiveModule): void {
    m.regions--;
    if (m.regions > 0) return;
    if (m.users > 0) this.pinned++;
    else this.release(m);
  }

  private release(m: LiveModule): void {
    this.count--;
    this.bytes -= m.bytes;
    this.giveBack(m.cells);
    for (const other of m.imports) this.letGo(other);
  }
}
