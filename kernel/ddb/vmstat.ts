// The counters of the virtual memory and of the machine below it.
import type { Kernel } from "../kernel.ts";

export type Counters = Readonly<Record<string, number>>;

/** uvmexp: pages, queues, faults. */
export function vmstat(kernel: Kernel): Counters {
  return { ...kernel.uvm.hooks.counters() } as unknown as Counters;
}

/** The engine's counters; empty when everything is interpreted. */
export function engine(kernel: Kernel): Counters {
  return { ...kernel.machine.hart.engine?.stats };
}
