// A kernel whose programs have come to rest: everything sleeps, and questions can be asked.
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine } from "../../emu/machine.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { type CpioEntry, packCpio, S_IFREG } from "../../tools/cpio.ts";
import { rootImage } from "./guest.ts";
import { assert } from "./suite.ts";

/** A program of the guest at /prog/NAME. */
export const program = (name: string, data: Uint8Array): CpioEntry => ({ path: `prog/${name}`, mode: S_IFREG | 0o755, data });

/** Boots, and runs until nobody can. */
export function atRest(init: readonly string[], files: readonly CpioEntry[] = []): Kernel {
  const silent = { read: () => 0, write: () => {} };
  const machine = new Machine({
    ramBytes: 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(rootImage(), { readOnly: true }))], console: silent, ports: [silent, silent],
    bootargs: "stdio=ports", epochSeconds: 1_800_000_000, ...(files.length === 0 ? {} : { initrd: packCpio(files) }),
  });
  const kernel = new Kernel(machine, { init });
  while (kernel.run(1_000_000) === "budget") assert.ok(machine.hart.instret < 3e8, "it comes to rest");
  assert.is(kernel.panicked, null);
  return kernel;
}
