// npm run proof:busybox: Debian's unmodified riscv64 busybox-static in our guest and under QEMU, on the same tree of files: the
// same commands must print the same bytes. QEMU is qemu-riscv64 where this machine starts riscv64 programs by it (binfmt_misc),
// else qemu-system-riscv64 with Debian's kernel.
import { spawnSync } from "node:child_process";
import { copyFileSync, linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type CpioEntry, packCpio, S_IFREG } from "./cpio.ts";
import { debianKernel, DebianRiscv } from "./debian.ts";

const S_IFCHR = 0o020000;

/** Every command runs by `sh -c` in the folder of the tree. */
const COMMANDS: readonly string[] = [
  "ls -lR tree | sed -e 's/^\\(d[^ ]* *[0-9]*  *[^ ]*  *[^ ]*\\)  *[0-9]*/\\1 SIZE/' -e 's/ [A-Z][a-z][a-z]  *[0-9]*  *[0-9:]* / TIME /' -e '/^total/d'",
  "find tree | sort", "find tree -type f -name '*.txt' | sort", "find tree -type d | sort", "find tree -type l | sort", "find tree -size +2k -type f | sort",
  "find tree -name '*.txt' -exec wc -c {} \\; | sort", "tar tf tree.tar | sort", "mkdir -p out && tar xf tree.tar -C out && find out/tree -type f | sort | xargs cat | md5sum",
  "tar cf - tree | tar tf - | sort | head -20", "cd tree && tar cf ../new.tar . && cd .. && mkdir -p n && tar xf new.tar -C n && find n | sort | md5sum",
  "cat tree/words.txt | tr a-z A-Z | sort | uniq -c | sort -rn | head -20", "sed -n '5,10p' tree/words.txt", "sed -e 's/\\([a-z]*\\) \\([a-z]*\\)/\\2 \\1/' tree/words.txt | head",
  "sed '/^a/d;s/e/E/g;$!N;P;D' tree/words.txt | head -30", "awk '{ n[length($1)]++ } END { for (i = 1; i < 12; i++) print i, n[i] + 0 }' tree/words.txt",
  "awk -F: '{ s += $3; print $1, s } END { printf \"%.3f %e\\n\", s / NR, s }' tree/table", "awk 'BEGIN { for (i = 0; i < 20; i++) print i, i * i, sqrt(i), sin(i), exp(i / 10), int(log(i + 1) * 1000) }'",
  "awk '{ $2 = toupper($2); print }' OFS=- tree/words.txt | head", "sort -t: -k3n tree/table", "sort -r tree/words.txt | head -5", "sort -u tree/words.txt | wc -l",
  "grep -c e tree/words.txt; grep -n '^b' tree/words.txt | head; grep -v o tree/words.txt | wc -l; grep -rl needle tree | sort", "grep -E '(ab|cd)+e?$' tree/words.txt | head",
  "cut -d: -f1,3 tree/table", "cut -c2-5 tree/words.txt | head", "od -A x -t x1z tree/binary | head -20", "od -c tree/binary | head", "hexdump -C tree/binary | tail -5",
  "md5sum tree/binary tree/words.txt; sha256sum tree/binary; cksum tree/words.txt; sha1sum tree/table", "gzip -c tree/words.txt | gunzip | cmp - tree/words.txt && echo same",
  "bzip2 -c tree/binary | bunzip2 | md5sum", "printf '%5d|%-8s|%x|%o|%c|%s\\n' 42 left 255 8 x end", "expr 6 \\* 7; expr length hello; expr abc : 'a\\(.\\)'; seq 1 3 20; seq -s, 5",
  "echo one two three | xargs -n1 echo item", "diff tree/words.txt tree/other.txt | head -20", "cmp tree/words.txt tree/other.txt", "head -c 100 tree/binary | base64",
  "i=0; while [ $i -lt 5 ]; do echo $i; i=$((i + 1)); done | tac", "for f in tree/*.txt; do basename $f .txt; dirname $f; done", "x='a b  c'; set -- $x; echo $# \"$x\"; echo ${x#a } ${x%c} ${#x}",
  "(echo sub; exit 3); echo $?; true && false || echo or; ! true; echo $?", "cat <<EOF | wc -l\na\nb\n$((2 + 3))\nEOF", "f() { echo f$1; return 4; }; f 1; echo $?; trap 'echo trapped' EXIT; :",
  "dd if=tree/binary bs=100 skip=3 count=5 2>/dev/null | md5sum", "tail -n 3 tree/words.txt; tail -c 20 tree/words.txt; head -n -30 tree/words.txt | wc -l",
  "stat -c '%n %s %a %F' tree/words.txt tree/link tree/sub",
  "cp -a tree copy && find copy | wc -l && rm -r copy && ls copy", "mkdir a b; touch a/x; mv a/x b/y; ln b/y b/z; ls b; rmdir a; rm -r b; ls -d a b",
  "chmod 640 tree/table; stat -c %a tree/table; chmod u+x,g-r tree/table; stat -c %a tree/table; chmod 644 tree/table",
  "yes | head -n 1000 | wc", "nl tree/words.txt | head -5; paste -d, tree/words.txt tree/other.txt | head -5; fold -w 10 tree/words.txt | head -5; rev tree/words.txt | head -3",
  "comm -12 tree/words.txt tree/other.txt | head -5",
  "cat nonexistent; echo $?", "ls nonexistent; echo $?", "kill -l | head -3", "sleep 0.01; echo slept", "dc -e '2 64 ^ p'; echo 'scale=20; 4*a(1)' | bc -l", "factor 1234567890 97",
  "vi -h 2>&1 | head -1", "date -u -d @86400 '+%Y-%m-%d %H:%M:%S'",
];

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

function main(): number {
  const { values } = parseArgs({ options: { suite: { type: "string", default: "trixie" }, busybox: { type: "string" } } });
  const root = process.cwd(), debian = new DebianRiscv(root, values.suite), program = /(^|\/)bin\/busybox$/;
  let busybox = values.busybox ?? debian.find(program);
  if (busybox === null) {
    const failed = debian.update() ?? debian.fetch(["busybox-static"]);
    busybox = debian.find(program);
    if (busybox === null) {
      process.stderr.write(`proof: ${failed ?? "the package has no busybox"}; --suite S names another suite, --busybox F a program\n`);
      return 1;
    }
  }
  const folder = join(root, "build/proof");
  makeTree(folder);
  copyFileSync(busybox, join(folder, "busybox"));
  // Every command starts from a fresh tree. Applets are found because sh is busybox itself.
  const script = COMMANDS.map((c, i) => `rm -rf /tmp/w; mkdir /tmp/w; cd /tmp/w; tar xf "$T/tree.tar"; cp "$T/tree.tar" .; echo "=== ${i}"; ($B sh -c '${c.replaceAll("'", `'\\''`)}') 2>&1`).join("\n");
  writeFileSync(join(folder, "script.sh"), `B="$1"; T="$2"; export PATH=/tmp/bin; mkdir -p /tmp/bin; for a in $($B --list); do ln -sf $B /tmp/bin/$a; done\n${script}\n`);
  const ours = spawnSync(process.execPath, ["build/tools/cli.main.mjs", "boot", "--clock", "virtual", "--dir", `${folder}:/proof`, "-c", "/proof/busybox sh /proof/script.sh /proof/busybox /proof"],
    { encoding: "latin1", maxBuffer: 1 << 26 });
  const theirs = spawnSync(join(folder, "busybox"), ["true"]).status === 0 ? userMode(folder) : system(folder, root, values.suite);
  if (!theirs.includes("=== 0")) {
    process.stderr.write(`proof: QEMU did not run the commands; it said ${theirs.slice(-300)}\n`);
    return 1;
  }
  return compare(theirs, ours.stdout + ours.stderr);
}

/** The commands by qemu-riscv64, with a /tmp of their own. */
function userMode(folder: string): string {
  const run = `mount -t tmpfs tmpfs /tmp && exec ${folder}/busybox sh ${folder}/script.sh ${folder}/busybox ${folder}`;
  return spawnSync("unshare", ["-r", "-m", "sh", "-c", run], { encoding: "latin1", maxBuffer: 1 << 26 }).stdout;
}

/** The commands under Debian's kernel. */
function system(folder: string, root: string, suite: string): string {
  const kernel = debianKernel(root, suite);
  if ("reason" in kernel) return kernel.reason;
  const file = (name: string, mode = 0o755): CpioEntry => ({ path: `proof/${name}`, mode: S_IFREG | mode, data: readFileSync(join(folder, name)) });
  const init = "/proof/busybox mkdir -p /proc /tmp /dev\n/proof/busybox mount -t proc proc /proc\n/proof/busybox mount -t tmpfs tmpfs /tmp\n" +
    "/proof/busybox sh /proof/script.sh /proof/busybox /proof | /proof/busybox cat\n/proof/busybox poweroff -f\n";
  writeFileSync(join(folder, "init.sh"), init);
  const initrd = join(folder, "initrd.cpio");
  const console: CpioEntry = { path: "dev/console", mode: S_IFCHR | 0o600, data: new Uint8Array(0), rdev: [5, 1] };
  const etc = ["passwd", "group"].map((name): CpioEntry => ({ path: `etc/${name}`, mode: S_IFREG | 0o644, data: readFileSync(join(root, "guest/etc", name)) }));
  writeFileSync(initrd, packCpio([...etc, file("busybox"), file("tree.tar", 0o644), file("script.sh"), file("init.sh"), console]));
  const args = ["-M", "virt", "-m", "512M", "-nographic", "-no-reboot", "-kernel", kernel.path, "-initrd", initrd, "-append",
    "console=ttyS0 quiet loglevel=0 rdinit=/proof/busybox -- sh /proof/init.sh"];
  return (spawnSync("qemu-system-riscv64", args, { encoding: "latin1", maxBuffer: 1 << 26, timeout: 600_000 }).stdout ?? "").replaceAll("\r\n", "\n");
}

function compare(theirs: string, ours: string): number {
  const pieces = (text: string): Map<number, string> => new Map(text.split(/^=== /m).slice(1).map((p) => [Number(p.slice(0, p.indexOf("\n"))), p.slice(p.indexOf("\n") + 1)]));
  const a = pieces(theirs), b = pieces(ours);
  let same = 0;
  COMMANDS.forEach((c, i) => {
    if (a.get(i) === b.get(i)) return void same++;
    process.stdout.write(`--- ${c}\nQEMU:\n${(a.get(i) ?? "nothing").slice(0, 600)}\nhere:\n${(b.get(i) ?? "nothing").slice(0, 600)}\n`);
  });
  process.stdout.write(`${same} of ${COMMANDS.length} commands print the same\n`);
  return same === COMMANDS.length ? 0 : 1;
}

process.exitCode = main();
