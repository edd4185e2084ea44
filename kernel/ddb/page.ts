// Everything about one page: flags by name, owner, queue, counts, who maps it.
import type { Kernel } from "../kernel.ts";
import { idOfObject } from "./objects.ts";

const PTE_W = 4, PTE_A = 64, PTE_D = 128;
const FLAGS = ["BUSY", "WANTED", "TABLED", "CLEAN", "PAGEOUT", "RELEASED", "FAKE", "RDONLY", "ZERO", "MARKER"] as const;

export interface PageReport {
  readonly pa: number;
  readonly flags: readonly string[];
  readonly queue: string;
  readonly owner: string;
  readonly offset: number;
  readonly wireCount: number;
  readonly loanCount: number;
  /** Kernel loans: loanCount without an anon that borrows it. */
  readonly kernelLoans: number;
  /** Stored to, and used, since these bits were last cleared: what the pmap collects from every mapping. */
  readonly isModified: boolean;
  readonly isReferenced: boolean;
  /** Who made it busy, and where. */
  readonly busyBy: string | null;
  readonly busyTag: string;
  /** Where it is mapped: process, or "kernel", and address. */
  readonly mappings: readonly { readonly pid: number | null; readonly va: number; readonly isWritable: boolean; readonly isModified: boolean; readonly isReferenced: boolean }[];
}

/** => null: the address is no managed page of RAM */
export function page(kernel: Kernel, pa: number): PageReport | null {
  const pg = Math.floor((pa - 0x80000000) / 4096);
  if (pg <= 0 || pg >= kernel.machine.ram.size / 4096 || kernel.uvm.pages.managed[pg] !== 1) return null;
  const { pmap } = kernel.uvm, p = kernel.uvm.hooks.pageRecord(pg), procs = [...kernel.kern.procs.values()];
  return {
    pa: p.pa, flags: FLAGS.filter((_, bit) => (p.flags & (1 << bit)) !== 0), queue: p.queue,
    owner: p.uobject === null ? (p.uanon !== 0 ? `anon ${p.uanon}` : "none") : ownerOf(kernel, pg) ?? p.uobject, offset: p.offset, wireCount: p.wireCount, loanCount: p.loanCount,
    kernelLoans: p.kloans, isModified: pmap.pmapIsModified(pg), isReferenced: pmap.pmapIsReferenced(pg), busyBy: p.busyOwner, busyTag: p.busyTag,
    mappings: p.pv.map(({ pm, va }) => {
      const pte = pmap.pmapWalk(pm, va)?.pteLo ?? 0;
      return {
        pid: procs.find((q) => q.vmspace.map.pmap === pm)?.pid ?? null, va, isWritable: (pte & PTE_W) !== 0, isModified: (pte & PTE_D) !== 0,
        isReferenced: (pte & PTE_A) !== 0,
      };
    }),
  };
}

function ownerOf(kernel: Kernel, pg: number): string | null {
  const o = kernel.uvm.pages.uobject[pg] ?? null;
  return o === null ? null : idOfObject(kernel, o);
}
