// Everything about one page: flags by name, owner, queue, counts, who maps it.
import type { Kernel } from "../kernel.ts";

const FLAGS = ["BUSY", "WANTED", "TABLED", "CLEAN", "PAGEOUT", "RELEASED", "FAKE", "RDONLY", "ZERO", "MARKER"] as const;

export interface PageReport {
  readonly pa: number;
  readonly flags: readonly string[];
  readonly queue: string;
  readonly owner: string;
  readonly offset: number;
  readonly wireCount: number;
  readonly loanCount: number;
  readonly busyBy: string | null;
  /** Where it is mapped: process, or "kernel", and address. */
  readonly mappings: readonly { readonly pid: number | null; readonly va: number }[];
}

/** => null: the address is no managed page of RAM */
export function page(kernel: Kernel, pa: number): PageReport | null {
  const pg = Math.floor((pa - 0x80000000) / 4096);
  if (pg <= 0 || pg >= kernel.machine.ram.size / 4096 || kernel.uvm.pages.managed[pg] !== 1) return null;
  const p = kernel.uvm.hooks.pageRecord(pg), procs = [...kernel.kern.procs.values()];
  return {
    pa: p.pa, flags: FLAGS.filter((_, bit) => (p.flags & (1 << bit)) !== 0), queue: p.queue,
    owner: p.uobject ?? (p.uanon !== 0 ? `anon ${p.uanon}` : "none"), offset: p.offset, wireCount: p.wireCount, loanCount: p.loanCount, busyBy: p.busyOwner,
    mappings: p.pv.map(({ pm, va }) => ({ pid: procs.find((q) => q.vmspace.map.pmap === pm)?.pid ?? null, va })),
  };
}
