// The four times of a file: of the last access (read), modification (contents), change (contents or attributes), and birth.
//
//   read, readdir, readlink, mmap, exec ─► accessed()      the mount says which of them count: relatime, noatime, …
//   write, truncate, a new page         ─► modified()
//   chmod, chown, link, rename          ─► changed()
//
// They are stamped in place and from the clock that clock_gettime(CLOCK_REALTIME) reads, so a file that was written later never
// has the older time. What a file system cannot keep is cut at once, so that a time does not change when the file is read back.
import { compareTimes, Instant, type Timespec, type WallClock } from "../lib/timespec.ts";

/** Mount flags, with mount(2)'s numbers. None of the three: relatime, Linux' default. */
export const MNT_NOATIME = 1024, MNT_NODIRATIME = 2048, MNT_STRICTATIME = 1 << 24;
const MS_RELATIME = 1 << 21, ATIME_FLAGS = MNT_NOATIME | MNT_NODIRATIME | MNT_STRICTATIME;
const DAY_SEC = 86_400;

/** What a mount keeps of mount(2)'s flags about time of access; a remount that names none keeps what it has. */
export function atimeFlags(msFlags: number, current = 0): number {
  if ((msFlags & (ATIME_FLAGS | MS_RELATIME)) === 0) return current & ATIME_FLAGS;
  const isStrict = (msFlags & MNT_STRICTATIME) !== 0;
  return (msFlags & MNT_NODIRATIME) | (isStrict ? MNT_STRICTATIME : msFlags & MNT_NOATIME);
}

/** The same as /proc/mounts shows it. */
export function atimeOptions(flags: number): string[] {
  const isPlain = (flags & (MNT_NOATIME | MNT_STRICTATIME)) === 0;
  return [...((flags & MNT_NOATIME) !== 0 ? ["noatime"] : []), ...((flags & MNT_NODIRATIME) !== 0 ? ["nodiratime"] : []), ...(isPlain ? ["relatime"] : [])];
}

/** What times a file system can hold. */
export interface TimeRange {
  readonly minSec: number;
  readonly maxSec: number;
  /** No more than seconds. */
  readonly isWholeSeconds: boolean;
}

/** Whatever a number of seconds holds exactly. */
export const ANY_TIME: TimeRange = { minSec: -Number.MAX_SAFE_INTEGER, maxSec: Number.MAX_SAFE_INTEGER, isWholeSeconds: false };

export class FileTimes {
  readonly atime = new Instant();
  readonly mtime = new Instant();
  readonly ctime = new Instant();
  readonly btime = new Instant();
  private readonly clock: WallClock;
  private readonly range: TimeRange;

  /** A file that is made now. */
  constructor(clock: WallClock, range: TimeRange = ANY_TIME) {
    this.clock = clock;
    this.range = range;
    this.stamp(this.btime);
    for (const t of [this.atime, this.mtime, this.ctime]) t.set(this.btime);
  }

  copy(): FileTimes {
    const c = new FileTimes(this.clock, this.range);
    for (const which of ["atime", "mtime", "ctime", "btime"] as const) c[which].set(this[which]);
    return c;
  }

  private stamp(t: Instant): void {
    this.clock.stamp(t);
    this.fit(t);
  }

  /** Cuts a time to what the file system can hold. */
  private fit(t: Instant): void {
    const { minSec, maxSec, isWholeSeconds } = this.range, outside = t.sec < minSec ? minSec : t.sec > maxSec ? maxSec : NaN;
    if (!Number.isNaN(outside)) t.sec = outside;
    if (isWholeSeconds || !Number.isNaN(outside)) t.nsec = 0;
  }

  /** Contents changed. */
  modified(): void {
    this.stamp(this.mtime);
    this.ctime.set(this.mtime);
  }

  /** Attributes or names changed. */
  changed(): void {
    this.stamp(this.ctime);
  }

  /** The file was read. => whether that changed its time of access */
  accessed(mountFlags: number, isDir: boolean): boolean {
    if ((mountFlags & MNT_NOATIME) !== 0 || (isDir && (mountFlags & MNT_NODIRATIME) !== 0)) return false;
    const { atime } = this;
    // relatime: the time tells whether it was read since it was written, and on which day.
    if ((mountFlags & MNT_STRICTATIME) === 0 && compareTimes(atime, this.mtime) > 0 && compareTimes(atime, this.ctime) > 0 &&
      this.clock.nowSec() - atime.sec < DAY_SEC) return false;
    const { sec, nsec } = atime;
    this.stamp(atime);
    return atime.sec !== sec || atime.nsec !== nsec;
  }

  /** A terminal was read or written: only every eight seconds, so that its times do not tell when keys were pressed. */
  used(isWrite: boolean): void {
    const t = isWrite ? this.mtime : this.atime, now = this.clock.nowSec();
    if (Math.floor(now / 8) === Math.floor(t.sec / 8)) return;
    t.sec = now;
    t.nsec = 0;
  }

  /** utimensat(2): what is left out stays; the time of change is now. */
  setTo(c: { readonly atime?: Timespec; readonly mtime?: Timespec }): void {
    if (c.atime) this.put(this.atime, c.atime);
    if (c.mtime) this.put(this.mtime, c.mtime);
    this.changed();
  }

  private put(t: Instant, to: Timespec): void {
    t.set(to);
    this.fit(t);
  }
}

/** Times of what has none: files that were never on a file system. */
export const NO_TIMES = { atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } } as const;

/** The part of Attr that is times, as values. Birth is told by who knows it. */
export const timesOf = (t: FileTimes): { atime: Timespec; mtime: Timespec; ctime: Timespec } =>
  ({ atime: t.atime.value(), mtime: t.mtime.value(), ctime: t.ctime.value() });
