// How a thread is scheduled: its policy, its priority, its nice value, and what that makes of its time slice.
//
//   SCHED_FIFO, SCHED_RR, priority 99 … 1     run before all others; FIFO until it sleeps or yields, RR in turn with its equals
//   SCHED_OTHER, BATCH, nice -20 … 19         in turn; slices are as long as the weight of the nice value says: a step is 25 %
//   SCHED_IDLE                                the same with the least weight

export const SCHED_OTHER = 0, SCHED_FIFO = 1, SCHED_RR = 2, SCHED_BATCH = 3, SCHED_IDLE = 5, SCHED_DEADLINE = 6, SCHED_EXT = 7;
export const RT_PRIO_MAX = 99;

/** Instructions a thread of nice 0 runs before another gets its turn. */
export const SLICE_INSNS = 1_000_000;
/** The same of SCHED_RR: 100 ms. */
const RR_INSNS = 100_000_000;

/** Linux's weights: nice -20 … 19. A program that knows Linux finds the same shares of the CPU. */
const WEIGHTS = [
  88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
  1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
];
const WEIGHT_0 = 1024, WEIGHT_IDLE = 3;

/** What a thread has of its own, and hands to those that it makes. */
export class SchedParams {
  policy = SCHED_OTHER;
  /** 1 … 99 of SCHED_FIFO and SCHED_RR; 0 of the others. */
  rtPriority = 0;
  nice = 0;
  /** SCHED_RESET_ON_FORK: children begin as anybody. */
  doesResetOnFork = false;

  /** For a thread or process that it makes. */
  inherited(): SchedParams {
    const s = new SchedParams();
    s.nice = this.doesResetOnFork ? Math.max(0, this.nice) : this.nice;
    if (this.doesResetOnFork) return s;
    s.policy = this.policy;
    s.rtPriority = this.rtPriority;
    return s;
  }

  /** Instructions of its slice. Infinity: until it sleeps. */
  get sliceInsns(): number {
    if (this.policy === SCHED_FIFO) return Infinity;
    if (this.policy === SCHED_RR) return RR_INSNS;
    if (this.nice === 0 && this.policy !== SCHED_IDLE) return SLICE_INSNS;
    return Math.round(SLICE_INSNS * (this.policy === SCHED_IDLE ? WEIGHT_IDLE : WEIGHTS[this.nice + 20]!) / WEIGHT_0);
  }
}
