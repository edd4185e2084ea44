// System time: which part of the CPU time was the kernel's.
//
//   virtual clock   none. An instruction is a nanosecond and the kernel retires none: all of a process' time is user time, to the instruction
//   host's clock    CPU time is what the host took (clock.lateNs). The kernel's part of it is measured here, and Scheduler.charge divides by it
//
// Reading the host's clock costs half as much as the shortest system call. So it is read around what runs as a generator, for which that
// is little; of the traps that end without one every 251st is measured, and stands for all of them. (251: no loop of a program calls in step
// with a prime.) What was measured is owed until the slice's time is charged, and forgotten then: it is a share, never time by itself.
const SAMPLE_EVERY = 251;
/** A trap that took longer was not at work: the host did something else. */
const SAMPLE_NS_MAX = 20_000;

/** The machine's clock, of which only this is asked. */
interface HostClock {
  readonly hostNs: (() => number) | null;
}

export class SystemTime {
  private readonly clock: HostClock;
  /** Kernel's time that is not charged yet. */
  private owedNs = 0;
  /** Charged so far, of all processes. */
  totalNs = 0;
  private untilSample = SAMPLE_EVERY;
  /** What one reading of the clock takes; NaN not known yet. */
  private readingNs = NaN;

  constructor(clock: HostClock) {
    this.clock = clock;
  }

  /** A generator starts or goes on. => what `ran` is told afterwards */
  begins(): number {
    const { hostNs } = this.clock;
    return hostNs === null ? 0 : hostNs();
  }

  ran(since: number): void {
    const { hostNs } = this.clock;
    if (hostNs !== null && since > 0) this.owedNs += Math.max(0, hostNs() - since);
  }

  /** Counts a trap. => whether it is one to measure */
  isSample(): boolean {
    return --this.untilSample === 0;
  }

  /** Runs a trap that is measured for those that are not. */
  sample<T>(trap: () => T): T {
    this.untilSample = SAMPLE_EVERY;
    const { hostNs } = this.clock;
    if (hostNs === null) return trap();
    if (Number.isNaN(this.readingNs)) this.readingNs = readingOf(hostNs);
    const owed = this.owedNs, since = hostNs(), result = trap(), took = hostNs() - since - this.readingNs - (this.owedNs - owed);
    this.owedNs += Math.min(Math.max(0, took), SAMPLE_NS_MAX) * SAMPLE_EVERY;
    return result;
  }

  /** `ns` of CPU time are charged. => how much of them was the kernel's, whole nanoseconds */
  share(ns: number): number {
    const sys = Math.floor(Math.min(ns, this.owedNs));
    this.owedNs -= sys;
    return sys;
  }

  /** All time up to now is charged. */
  forget(): void {
    this.owedNs = 0;
  }
}

/** The least that lies between two readings. */
function readingOf(hostNs: () => number): number {
  let least = Infinity;
  for (let i = 0; i < 64; i++) {
    const from = hostNs();
    least = Math.min(least, hostNs() - from);
  }
  return Math.max(0, least);
}
