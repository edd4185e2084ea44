// npm run proof:busybox: Debian's unmodified riscv64 busybox-static in our guest and under QEMU, on the same tree of files: the
// same commands (proof/commands.sh) must print the same bytes. tools/proof/references.ts has the two ways QEMU runs them.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debianBusybox } from "./debian.ts";
import { parseToolArgs } from "./host/toolargs.ts";
import { couldNotStart, underQemuSystem, underQemuUser } from "./proof/references.ts";

const USAGE = `usage: npm run proof:busybox -- [options]
  --reference R    qemu-user (the default: qemu-riscv64) or qemu-system (Debian's kernel in qemu-system-riscv64)
  --suite S        Debian's suite (default trixie)
  --busybox F      a program instead of Debian's
  --only TEXT      only commands that contain TEXT
`;

/** A tree of files, the same each time. */
function makeTree(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  const tree = join(folder, "tree");
  mkdirSync(join(tree, "sub/deeper"), { recursive: true });
  let state = 12345;
  const next = (n: number): number => (state = (state * 1103515245 + 12345) & 0x7fffffff, Math.floor((state / 0x80000000) * n));
  const word = (): string => Array.from({ length: 2 + next(7) }, () => "abcdeo"[next(6)]).join("");
  const words = Array.from({ length: 400 }, () => `${word()} ${word()}`);
  writeFileSync(join(tree, "words.txt"), `${words.join("\n")}\n`);
  writeFileSync(join(tree, "other.txt"), `${words.map((w, i) => (i % 37 === 5 ? word() : w)).join("\n")}\n`);
  writeFileSync(join(tree, "table"), `${Array.from({ length: 30 }, (_, i) => `user${i}:x:${next(5000)}:${i * 7}`).join("\n")}\n`);
  writeFileSync(join(tree, "binary"), Uint8Array.from({ length: 5000 }, () => next(256)));
  for (let i = 0; i < 20; i++) writeFileSync(join(tree, i % 2 ? "sub" : "sub/deeper", `file${i}.txt`), i % 5 ? `text ${word()}\n` : `a needle here ${i}\n`);
  writeFileSync(join(tree, "empty"), "");
  writeFileSync(join(tree, "sparse"), "start");
  truncateSync(join(tree, "sparse"), 300_000);
  symlinkSync("words.txt", join(tree, "link"));
  symlinkSync("nowhere", join(tree, "dangling"));
  linkSync(join(tree, "table"), join(tree, "hard"));
  spawnSync("chmod", ["-R", "u=rwX,go=rX", folder]);
  spawnSync("tar", ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-cf", "tree.tar", "tree"], { cwd: folder });
}

/** The paragraphs of the file of commands that are no comments. */
const commandsOf = (text: string): string[] => text.split(/\n{2,}/).map((p) => p.trim()).filter((p) => p !== "" && !p.startsWith("#"));

/**
 * The folder that every runner gets: tree.tar, busybox and script.sh.
 *
 * => script.sh BUSYBOX FOLDER WORK: runs each command in a fresh folder below WORK. Without PROOF_PATH applets are links in WORK/bin
 */
function prepare(folder: string, busybox: string, commands: readonly string[]): void {
  makeTree(folder);
  copyFileSync(busybox, join(folder, "busybox"));
  const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const script = commands.map((c, i) => `rm -rf "$W/w"; mkdir "$W/w"; cd "$W/w"; tar xf "$T/tree.tar"; cp "$T/tree.tar" .; echo "=== ${i}"; ($B sh -c ${quote(c)}) 2>&1`).join("\n");
  writeFileSync(join(folder, "script.sh"), `B="$1"; T="$2"; W="$3"
if [ -n "$PROOF_PATH" ]; then unset PROOF_PATH; else export PATH=$W/bin; $B mkdir -p $W/bin; for a in $($B --list); do $B ln -sf $B $W/bin/$a; done; fi
${script}\n`);
}

function main(): number {
  const { values } = parseToolArgs("proof", { options: {
    suite: { type: "string", default: "trixie" }, busybox: { type: "string" }, reference: { type: "string", default: "qemu-user" }, only: { type: "string", default: "" }, help: { type: "boolean", short: "h" },
  } });
  if (values.help || !["qemu-user", "qemu-system"].includes(values.reference)) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const fail = (reason: string): number => (process.stderr.write(`proof: ${reason}\n`), 1);
  const root = process.cwd(), folder = join(root, "build/proof");
  const busybox = values.busybox === undefined ? debianBusybox(root, values.suite) : { path: values.busybox };
  if ("reason" in busybox) return fail(`${busybox.reason}; --suite S names another suite, --busybox F a program`);
  if (!existsSync(busybox.path)) return fail(`--busybox ${busybox.path}: no such file`);
  const commands = commandsOf(readFileSync(join(root, "tools/proof/commands.sh"), "latin1")).filter((c) => c.includes(values.only));
  prepare(folder, busybox.path, commands);
  const ours = spawnSync(process.execPath, ["build/tools/cli.main.mjs", "boot", "--clock", "virtual", "--dir", `${folder}:/proof`, "-c", "/proof/busybox sh /proof/script.sh /proof/busybox /proof /tmp"],
    { encoding: "latin1", maxBuffer: 1 << 26 });
  const theirs = values.reference === "qemu-user" ? underQemuUser(folder) : underQemuSystem(folder, root, values.suite);
  if ("reason" in theirs) return fail(`${theirs.reason}${values.reference === "qemu-user" ? " (--reference qemu-system is the other way)" : ""}`);
  if (!theirs.text.includes("=== 0")) return fail(`QEMU did not run the commands; it said ${theirs.text.slice(-300)}`);
  return compare(commands, theirs.text, ours.stdout + ours.stderr);
}

/** Prints what differs. => exit status */
function compare(commands: readonly string[], theirs: string, ours: string): number {
  const pieces = (text: string): Map<number, string> => new Map(text.split(/^=== /m).slice(1).map((p) => [Number(p.slice(0, p.indexOf("\n"))), p.slice(p.indexOf("\n") + 1)]));
  const a = pieces(theirs), b = pieces(ours);
  let same = 0, notRun = 0;
  commands.forEach((c, i) => {
    if (a.get(i) === b.get(i)) return void same++;
    if (couldNotStart(a.get(i) ?? "")) return void notRun++;
    process.stdout.write(`--- ${c}\nQEMU:\n${(a.get(i) ?? "nothing").slice(0, 600)}\nhere:\n${(b.get(i) ?? "nothing").slice(0, 600)}\n`);
  });
  const left = notRun ? `, ${notRun} not compared: this host's QEMU cannot start what busybox starts by its own name (--reference qemu-system can)` : "";
  process.stdout.write(`${same} of ${commands.length} commands print the same${left}\n`);
  return same + notRun === commands.length ? 0 : 1;
}

process.exitCode = main();
