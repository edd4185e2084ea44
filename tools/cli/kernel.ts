// Where the command line meets the kernel.
import type { Machine } from "../../emu/machine.ts";
import type { Runnable } from "../host/pace.ts";
import { UsageError } from "./options.ts";

export interface KernelOptions {
  /** Program and arguments of process 1. */
  init: readonly string[];
  /** Gets trace lines; null: no trace. */
  trace: ((line: string) => void) | null;
}

/** Boots our kernel on a hosted machine. => what to run */
export function startKernel(_machine: Machine, _options: KernelOptions): Runnable {
  throw new UsageError("this build has no kernel: only `loanword machine` works");
}
