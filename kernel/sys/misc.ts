// The remaining system calls: names of the system, random numbers, futexes, logs, power.
import { EFAULT, EINVAL, ENODEV, ENOENT, ENOSYS, EPERM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { toBytes } from "../uvm/uio.ts";
import { CAP_SYS_BOOT } from "../kern/caps.ts";
import { futexRequeue, futexWait, futexWakeAt, futexWakeOp } from "../kern/futex.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { RESTART_SA } from "../kern/trap.ts";
import { NS, sysinfoBytes, timespecAt, utsnameBytes } from "./abi.ts";
import { argUOf, fast, getBytes, getView, intOf, put64, putBytes, putInt, type Row, slow, u64At } from "./args.ts";

export const RELEASE = "6.12.0-loanword", VERSION = "#1 Loanword", MACHINE = "riscv64";

function* uname(k: Kern, t: Thread): KGen<number> {
  return yield* putBytes(k, t, argUOf(t, 0), utsnameBytes(["Linux", k.hostname, RELEASE, VERSION, MACHINE, k.domainname]));
}

function* sethostname(k: Kern, t: Thread): KGen<number> {
  const len = argUOf(t, 1);
  if (!t.proc.cred.isRoot) return -EPERM;
  if (len > 64) return -EINVAL;
  const b = yield* getBytes(k, t, argUOf(t, 0), len);
  if (typeof b === "number") return b;
  k.hostname = String.fromCharCode(...b);
  return 0;
}

function* sysinfo(k: Kern, t: Thread): KGen<number> {
  const { exp } = k.uvm;
  return yield* putBytes(k, t, argUOf(t, 0), sysinfoBytes({ uptimeSec: Math.floor(k.now() / NS), totalRam: exp.npages * 4096, freeRam: exp.free * 4096, procs: k.procs.size }));
}

function* getrandom(k: Kern, t: Thread): KGen<number> {
  const len = Math.min(argUOf(t, 1), 33554431), flags = intOf(t, 2);
  if ((flags & ~7) !== 0 || (flags & 6) === 6) return -EINVAL;
  const chunk = new Uint8Array(Math.min(len, 4096));
  for (let done = 0; done < len; done += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, len - done));
    k.random.fill(part);
    const err = yield* putBytes(k, t, argUOf(t, 0) + done, part);
    if (err < 0) return done > 0 ? done : -EFAULT;
  }
  return len;
}

const FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_REQUEUE = 3, FUTEX_CMP_REQUEUE = 4, FUTEX_WAKE_OP = 5, FUTEX_WAIT_BITSET = 9, FUTEX_WAKE_BITSET = 10;
const FUTEX_CLOCK_REALTIME = 256;

/** ns from now at which a wait ends. => -EFAULT, -EINVAL */
function* futexTimeout(k: Kern, t: Thread, isAbsolute: boolean, isReal: boolean): KGen<number> {
  const va = argUOf(t, 3);
  if (va === 0) return Infinity;
  const d = yield* getView(k, t, va, 16);
  if (typeof d === "number") return d;
  const ns = timespecAt(d, 0);
  if (ns < 0) return ns;
  if (!Number.isNaN(t.restartDeadline)) return Math.max(0, t.restartDeadline - k.now());
  return isAbsolute ? Math.max(0, ns - (isReal ? k.ctx.wall.offsetNs : 0) - k.now()) : ns;
}

function* futex(k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), op = intOf(t, 1), val = intOf(t, 2), cmd = op & 127, p = t.proc;
  if (va % 4 !== 0) return -EINVAL;
  if (va >= p.vmspace.map.max) return -EFAULT;
  switch (cmd) {
    case FUTEX_WAIT: case FUTEX_WAIT_BITSET: {
      const bits = cmd === FUTEX_WAIT ? -1 : intOf(t, 5), timeoutNs = yield* futexTimeout(k, t, cmd === FUTEX_WAIT_BITSET, (op & FUTEX_CLOCK_REALTIME) !== 0);
      if (bits === 0 || timeoutNs === -EINVAL) return -EINVAL;
      return timeoutNs === -EFAULT ? -EFAULT : yield* futexWait(k, t, va, val, timeoutNs, bits);
    }
    case FUTEX_WAKE: return futexWakeAt(k, p, va, val);
    case FUTEX_WAKE_BITSET: return intOf(t, 5) === 0 ? -EINVAL : futexWakeAt(k, p, va, val, intOf(t, 5));
    case FUTEX_CMP_REQUEUE: {
      const d = yield* getView(k, t, va, 4);
      if (typeof d === "number") return d;
      if (d.getInt32(0, true) !== intOf(t, 5)) return -11;
      return futexRequeue(k, p, va, val, argUOf(t, 4), intOf(t, 3));
    }
    case FUTEX_REQUEUE: return futexRequeue(k, p, va, val, argUOf(t, 4), intOf(t, 3));
    case FUTEX_WAKE_OP: return argUOf(t, 4) % 4 !== 0 ? -EINVAL : yield* futexWakeOp(k, p, va, val, { to: argUOf(t, 4), max: intOf(t, 3), code: intOf(t, 5) });
    default: return -ENOSYS;
  }
}

const RISCV_HWPROBE_MAX_KEY = 4;

/** Pairs of key and value. We tell what is there: base behaviour IMA, extensions FD and C, fast misaligned accesses unknown. */
function* hwprobe(k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), count = argUOf(t, 1);
  if (intOf(t, 4) !== 0 || count > 1024) return -EINVAL;
  for (let i = 0; i < count; i++) {
    const d = yield* getView(k, t, va + 16 * i, 16);
    if (typeof d === "number") return d;
    const key = u64At(d, 0), values = [0, 0, 0, 1, 0x1b];
    if (key > RISCV_HWPROBE_MAX_KEY) put64(d, 0, -1);
    put64(d, 8, values[key] ?? 0);
    const err = yield* putBytes(k, t, va + 16 * i, new Uint8Array(d.buffer));
    if (err < 0) return err;
  }
  return 0;
}

const SYSLOG_READ_ALL = 3, SYSLOG_SIZE_BUFFER = 10;

function* syslog(k: Kern, t: Thread): KGen<number> {
  const type = intOf(t, 0), len = intOf(t, 2), text = toBytes(k.log.map((l) => `<6>${l}\n`).join(""));
  if (type === SYSLOG_SIZE_BUFFER) return 16384;
  if (type !== SYSLOG_READ_ALL && type !== 4) return type >= 0 && type <= 10 ? 0 : -EINVAL;
  if (len < 0) return -EINVAL;
  const tail = text.subarray(Math.max(0, text.length - len)), err = yield* putBytes(k, t, argUOf(t, 1), tail);
  return err < 0 ? err : tail.length;
}

const REBOOT_MAGIC = 0xfee1dead | 0, CMD_RESTART = 0x01234567, CMD_HALT = 0xcdef0123 | 0, CMD_POWER_OFF = 0x4321fedc, CMD_CAD_ON = 0x89abcdef | 0, CMD_CAD_OFF = 0;

function* reboot(k: Kern, t: Thread): KGen<number> {
  if (!t.proc.cred.can(CAP_SYS_BOOT)) return -EPERM;
  if (intOf(t, 0) !== REBOOT_MAGIC) return -EINVAL;
  const cmd = intOf(t, 2);
  if (cmd === CMD_CAD_ON || cmd === CMD_CAD_OFF) return 0;
  if (cmd !== CMD_RESTART && cmd !== CMD_HALT && cmd !== CMD_POWER_OFF) return -EINVAL;
  yield* k.vfs.syncAll();
  k.haltStatus = 0;
  return 0;
}

function* getcpu(k: Kern, t: Thread): KGen<number> {
  for (const i of [0, 1]) {
    if (argUOf(t, i) === 0) continue;
    const err = yield* putInt(k, t, argUOf(t, i), 0);
    if (err < 0) return err;
  }
  return 0;
}

export const MISC_CALLS: readonly Row[] = [
  slow(160, "uname", "x", uname), slow(161, "sethostname", "xu", sethostname), slow(179, "sysinfo", "x", sysinfo), slow(278, "getrandom", "xux", getrandom),
  slow(98, "futex", "xddxxx", futex, RESTART_SA), slow(258, "riscv_hwprobe", "xuuxx", hwprobe), fast(259, "riscv_flush_icache", "xxx", () => 0),
  slow(116, "syslog", "dxd", syslog), slow(142, "reboot", "xxxx", reboot), slow(168, "getcpu", "xxx", getcpu),
  fast(97, "unshare", "x", (_k, t) => (intOf(t, 0) === 0 ? 0 : -EPERM)),
  fast(224, "swapon", "xx", (_k, t) => (t.proc.cred.isRoot ? -ENODEV : -EPERM)), fast(225, "swapoff", "x", (_k, t) => (t.proc.cred.isRoot ? -ENOENT : -EPERM)),
];
