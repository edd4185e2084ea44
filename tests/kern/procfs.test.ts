// /proc without programs: each file has Linux's fields in Linux's places, and tells the truth about the process it is read by.
import { Cred } from "../../kernel/kern/cred.ts";
import { O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, POLLIN, type OpenFile } from "../../kernel/kern/file.ts";
import { PS_STOPPED, PS_ZOMBIE, setText, Thread } from "../../kernel/kern/proc.ts";
import { SCHED_RR } from "../../kernel/kern/schedpolicy.ts";
import { SIG_IGN, SIGPIPE, SIGTERM, SIGUSR1 } from "../../kernel/kern/sigset.ts";
import { Tty } from "../../kernel/kern/tty.ts";
import { EACCES, ENOENT } from "../../kernel/lib/errno.ts";
import { uaoCreate } from "../../kernel/uvm/aobj.ts";
import { uvmMapPageable } from "../../kernel/uvm/mapwire.ts";
import { uvmMap } from "../../kernel/uvm/mmap.ts";
import { uvmMapStack } from "../../kernel/uvm/stack.ts";
import { uvmUnmap } from "../../kernel/uvm/unmap.ts";
import { latin1, toBytes } from "../../kernel/uvm/uio.ts";
import { namei } from "../../kernel/vfs/namei.ts";
import { TmpMount } from "../../kernel/vfs/tmpfs/tmpfs.ts";
import { VDIR } from "../../kernel/vfs/vnode.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("procfs"), PAGE = 4096, TEXT = 0x100000, SHARED = 0x200000;

class ProcBox extends KernBox {
  map(va: number, npages: number, prot: number, f: OpenFile | null, offset = 0): void {
    const { map } = this.me.vmspace, box = this;
    this.run((function* () {
      const m = f ? yield* f.ops.mmap!(f, offset, npages * PAGE, prot, false) : { uobj: uaoCreate(box.uvm, npages * PAGE), offset: 0 };
      if (typeof m === "number") throw new Error(`mmap: ${m}`);
      assert.is(yield* uvmMap(map, { va, fixed: true, size: npages * PAGE, prot, maxprot: 7, copyOnWrite: f !== null, ...m }), va);
    })());
  }

  link(path: string): string | number {
    const { vfs } = this.k, { rootVnode: root } = vfs;
    return this.run((function* () {
      const r = yield* namei(vfs, root, path, { follow: false, root, cred: { mayAccess: () => true } });
      if (typeof r === "number") return r;
      const target = yield* r.vnode!.readlink();
      yield* r.done();
      return target;
    })());
  }

  list(path: string): string[] {
    const f = this.open(path, O_RDONLY), names: string[] = [], block = new Uint8Array(200), d = new DataView(block.buffer);
    for (;;) {
      const n = this.run(f.ops.getdents!(f, block));
      if (n <= 0) break;
      for (let at = 0; at < n; at += d.getUint16(at + 16, true)) names.push(latin1(block.subarray(at + 19, at + d.getUint16(at + 16, true))).replace(/\0.*$/s, ""));
    }
    this.closeFile(f);
    return names;
  }

  /** The lines of a "name: value" file. */
  fields(path: string): Map<string, string> {
    return new Map(this.text(path).trimEnd().split("\n").map((l) => [l.slice(0, l.indexOf(":")), l.slice(l.indexOf(":") + 1)]));
  }
}

test("maps: addresses, rights, offset, device, inode, and the name in column 73", () => {
  const box = new ProcBox(), f = box.open("/prog", O_RDWR | O_CREAT);
  box.write(f, "x".repeat(3 * PAGE));
  box.map(TEXT, 2, 5, f, PAGE);
  box.map(SHARED, 1, 3, null);
  box.mapUser(3);
  const ino = f.vnode!.ino, dev = f.vnode!.mount.dev.toString(16).padStart(2, "0");
  assert.equal(box.text("/proc/self/maps").split("\n"), [
    `00010000-00013000 rw-p 00000000 00:00 0 `,
    `${`00100000-00102000 r-xp 00001000 00:${dev} ${ino}`.padEnd(73)}/prog`,
    `${"00200000-00201000 rw-s 00000000 00:00 0".padEnd(73)}/dev/zero (deleted)`,
    "",
  ]);
  box.me.vmspace.brkBase = USER_VA;
  box.me.vmspace.brkEnd = USER_VA + 3 * PAGE;
  assert.match(box.text("/proc/self/maps"), /^00010000-00013000 rw-p 00000000 00:00 0 {34}\[heap\]\n/);
  box.me.vmspace.brkEnd = box.me.vmspace.brkBase = 0;
  box.me.vmspace.map.stack = { top: USER_VA + 3 * PAGE, start: USER_VA, low: USER_VA };
  assert.match(box.text("/proc/self/maps"), /^00010000-.*\[stack\]\n/);
  box.poke(USER_VA + PAGE, Uint8Array.of(1));
  assert.match(box.text("/proc/self/smaps"), /\[stack\]\nSize: {17}12 kB\nRss: {19}4 kB\n/);
});

test("stat: 52 fields in one line; the name stays in its brackets whatever it is", () => {
  const box = new ProcBox(), { me } = box, tty = new Tty(box.k, "console", 0x501, () => {});
  me.comm = "a) R 9";
  box.mapUser(4);
  box.poke(USER_VA, Uint8Array.of(1));
  Object.assign(me.usage, { userNs: 12.34e9, sysNs: 0.019e9 });
  me.mainThread.sched.nice = 5;
  const line = box.text("/proc/self/stat"), m = /^(\d+) \((.*)\) (.*)\n$/s.exec(line)!, f = m[3]!.split(" ");
  assert.equal([m[1], m[2], f.length], [String(me.pid), "a) R 9", 50]);
  assert.ok(f.slice(1).every((v) => /^-?\d+$/.test(v)));
  const field = (n: number): string => f[n - 3]!;
  assert.equal([3, 4, 5, 6, 7, 8, 14, 15, 18, 19, 20, 23, 24, 25].map(field),
    ["R", "1", String(me.pid), String(me.pid), "0", "-1", "1234", "1", "25", "5", "1", String(4 * PAGE), "1", "18446744073709551615"]);
  tty.attach(me.pgrp.session, me.pgrp);
  const after = box.text(`/proc/${me.pid}/stat`).split(" ").slice(4);
  assert.equal(after.slice(4, 6), ["1281", String(me.pid)], "5:1, and its foreground group");
});

test("status: names, tabs and widths as ps and top parse them", () => {
  const box = new ProcBox(), { me } = box, t = me.mainThread;
  box.mapUser(4);
  box.poke(USER_VA, Uint8Array.of(1));
  me.comm = "prog";
  me.cred = new Cred(0, 1000, 0, 5, 6, 7, [10, 20]);
  me.actions.of(SIGPIPE).handler = SIG_IGN;
  me.actions.of(SIGTERM).handler = 0x1000;
  me.actions.of(64).handler = 0x1000;
  t.sigmask.add(SIGUSR1);
  me.pending.post({ sig: SIGUSR1, code: 0 });
  const s = box.fields("/proc/self/status"), get = (...names: string[]): (string | undefined)[] => names.map((n) => s.get(n));
  assert.equal(get("Name", "Umask", "State", "Tgid", "Pid", "PPid", "TracerPid", "Threads"),
    ["\tprog", "\t0022", "\tR (running)", `\t${me.pid}`, `\t${me.pid}`, "\t1", "\t0", "\t1"]);
  assert.equal(get("Uid", "Gid", "Groups"), ["\t0\t1000\t0\t1000", "\t5\t6\t7\t6", "\t10 20 "]);
  assert.equal(get("VmSize", "VmRSS"), ["\t      16 kB", "\t       4 kB"]);
  assert.equal(get("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"),
    ["\t0000000000000000", "\t0000000000000200", "\t0000000000000200", "\t0000000000001000", "\t8000000000004000"]);
  assert.equal(get("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), ["0".repeat(16), "000001ffffffffff", "0".repeat(16), "000001ffffffffff", "0".repeat(16)].map((v) => `\t${v}`));
  me.cred = new Cred(0);
  assert.is(box.fields("/proc/self/status").get("CapEff"), "\t000001ffffffffff");
  assert.ok(Number(s.get("FDSize")) >= 64 && Number(s.get("FDSize")) % 64 === 0);
});

test("sizes: what there is now and the most there was, what is locked, the stack; one's own code and libraries", () => {
  const box = new ProcBox(), { me } = box, f = box.open("/prog", O_RDWR | O_CREAT), { map } = me.vmspace;
  const get = (...names: string[]): number[] => names.map((n) => parseInt(box.fields("/proc/self/status").get(n)!, 10));
  box.write(f, "x".repeat(3 * PAGE));
  box.map(TEXT, 2, 5, f, PAGE);
  box.map(TEXT + 8 * PAGE, 1, 3, f, 0);
  box.mapUser(4);
  box.poke(USER_VA, new Uint8Array(3 * PAGE));
  box.run(uvmUnmap(map, USER_VA, USER_VA + 2 * PAGE));
  box.run(uvmMapStack(me.vmspace, 0x10_0000_0000, 1 << 20, 3));
  assert.equal(get("VmPeak", "VmSize", "VmHWM", "VmRSS", "VmStk", "VmData", "VmExe", "VmLib", "VmLck"), [152, 152, 12, 4, 132, 12, 0, 8, 0]);
  box.run(uvmUnmap(map, 0x10_0000_0000 - 33 * PAGE, 0x10_0000_0000));
  box.run(setText(me, f.vnode));
  box.run(uvmMapPageable(map, USER_VA + 2 * PAGE, USER_VA + 4 * PAGE, { wire: true }));
  assert.equal(get("VmPeak", "VmSize", "VmStk", "VmExe", "VmLib", "VmLck"), [152, 20, 0, 8, 0, 8]);
  const stat = box.text("/proc/self/stat").split(" "), field = (n: number): number => Number(stat[n - 1]);
  assert.equal([26, 27, 45, 46].map(field), [TEXT, TEXT + 2 * PAGE, TEXT + 8 * PAGE, TEXT + 9 * PAGE]);
  assert.match(box.text("/proc/self/statm"), /^5 2 0 2 0 3 0\n$/);
});

test("signals and scheduling in stat and status; a task folder tells of its thread", () => {
  const box = new ProcBox(), { me } = box, other = new Thread(box.k.allocPid(), me);
  box.k.threads.set(other.tid, other);
  me.actions.of(SIGPIPE).handler = SIG_IGN;
  me.actions.of(SIGTERM).handler = 0x1000;
  for (const [sig, queue] of [[SIGUSR1, me.pending], [40, me.pending], [SIGTERM, other.pending]] as const) queue.post({ sig, code: 0 });
  other.sigmask.add(SIGTERM);
  other.sched.policy = SCHED_RR;
  other.sched.rtPriority = 7;
  other.usedNs = 2e9;
  const stat = (path: string, ...fields: number[]): string[] => fields.map((n) => box.text(path).split(" ")[n - 1]!);
  assert.equal(stat("/proc/self/stat", 1, 14, 18, 20, 31, 32, 33, 34, 40, 41), [String(me.pid), "0", "20", "2", "512", "0", "4096", "16384", "0", "0"]);
  assert.equal(stat(`/proc/self/task/${other.tid}/stat`, 1, 14, 18, 31, 32, 40, 41), [String(other.tid), "200", "-8", "16384", "16384", "7", String(SCHED_RR)]);
  const s = box.fields(`/proc/self/task/${other.tid}/status`);
  assert.equal(["Tgid", "Pid", "SigPnd", "ShdPnd", "SigQ"].map((n) => s.get(n)), [`\t${me.pid}`, `\t${other.tid}`, "\t0000000000004000", "\t0000008000000200", "\t3/1024"]);
  assert.equal(["Cpus_allowed", "Cpus_allowed_list", "voluntary_ctxt_switches"].map((n) => s.get(n)), ["\t1", "\t0", "\t0"]);
});

test("the state is that of the process: running, sleeping, stopped, a zombie without memory", () => {
  const box = new ProcBox(), child = box.child(), state = (): string => box.fields(`/proc/${child.pid}/status`).get("State")!.trim();
  const [r] = box.pipes.create(0), call = box.begin(box.reading(r, 1), child);
  assert.equal([call.sleepsAt, state()], ["piperd", "S (sleeping)"]);
  assert.is(box.text(`/proc/${child.pid}/wchan`), "piperd");
  call.interrupt();
  child.state = PS_STOPPED;
  assert.is(state(), "T (stopped)");
  child.state = PS_ZOMBIE;
  assert.equal([state(), box.fields(`/proc/${child.pid}/status`).has("VmSize"), box.text(`/proc/${child.pid}/maps`)], ["Z (zombie)", false, ""]);
  assert.match(box.text(`/proc/${child.pid}/stat`), /\) Z \d+ /);
  box.k.procs.delete(child.pid);
  box.k.threads.delete(child.pid);
  assert.is(box.run(box.opening(`/proc/${child.pid}/stat`, O_RDONLY)), -ENOENT);
});

test("cmdline and environ are the bytes on the stack; comm has a newline", () => {
  const box = new ProcBox(), { me } = box, args = "prog\0-x\0two words\0", env = "A=1\0B=\0";
  assert.equal([box.text("/proc/self/cmdline"), box.text("/proc/self/environ")], ["", ""]);
  box.mapUser(1);
  box.poke(USER_VA + 0xf00, toBytes(args + env));
  me.argStart = USER_VA + 0xf00;
  me.argEnd = me.envStart = me.argStart + args.length;
  me.envEnd = me.envStart + env.length;
  me.comm = "prog";
  assert.equal([box.text("/proc/self/cmdline"), box.text("/proc/self/environ"), box.text("/proc/self/comm")], [args, env, "prog\n"]);
});

test("fd: a link a descriptor, to its path or to what it is; deleted files say so", () => {
  const box = new ProcBox(), f = box.open("/file", O_RDWR | O_CREAT), [r, w] = box.pipes.create(0), { fds } = box.me;
  const s = box.sockets.socket(box.me.mainThread, 1, 1, 0) as OpenFile, [pr, pw, ps] = [r, w, s].map((x) => fds.alloc(x, 64, false)), fd = fds.files.indexOf(f);
  const to = (n: number): string | number => box.link(`/proc/self/fd/${n}`);
  assert.equal([to(fd), to(pr!), to(ps!)], ["/file", r.ops.describe!(r), "socket:[1]"]);
  assert.is(to(pw!), to(pr!));
  assert.match(String(to(pr!)), /^pipe:\[\d+\]$/);
  assert.equal([to(99), box.link("/proc/self/fd/x")], [-ENOENT, -ENOENT]);
  // The folder itself is open while it is listed.
  assert.equal(box.list("/proc/self/fd"), [".", "..", ...[fd, pr, pw, ps].map(String), String(ps! + 1)]);
  box.unlink("/file");
  assert.is(to(fd), "/file (deleted)");
});

test("exe, cwd and root are links; self and thread-self lead to who asks", () => {
  const box = new ProcBox(), { me } = box, child = box.child();
  assert.is(box.link("/proc/self/exe"), -ENOENT, "no program yet");
  me.exePath = "/bin/prog";
  me.cwdPath = "/tmp";
  assert.equal(["exe", "cwd", "root"].map((n) => box.link(`/proc/self/${n}`)), ["/bin/prog", "/tmp", "/"]);
  assert.equal([box.link("/proc/self"), box.link("/proc/thread-self"), box.link("/proc/mounts")], [String(me.pid), `${me.pid}/task/${me.pid}`, "self/mounts"]);
  assert.is(box.run(box.opening("/proc/self/status", O_RDONLY, child), child), 0);
  assert.match(String(box.run(box.reading(box.fileOf(0, child), 300), child)), new RegExp(`\\nPid:\\t${child.pid}\\n`));
  assert.equal(box.list("/proc").filter((n) => /^\d/.test(n)), [1, me.pid, child.pid].map(String));
  assert.equal(box.list("/proc/self/task"), [".", "..", String(me.pid)]);
});

test("meminfo: names to column 16, eight digits, kB; and it adds up", () => {
  const box = new ProcBox(), text = box.text("/proc/meminfo"), lines = text.trimEnd().split("\n"), { exp } = box.uvm;
  for (const l of lines) assert.match(l, /^[A-Z][A-Za-z_()]+: +\d+ kB$/);
  for (const l of lines) assert.is(l.length, 16 + 8 + 3, l);
  const kb = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB$`, "m").exec(text)![1]);
  assert.equal(["MemTotal", "MemFree", "MemAvailable"].every((n, i) => lines[i]!.startsWith(`${n}:`)), true);
  assert.is(kb("MemTotal"), exp.npages * 4);
  assert.ok(kb("MemFree") <= kb("MemAvailable") && kb("MemAvailable") <= kb("MemTotal"));
});

test("uptime, loadavg, stat and version have their shapes; hundredths are not rounded up", () => {
  const box = new ProcBox();
  box.sched.timeNs = 61_999_000_000;
  assert.is(box.text("/proc/uptime"), "61.99 0.00\n");
  assert.match(box.text("/proc/loadavg"), /^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+\/\d+ \d+\n$/);
  const stat = box.text("/proc/stat");
  assert.match(stat, /^cpu {2}\d+( \d+){9}\ncpu0 \d+( \d+){9}\n/);
  for (const name of ["intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked"]) assert.match(stat, new RegExp(`^${name} \\d+$`, "m"));
  assert.match(stat, /^btime 1740000000$/m);
  assert.match(box.text("/proc/version"), /^Linux version 6\./);
  assert.is(box.text("/proc/cmdline"), "quiet\n");
});

test("limits: four columns, and nothing is not a number", () => {
  const box = new ProcBox(), { limits } = box.me;
  limits.soft[7] = 256;
  limits.hard[7] = 4096;
  const lines = box.text("/proc/self/limits").split("\n");
  assert.is(lines[0], "Limit                     Soft Limit           Hard Limit           Units     ");
  assert.is(lines[8], "Max open files            256                  4096                 files     ");
  assert.equal([lines.length, lines[1]], [18, "Max cpu time              unlimited            unlimited            seconds   "]);
});

test("mounts and mountinfo name each file system in fstab's form, spaces escaped", () => {
  const box = new ProcBox(), { vfs } = box.k;
  box.mknod("/a b", VDIR, 0o755);
  box.run((function* () {
    const r = yield* namei(vfs, vfs.rootVnode, "/a b", { follow: false, root: vfs.rootVnode, cred: { mayAccess: () => true } });
    if (typeof r === "number") throw new Error("no folder");
    yield* vfs.mountOn(new TmpMount(vfs, "none", 0), r.vnode!, "/a b");
    yield* r.done();
  })());
  assert.equal(box.text("/proc/mounts").split("\n"), ["tmpfs / tmpfs rw,relatime 0 0", "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0", "none /a\\040b tmpfs rw,relatime 0 0", ""]);
  const info = box.text("/proc/self/mountinfo").trimEnd().split("\n");
  for (const l of info) assert.match(l, /^\d+ \d+ \d+:\d+ \/ \S+ rw\S* - \S+ \S+ rw$/);
  assert.match(info[2]!, / \/ \/a\\040b rw,relatime - tmpfs none rw$/);
});

test("a reader sees one moment, in pieces; seeking back to the start shows the next", () => {
  const box = new ProcBox(), f = box.open("/proc/uptime", O_RDONLY);
  box.sched.timeNs = 5e9;
  assert.is(box.read(f, 3), "5.0");
  box.sched.timeNs = 9e9;
  assert.is(box.read(f), "0 0.00\n");
  assert.equal([box.read(f), box.run(f.ops.seek!(f, 0, 0)), box.read(f)], ["", 0, "9.00 0.00\n"]);
  assert.is(box.poll(f, POLLIN), POLLIN);
});

test("what can be set is set, what cannot is refused", () => {
  const box = new ProcBox(), f = box.open("/proc/sys/kernel/hostname", O_RDWR);
  assert.is(box.write(f, "elsewhere\n"), 10);
  assert.equal([box.k.hostname, box.text("/proc/sys/kernel/hostname")], ["elsewhere", "elsewhere\n"]);
  box.me.cred = new Cred(1000);
  assert.is(box.run(box.opening("/proc/uptime", O_WRONLY)), -EACCES);
  assert.is(box.run(box.opening("/proc/1/environ", O_RDONLY)), -EACCES, "another user's");
  box.me.cred = new Cred(0);
});

test.run();
