// Process groups and sessions.
//
//   Session ── leader, controlling tty ──< Pgrp ──< Process
import type { Process } from "./proc.ts";

/** What a session asks of its terminal. The tty implements it. */
export interface ControllingTty {
  session: Session | null;
  foreground: Pgrp | null;
}

export class Session {
  readonly sid: number;
  /** Null once the leader exited. */
  leader: Process | null;
  tty: ControllingTty | null = null;
  readonly groups = new Set<Pgrp>();
  constructor(leader: Process) {
    this.sid = leader.pid;
    this.leader = leader;
  }
}

export class Pgrp {
  readonly pgid: number;
  readonly session: Session;
  readonly members = new Set<Process>();
  constructor(pgid: number, session: Session) {
    this.pgid = pgid;
    this.session = session;
    session.groups.add(this);
  }

  /** No member has a parent in another group of the session: nobody would continue it. */
  get isOrphaned(): boolean {
    for (const p of this.members) {
      const parent = p.parent;
      if (!p.isZombie && parent && parent.pgrp !== this && parent.pgrp.session === this.session && parent.pid !== 1) return false;
    }
    return true;
  }
}

/** Moves a process into a group; a group without members ends. */
export function enterPgrp(p: Process, to: Pgrp): void {
  leavePgrp(p);
  p.pgrp = to;
  to.members.add(p);
  to.session.groups.add(to);
}

export function leavePgrp(p: Process): void {
  const g = p.pgrp;
  g.members.delete(p);
  if (g.members.size > 0) return;
  g.session.groups.delete(g);
  if (g.session.tty?.foreground === g) g.session.tty.foreground = null;
}
