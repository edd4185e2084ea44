// Capabilities: capget tells what capset set, and what counts follows: ids, programs, and what a process may do.
import { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_LAST, CAP_SETPCAP, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_TIME } from "../../kernel/kern/caps.ts";
import { Cred } from "../../kernel/kern/cred.ts";
import { EFAULT, EINVAL, EPERM, ESRCH } from "../../kernel/lib/errno.ts";
import { CAPS_CALLS } from "../../kernel/sys/caps.ts";
import { PROC_CALLS } from "../../kernel/sys/proc.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("capabilities"), CAPGET = 90, CAPSET = 91, PRCTL = 167, V1 = 0x19980330, V2 = 0x20071026, V3 = 0x20080522, DATA = USER_VA + 64;
const ALL = [-1, 0x1ff], NONE = [0, 0];

class CapBox extends KernBox {
  constructor() {
    super();
    this.mapUser(1);
  }

  call(nr: number, version: number, pid: number, data = DATA): number {
    this.poke(USER_VA, Int32Array.of(version, pid));
    return this.run(this.syscall(CAPS_CALLS, nr, this.me.mainThread, USER_VA, data));
  }

  /** Effective, permitted, inheritable: [low, high] each. */
  get(pid = 0): number[][] {
    assert.is(this.call(CAPGET, V3, pid), 0);
    const d = this.peek(DATA, 24);
    return [0, 4, 8].map((at) => [d.getInt32(at, true), d.getInt32(12 + at, true)]);
  }

  set(...sets: number[][]): number {
    this.poke(DATA, Int32Array.from([...sets.map((s) => s[0]!), ...sets.map((s) => s[1]!)]));
    return this.call(CAPSET, V3, 0);
  }
}

const without = (...caps: number[]): number[] => [caps.reduce((m, c) => m & ~(1 << c), -1), 0x1ff];

test("the superuser has all, others none; versions, pids and addresses", () => {
  const box = new CapBox(), other = box.child();
  assert.equal(box.get(), [ALL, ALL, NONE]);
  other.cred = new Cred(7, 7, 7);
  assert.equal(box.get(other.pid), [NONE, NONE, NONE]);
  assert.equal([box.call(CAPGET, V3, 9999), box.call(CAPGET, V3, -1), box.call(CAPGET, V2, 0, 0x7000_0000)], [-ESRCH, -EINVAL, -EFAULT]);
  assert.equal([box.call(CAPGET, 5, 0), box.peek(USER_VA, 4).getUint32(0, true), box.call(CAPGET, 5, 0, 0), box.call(CAPSET, 5, 0)], [-EINVAL, V3, 0, -EINVAL]);
  box.poke(DATA, new Uint8Array(24));
  assert.equal([box.call(CAPGET, V1, 0), box.peek(DATA, 16).getInt32(12, true)], [0, 0], "one word a set");
  assert.is(box.call(CAPSET, V3, other.pid), -EPERM);
});

test("capset: within what is permitted, and what is gone is gone", () => {
  const box = new CapBox(), { me } = box;
  assert.is(box.set(without(CAP_SYS_TIME), ALL, NONE), 0);
  assert.equal([me.cred.can(CAP_SYS_TIME), me.cred.can(CAP_KILL), me.cred.isRoot, box.get()], [false, true, true, [without(CAP_SYS_TIME), ALL, NONE]]);
  assert.is(box.set(ALL, ALL, [1 << CAP_CHOWN, 0]), 0);
  assert.is(box.set(ALL, without(CAP_KILL), NONE), -EPERM, "effective, but not permitted");
  assert.is(box.set(without(CAP_KILL, CAP_SYS_ADMIN), without(CAP_KILL, CAP_SYS_ADMIN), NONE), 0);
  assert.equal([me.cred.can(CAP_KILL), me.cred.isRoot, me.cred.maySignal(new Cred(7, 7, 7))], [false, false, false]);
  assert.is(box.set(ALL, ALL, NONE), -EPERM);
  assert.is(box.set(NONE, without(CAP_KILL, CAP_SYS_ADMIN), NONE), 0);
  assert.is(me.cred.mayAccess(2, 7, 7, 0o600, false), false, "root without CAP_DAC_OVERRIDE is anybody");
  assert.is(box.set([1 << CAP_DAC_OVERRIDE, 0], without(CAP_KILL, CAP_SYS_ADMIN), NONE), 0);
  assert.is(me.cred.mayAccess(2, 7, 7, 0o600, false), true);
  assert.match(box.text("/proc/self/status"), /CapPrm:\t000001ffffdfffdf\nCapEff:\t0000000000000002\nCapBnd:\t000001ffffffffff\n/);
  assert.equal(me.cred.forExec().caps.effective.has(CAP_KILL), true, "a new program of root's has all again");
});

test("changes of user ids: euid takes the effective ones, the last 0 takes all, a set-id program gives all", () => {
  const root = new Cred(), eff = (c: Cred): boolean => c.can(CAP_SETUID), perm = (c: Cred): boolean => c.caps.permitted.has(CAP_SETUID);
  const seteuid = root.with({ euid: 7 });
  assert.equal([eff(seteuid), perm(seteuid), eff(seteuid.with({ euid: 0 }))], [false, true, true]);
  const setuid = root.with({ uid: 7, euid: 7, suid: 7 });
  assert.equal([eff(setuid), perm(setuid)], [false, false]);
  const setIdProgram = setuid.with({ euid: 0, suid: 0 });
  assert.equal([eff(setIdProgram), setIdProgram.isRoot, eff(setIdProgram.forExec())], [true, true, true]);
  assert.equal([eff(seteuid.forExec()), perm(seteuid.forExec()), perm(setuid.forExec())], [false, true, false]);
  const same = root.with({ gid: 5 });
  assert.equal(same.caps, root.caps);
});

test("the bounding set: read, dropped for good, and out of the next program", () => {
  const box = new CapBox(), prctl = (op: number, cap: number): number => box.run(box.syscall(PROC_CALLS, PRCTL, box.me.mainThread, op, cap));
  assert.equal([prctl(23, CAP_KILL), prctl(23, CAP_LAST), prctl(23, CAP_LAST + 1), prctl(24, CAP_LAST + 1)], [1, 1, -EINVAL, -EINVAL]);
  assert.equal([prctl(24, CAP_KILL), prctl(24, CAP_LAST), prctl(23, CAP_KILL), prctl(23, CAP_LAST), box.me.cred.can(CAP_KILL)], [0, 0, 0, 0, true]);
  const { caps } = box.me.cred.forExec();
  assert.equal([caps.effective.has(CAP_KILL), caps.permitted.has(CAP_LAST), caps.permitted.has(CAP_SETPCAP)], [false, false, true]);
  box.me.cred = new Cred(7, 7, 7);
  assert.is(prctl(24, CAP_CHOWN), -EPERM);
});

test.run();
