// Credentials of a process. Immutable: setuid and friends make a new one, so that fork shares.

export class Cred {
  readonly uid: number;
  readonly euid: number;
  readonly suid: number;
  readonly gid: number;
  readonly egid: number;
  readonly sgid: number;
  readonly groups: readonly number[];
  constructor(uid = 0, euid = uid, suid = euid, gid = 0, egid = gid, sgid = egid, groups: readonly number[] = []) {
    this.uid = uid;
    this.euid = euid;
    this.suid = suid;
    this.gid = gid;
    this.egid = egid;
    this.sgid = sgid;
    this.groups = groups;
  }

  get isRoot(): boolean {
    return this.euid === 0;
  }

  hasGroup(gid: number): boolean {
    return this.egid === gid || this.groups.includes(gid);
  }

  /** May a process with these credentials signal one with `o`? */
  maySignal(o: Cred): boolean {
    return this.isRoot || this.uid === o.uid || this.euid === o.uid || this.uid === o.suid || this.euid === o.suid;
  }

  /** Rights rwx (4 2 1) that a file's owner, group and mode give. */
  mayAccess(want: number, uid: number, gid: number, mode: number, isDir: boolean): boolean {
    if (this.isRoot) return (want & 1) === 0 || isDir || (mode & 0o111) !== 0;
    const bits = this.euid === uid ? mode >> 6 : this.hasGroup(gid) ? mode >> 3 : mode;
    return (bits & want) === want;
  }

  with(c: Partial<Pick<Cred, "uid" | "euid" | "suid" | "gid" | "egid" | "sgid" | "groups">>): Cred {
    return new Cred(c.uid ?? this.uid, c.euid ?? this.euid, c.suid ?? this.suid, c.gid ?? this.gid, c.egid ?? this.egid, c.sgid ?? this.sgid,
      c.groups ?? this.groups);
  }
}
