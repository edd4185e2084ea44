// bootVm: a virtual memory with nothing above it, for tests of uvm. Loads and stores are instructions of the hart in user mode,
// so TLB, page-table walk and A/D bits are the machine's; faults go the way the trap code takes: pmapFixup, then the fast fault,
// then the full one as a kernel thread.
import { KContext, KThread, type KGen } from "../../kernel/lib/kthread.ts";
import { ERESTART } from "../../kernel/lib/errno.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../kernel/hal/prot.ts";
import { vmcheck, type CheckOptions } from "../../kernel/uvm/check.ts";
import { uvmFaultFast } from "../../kernel/uvm/fault.ts";
import { uvmFault } from "../../kernel/uvm/faultslow.ts";
import { uvmMap, type MapRequest } from "../../kernel/uvm/mmap.ts";
import { uvmUnmap } from "../../kernel/uvm/unmap.ts";
import type { Uvm } from "../../kernel/uvm/uvm.ts";
import { uvmspaceAlloc, uvmspaceFork, uvmspaceFree, type Vmspace } from "../../kernel/uvm/vmspace.ts";
import { hartMmu } from "./hartmmu.ts";
import { TestSched } from "./ksched.ts";
import { assert } from "./suite.ts";

export const PAGE = 4096, R = PROT_READ, W = PROT_WRITE, X = PROT_EXEC, RW = R | W;

/** Who performs loads and stores. */
export interface Mmu {
  readonly uvm: Uvm;
  /** Tries one byte access; -1: it faulted. A store returns 0. */
  load(vm: Vmspace, va: number): number;
  store(vm: Vmspace, va: number, byte: number): number;
  /** TLB entries that say more than the page tables (INV-41). */
  staleTlb(): string[];
  /** The pmap gets no memory for a table when this says so; null ends it. */
  failPmapEnter(when: (() => boolean) | null): void;
  /** The bytes of a frame. */
  frame(pg: number): Uint8Array;
}

export interface BootOptions {
  npages?: number;
  seed?: number;
  ad?: "svade" | "svadu";
  tlb?: "normal" | "tiny" | "hostile";
  /** Always the full fault, never the fast one. */
  slowOnly?: boolean;
}

/** The matrix every test of uvm-spec 8 runs in. */
export const MODES: readonly BootOptions[] = (["svade", "svadu"] as const).flatMap((ad) =>
  (["normal", "hostile", "tiny"] as const).map((tlb) => ({ ad, tlb })));

export const modeName = (m: BootOptions): string => `${m.ad}, ${m.tlb} TLB${m.slowOnly ? ", full fault" : ""}`;

export class TestVm {
  readonly ctx = new KContext();
  readonly sched = new TestSched(this.ctx);
  readonly mmu: Mmu;
  readonly uvm: Uvm;
  private readonly user = new KThread("user", false);
  private readonly slowOnly: boolean;

  constructor(opts: BootOptions, makeMmu: (ctx: KContext, opts: BootOptions) => Mmu) {
    this.mmu = makeMmu(this.ctx, opts);
    this.uvm = this.mmu.uvm;
    this.slowOnly = opts.slowOnly ?? false;
  }

  get exp(): Uvm["exp"] {
    return this.uvm.exp;
  }

  run<T>(g: KGen<T>): T {
    return this.sched.run(g);
  }

  space(): Vmspace {
    const vm = uvmspaceAlloc(this.uvm);
    if (typeof vm === "number") throw new Error(`no address space: ${vm}`);
    return vm;
  }

  /** Maps private anonymous memory, or what `more` says, at va. */
  map(vm: Vmspace, va: number, npages: number, more: Partial<MapRequest> = {}): number {
    const base: MapRequest = { va, fixed: true, size: npages * PAGE, prot: RW, maxprot: 7, copyOnWrite: more.uobj === undefined };
    return this.run(uvmMap(vm.map, { ...base, ...more }));
  }

  unmap(vm: Vmspace, va: number, npages: number): number {
    return this.run(uvmUnmap(vm.map, va, va + npages * PAGE));
  }

  fork(vm: Vmspace): Vmspace {
    const child = this.run(uvmspaceFork(vm));
    if (typeof child === "number") throw new Error(`fork: ${child}`);
    return child;
  }

  free(...vms: Vmspace[]): void {
    for (const vm of vms) this.run(uvmspaceFree(vm));
  }

  /** Resolves a fault as the trap code does. 0 or -errno */
  fault(vm: Vmspace, va: number, access: number): number {
    const r = this.slowOnly ? -ERESTART : this.asUser(() => uvmFaultFast(vm.map, va, access));
    return r === -ERESTART ? this.run(uvmFault(vm.map, va, access)) : r;
  }

  /** Runs plain code as a user thread, which may not touch the page reserve. */
  private asUser<T>(act: () => T): T {
    const before = this.ctx.cur;
    this.ctx.cur = this.user;
    try {
      return act();
    } finally {
      this.ctx.cur = before;
    }
  }

  /** A load or store with its faults; the byte, or -errno of the fault that could not be resolved. */
  private access(vm: Vmspace, va: number, access: number, once: () => number): number {
    for (let i = 0; i < 100; i++) {
      const r = once();
      if (r >= 0) return r;
      if (this.uvm.pmap.pmapFixup(vm.map.pmap, va - (va % PAGE), access)) continue;
      const err = this.fault(vm, va, access);
      if (err < 0) return err;
    }
    throw new Error(`the access at ${va.toString(16)} faults for ever`);
  }

  load(vm: Vmspace, va: number): number {
    return this.access(vm, va, R, () => this.mmu.load(vm, va));
  }

  store(vm: Vmspace, va: number, byte: number): number {
    return this.access(vm, va, W, () => this.mmu.store(vm, va, byte));
  }

  /** Rights of the mapping at va: "", "R", "RW", "RX". */
  rights(vm: Vmspace, va: number): string {
    const w = this.uvm.pmap.pmapWalk(vm.map.pmap, va);
    if (!w || this.uvm.pmap.pmapExtract(vm.map.pmap, va) === -1) return "";
    return `${(w.pteLo & 2) !== 0 ? "R" : ""}${(w.pteLo & 4) !== 0 ? "W" : ""}${(w.pteLo & 8) !== 0 ? "X" : ""}`;
  }

  /** The frame mapped at va, 0 none. */
  pageAt(vm: Vmspace, va: number): number {
    return this.uvm.pageAt(vm.map.pmap, va);
  }

  /** Fails unless every invariant holds, no lock is held, and the TLB agrees with the tables. */
  check(opts: CheckOptions = {}): void {
    assert.equal([...vmcheck(this.uvm, opts), ...this.mmu.staleTlb()], []);
  }

  /** The counters that an action changes. */
  delta(act: () => void): Record<string, number> {
    const before = this.uvm.hooks.counters();
    act();
    return this.uvm.hooks.delta(before);
  }
}

/** A machine of `npages` frames (default 1024) with a virtual memory on it. */
export function bootVm(opts: BootOptions = {}): TestVm {
  return new TestVm(opts, hartMmu);
}
