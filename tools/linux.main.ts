// npm run proof:linux: Debian's unmodified riscv64 kernel, started by OpenSBI, on our bare machine and on QEMU's, with its own
// drivers for our disk. The same /init (guest/proof) does the same work, and must print the same; the disks must be sound and hold
// the same files afterwards. Under the virtual clock both engines, and a TLB that forgets nothing unless told to, must be the same to
// the instruction, and leave the same bytes on the disk.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CpioEntry, packCpio, S_IFREG } from "./cpio.ts";
import { debianKernel } from "./debian.ts";
import { parseToolArgs } from "./host/toolargs.ts";
import { loadOrder, ModuleFolder } from "./proof/kmodules.ts";
import { makeDisk, walkImage } from "./proof/linuxdisk.ts";
import { type Boot, type Booted, BOOTS, differences, QEMU, run } from "./proof/linuxrun.ts";

const USAGE = `usage: npm run proof:linux -- [options]
  --suite S        Debian's suite (default trixie)
  --only TEXT      only boots whose name contains TEXT, and those that they are compared with: ${BOOTS.map((b) => b.name).join(", ")}
`;

/** What the board's disk and random source, and the file system, want of drivers. */
const DRIVERS = ["virtio_mmio", "virtio_blk", "virtio_rng", "ext4"];
const FOLDER = "build/prooflinux", S_IFCHR = 0o020000;

/** /init, the modules and the order in which they are loaded. */
function writeInitrd(path: string, modules: string): void {
  const source = new ModuleFolder(modules), order = loadOrder(source, DRIVERS);
  const file = (name: string, data: Uint8Array, mode = 0o644): CpioEntry => ({ path: name, mode: S_IFREG | mode, data });
  const console: CpioEntry = { path: "dev/console", mode: S_IFCHR | 0o600, data: new Uint8Array(0), rdev: [5, 1] };
  writeFileSync(path, packCpio([
    console, file("init", readFileSync("build/guest/proof/linux"), 0o755), file("modules.txt", new TextEncoder().encode(`${order.join("\n")}\n`)),
    ...order.map((name) => file(`modules/${name}`, source.bytes(name))),
  ]));
}

const isQemus = (theirs: Boot, ours: Boot): boolean => theirs.engine === "" && theirs.virtio === ours.virtio;
const isReference = (b: Boot, ours: Boot): boolean => isQemus(b, ours) || b.name === ours.twin;

/** Compares one of our boots with QEMU's of the same transport. => what differs */
function againstQemu(ours: Booted, all: readonly Booted[]): string[] {
  const theirs = all.find((b) => isQemus(b.boot, ours.boot));
  if (theirs === undefined || theirs.lines === null || ours.lines === null) return [];
  const printed = differences(theirs.lines, ours.lines, theirs.boot.name, ours.boot.name);
  if (printed.length > 0) return printed.map((d) => `prints differently from ${theirs.boot.name}: ${d}`);
  // Nothing can be read of a disk that is not sound.
  if (theirs.problems.length > 0 || ours.problems.length > 0) return [];
  return differences(walkImage(theirs.image), walkImage(ours.image), theirs.boot.name, ours.boot.name).map((d) => `leaves other files than ${theirs.boot.name}: ${d}`);
}

/** Compares a boot with the one that it must be the same as to the instruction. => what differs */
function againstTwin(ours: Booted, all: readonly Booted[]): string[] {
  const twin = all.find((b) => b.boot.name === ours.boot.twin), found: string[] = [];
  if (twin === undefined || twin.lines === null || ours.lines === null) return [];
  const printed = differences(twin.console.split("\n"), ours.console.split("\n"), twin.boot.name, ours.boot.name);
  if (printed.length > 0) found.push(`the console is not that of ${twin.boot.name}: ${printed[0]}`);
  if (twin.instructions !== ours.instructions) found.push(`retired ${ours.instructions} instructions, ${twin.boot.name} ${twin.instructions}`);
  if (Buffer.compare(twin.image, ours.image) !== 0) found.push(`leaves other bytes on the disk than ${twin.boot.name}`);
  return found;
}

const note = (b: Booted, what: string): string => new RegExp(`^interrupts of the ${what}: yes\n# (\\d+)`, "m").exec(b.console)?.[1] ?? "-";

function table(all: readonly Booted[], problems: ReadonlyMap<Booted, readonly string[]>): string {
  const rows = [["boot", "seconds", "instructions", "disk irqs", "lines", "result"], ...all.map((b) => [
    b.boot.name, (b.wallMs / 1000).toFixed(1), b.instructions === null ? "-" : String(b.instructions), note(b, "disk"), String(b.lines?.length ?? "-"),
    problems.get(b)!.length > 0 ? `${problems.get(b)!.length} problems` : b.boot.engine !== "" && all.some((q) => isQemus(q.boot, b.boot)) ? "same" : "sound",
  ])];
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => r[i]!.length)));
  return rows.map((r) => r.map((cell, i) => (i === 0 || i === 5 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ").trimEnd()).join("\n");
}

/** => why something is missing that the proof cannot do without */
function prepare(suite: string): { kernel: string; initrd: string; disk: Uint8Array } | { reason: string } {
  if (!existsSync("build/guest/proof/linux")) return { reason: "build/guest/proof is not there; build it with `node tools/bin/guest.mjs`" };
  const kernel = debianKernel(process.cwd(), suite), initrd = join(FOLDER, "initrd.cpio");
  if ("reason" in kernel) return { reason: `${kernel.reason}; --suite S names another suite` };
  if (kernel.modules === null) return { reason: `the package of ${suite}'s kernel has no modules; remove build/debian/${suite} to have it fetched again` };
  mkdirSync(FOLDER, { recursive: true });
  try {
    writeInitrd(initrd, kernel.modules);
  } catch (e) {
    return { reason: `modules of Debian's kernel: ${(e as Error).message}` };
  }
  return { kernel: kernel.path, initrd, disk: makeDisk("build/guest/bin") };
}

function main(): number {
  const { values } = parseToolArgs("proof", { options: { suite: { type: "string", default: "trixie" }, only: { type: "string", default: "" }, help: { type: "boolean", short: "h" } } });
  const named = BOOTS.filter((b) => b.name.includes(values.only)), wanted = BOOTS.filter((b) => named.some((n) => n === b || isReference(b, n)));
  if (values.help || wanted.length === 0) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const fail = (reason: string): number => (process.stderr.write(`proof: ${reason}\n`), 1), isThere = (command: string): boolean => spawnSync(command, ["-V"], { stdio: "ignore" }).error === undefined;
  const made = prepare(values.suite), hasQemu = isThere(QEMU);
  if ("reason" in made) return fail(made.reason);
  if (!isThere("e2fsck")) process.stdout.write("e2fsck is not installed: only our own check looks at the disks (Debian has it in the package e2fsprogs)\n");
  const all = wanted.filter((b) => hasQemu || b.engine !== "").map((b) => {
    process.stderr.write(`boots: ${b.name}\n`);
    return run(b, FOLDER, made.kernel, made.initrd, made.disk);
  });
  const problems = new Map(all.map((b) => [b, b.boot.engine === "" ? b.problems : [...b.problems, ...againstQemu(b, all), ...againstTwin(b, all)]]));
  for (const [b, found] of problems) for (const p of found) process.stdout.write(`${b.boot.name}: ${p}\n`);
  process.stdout.write(`${table(all, problems)}\n`);
  if (!hasQemu) return fail(`${QEMU} is not installed (Debian has it in the package qemu-system-misc): there is nothing to compare with`);
  const bad = all.filter((b) => problems.get(b)!.length > 0);
  return bad.length === 0 ? 0 : fail(`${bad.map((b) => b.boot.name).join(", ")}: see above; consoles and disks are in ${FOLDER}`);
}

process.exitCode = main();
