// Resource limits, by Linux numbers. Infinity is RLIM_INFINITY.
export const RLIMIT_CPU = 0, RLIMIT_FSIZE = 1, RLIMIT_DATA = 2, RLIMIT_STACK = 3, RLIMIT_CORE = 4, RLIMIT_RSS = 5, RLIMIT_NPROC = 6;
export const RLIMIT_NOFILE = 7, RLIMIT_MEMLOCK = 8, RLIMIT_AS = 9, RLIMIT_SIGPENDING = 11, RLIMIT_NICE = 13, RLIMIT_RTPRIO = 14, NLIMITS = 16;

export class Limits {
  readonly soft: number[];
  readonly hard: number[];
  constructor(from?: Limits) {
    this.soft = from ? [...from.soft] : Array.from({ length: NLIMITS }, () => Infinity);
    this.hard = from ? [...from.hard] : Array.from({ length: NLIMITS }, () => Infinity);
    if (!from) this.setDefaults();
  }

  private setDefaults(): void {
    this.set(RLIMIT_STACK, 8 << 20, Infinity);
    this.set(RLIMIT_CORE, 0, Infinity);
    this.set(RLIMIT_NPROC, 1024, 1024);
    this.set(RLIMIT_NOFILE, 1024, 4096);
    this.set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
    this.set(RLIMIT_SIGPENDING, 1024, 1024);
    this.set(12, 819200, 819200);
    this.set(13, 0, 0);
    this.set(14, 0, 0);
  }

  set(which: number, soft: number, hard: number): void {
    this.soft[which] = soft;
    this.hard[which] = hard;
  }

  get(which: number): number {
    return this.soft[which] ?? Infinity;
  }
}
