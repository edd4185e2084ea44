// Test hooks of the virtual memory (uvm-spec 11): failures on demand, phantom lock holders, and questions that return plain
// data. In production nothing is set, and a check is one comparison.
import type { KLock } from "../lib/klock.ts";
import type { KThread } from "../lib/kthread.ts";
import type { Pmap } from "../hal/pmap.ts";
import type { UvmObject } from "./object.ts";
import { PG_MARKER, PQ_ACTIVE, PQ_ANON, PQ_AOBJ, PQ_FREE, PQ_INACTIVE } from "./page.ts";
import { uvmexpDelta, uvmexpSnapshot, type UvmexpSnapshot } from "./stat.ts";
import type { Uvm } from "./uvm.ts";

/** What can be made to fail: page, anon, amap and ppref allocation, and pmap_enter. */
export type FailKind = "page" | "anon" | "amap" | "ppref" | "pmapEnter";

/** Everything about one page. */
export interface PageInfo {
  readonly pg: number;
  readonly pa: number;
  readonly flags: number;
  readonly pqflags: number;
  readonly uobject: string | null;
  readonly offset: number;
  readonly uanon: number;
  readonly loanCount: number;
  readonly wireCount: number;
  readonly kloans: number;
  readonly queue: "free" | "active" | "inactive" | "none";
  readonly isAnon: boolean;
  readonly isAobj: boolean;
  readonly busyOwner: string | null;
  readonly busyTag: string;
  readonly pv: readonly { pm: Pmap; va: number }[];
}

export class Hooks {
  private readonly uvm: Uvm;
  /** For each kind that may fail now: is this call the one? */
  private readonly failing = new Map<FailKind, (n: number) => boolean>();
  private readonly calls = new Map<FailKind, number>();
  private readonly results = new Map<UvmObject, number[]>();
  /** Called when a thread is about to wait for memory, with the tag. */
  onMemwait: ((tag: string) => void) | null = null;

  constructor(uvm: Uvm) {
    this.uvm = uvm;
  }

  /** Makes the n-th call from now fail (from 1), or each for which the predicate says so; null ends it. */
  fail(kind: FailKind, when: number | ((n: number) => boolean) | null): void {
    this.calls.set(kind, 0);
    if (when === null) this.failing.delete(kind);
    else this.failing.set(kind, typeof when === "number" ? (n) => n === when : when);
    if (kind === "page") this.uvm.pages.failAlloc = when === null ? null : () => this.shouldFail("page");
    if (kind === "anon") this.uvm.anons.failAlloc = when === null ? null : () => this.shouldFail("anon");
  }

  /** Asked by the code that may be made to fail. */
  shouldFail(kind: FailKind): boolean {
    if (this.failing.size === 0) return false;
    const when = this.failing.get(kind);
    if (!when) return false;
    const n = this.calls.get(kind)! + 1;
    this.calls.set(kind, n);
    return when(n);
  }

  /** The next blocking gets of an object return these codes without asking the pager. */
  pagerResult(o: UvmObject, ...codes: number[]): void {
    this.results.set(o, codes);
  }

  hasPagerResult(o: UvmObject): boolean {
    return this.results.size > 0 && this.results.has(o);
  }

  /** The code for this get, 0: ask the pager. */
  takePagerResult(o: UvmObject): number {
    const codes = this.results.get(o);
    if (!codes) return 0;
    const code = codes.shift() ?? 0;
    if (codes.length === 0) this.results.delete(o);
    return code;
  }

  /** A phantom holder: the next `tries` tryEnter of the lock fail. */
  ghost(lock: KLock, tries: number): void {
    let left = tries;
    const own = lock as { tryEnter?: () => boolean };
    own.tryEnter = () => {
      if (left-- > 0) return false;
      delete own.tryEnter;
      return lock.tryEnter();
    };
  }

  /** Names of the simple locks a thread holds, in order. */
  lockset(t: KThread): string[] {
    return t.locks.map((l) => l.name);
  }

  /** The page mapped at va, whole; null when none is. */
  pageinfo(pm: Pmap, va: number): PageInfo | null {
    const pg = this.uvm.pageAt(pm, va);
    return pg === 0 ? null : this.pageRecord(pg);
  }

  pageRecord(pg: number): PageInfo {
    const { pages, pmap } = this.uvm, q = pages.pqflags[pg]!;
    return {
      pg, pa: this.uvm.paOf(pg), flags: pages.flags[pg]!, pqflags: q,
      uobject: pages.uobject[pg]?.pgops.name ?? null, offset: pages.offset[pg]!, uanon: pages.uanon[pg]!,
      loanCount: pages.loanCount[pg]!, wireCount: pages.wireCount[pg]!, kloans: pages.kloans(pg),
      queue: (q & PQ_FREE) !== 0 ? "free" : (q & PQ_ACTIVE) !== 0 ? "active" : (q & PQ_INACTIVE) !== 0 ? "inactive" : "none",
      isAnon: (q & PQ_ANON) !== 0, isAobj: (q & PQ_AOBJ) !== 0,
      busyOwner: pages.busyOwner[pg]?.name ?? null, busyTag: pages.busyTag[pg]!, pv: pmap.pvList(pg),
    };
  }

  /** How the tables translate va. */
  walk(pm: Pmap, va: number): ReturnType<Uvm["pmap"]["pmapWalk"]> {
    return this.uvm.pmap.pmapWalk(pm, va);
  }

  /** An object's pages in memq order; markers as -1. */
  memq(o: UvmObject): number[] {
    const { pages } = this.uvm, list: number[] = [];
    for (let pg = o.memqHead; pg !== 0; pg = pages.memqNext[pg]!) list.push((pages.flags[pg]! & PG_MARKER) !== 0 ? -1 : pg);
    return list;
  }

  counters(): UvmexpSnapshot {
    return uvmexpSnapshot(this.uvm.exp);
  }

  /** The counters that changed since `before`. */
  delta(before: UvmexpSnapshot): Record<string, number> {
    return uvmexpDelta(before, this.uvm.exp);
  }
}
