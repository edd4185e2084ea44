// One run of our kernel in a page: the root disk in memory, streams that are messages. Knows nothing of Workers.
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import type { ByteStream } from "../../emu/dev/device.ts";
import { Machine } from "../../emu/machine.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { packCpio, S_IFREG } from "../cpio.ts";
import { Pacer } from "../host/pace.ts";
import type { Boot, Exit, Progress } from "./protocol.ts";

/** How a run gives out what the guest prints. The bytes are the receiver's. */
export type Print = (stream: 1 | 2, bytes: Uint8Array) => void;

/** A console whose input comes in pieces, or is all there from the beginning. */
class PageStream implements ByteStream {
  onReadable?: () => void;
  private readonly chunks: Uint8Array[];
  private readonly isWhole: boolean;
  private readonly print: (bytes: Uint8Array) => void;

  /** `whole`: all of the input; null: it comes by `give`, and has no end. */
  constructor(whole: Uint8Array | null, print: (bytes: Uint8Array) => void) {
    this.chunks = whole === null || whole.length === 0 ? [] : [whole];
    this.isWhole = whole !== null;
    this.print = print;
  }

  give(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.chunks.push(bytes);
    this.onReadable?.();
  }

  read(into: Uint8Array): number {
    const chunk = this.chunks[0];
    if (chunk === undefined) return this.isWhole ? -1 : 0;
    const n = Math.min(chunk.length, into.length);
    into.set(chunk.subarray(0, n));
    if (n === chunk.length) this.chunks.shift();
    else this.chunks[0] = chunk.subarray(n);
    return n;
  }

  write(bytes: Uint8Array): void {
    this.print(bytes.slice());
  }
}

/** Lets events in between two slices: a timer of 0 would wait 4 ms. */
function soonByMessage(): (done: () => void) => void {
  const channel = new MessageChannel(), waiting: (() => void)[] = [];
  channel.port1.onmessage = () => waiting.shift()?.();
  return (done) => {
    waiting.push(done);
    channel.port2.postMessage(null);
  };
}

export class GuestRun {
  private readonly machine: Machine;
  private readonly kernel: Kernel;
  private readonly stdin: PageStream;
  private readonly pacer: Pacer;
  private readonly began = performance.now();

  /** => throws where the host cannot run us at all, and when the disk or the files are unusable */
  constructor(boot: Boot, disk: Uint8Array, print: Print) {
    const isConsole = boot.streams === "console", errors = new PageStream(new Uint8Array(0), (b) => print(2, b));
    this.stdin = new PageStream(isConsole ? null : boot.stdin, (b) => print(1, b));
    const files = boot.files.map(({ path, data }) => ({ path, mode: S_IFREG | 0o755, data }));
    this.machine = new Machine({
      ramBytes: boot.ramBytes, seed: boot.seed, engine: boot.engine, hosted: true, epochSeconds: boot.epochSeconds,
      drives: [new OverlayBackend(new MemoryBackend(disk, { readOnly: true }))], console: isConsole ? this.stdin : errors,
      ...(isConsole ? {} : { ports: [this.stdin, errors], bootargs: "stdio=ports" }), ...(files.length === 0 ? {} : { initrd: packCpio(files) }),
    });
    const { engine } = this.machine.hart;
    if (engine !== null) engine.hostMs = () => performance.now();
    this.kernel = new Kernel(this.machine, { init: boot.init });
    if (isConsole) this.kernel.devices.console.setWindow(boot.rows, boot.columns, 0, 0);
    this.pacer = new Pacer(this.kernel, { machine: this.machine, clock: boot.clock, stopped: () => false, soon: soonByMessage() });
  }

  /** Keys for the guest. */
  input(bytes: Uint8Array): void {
    this.stdin.give(bytes);
    this.pacer.wake();
  }

  /** Runs until the guest has switched the machine off, or the kernel stopped at a bug of its own. */
  async run(): Promise<Exit> {
    await this.pacer.run();
    return { ...this.progress(), type: "exit", status: this.kernel.exitCode ?? 255, panic: this.kernel.panicked?.message ?? null };
  }

  progress(): Progress {
    const { hart, clock } = this.machine;
    return { type: "progress", instructions: hart.instret, virtualNs: clock.now, hostMs: performance.now() - this.began, engine: hart.engine === null ? null : hart.engine.counts() };
  }
}
