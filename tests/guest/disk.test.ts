// `loanword disk`, and disks that are damaged: what check says, what e2fsck says, and what booting from them says.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makedev } from "../../kernel/kern/vnfile.ts";
import { VBLK, VCHR, VDIR, VFIFO, VREG, VSOCK, type VType } from "../../kernel/vfs/vnode.ts";
import { DiskFs } from "../../tools/diskfs.ts";
import { checkExt2 } from "../../tools/ext2check.ts";
import { makeExt2 } from "../../tools/mkext2.ts";
import { rootImage } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("disk"), folder = mkdtempSync(join(tmpdir(), "loanword-disk-")), image = join(folder, "d.img");
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function disk(...args: string[]): { status: number | null; out: string; err: string } {
  const r = spawnSync(process.execPath, ["build/tools/cli.main.mjs", "disk", ...args], { encoding: "latin1" });
  return { status: r.status, out: r.stdout, err: r.stderr };
}

const hasE2fsck = spawnSync("e2fsck", ["-V"], { stdio: "ignore" }).error === undefined;
const e2fsckAgrees = (path: string, sound: boolean): void => {
  if (hasE2fsck) assert.is(spawnSync("e2fsck", ["-fn", path], { stdio: "ignore" }).status === 0, sound, `e2fsck of ${path}`);
};

test("an image is made from a folder, listed, read, added to, and sound", () => {
  const from = join(folder, "from");
  mkdirSync(join(from, "sub"), { recursive: true });
  writeFileSync(join(from, "a.txt"), "hello\n", { mode: 0o640 });
  writeFileSync(join(from, "sub", "big"), Buffer.alloc(300_000, 7));
  symlinkSync("a.txt", join(from, "link"));
  assert.equal(disk("create", image, "4M", from), { status: 0, out: "", err: "" });
  assert.match(disk("ls", image).out, /-rw-r----- +1 +0 +0 +6 [-\dT:]+Z a\.txt\nlrwxrwxrwx .* link -> a\.txt\n[^]*drwxr-xr-x .* sub\n/);
  assert.is(disk("cat", image, "/link").out, "hello\n");
  assert.is(disk("put", image, "package.json", "/sub/p").status, 0);
  // The mode is that of the file a host link leads to.
  assert.is(disk("put", image, join(from, "link"), "/sub/q").status, 0);
  assert.match(disk("ls", image, "/sub").out, /-rw-r----- +1 .* q\n/);
  assert.is(disk("cat", image, "/sub/p").out, readFileSync("package.json", "latin1"));
  assert.equal(disk("check", image), { status: 0, out: `${image}: sound\n`, err: "" });
  e2fsckAgrees(image, true);
});

test("ls shows set-id and sticky letters, devices' numbers, owners and times", () => {
  const timeSec = Date.UTC(2026, 0, 2, 3, 4, 5) / 1000, fs = new DiskFs(makeExt2({ sizeBytes: 1 << 20, inodes: 64, uuid: new Uint8Array(16), timeSec }), { timeSec });
  const nodes: [name: string, type: VType, mode: number, rdev?: number][] = [
    ["a", VREG, 0o4755], ["b", VREG, 0o4644], ["c", VREG, 0o2755], ["d", VREG, 0o2745], ["e", VDIR, 0o1777], ["f", VDIR, 0o1776], ["g", VREG, 0o7777],
    ["h", VREG, 0o7000], ["i", VCHR, 0o620, makedev(5, 1)], ["j", VBLK, 0o660, makedev(259, 70000)], ["k", VFIFO, 0o600], ["l", VSOCK, 0o755], ["m", VREG, 0],
  ];
  for (const [name, type, mode, rdev] of nodes) fs.create(`/${name}`, { type, mode, uid: type === VCHR ? 70000 : 0, gid: 5, ...(rdev === undefined ? {} : { rdev }) });
  fs.symlink("/n", "a/target");
  fs.symlink("/o", "x".repeat(70));
  const path = join(folder, "ls.img");
  writeFileSync(path, fs.close());
  const lines = disk("ls", path).out.split("\n"), letters = Object.fromEntries(lines.map((line) => [line.split("Z ")[1]?.split(" ")[0], line.slice(0, 10)]));
  assert.equal(letters, {
    a: "-rwsr-xr-x", b: "-rwSr--r--", c: "-rwxr-sr-x", d: "-rwxr-Sr-x", e: "drwxrwxrwt", f: "drwxrwxrwT", g: "-rwsrwsrwt", h: "---S--S--T", i: "crw--w----",
    j: "brw-rw----", k: "prw-------", l: "srwxr-xr-x", m: "----------", n: "lrwxrwxrwx", o: "lrwxrwxrwx", "lost+found": "drwx------", undefined: "",
  });
  const line = (name: string): string => lines.find((l) => l.includes(`Z ${name}`))!.slice(10);
  assert.is(line("a"), " 1     0 5          0 2026-01-02T03:04:05Z a");
  assert.is(line("i"), " 1 70000 5       5, 1 2026-01-02T03:04:05Z i");
  assert.is(line("j"), " 1     0 5 259, 70000 2026-01-02T03:04:05Z j");
  assert.is(line("n"), " 1     0 0          8 2026-01-02T03:04:05Z n -> a/target");
  assert.match(line("o"), / 70 .* o -> x{70}$/);
  e2fsckAgrees(path, true);
  assert.equal(checkExt2(readFileSync(path)), []);
});

test("names and link targets outside ASCII keep their bytes", () => {
  const from = join(folder, "utf8"), made = join(folder, "utf8.img");
  mkdirSync(join(from, "d\u00e9j\u00e0"), { recursive: true });
  writeFileSync(join(from, "d\u00e9j\u00e0", "\u65e5\u672c"), "text");
  symlinkSync("d\u00e9j\u00e0/\u65e5\u672c", join(from, "link"));
  assert.equal(disk("create", made, "1M", from), { status: 0, out: "", err: "" });
  const bytes = (text: string): string => Buffer.from(text).toString("latin1");
  assert.ok(disk("ls", made).out.includes(bytes(" d\u00e9j\u00e0\n")));
  assert.ok(disk("ls", made).out.includes(bytes(" link -> d\u00e9j\u00e0/\u65e5\u672c\n")));
  assert.ok(disk("ls", made, "/d\u00e9j\u00e0").out.includes(bytes(" \u65e5\u672c\n")));
  assert.is(disk("cat", made, "/link").out, "text");
  assert.is(disk("put", made, join(from, "link"), "/d\u00e9j\u00e0/\u20ac").status, 0);
  assert.is(disk("cat", made, "/d\u00e9j\u00e0/\u20ac").out, "text");
});

test("a folder's files that have no contents are named and left out; a name that is not UTF-8 is refused", () => {
  const from = join(folder, "odd"), made = join(folder, "odd.img");
  mkdirSync(from);
  assert.is(spawnSync("mkfifo", [join(from, "fifo")]).status, 0);
  writeFileSync(join(from, "kept"), "x");
  const r = disk("create", made, "1M", from);
  assert.equal([r.status, r.err], [0, `loanword: disk create: ${from}/fifo is left out: it is a pipe\n`]);
  assert.match(disk("ls", made, "/kept").out, /^-rw[-rwx]+ 1 0 0 1 \S+Z \/kept\n$/);
  writeFileSync(Buffer.concat([Buffer.from(`${from}/`), Buffer.of(0xff)]), "");
  const refused = disk("create", join(folder, "odd2.img"), "1M", from);
  assert.is(refused.status, 2);
  assert.match(refused.err, /^loanword: folder .*odd: the name "\S+" in .* is not UTF-8; rename it\n$/);
  const file = disk("create", join(folder, "odd3.img"), "1M", join(from, "kept"));
  assert.match(file.err, /kept: is not a folder\n$/);
});

test("put leaves an image that cannot be written as it was", () => {
  const before = readFileSync(image), put = `ulimit -f 100; trap '' XFSZ; exec "$0" build/tools/cli.main.mjs disk put "$@"`;
  const r = spawnSync("sh", ["-c", put, process.execPath, image, "package.json", "/new"], { encoding: "latin1" });
  assert.is(r.status, 2);
  assert.match(r.stderr, /^loanword: disk .*d\.img[^\n]*\n$/);
  assert.is(Buffer.compare(readFileSync(image), before), 0);
  assert.equal(readdirSync(folder).filter((name) => name.endsWith(".new")), []);
});

test("root writes the disk that comes with us, and a boot from it keeps what was written", () => {
  const path = join(folder, "own-root.img"), boot = (command: string) =>
    spawnSync(process.execPath, ["build/tools/cli.main.mjs", "boot", "--clock", "virtual", "--disk", path, "--rw", "-c", command], { encoding: "latin1", timeout: 60_000 });
  assert.equal(disk("root", path), { status: 0, out: "", err: "" });
  assert.is(Buffer.compare(readFileSync(path), rootImage()), 0);
  assert.is(boot("echo kept > /root/note").status, 0);
  assert.is(boot("cat /root/note").stdout, "kept\n");
  assert.match(disk("root", path).err, /exists; remove it first/);
  const bare = spawnSync(process.execPath, ["build/tools/cli.main.mjs", "boot", "--disk", image, "-c", "true"], { encoding: "latin1", timeout: 60_000 });
  assert.equal([bare.status, bare.stderr], [1, "loanword: cannot start /sbin/init: it, or what interprets it, is not on the root disk\n"]);
  assert.match(disk("root", join(folder, "x"), "more").err, /too many/);
});

test("wrong use is a line, and changes nothing", () => {
  const before = readFileSync(image);
  for (const [args, message] of [
    [["create", image, "4M"], /exists/], [["create", join(folder, "x"), "4Q"], /give a size/], [["create", join(folder, "x"), "4M", "/nowhere"], /no such file/],
    [["cat", image, "/none"], /no such file/], [["put", image, "/none", "/x"], /no such file/],
    [["put", image, "package.json", "/none/x"], /does not exist/], [["put", image, "package.json", "/a.txt"], /exists/],
    [["cat", image, "/sub"], /is a directory/], [["ls", image, "/a.txt/b"], /not a directory/],
    [["ls", "package.json"], /package\.json/], [["ls", join(folder, "absent")], /no such file/], [["frob", image], /no command frob; use one of/],
    [["creat", image], /did you mean create\?/], [["toString", image], /no command toString/], [["put", image, "package.json", `/${"n".repeat(256)}`], /name is too long/], [["cat", image], /needs a path/],
    [["ls", image, "/", "more"], /too many/],
  ] as const) {
    const r = disk(...args);
    assert.is(r.status, 2, args.join(" "));
    assert.match(r.err, message, args.join(" "));
    assert.is(r.err.trim().split("\n").length, 1, r.err);
  }
  const big = join(folder, "big");
  writeFileSync(big, Buffer.alloc(8 << 20));
  assert.match(disk("put", image, big, "/big").err, /no space left/);
  assert.is(Buffer.compare(before, readFileSync(image)), 0);
});

/** Kinds of damage, and what check must say of them. */
const u32 = (at: number, value: number) => (b: Buffer): void => void b.writeUInt32LE(value, at);
const blockOf = (b: Buffer): number => 1024 << b.readUInt32LE(1024 + 24);
const desc = (b: Buffer, offset: number): number => b.readUInt32LE((b.readUInt32LE(1024 + 20) + 1) * blockOf(b) + offset);
const inode = (b: Buffer, ino: number): number => desc(b, 8) * blockOf(b) + (ino - 1) * b.readUInt16LE(1024 + 88);
const rootBlock = (b: Buffer): number => b.readUInt32LE(inode(b, 2) + 40) * blockOf(b);

const DAMAGES: readonly [name: string, damage: (b: Buffer) => void, message: RegExp, boots: RegExp][] = [
  ["magic", (b) => void b.writeUInt16LE(0, 1024 + 56), /^superblock: magic/, /superblock .*magic/],
  ["block size", u32(1024 + 24, 9), /^superblock: block size/, /superblock .*block size/],
  ["free count", u32(1024 + 12, 1), /says 1 free blocks/, /^$/],
  ["bitmap", (b) => void b.writeUInt8(b[desc(b, 0) * blockOf(b) + 100]! ^ 4, desc(b, 0) * blockOf(b) + 100), /block bitmap: block \d+ is marked/, /^$/],
  ["link count", (b) => void b.writeUInt16LE(9, inode(b, 2) + 26), /^inode 2: has 9 links/, /^$/],
  ["root's block", (b) => void b.writeUInt32LE(0xfffffff, inode(b, 2) + 40), /^inode 2: names block 268435455/, /inode 2: .*block 268435455/],
  ["padding", (b) => void b.writeUInt8(0, desc(b, 0) * blockOf(b) + blockOf(b) - 1), /^group 0's block bitmap: bit \d+, beyond/, /^$/],
  ["first inode", u32(1024 + 84, 0xffffffff), /^superblock: /, /^$/],
  ["root's mode", (b) => void b.writeUInt16LE(0o100644, inode(b, 2)), /root is no directory/, /root inode/],
  ["entry length", (b) => void b.writeUInt16LE(3, rootBlock(b) + 4), /^directory inode 2, block \d+: the entry at byte 0 has length 3/, /directory inode 2: entry at byte 0 of block \d+/],
  ["inode table", (b) => void b.writeUInt32LE(0x7fffffff, (b.readUInt32LE(1024 + 20) + 1) * blockOf(b) + 8), /group 0's descriptor \(inode table\)/, /group 0: inode table/],
];

test("check names the structure and the block of each damage, and e2fsck finds it too", () => {
  for (const [name, damage, message] of DAMAGES) {
    const bytes = readFileSync(image), path = join(folder, "damaged.img");
    damage(bytes);
    writeFileSync(path, bytes);
    const found = checkExt2(bytes);
    assert.ok(found.some(({ where, what }) => message.test(`${where}: ${what}`)), `${name}: ${JSON.stringify(found.slice(0, 3))}`);
    // With a bad superblock it takes another one, and free counts it corrects in passing.
    if (!/^(magic|block size|free count)$/.test(name)) e2fsckAgrees(path, false);
  }
  const cut = readFileSync(image).subarray(0, 1_000_000);
  assert.match(checkExt2(cut)[0]!.what, /truncated/);
  assert.equal(checkExt2(rootImage()), []);
});

test("booting from a damaged disk says why in a line, and ends", () => {
  for (const [name, damage, , message] of DAMAGES) {
    const bytes = Buffer.from(rootImage()), path = join(folder, "root.img");
    damage(bytes);
    writeFileSync(path, bytes);
    const r = spawnSync(process.execPath, ["build/tools/cli.main.mjs", "boot", "--clock", "virtual", "--disk", path, "-c", "true"], { encoding: "latin1", timeout: 60_000 });
    assert.is(r.signal, null, `${name}: does not hang`);
    // What only a check notices does not keep it from booting.
    if (message.source === "^$") assert.is(r.status, 0, `${name}: ${r.stderr}`);
    else {
      assert.is.not(r.status, 0, name);
      assert.match(r.stderr + r.stdout, message, `${name}: ${r.stdout}${r.stderr}`);
    }
  }
});

test.run();
