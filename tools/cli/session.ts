// One session at the keyboard or in a pipe: the machine's console on our standard streams, run to its end.
import type { MachineConfig } from "../../emu/machine.ts";
import { DEFAULT_EPOCH_SECONDS } from "../../emu/dev/rtc.ts";
import { HostStream, type Input, NoInput, standardInput } from "../host/stdio.ts";
import { type ClockMode, Pacer, type Runnable } from "../host/pace.ts";
import { choice, type CommandLine, flag, memoryBytes, seed, text } from "./options.ts";

/** Our reader went away: what a shell says of a program that SIGPIPE ended. */
const EXIT_PIPE = 141;

/** Settings of the machine that every verb takes. */
export function commonConfig(line: CommandLine): Pick<MachineConfig, "ramBytes" | "seed" | "ad" | "tlb" | "virtio" | "engine"> {
  const ad = choice(line, "ad", ["hw", "svade", "svadu"] as const, "hw");
  return {
    ramBytes: memoryBytes(line), seed: seed(line), tlb: choice(line, "tlb", ["normal", "tiny", "hostile"] as const, "normal"),
    engine: choice(line, "engine", ["interp", "jit"] as const, "interp"), virtio: choice(line, "virtio", ["modern", "legacy"] as const, "modern"), ...(text(line, "ad") === undefined ? {} : { ad }),
  };
}

export function clockMode(line: CommandLine, otherwise: ClockMode): ClockMode {
  return choice(line, "clock", ["host", "virtual"] as const, otherwise);
}

/** The time of day at power-on: the host's when the guest's clock follows it, else one that is always the same. */
export function epoch(clock: ClockMode): number {
  return clock === "host" ? Date.now() / 1000 : DEFAULT_EPOCH_SECONDS;
}

/** What of a machine a session needs. */
export interface SessionMachine {
  readonly clock: ConstructorParameters<typeof Pacer>[1]["machine"]["clock"];
  readonly hart: { readonly instret: number; readonly engine: { readonly stats: object } | null };
  readonly halted: { code: number } | null;
}

export class Session {
  /** The serial port's stream: the terminal, or kernel messages on standard error. */
  readonly console: HostStream;
  /** Standard streams for virtio-console ports, when they are not a terminal's. */
  readonly ports: HostStream[] | null;
  private readonly input: Input;
  private pacer: Pacer | null = null;
  private leaving = false;
  private debugging: (() => void) | null = null;

  /** `streams`: "console" puts everything on the serial port; "ports" uses ports for what is not a terminal. */
  constructor(streams: "console" | "ports") {
    const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true, usePorts = streams === "ports" && !terminal;
    const keys = { leave: () => this.leave(), debug: () => this.debugging?.() };
    this.input = standardInput(process.stdin.isTTY === true && !usePorts ? keys : null);
    this.console = usePorts ? new HostStream(new NoInput(), 2) : new HostStream(this.input, 1);
    this.ports = usePorts ? [new HostStream(this.input, 1), new HostStream(new NoInput(), 2)] : null;
  }

  /** Ctrl-A x: stops although the guest goes on. */
  leave(): void {
    this.leaving = true;
    this.pacer?.wake();
  }

  /** Runs to the end. => the exit status */
  async run(target: Runnable, machine: SessionMachine, line: CommandLine, options: { clock: ClockMode; debug?: () => void }): Promise<number> {
    this.debugging = options.debug ?? null;
    const stream = this.ports?.[0] ?? this.console, all = [this.console, ...(this.ports ?? [])];
    const isClosed = (): boolean => all.some((s) => s.closed);
    const pacer = new Pacer(target, { machine, clock: options.clock, stopped: () => this.leaving || isClosed() });
    this.pacer = pacer;
    this.input.onReadable = () => {
      stream.onReadable?.();
      pacer.wake();
    };
    const restore = (): void => this.input.stop();
    process.once("exit", restore);
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(signal === "SIGTERM" ? 143 : 129));
    const started = process.hrtime.bigint();
    this.input.start();
    try {
      const how = await pacer.run(), code = how === "halted" ? machine.halted?.code ?? 0 : isClosed() ? EXIT_PIPE : 0;
      if (flag(line, "json")) {
        const hostMs = Number((process.hrtime.bigint() - started) / 1_000_000n);
        process.stderr.write(`${JSON.stringify({ exit: code, how, instructions: machine.hart.instret, virtualNs: machine.clock.now, hostMs, engine: machine.hart.engine?.stats })}\n`);
      }
      return code & 0xff;
    } finally {
      restore();
      process.removeListener("exit", restore);
    }
  }
}
