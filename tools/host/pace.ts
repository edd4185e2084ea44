// Runs a machine on the host, in Node or in a page: in slices, so that input gets in between, and in time with the host's clock where asked.
//
//   clock host      the guest's clock follows the host's: ahead of it we sleep, behind it the guest's time skips forward
//   clock virtual   one instruction is one nanosecond and waiting is free: the same run each time
import type { VirtualClock } from "../../emu/time/clock.ts";

export type ClockMode = "host" | "virtual";

/** What there is to run: a bare machine, or a kernel on one. */
export interface Runnable {
  run(maxInsns: number, skipLimitNs?: number): "budget" | "halted" | "idle";
  /** When something happens by itself next, in ns; by default the clock's next alarm. */
  nextEventNs?(): number;
}

const SLICE_MIN = 20_000, SLICE_MAX = 4_000_000;
/** In time with the host an instruction takes this long: no guest runs faster, and what it is behind by is skipped. */
const HOST_NS_PER_INSN = 1 / 16;
/** How far the guest may be ahead before we sleep; timers of the host are no finer. */
const AHEAD_NS_MAX = 2_000_000;

export interface PaceOptions {
  machine: { readonly clock: VirtualClock; readonly hart: { readonly instret: number } };
  clock: ClockMode;
  /** Whether to stop although the guest goes on. */
  stopped(): boolean;
  /** Whether the guest is held, by the debugger. */
  paused?(): boolean;
  /** Calls back when events that wait have been let in; by default Node's setImmediate. */
  soon?(done: () => void): void;
}

export class Pacer {
  private readonly target: Runnable;
  private readonly options: PaceOptions;
  private wakeUp: (() => void) | null = null;

  constructor(target: Runnable, options: PaceOptions) {
    this.target = target;
    this.options = options;
  }

  /** Outside input arrived, or somebody wants us to stop: ends the present sleep. */
  wake(): void {
    this.wakeUp?.();
  }

  /** Runs until the machine halts, or until told to stop. => how it ended */
  async run(): Promise<"halted" | "stopped"> {
    const { machine, clock: mode, stopped } = this.options, { clock } = machine;
    const start = performance.now();
    const origin = clock.now;
    const hostNow = (): number => origin + (performance.now() - start) * 1e6;
    if (mode === "host") {
      clock.nsPerInsn = HOST_NS_PER_INSN;
      clock.hostNs = hostNow;
    }
    let slice = mode === "host" ? SLICE_MIN : SLICE_MAX;
    while (!stopped()) {
      if (this.options.paused?.()) {
        await this.sleep(Infinity);
        continue;
      }
      const insnsBefore = machine.hart.instret, timeBefore = clock.now;
      // A guest that waits must not be ahead of the host: it would have waited before anybody could press a key.
      const why = this.target.run(slice, mode === "host" ? hostNow() + AHEAD_NS_MAX : Infinity);
      if (why === "halted") return "halted";
      if (mode === "host") {
        // Time that passes without instructions is a waiting guest: short slices then, or it would run far ahead.
        const busy = (machine.hart.instret - insnsBefore) * clock.nsPerInsn >= (clock.now - timeBefore) / 2;
        slice = busy ? Math.min(slice * 2, SLICE_MAX) : SLICE_MIN;
        // What the host took to run this slice is CPU time of the guest; what passes from here on is not.
        for (let now = hostNow(); clock.now < now; ) clock.catchUp(now);
        await this.keepTime(hostNow, why === "idle");
      } else if (why === "idle") await this.sleep(Infinity);
      else await this.sleep(0);
    }
    return "stopped";
  }

  private async keepTime(hostNow: () => number, idle: boolean): Promise<void> {
    const { clock } = this.options.machine, ahead = clock.now - hostNow();
    if (ahead > AHEAD_NS_MAX) await this.sleep(ahead / 1e6);
    else if (idle) await this.sleep(((this.target.nextEventNs?.() ?? clock.nextAlarm()) - clock.now) / 1e6);
    else await this.sleep(0);
    for (let now = hostNow(); clock.now < now; ) clock.skipTo(now);
  }

  /** Waits for input, and at most so long. 0 only lets events in. */
  private sleep(ms: number): Promise<void> {
    return new Promise((done) => {
      if (ms <= 0) return void (this.options.soon ?? setImmediate)(done);
      // A timer beyond 2^31 ms fires at once; with no end the timer only keeps the process alive.
      const timer = setTimeout(() => this.wake(), Math.min(ms, 2 ** 30));
      this.wakeUp = () => {
        this.wakeUp = null;
        clearTimeout(timer);
        done();
      };
    });
  }
}
