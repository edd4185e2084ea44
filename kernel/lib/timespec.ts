// Points in time that are exact to the nanosecond. One number cannot hold today's date in nanoseconds (it steps by 256), so a
// time is two: whole seconds since 1970, negative before it, and the nanoseconds since then.
//
//   -1.25 s  =  { sec: -2, nsec: 750000000 }        nsec is 0 … 999999999 and always counts forward, as struct timespec does
//
// What is kept and stamped often (a file's times) is an Instant, which is changed in place; what is handed around is a value.

export interface Timespec { readonly sec: number; readonly nsec: number }

const NS = 1e9;

export const EPOCH: Timespec = { sec: 0, nsec: 0 };

/** => below 0: a is earlier; 0: the same */
export const compareTimes = (a: Timespec, b: Timespec): number => a.sec - b.sec || a.nsec - b.nsec;

/** A time that changes in place. */
export class Instant implements Timespec {
  sec = 0;
  nsec = 0;

  set(t: Timespec): void {
    this.sec = t.sec;
    this.nsec = t.nsec;
  }

  value(): Timespec {
    return { sec: this.sec, nsec: this.nsec };
  }
}

/** CLOCK_REALTIME: the virtual clock, moved by seconds and nanoseconds apart so that no sum rounds. */
export class WallClock {
  /** The time when the virtual clock was 0; clock_settime(2) changes it. */
  epochSec = 0;
  epochNsec = 0;
  /** The virtual clock in ns: whoever runs the kernel sets it. */
  virtualNs: () => number = () => 0;
  /** Who waits for a time of this clock: told by how many ns it was moved forward. */
  readonly onSet = new Set<(movedNs: number) => void>();

  /** Writes the time of now. => allocates nothing */
  stamp(into: Instant): void {
    const ns = this.virtualNs(), sec = Math.floor(ns / NS), nsec = Math.floor(ns - sec * NS) + this.epochNsec, carry = nsec >= NS ? 1 : 0;
    into.sec = sec + this.epochSec + carry;
    into.nsec = nsec - carry * NS;
  }

  now(): Timespec {
    const now = new Instant();
    this.stamp(now);
    return now.value();
  }

  /** Seconds alone. */
  nowSec(): number {
    return Math.floor((this.virtualNs() + this.epochNsec) / NS) + this.epochSec;
  }

  /** What to add to virtual time; as one number, so to some 256 ns. */
  get offsetNs(): number {
    return this.epochSec * NS + this.epochNsec;
  }

  /** From now on it is `t`. */
  set(t: Timespec): void {
    const ns = this.virtualNs(), sec = Math.floor(ns / NS), nsec = t.nsec - Math.floor(ns - sec * NS), borrow = nsec < 0 ? 1 : 0;
    const epochSec = t.sec - sec - borrow, epochNsec = nsec + borrow * NS, moved = (epochSec - this.epochSec) * NS + (epochNsec - this.epochNsec);
    this.epochSec = epochSec;
    this.epochNsec = epochNsec;
    for (const tell of [...this.onSet]) tell(moved);
  }
}
