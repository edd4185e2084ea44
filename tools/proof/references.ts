// What the proof compares with: the same program under qemu-riscv64 (Linux is the host's), or under Debian's own kernel in
// qemu-system-riscv64.
//
// qemu-riscv64 runs one program; what that starts by execve the host's kernel starts, so that it has to know riscv64 programs.
//
//   private   a user and mount namespace with a binfmt_misc of its own (Linux 6.7): nothing changes outside of it
//   shims     else the folder of applets holds scripts, which any kernel knows, that start QEMU again. What busybox starts by
//             /proc/self/exe (find -exec, xargs of some applets, timeout) still fails there, and is reported as not compared
//
// The one thing of the host's that takes part is /bin/sh, where awk starts a command.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CpioEntry, packCpio, S_IFREG } from "../cpio.ts";
import { debianKernel } from "../debian.ts";

const S_IFCHR = 0o020000;
const USER = "qemu-riscv64", SYSTEM = "qemu-system-riscv64", LIMIT_MS = 600_000;

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** => why a command cannot be run, or null */
function missing(command: string): string | null {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0 ? null : `${command} is not installed`;
}

/** A line for binfmt_misc: the first 20 bytes of an ELF file for riscv64; P keeps argv[0], F opens QEMU now. */
const BINFMT = String.raw`:loanword:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:`;

/** What a reference printed, or why there is none. */
export type Reference = { readonly text: string } | { readonly reason: string };

/** Writes scripts named like the applets, and one for busybox itself. */
function writeShims(applets: string, qemu: string, busybox: string): void {
  rmSync(applets, { recursive: true, force: true });
  mkdirSync(applets);
  const names = spawnSync(qemu, [busybox, "--list"], { encoding: "utf8" }).stdout.split("\n").filter(Boolean);
  for (const name of [...names, "busybox"]) writeFileSync(join(applets, name), `#!/bin/sh\nexec ${qemu} ${quote(busybox)} ${name === "busybox" ? "" : name} "$@"\n`, { mode: 0o755 });
}

/**
 * Runs script.sh of a folder (see busybox.main.ts) under qemu-riscv64.
 *
 * => what it printed, or why it could not run. Where namespaces are to be had, the working folder is a tmpfs and the user is
 *    root, as in a guest
 */
export function underQemuUser(folder: string): Reference {
  const reason = missing(USER);
  if (reason !== null) return { reason };
  const qemu = spawnSync("/bin/sh", ["-c", `command -v ${USER}`], { encoding: "utf8" }).stdout.trim(), busybox = join(folder, "busybox");
  const applets = join(folder, "applets"), work = join(folder, "work"), formats = join(folder, "binfmt");
  for (const d of [work, formats]) mkdirSync(d, { recursive: true });
  const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: "/", TZ: "UTC" }, options = { encoding: "latin1", maxBuffer: 1 << 26, env, timeout: LIMIT_MS } as const;
  const inNamespace = (command: string) => spawnSync("unshare", ["-r", "-m", "/bin/sh", "-c", command], options);
  const mounted = `mount -t tmpfs tmpfs ${quote(work)} && mount -t binfmt_misc none ${quote(formats)} && printf %s ${quote(`${BINFMT}${qemu}:PF`)} > ${quote(join(formats, "register"))}`;
  const args = (program: string): string => ["sh", join(folder, "script.sh"), program, folder, work].map(quote).join(" ");
  if (inNamespace(`${mounted} && ${quote(busybox)} true`).status === 0) {
    const r = inNamespace(`${mounted} && exec ${quote(busybox)} ${args(busybox)}`);
    return { text: r.stdout + r.stderr };
  }
  writeShims(applets, qemu, busybox);
  const path = `PATH=${quote(applets)}; PROOF_PATH=1; export PATH PROOF_PATH`, own = inNamespace("true").status === 0 ? `mount -t tmpfs tmpfs ${quote(work)} && ` : "";
  const command = `${own}{ ${path}; exec busybox ${args(join(applets, "busybox"))}; }`, r = own === "" ? spawnSync("/bin/sh", ["-c", command], options) : inNamespace(command);
  return { text: r.stdout + r.stderr };
}

/** Whether a reference's output is of a QEMU that could not start what busybox starts. */
export const couldNotStart = (text: string): boolean => text.includes("/proc/self/exe:");

/** Runs script.sh of a folder under Debian's kernel. => what it printed, or why it could not run */
export function underQemuSystem(folder: string, root: string, suite: string): Reference {
  const reason = missing(SYSTEM), kernel = reason === null ? debianKernel(root, suite) : { reason };
  if ("reason" in kernel) return kernel;
  const file = (name: string, mode = 0o755): CpioEntry => ({ path: `proof/${name}`, mode: S_IFREG | mode, data: readFileSync(join(folder, name)) });
  const init = "/proof/busybox mkdir -p /proc /tmp /dev /bin\n/proof/busybox ln -s /proof/busybox /bin/sh\n/proof/busybox mount -t proc proc /proc\n/proof/busybox mount -t tmpfs tmpfs /tmp\n" +
    "/proof/busybox sh /proof/script.sh /proof/busybox /proof /tmp | /proof/busybox cat\n/proof/busybox poweroff -f\n";
  writeFileSync(join(folder, "init.sh"), init);
  const initrd = join(folder, "initrd.cpio");
  const console: CpioEntry = { path: "dev/console", mode: S_IFCHR | 0o600, data: new Uint8Array(0), rdev: [5, 1] };
  const etc = ["passwd", "group"].map((name): CpioEntry => ({ path: `etc/${name}`, mode: S_IFREG | 0o644, data: readFileSync(join(root, "guest/etc", name)) }));
  writeFileSync(initrd, packCpio([...etc, file("busybox"), file("tree.tar", 0o644), file("script.sh"), file("init.sh"), console]));
  const args = ["-M", "virt", "-m", "512M", "-nographic", "-no-reboot", "-kernel", kernel.path, "-initrd", initrd, "-append",
    "console=ttyS0 quiet loglevel=0 rdinit=/proof/busybox -- sh /proof/init.sh"];
  return { text: (spawnSync(SYSTEM, args, { encoding: "latin1", maxBuffer: 1 << 26, timeout: LIMIT_MS }).stdout ?? "").replaceAll("\r\n", "\n") };
}
