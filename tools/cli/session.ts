// One session at the keyboard or in a pipe: the machine's console on our standard streams, run to its end.
import { parseTuning } from "../../emu/jit/tuning.ts";
import type { MachineConfig } from "../../emu/machine.ts";
import { DEFAULT_EPOCH_SECONDS } from "../../emu/dev/rtc.ts";
import { EXIT_PIPE, HostStream, type Input, NoInput, printError, standardInput } from "../host/stdio.ts";
import { type ClockMode, Pacer, type Runnable } from "../host/pace.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Ddb } from "../ddb/commands.ts";
import type { ConsoleActions, DdbConsole } from "../ddb/console.ts";
import { machineMemory, OverheadPeak } from "../host/memory.ts";
import { choice, type CommandLine, flag, memoryBytes, seed, text, UsageError } from "./options.ts";

/** Our kernel stopped at a bug of its own. */
const EXIT_PANIC = 255;

/** How often --json looks whether the overhead grew. */
const LOOK_MS = 250;

/** Settings of the machine that every verb takes. */
export function commonConfig(line: CommandLine): Pick<MachineConfig, "ramBytes" | "seed" | "ad" | "tlb" | "virtio" | "engine" | "tuning"> {
  const ad = choice(line, "ad", ["hw", "svade", "svadu"] as const, "hw");
  return {
    ramBytes: memoryBytes(line), seed: seed(line), tlb: choice(line, "tlb", ["normal", "tiny", "hostile"] as const, "normal"),
    engine: choice(line, "engine", ["interp", "jit", "check"] as const, "jit"), virtio: choice(line, "virtio", ["modern", "legacy"] as const, "modern"), ...(text(line, "ad") === undefined ? {} : { ad }),
    ...tuning(line),
  };
}

function tuning(line: CommandLine): Pick<MachineConfig, "tuning"> {
  const wanted = text(line, "tune");
  if (wanted === undefined) return {};
  try {
    return { tuning: parseTuning(wanted) };
  } catch (e) {
    throw new UsageError(`--tune ${wanted}: ${(e as Error).message}`);
  }
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
  readonly hart: { readonly instret: number; readonly memory: WebAssembly.Memory; readonly engine: { counts(): object; hostMs: () => number } | null; readonly mmu: { readonly stats: object } };
  readonly ram: { readonly size: number };
  readonly halted: { code: number } | null;
}

/** A kernel of ours, and its debugger. The caller brings both, so that a bare machine starts without loading their code. */
export interface Debugged {
  readonly kernel: Kernel;
  readonly ddb: Ddb;
  /** Makes the debugger's prompt. */
  console(actions: ConsoleActions): DdbConsole;
}

export class Session {
  /** The serial port's stream: the terminal, or kernel messages on standard error. */
  readonly console: HostStream;
  /** Standard streams for virtio-console ports, when they are not a terminal's. */
  readonly ports: HostStream[] | null;
  private readonly input: Input;
  private pacer: Pacer | null = null;
  private leaving = false;
  private debugger: DdbConsole | null = null;
  private debugging = false;

  /** `streams`: "console" puts everything on the serial port; "ports" uses ports for what is not a terminal. */
  constructor(streams: "console" | "ports") {
    const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true, usePorts = streams === "ports" && !terminal;
    const keys = { leave: () => this.leave(), debug: () => this.toggleDebugger() };
    this.input = standardInput(process.stdin.isTTY === true && !usePorts ? keys : null);
    this.console = usePorts ? new HostStream(new NoInput(), 2) : new HostStream(this.input, 1);
    this.ports = usePorts ? [new HostStream(this.input, 1), new HostStream(new NoInput(), 2)] : null;
  }

  /** Ctrl-A x: stops although the guest goes on. */
  leave(): void {
    this.leaving = true;
    this.pacer?.wake();
  }

  /** Ctrl-A c: the debugger's prompt and back. The guest stands still meanwhile. */
  private toggleDebugger(why = "stopped"): void {
    if (this.debugger === null) return this.console.write(new TextEncoder().encode("\r\nthere is no kernel of ours to debug here\r\n"));
    this.debugging = !this.debugging;
    this.input.capture = this.debugging ? (bytes) => this.debugger?.keys(bytes) : null;
    if (this.debugging) this.debugger.enter(why);
    else this.console.write(new TextEncoder().encode("\r\n"));
    this.pacer?.wake();
  }

  private attachDebugger(debug: Debugged): void {
    this.debugger = debug.console({
      write: (text) => this.console.write(new TextEncoder().encode(text)),
      resume: () => this.toggleDebugger(),
      quit: () => this.leave(),
    });
  }

  /** The guest's console is as large as our terminal, now and whenever that changes: programs get SIGWINCH. => what ends this */
  private followWindow(kernel: Kernel): () => void {
    const { stdout } = process;
    if (this.ports !== null || stdout.isTTY !== true) return () => {};
    const resize = (): void => {
      // A terminal that does not know its size says 0.
      if (stdout.rows > 0 && stdout.columns > 0) kernel.devices.console.setWindow(stdout.rows, stdout.columns, 0, 0);
      this.pacer?.wake();
    };
    resize();
    stdout.on("resize", resize);
    return () => void stdout.removeListener("resize", resize);
  }

  /** A bug of our kernel stopped it: with a terminal the debugger opens, else everything of use is printed. */
  private async panicked({ kernel, ddb }: Debugged): Promise<void> {
    if (process.stdin.isTTY !== true || this.ports !== null) return printError(ddb.panicReport());
    printError(`\r\npanic: ${kernel.panicked?.message}\r\n`);
    this.toggleDebugger("the kernel stopped at a bug of its own");
    await new Promise<void>((done) => {
      const look = setInterval(() => {
        if (this.debugging && !this.leaving) return;
        clearInterval(look);
        done();
      }, 50);
    });
  }

  /** Runs to the end. => the exit status */
  async run(target: Runnable, machine: SessionMachine, line: CommandLine, options: { clock: ClockMode; debug?: Debugged }): Promise<number> {
    const { debug } = options;
    if (debug !== undefined) this.attachDebugger(debug);
    const endWindow = debug === undefined ? () => {} : this.followWindow(debug.kernel);
    const stream = this.ports?.[0] ?? this.console, all = [this.console, ...(this.ports ?? [])];
    const isClosed = (): boolean => all.some((s) => s.closed);
    const { engine } = machine.hart;
    if (engine !== null) engine.hostMs = () => performance.now();
    const sampled = debug === undefined ? target : profiled(debug);
    const pacer = new Pacer(sampled, { machine, clock: options.clock, stopped: () => this.leaving || isClosed(), paused: () => this.debugging });
    this.pacer = pacer;
    this.input.onReadable = () => {
      stream.onReadable?.();
      pacer.wake();
    };
    const restore = (): void => this.input.stop();
    process.once("exit", restore);
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(signal === "SIGTERM" ? 143 : 129));
    const started = process.hrtime.bigint(), overhead = flag(line, "json") ? new OverheadPeak(machineMemory(machine)) : null;
    const looking = overhead === null ? undefined : setInterval(() => overhead.look(), LOOK_MS).unref();
    this.input.start();
    try {
      const how = await pacer.run();
      if (debug !== undefined && debug.kernel.panicked !== null) {
        await this.panicked(debug);
        return EXIT_PANIC;
      }
      const failed = all.find((s) => s.error !== null)?.error ?? null;
      if (failed !== null) throw failed;
      const code = how === "halted" ? machine.halted?.code ?? 0 : isClosed() ? EXIT_PIPE : 0;
      if (overhead !== null) {
        const hostMs = Number((process.hrtime.bigint() - started) / 1_000_000n), now = overhead.count(), { instret, mmu } = machine.hart;
        const memory = { ...now, peakOverheadBytes: overhead.peakBytes };
        printError(`${JSON.stringify({ exit: code, how, instructions: instret, virtualNs: machine.clock.now, hostMs, engine: engine?.counts(), tlb: mmu.stats, memory })}\n`);
      }
      return code & 0xff;
    } finally {
      clearInterval(looking);
      endWindow();
      restore();
      process.removeListener("exit", restore);
    }
  }
}

/** The kernel, with a look at where the guest is at the end of each slice, which is a fair moment for it. */
const profiled = ({ kernel, ddb }: Debugged): Runnable => ({
  run: (maxInsns, skipLimitNs) => {
    const why = kernel.run(maxInsns, skipLimitNs);
    if (why === "budget") ddb.profile.sample();
    return why;
  },
  nextEventNs: () => kernel.nextEventNs(),
});
