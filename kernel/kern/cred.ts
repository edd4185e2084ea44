// Credentials of a process. Immutable: setuid and friends make a new one, so that fork shares.
import { CAP_DAC_OVERRIDE, CAP_KILL, CAP_SYS_ADMIN, type Caps, capsAfter, capsForExec, capsOfIds } from "./caps.ts";

export class Cred {
  readonly uid: number;
  readonly euid: number;
  readonly suid: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid: number;
  readonly groups: readonly number[];
  readonly caps: Caps;
  constructor(uid = 0, euid = uid, suid = euid, gid = 0, egid = gid, sgid = egid, groups: readonly number[] = [], caps: Caps = capsOfIds({ uid, euid, suid })) {
    this.uid = uid;
    this.euid = euid;
    this.suid = suid;
    this.gid = gid;
    this.egid = egid;
    this.sgid = sgid;
    this.groups = groups;
    this.caps = caps;
  }

  /** Has it a capability, CAP_*? */
  can(cap: number): boolean {
    return this.caps.effective.has(cap);
  }

  /** May it do what only the superuser may, and no capability of its own stands for? */
  get isRoot(): boolean {
    return this.can(CAP_SYS_ADMIN);
  }

  hasGroup(gid: number): boolean {
    return this.egid === gid || this.groups.includes(gid);
  }

  /** May a process with these credentials signal one with `o`? */
  maySignal(o: Cred): boolean {
    return this.can(CAP_KILL) || this.uid === o.uid || this.euid === o.uid || this.uid === o.suid || this.euid === o.suid;
  }

  /** Rights rwx (4 2 1) that a file's owner, group and mode give. */
  mayAccess(want: number, uid: number, gid: number, mode: number, isDir: boolean): boolean {
    if (this.can(CAP_DAC_OVERRIDE)) return (want & 1) === 0 || isDir || (mode & 0o111) !== 0;
    const bits = this.euid === uid ? mode >> 6 : this.hasGroup(gid) ? mode >> 3 : mode;
    return (bits & want) === want;
  }

  with(c: Partial<Pick<Cred, "uid" | "euid" | "suid" | "gid" | "egid" | "sgid" | "groups">>): Cred {
    const ids = { uid: c.uid ?? this.uid, euid: c.euid ?? this.euid, suid: c.suid ?? this.suid };
    return new Cred(ids.uid, ids.euid, ids.suid, c.gid ?? this.gid, c.egid ?? this.egid, c.sgid ?? this.sgid,
      c.groups ?? this.groups, capsAfter(this.caps, this, ids));
  }

  withCaps(caps: Caps): Cred {
    return new Cred(this.uid, this.euid, this.suid, this.gid, this.egid, this.sgid, this.groups, caps);
  }

  /** Those of a new program, after the set-id bits had their say. */
  forExec(): Cred {
    return this.withCaps(capsForExec(this.caps, this));
  }
}
