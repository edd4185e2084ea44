// procfs: what the kernel knows about processes and itself, as files. Contents are produced when they are read.
//
//   /proc ── self ► N    thread-self    meminfo, mounts, uptime, …    sys/kernel/…    N/ ── stat, status, maps, fd/ …
//
// Inode numbers: 1 … 999 fixed files; pid * 65536 + n below a process.
import { EACCES, ENOENT, ESRCH } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyin, latin1 } from "../uvm/uio.ts";
import { type Contents, SynthDir, type SynthEntry, SynthFile, SynthLink, SynthMount, type SynthNode, SynthTree } from "../vfs/synthfs.ts";
import { atimeOptions } from "../vfs/filetimes.ts";
import type { Mount } from "../vfs/mount.ts";
import { MNT_NODEV, MNT_NOEXEC, MNT_NOSUID, MNT_SYNCHRONOUS } from "../vfs/mount.ts";
import type { Vfs } from "../vfs/vfs.ts";
import { VDIR, VLNK } from "../vfs/vnode.ts";
import { type Kern, PID_MAX } from "./kern.ts";
import { type Process, PS_ZOMBIE, Thread } from "./proc.ts";
import { locksText } from "./proclocks.ts";
import { mapsText, smapsText } from "./procmaps.ts";
import { limitsText, procStat, procStatm, procStatus, ticks } from "./procstat.ts";

const PROC_MAGIC = 0x9fa0, KB = 4;

/** Hundredths of a second, cut off as Linux does. */
const seconds = (ns: number): string => (ticks(ns) / 100).toFixed(2);

export function procMount(k: Kern, vfs: Vfs, source: string, flags: number): Mount {
  return new SynthMount(vfs, "proc", source, flags | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, PROC_MAGIC, new ProcRoot(k));
}

/** The process that looks: /proc/self. */
function caller(k: Kern): Process | null {
  const { cur } = k.ctx;
  return cur instanceof Thread ? cur.proc : null;
}

class ProcRoot extends SynthDir {
  private readonly k: Kern;
  private readonly fixed = new SynthTree(1);
  private nextIno = 2;

  constructor(k: Kern) {
    super(1);
    this.k = k;
    this.addFixed();
  }

  private file(dir: SynthTree, name: string, produce: () => Contents, store: ((bytes: Uint8Array) => number) | null = null): void {
    dir.add(name, new SynthFile(this.nextIno++, store ? 0o644 : 0o444, produce, store));
  }

  private addFixed(): void {
    const { k, fixed } = this;
    fixed.add("self", new SynthLink(this.nextIno++, () => (caller(k) ? String(caller(k)!.pid) : -ENOENT)));
    fixed.add("thread-self", new SynthLink(this.nextIno++, () => (caller(k) ? `${caller(k)!.pid}/task/${(k.ctx.cur as Thread).tid}` : -ENOENT)));
    fixed.add("mounts", new SynthLink(this.nextIno++, () => "self/mounts"));
    this.file(fixed, "meminfo", () => meminfo(k));
    this.file(fixed, "uptime", () => `${seconds(k.now())} ${seconds(k.hal.machine.clock.idleNs)}\n`);
    this.file(fixed, "loadavg", () => `0.00 0.00 0.00 ${k.sched.queueLength + 1}/${k.threads.size} ${Math.max(0, ...k.threads.keys())}\n`);
    this.file(fixed, "stat", () => systemStat(k));
    this.file(fixed, "cpuinfo", () => "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc_zicsr_zifencei\nmmu\t\t: sv39\nuarch\t\t: loanword\n\n");
    this.file(fixed, "filesystems", () => [...k.vfs.types.keys()].map((t) => `${t === "ext2" ? "" : "nodev"}\t${t}\n`).join(""));
    this.file(fixed, "version", () => "Linux version 6.12.0-loanword (loanword) #1\n");
    this.file(fixed, "cmdline", () => `${k.hal.machine.config.bootargs ?? ""}\n`);
    this.file(fixed, "devices", () => "Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n\nBlock devices:\n254 virtblk\n");
    this.file(fixed, "swaps", () => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    this.file(fixed, "uvmexp", () => Object.entries(k.uvm.exp).map(([name, v]) => `${name} ${v}\n`).join(""));
    this.file(fixed, "vmstat", () => vmstat(k));
    this.file(fixed, "locks", () => locksText(k.locks));
    this.addSys(fixed.add("sys", new SynthTree(this.nextIno++)));
  }

  private addSys(sys: SynthTree): void {
    const { k } = this, kernel = sys.add("kernel", new SynthTree(this.nextIno++)), vm = sys.add("vm", new SynthTree(this.nextIno++));
    const fs = sys.add("fs", new SynthTree(this.nextIno++));
    this.file(kernel, "pid_max", () => `${PID_MAX}\n`);
    this.file(kernel, "ngroups_max", () => "65536\n");
    this.file(kernel, "hostname", () => `${k.hostname}\n`, (b) => {
      k.hostname = latin1(b).replace(/\n.*$/s, "").slice(0, 64);
      return b.length;
    });
    this.file(kernel, "domainname", () => `${k.domainname}\n`);
    this.file(kernel, "osrelease", () => "6.12.0-loanword\n");
    this.file(kernel, "ostype", () => "Linux\n");
    this.file(kernel, "version", () => "#1 Loanword\n");
    this.file(kernel, "threads-max", () => `${k.maxThreads}\n`);
    this.file(kernel, "cap_last_cap", () => "40\n");
    this.file(kernel, "randomize_va_space", () => "0\n");
    const random = kernel.add("random", new SynthTree(this.nextIno++));
    this.file(random, "boot_id", () => "00000000-0000-4000-8000-000000000000\n");
    this.file(vm, "overcommit_memory", () => "0\n");
    this.file(vm, "max_map_count", () => "65530\n");
    this.file(fs, "file-max", () => "65536\n");
    this.file(fs, "pipe-max-size", () => "1048576\n");
    this.file(fs, "nr_open", () => "65536\n");
  }

  find(name: string): SynthNode | number {
    const known = this.fixed.find(name);
    if (typeof known !== "number") return known;
    const pid = /^[1-9]\d{0,8}$/.test(name) ? Number(name) : 0, p = this.k.procs.get(pid) ?? this.k.threads.get(pid)?.proc;
    return p ? new ProcDir(this.k, p) : -ENOENT;
  }

  *list(): Iterable<SynthEntry> {
    let cookie = 3;
    for (const e of this.fixed.list()) yield { ...e, cookie: cookie++ };
    for (const pid of [...this.k.procs.keys()].sort((a, b) => a - b)) yield { name: String(pid), ino: pid * 65536, type: VDIR, cookie: 1000 + pid };
  }
}

// ---- one process ---------------------------------------------------------------------------------------------------

type ProcFile = readonly [name: string, mode: number, produce: (k: Kern, p: Process, only: Thread | null) => Contents | KGen<Contents>];

const FILES: readonly ProcFile[] = [
  ["stat", 0o444, procStat], ["status", 0o444, procStatus], ["statm", 0o444, procStatm], ["maps", 0o444, (k, p) => (p.isZombie ? "" : mapsText(k, p))],
  ["smaps", 0o444, (k, p) => (p.isZombie ? "" : smapsText(k, p))], ["cmdline", 0o444, (k, p) => userText(k, p, p.argStart, p.argEnd)],
  ["environ", 0o400, (k, p) => userText(k, p, p.envStart, p.envEnd)], ["comm", 0o444, (_k, p) => `${p.comm}\n`], ["limits", 0o444, (_k, p) => limitsText(p)],
  ["mounts", 0o444, (k) => mountsText(k)], ["mountinfo", 0o444, (k) => mountinfoText(k)], ["wchan", 0o444, (_k, p) => p.threads[0]?.sleep?.tag ?? "0"],
  ["oom_score_adj", 0o644, () => "0\n"], ["oom_score", 0o444, () => "0\n"], ["io", 0o400, () => "rchar: 0\nwchar: 0\n"], ["cgroup", 0o444, () => "0::/\n"],
  ["loginuid", 0o644, () => "4294967295"], ["sched", 0o444, (_k, p) => `${p.comm} (${p.pid}, #threads: ${p.threads.length})\n`],
];
const LINKS = ["exe", "cwd", "root"] as const;
const INO_FD = 100, INO_TASK = 101, INO_LINK = 102, INO_FDS = 1000;

class ProcDir extends SynthDir {
  private readonly k: Kern;
  private readonly p: Process;
  /** In a task folder. */
  private readonly only: Thread | null;
  constructor(k: Kern, p: Process, ino = p.pid * 65536, only: Thread | null = null) {
    super(ino);
    this.k = k;
    this.p = p;
    this.only = only;
    this.token = p;
    this.owner = () => ({ uid: p.cred.euid, gid: p.cred.egid });
  }

  find(name: string): SynthNode | number {
    const { k, p, ino } = this;
    if (p.state > PS_ZOMBIE) return -ESRCH;
    const at = FILES.findIndex(([n]) => n === name), file = FILES[at];
    if (file) return this.owned(new SynthFile(ino + 1 + at, file[1], () => file[2](k, p, this.only), file[0].startsWith("oom") ? (b) => b.length : null));
    if (name === "fd") return this.owned(new FdDir(p, ino + INO_FD));
    if (name === "task") return this.owned(new TaskDir(k, p, ino + INO_TASK));
    const link = LINKS.indexOf(name as "exe");
    return link < 0 ? -ENOENT : this.owned(new SynthLink(ino + INO_LINK + link, () => linkTarget(k, p, LINKS[link]!)));
  }

  private owned<T extends SynthNode>(n: T): T {
    n.token = this.p;
    n.owner = this.owner;
    n.parent = this;
    return n;
  }

  *list(): Iterable<SynthEntry> {
    for (const name of [...FILES.map(([n]) => n), "fd", "task", ...LINKS]) {
      const n = this.find(name);
      if (typeof n !== "number") yield { name, ino: n.ino, type: n.type };
    }
  }
}

/** /proc/N/fd: a link for each descriptor. */
class FdDir extends SynthDir {
  private readonly p: Process;
  constructor(p: Process, ino: number) {
    super(ino, 0o500);
    this.p = p;
  }

  find(name: string): SynthNode | number {
    const fd = /^\d+$/.test(name) ? Number(name) : -1, f = this.p.fds.get(fd);
    if (!f) return -ENOENT;
    const n = new SynthLink(this.p.pid * 65536 + INO_FDS + fd, () => fdTarget(this.p, fd));
    n.token = f;
    return n;
  }

  *list(): Iterable<SynthEntry> {
    for (const fd of this.p.fds.list()) yield { name: String(fd), ino: this.p.pid * 65536 + INO_FDS + fd, type: VLNK, cookie: 3 + fd };
  }
}

/** /proc/N/task: threads. */
class TaskDir extends SynthDir {
  private readonly k: Kern;
  private readonly p: Process;
  constructor(k: Kern, p: Process, ino: number) {
    super(ino);
    this.k = k;
    this.p = p;
  }

  find(name: string): SynthNode | number {
    const t = this.p.threads.find((x) => String(x.tid) === name);
    return t ? new ProcDir(this.k, this.p, this.p.pid * 65536 + 30000 + (t.tid % 30000), t) : -ENOENT;
  }

  *list(): Iterable<SynthEntry> {
    for (const t of this.p.threads) yield { name: String(t.tid), ino: this.p.pid * 65536 + 30000 + (t.tid % 30000), type: VDIR, cookie: 3 + t.tid };
  }
}

function fdTarget(p: Process, fd: number): string | number {
  const f = p.fds.get(fd);
  if (!f) return -ENOENT;
  if (f.ops.describe) return f.ops.describe(f);
  if (f.path !== "") return f.vnode?.getattr().nlink === 0 ? `${f.path} (deleted)` : f.path;
  return (f.vnode ? `${f.vnode.mount.fsType}:[${f.vnode.ino}]` : `${f.ops.kind}:[${fd}]`);
}

function linkTarget(_k: Kern, p: Process, which: (typeof LINKS)[number]): string | number {
  if (p.isZombie) return -ENOENT;
  if (which === "exe") return p.exePath === "" ? -ENOENT : p.exePath;
  return which === "root" ? "/" : p.cwdPath;
}

// ---- contents ------------------------------------------------------------------------------------------------------

function* userText(k: Kern, p: Process, from: number, to: number): KGen<Contents> {
  if (p.isZombie || to <= from) return "";
  const bytes = new Uint8Array(Math.min(to - from, 65536));
  return (yield* copyin(k.uvm, p.vmspace.map, from, bytes)) < 0 ? -EACCES : bytes;
}

const FLAG_NAMES: readonly (readonly [flag: number, name: string])[] = [[MNT_SYNCHRONOUS, "sync"], [MNT_NOSUID, "nosuid"], [MNT_NODEV, "nodev"], [MNT_NOEXEC, "noexec"]];
const mountFlags = (m: Mount): string =>
  [m.isReadOnly ? "ro" : "rw", ...FLAG_NAMES.filter(([flag]) => (m.flags & flag) !== 0).map(([, name]) => name), ...atimeOptions(m.flags)].join(",");

/** As in fstab: what separates fields is written in octal. */
const inField = (s: string): string => s.replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);

function mountsText(k: Kern): string {
  return k.vfs.mounts.map((m) => `${inField(m.source)} ${inField(m.path)} ${m.fsType} ${[mountFlags(m), ...m.options()].join(",")} 0 0\n`).join("");
}

function mountinfoText(k: Kern): string {
  const own = (m: Mount): string => [m.isReadOnly ? "ro" : "rw", ...m.options()].join(",");
  const line = (m: Mount): string => `0:${m.dev} / ${inField(m.path)} ${mountFlags(m)} - ${m.fsType} ${inField(m.source)} ${own(m)}\n`;
  const id = (m: Mount | undefined): number => (m ? 19 + m.dev : 1);
  return k.vfs.mounts.map((m) => `${id(m)} ${id(m.covered?.mount)} ${line(m)}`).join("");
}

function meminfo(k: Kern): string {
  const { exp } = k.uvm, row = (name: string, pages: number): string => `${`${name}:`.padEnd(16)}${String(pages * KB).padStart(8)} kB\n`;
  return row("MemTotal", exp.npages) + row("MemFree", exp.free) + row("MemAvailable", exp.free + exp.filepages) + row("Buffers", 0) + row("Cached", exp.filepages) +
    row("SwapCached", 0) + row("Active", exp.active) + row("Inactive", exp.inactive) + row("Unevictable", exp.wired) + row("Mlocked", exp.wired) + row("SwapTotal", 0) +
    row("SwapFree", 0) + row("Dirty", 0) + row("Writeback", 0) + row("AnonPages", exp.anonpages) + row("Mapped", exp.execpages) + row("Shmem", 0) + row("KReclaimable", 0) +
    row("Slab", 0) + row("SReclaimable", 0) + row("SUnreclaim", 0) + row("PageTables", 0) + row("CommitLimit", exp.npages) + row("Committed_AS", exp.anonpages);
}

function systemStat(k: Kern): string {
  k.sched.charge();
  const { clock } = k.hal.machine, { totalNs } = k.sched.system, cpu = `${ticks(clock.busyNs - totalNs)} 0 ${ticks(totalNs)} ${ticks(clock.idleNs)} 0 0 0 0 0 0`;
  const counts = `intr ${k.hal.interrupts}\nctxt ${k.contextSwitches}\nbtime ${k.ctx.wall.epochSec}\nprocesses ${k.forks + 1}\n`;
  return `cpu  ${cpu}\ncpu0 ${cpu}\n${counts}procs_running ${k.sched.queueLength + 1}\nprocs_blocked 0\n`;
}

function vmstat(k: Kern): string {
  const { exp } = k.uvm;
  return `nr_free_pages ${exp.free}\nnr_active_anon ${exp.anonpages}\nnr_file_pages ${exp.filepages}\npgfault ${exp.faults}\npgmajfault ${exp.fltget}\npgpgin 0\npgpgout 0\n`;
}
