// Where the command line meets the kernel.
import type { Machine } from "../../emu/machine.ts";
import type { Trace } from "../../kernel/kern/kern.ts";
import { Kernel } from "../../kernel/kernel.ts";

export interface KernelOptions {
  /** Program and arguments of process 1. */
  init: readonly string[];
  trace: Trace | null;
  readOnlyDirs: readonly string[];
}

/** Boots our kernel on a hosted machine. => what to run */
export function startKernel(machine: Machine, options: KernelOptions): Kernel {
  return new Kernel(machine, options);
}
