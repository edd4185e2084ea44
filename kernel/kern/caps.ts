// Capabilities: what the superuser may do, in pieces that can be given up one by one. Linux's numbers and rules, but for files with
// capabilities and the ambient set, which there are none of.
//
//   permitted ⊇ effective: what counts now     inheritable: kept over exec, without effect here     bounding: what exec can give
//
// Sets are immutable pairs of words; sets of a process hang on its credentials (cred.ts) and follow its user ids.
export const CAP_CHOWN = 0, CAP_DAC_OVERRIDE = 1, CAP_DAC_READ_SEARCH = 2, CAP_FOWNER = 3, CAP_FSETID = 4, CAP_KILL = 5, CAP_SETGID = 6, CAP_SETUID = 7;
export const CAP_SETPCAP = 8, CAP_IPC_LOCK = 14, CAP_SYS_CHROOT = 18, CAP_SYS_ADMIN = 21, CAP_SYS_BOOT = 22, CAP_SYS_NICE = 23, CAP_SYS_RESOURCE = 24;
export const CAP_SYS_TIME = 25, CAP_SYS_TTY_CONFIG = 26, CAP_MKNOD = 27, CAP_LAST = 40;

export class CapSet {
  readonly lo: number;
  readonly hi: number;
  constructor(lo: number, hi: number) {
    this.lo = lo | 0;
    this.hi = hi & ((2 << (CAP_LAST - 32)) - 1);
  }

  has(cap: number): boolean {
    return (((cap < 32 ? this.lo : this.hi) >>> (cap & 31)) & 1) !== 0;
  }

  /** Is every one of these in `o` too? */
  isWithin(o: CapSet): boolean {
    return (this.lo & ~o.lo) === 0 && (this.hi & ~o.hi) === 0;
  }

  and(o: CapSet): CapSet {
    return new CapSet(this.lo & o.lo, this.hi & o.hi);
  }

  or(o: CapSet): CapSet {
    return new CapSet(this.lo | o.lo, this.hi | o.hi);
  }

  without(cap: number): CapSet {
    return cap < 32 ? new CapSet(this.lo & ~(1 << cap), this.hi) : new CapSet(this.lo, this.hi & ~(1 << (cap - 32)));
  }

  /** As /proc/N/status has it. */
  toString(): string {
    return this.hi.toString(16).padStart(8, "0") + (this.lo >>> 0).toString(16).padStart(8, "0");
  }
}

export const ALL_CAPS = new CapSet(-1, -1), NO_CAPS = new CapSet(0, 0);

export interface Caps { readonly effective: CapSet; readonly permitted: CapSet; readonly inheritable: CapSet; readonly bounding: CapSet }
interface Ids { readonly uid: number; readonly euid: number; readonly suid: number }

const isSomeRoot = (i: Ids): boolean => i.uid === 0 || i.euid === 0 || i.suid === 0;

/** What a process with these ids has that never gave up anything. */
export function capsOfIds(i: Ids, bounding = ALL_CAPS, inheritable = NO_CAPS): Caps {
  return { effective: i.euid === 0 ? bounding : NO_CAPS, permitted: isSomeRoot(i) ? bounding : NO_CAPS, inheritable, bounding };
}

/** The sets after a change of user ids. Who had none of the superuser's and has one now ran a set-user-id program. */
export function capsAfter(c: Caps, from: Ids, to: Ids): Caps {
  if (!isSomeRoot(from)) return isSomeRoot(to) ? capsOfIds(to, c.bounding, c.inheritable) : c;
  if (!isSomeRoot(to)) return { ...c, effective: NO_CAPS, permitted: NO_CAPS };
  if (from.euid === 0 && to.euid !== 0) return { ...c, effective: NO_CAPS };
  return from.euid !== 0 && to.euid === 0 ? { ...c, effective: c.permitted } : c;
}

/** The sets of a new program: the superuser has all again, but for what is bounded; others have none. */
export function capsForExec(c: Caps, i: Ids): Caps {
  const isRoot = i.uid === 0 || i.euid === 0, permitted = isRoot ? c.bounding.or(c.inheritable) : NO_CAPS;
  return { ...c, permitted, effective: i.euid === 0 ? permitted : NO_CAPS };
}

/** capset(2)'s rules. */
export function mayCapset(old: Caps, neu: Omit<Caps, "bounding">): boolean {
  if (!old.effective.has(CAP_SETPCAP) && !neu.inheritable.isWithin(old.inheritable.or(old.permitted))) return false;
  return neu.inheritable.isWithin(old.inheritable.or(old.bounding)) && neu.permitted.isWithin(old.permitted) && neu.effective.isWithin(neu.permitted);
}
