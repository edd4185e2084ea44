// Boots the kernel on the embedded root disk and runs one command to its end. Limits are instructions, not seconds.
import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine, type MachineConfig } from "../../emu/machine.ts";
import { TRACE_KINDS } from "../../kernel/kern/kern.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { type CpioEntry, packCpio } from "../../tools/cpio.ts";

export interface GuestRun {
  /** Exit status of the command. */
  status: number;
  /** What it wrote to standard output and standard error. */
  out: string;
  err: string;
  insns: number;
  kernel: Kernel;
}

export interface GuestOptions {
  stdin?: string;
  files?: readonly CpioEntry[];
  ramBytes?: number;
  maxInsns?: number;
  /** How long the kernel runs at once: changes nothing. */
  runInsns?: number;
  machine?: Partial<MachineConfig>;
  /** Process 1; by default init with the command. */
  init?: readonly string[];
  /** Another root disk. */
  disk?: Uint8Array;
  trace?: (line: string) => void;
}

/** The embedded root disk. */
export function rootImage(): Uint8Array {
  return brotliDecompressSync(readFileSync("guest/image/root.img.br"));
}

const image = rootImage();
const text = (parts: Uint8Array[]): string => Buffer.concat(parts).toString("latin1");

/** Runs `sh -c command`. => throws when it does not end within the limit */
export function runGuest(command: string, o: GuestOptions = {}): GuestRun {
  const out: Uint8Array[] = [], err: Uint8Array[] = [], input = Buffer.from(o.stdin ?? "", "latin1");
  let at = 0;
  const stdin = {
    read(into: Uint8Array): number {
      if (at >= input.length) return -1;
      const n = Math.min(into.length, input.length - at);
      into.set(input.subarray(at, at + n));
      at += n;
      return n;
    },
    write: (b: Uint8Array) => void out.push(b.slice()),
  };
  const stderr = { read: () => -1, write: (b: Uint8Array) => void err.push(b.slice()) };
  const machine = new Machine({
    ramBytes: o.ramBytes ?? 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(o.disk ?? image, { readOnly: true }))], console: stderr,
    ports: [stdin, stderr], bootargs: "stdio=ports", epochSeconds: 1_800_000_000, ...(o.files ? { initrd: packCpio(o.files) } : {}), ...o.machine,
  });
  const kernel = new Kernel(machine, { init: o.init ?? ["/sbin/init", "-c", command], trace: o.trace === undefined ? null : { kinds: new Set(TRACE_KINDS), line: o.trace } });
  const limit = o.maxInsns ?? 2e9;
  for (let why = "budget"; why !== "halted";) {
    why = kernel.run(o.runInsns ?? 5_000_000);
    if (kernel.panicked) throw kernel.panicked;
    if (why === "idle" || machine.hart.instret > limit) {
      throw new Error(`guest: ${why === "idle" ? "everything sleeps" : `not done after ${machine.hart.instret} instructions`}: ${command}\n${text(out)}${text(err)}`);
    }
  }
  return { status: kernel.exitCode ?? -1, out: text(out), err: text(err), insns: machine.hart.instret, kernel };
}
