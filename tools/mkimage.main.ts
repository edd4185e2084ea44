// Makes the root disk from the guest's programs: the same bytes wherever and whenever it runs.
//
//   node build/tools/mkimage.main.mjs [--check]      build/guest/* ─► guest/image/root.img.br and root.json
//
// --check writes nothing: it compares what would be made with the recorded digest, and exits 1 when they differ.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { VBLK, VCHR } from "../kernel/vfs/vnode.ts";
import { DiskFs } from "./diskfs.ts";
import { wrongUse } from "./host/toolargs.ts";
import { makeExt2 } from "./mkext2.ts";

const SIZE = 16 << 20, INODES = 2048, TIME_SEC = 1_767_225_600;   // 2026-01-01
const UUID = Uint8Array.from("loanword-rootfs!", (c) => c.charCodeAt(0));

function addTree(disk: DiskFs, from: string, to: string, mode: number): void {
  if (!existsSync(from)) return;
  for (const name of readdirSync(from).sort()) {
    const path = join(from, name);
    if (statSync(path).isFile()) disk.writeFile(`${to}/${name}`, readFileSync(path), mode);
  }
}

function makeImage(guest: string, source: string): Uint8Array {
  const disk = new DiskFs(makeExt2({ sizeBytes: SIZE, inodes: INODES, label: "loanword", uuid: UUID, timeSec: TIME_SEC }), { timeSec: TIME_SEC });
  for (const dir of ["/bin", "/sbin", "/dev", "/etc", "/proc", "/run", "/mnt", "/usr", "/usr/bin", "/usr/sbin", "/usr/share", "/usr/share/licenses", "/var", "/tests", "/bench"]) disk.mkdir(dir);
  disk.mkdir("/root", 0o700);
  disk.mkdir("/tmp", 0o1777);
  disk.symlink("/var/tmp", "../tmp");
  // Enough to say something when the device file system cannot be mounted.
  disk.create("/dev/console", { type: VCHR, mode: 0o600, uid: 0, gid: 0, rdev: 0x501 });
  disk.create("/dev/null", { type: VCHR, mode: 0o666, uid: 0, gid: 0, rdev: 0x103 });
  disk.create("/dev/vda", { type: VBLK, mode: 0o600, uid: 0, gid: 0, rdev: 254 << 8 });
  addTree(disk, join(guest, "bin"), "/bin", 0o755);
  addTree(disk, join(guest, "tests"), "/tests", 0o755);
  // /bench stays empty: the bench mounts or copies its programs there, and the disk does not change with them.
  addTree(disk, join(source, "etc"), "/etc", 0o644);
  disk.symlink("/bin/[", "test");
  for (const name of ["init", "poweroff", "mount", "umount"]) disk.symlink(`/sbin/${name}`, `../bin/${name}`);
  disk.symlink("/etc/mtab", "../proc/mounts");
  disk.writeFile("/usr/share/licenses/musl", readFileSync(join(source, "image/COPYRIGHT.musl")));
  disk.writeFile("/usr/share/licenses/loanword", readFileSync(join(source, "../LICENSE")));
  return disk.close();
}

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function main(args: readonly string[]): number {
  const wrong = args.find((word) => word !== "--check");
  if (wrong !== undefined) wrongUse("mkimage", `there is no option ${wrong}; --check compares with the recorded digest and writes nothing`);
  if (!existsSync("build/guest/versions.json")) wrongUse("mkimage", "build/guest is not there; build it with `node tools/bin/guest.mjs`");
  const versions = JSON.parse(readFileSync("build/guest/versions.json", "utf8")) as { gcc: string; musl: string };
  const image = makeImage("build/guest", "guest"), record = "guest/image/root.json", sha256 = digest(image);
  if (args.includes("--check")) {
    const recorded = JSON.parse(readFileSync(record, "utf8")) as { sha256: string; gcc: string; musl: string };
    if (recorded.gcc !== versions.gcc || recorded.musl !== versions.musl) {
      console.log(`mkimage: not compared: recorded with gcc ${recorded.gcc} and musl ${recorded.musl}, built with gcc ${versions.gcc} and musl ${versions.musl}`);
      return 0;
    }
    console.log(recorded.sha256 === sha256 ? `mkimage: same as recorded (${sha256})` : `mkimage: differs: recorded ${recorded.sha256}, made ${sha256}`);
    return recorded.sha256 === sha256 ? 0 : 1;
  }
  // The programs repeat the same library: a window of a MiB finds most of it again, and is what uncompressing takes.
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 20, [constants.BROTLI_PARAM_SIZE_HINT]: image.length };
  const packed = brotliCompressSync(image, { params });
  writeFileSync("guest/image/root.img.br", packed);
  writeFileSync(record, `${JSON.stringify({ sha256, bytes: image.length, gcc: versions.gcc, musl: versions.musl }, null, 2)}\n`);
  console.log(`mkimage: ${image.length} bytes, ${packed.length} compressed, sha256 ${sha256}`);
  return 0;
}

process.exitCode = main(process.argv.slice(2));
