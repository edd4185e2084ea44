// uvmexp: every counter of the virtual memory, as plain integers (uvm-spec 1.7). ddb prints them all; tests compare
// two snapshots. A counter that nothing counts yet does not exist: loans and swap bring theirs with them.

/** All counters. Levels (free, active, …) are exact at any quiescent point; the rest only grow. */
export class Uvmexp {
  // Levels.
  npages = 0; free = 0; zeropages = 0; active = 0; inactive = 0; wired = 0; paging = 0;
  anonpages = 0; filepages = 0; execpages = 0;
  // Limits, set at boot.
  reservePagedaemon = 1; reserveKernel = 5; freemin = 0; freetarg = 0; inactarg = 0; wiredmax = 0;
  // Faults.
  faults = 0; fltfast = 0; fltnoram = 0; fltnoanon = 0; fltpgwait = 0; fltpgrele = 0; fltanget = 0; fltanretry = 0; fltamcopy = 0;
  fltnamap = 0; fltnomap = 0; fltlget = 0; fltget = 0; fltAnon = 0; fltAcow = 0; fltObj = 0; fltPrcopy = 0; fltPrzero = 0;
  fltrelck = 0; fltrelckok = 0;
  // Pages.
  pgalloc = 0; pgzero = 0; pgaZerohit = 0; pgaZeromiss = 0;
  // Page daemon.
  pdwoke = 0; pdrevs = 0; pdscans = 0; pdreact = 0; pddeact = 0; pdfreed = 0; pdbusy = 0; pdobscan = 0; pdpageouts = 0;
  // Loans: breaking and orphans, which pages, anons and faults must already get right.
  loanbreakO = 0; loanbreakA = 0; loanOrphaned = 0; loanAdopted = 0;
}

export type UvmexpSnapshot = Readonly<Record<string, number>>;

/** A copy of every counter, by name. */
export function uvmexpSnapshot(exp: Uvmexp): UvmexpSnapshot {
  return Object.fromEntries(Object.entries(exp));
}

/** What changed between a snapshot and now: only the counters that differ. */
export function uvmexpDelta(before: UvmexpSnapshot, exp: Uvmexp): Record<string, number> {
  const delta: Record<string, number> = {};
  for (const [name, value] of Object.entries(exp)) {
    const d = (value as number) - (before[name] ?? 0);
    if (d !== 0) delta[name] = d;
  }
  return delta;
}
