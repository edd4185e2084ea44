// The disk of the Linux proof: what is on it at first, the same bytes each time, and what is on it afterwards, read by our own ext2
// and told in the lines of guest/proof/walk.c.
//
//   /bin  sh and tools of our guest     /script.sh  run by them     /tree  made-up files, some to be changed, moved, removed
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { VDIR, VLNK, VREG } from "../../kernel/vfs/vnode.ts";
import { DiskFs } from "../diskfs.ts";
import { makeExt2 } from "../mkext2.ts";

const SIZE_BYTES = 48 << 20, INODES = 1024, TIME_SEC = 1_700_000_000, UUID_BYTE = 0x4c;
const MIX_START = 0xcbf29ce484222325n, MIX_FACTOR = 0x100000001b3n, MASK = (1n << 64n) - 1n;

/** What a shell on the disk does there. Each line's output is compared; nothing in it depends on the time or the host. */
const SCRIPT = `cd /tree
ls -R . | wc -l
cat deep/*/*/*.txt | sort | uniq | wc
grep -c a words.txt
head -n 3 other.txt; tail -n 2 other.txt
cp -r deep /made/deep
for f in deep/1/*/*.txt; do cmp "$f" "/made/$f" || echo differs; done
rm -r /made/deep/2
mv /made/deep/3 /made/three
seq 1 3000 | sort -r | tee /made/numbers | tail -n 1
for i in $(seq 1 12); do echo "$i" | cat >> /made/appended; done
wc -l < /made/appended
dd if=/tree/binary of=/made/dd bs=512 skip=3 seek=40 count=7 status=none
od -c /made/dd | tail -n 3
chmod 711 /made/dd
ln -s ../tree/words.txt /made/words
readlink /made/words
wc -c /made/words
echo script done
`;

/** A generator of numbers below n, the same each time. */
function numbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * n);
  };
}

function fillTree(disk: DiskFs): void {
  const next = numbers(2024), text = (s: string): Uint8Array => new TextEncoder().encode(s);
  const word = (): string => Array.from({ length: 2 + next(7) }, () => "abcdeo"[next(6)]).join("");
  const words = (n: number): Uint8Array => text(`${Array.from({ length: n }, () => `${word()} ${word()}`).join("\n")}\n`);
  for (const d of ["/tree", "/tree/sub", "/tree/sub/below", "/tree/empty", "/tree/deep"]) disk.mkdir(d, d.endsWith("below") ? 0o700 : 0o755);
  disk.writeFile("/tree/words.txt", words(2000));
  disk.writeFile("/tree/other.txt", words(100), 0o600);
  disk.writeFile("/tree/binary", Uint8Array.from({ length: 300_001 }, () => next(256)));
  disk.writeFile("/tree/doomed", Uint8Array.from({ length: 70_000 }, () => next(256)));
  disk.writeFile("/tree/nothing", new Uint8Array(0), 0o444);
  for (let i = 0; i < 20; i++) disk.writeFile(`/tree/sub/${i % 2 ? "below/" : ""}file${i}`, Uint8Array.from({ length: i * i * 50 }, () => next(256)));
  disk.symlink("/tree/sub/link", "below/file1");
  disk.symlink("/tree/sub/far", "z".repeat(100));
  for (let a = 1; a <= 3; a++) {
    disk.mkdir(`/tree/deep/${a}`);
    for (let b = 1; b <= 4; b++) {
      disk.mkdir(`/tree/deep/${a}/${b}`);
      for (let c = 1; c <= 6; c++) disk.writeFile(`/tree/deep/${a}/${b}/${c}.txt`, words(1 + next(60)));
    }
  }
}

/** => the image. `bin`: the folder with our guest's programs */
export function makeDisk(bin: string): Uint8Array {
  const disk = new DiskFs(makeExt2({ sizeBytes: SIZE_BYTES, inodes: INODES, label: "proof", uuid: new Uint8Array(16).fill(UUID_BYTE), timeSec: TIME_SEC }), { timeSec: TIME_SEC });
  disk.mkdir("/bin");
  for (const name of readdirSync(bin).sort()) disk.writeFile(`/bin/${name}`, readFileSync(join(bin, name)), 0o755);
  disk.writeFile("/script.sh", new TextEncoder().encode(SCRIPT));
  fillTree(disk);
  return disk.close();
}

/** mix_bytes of guest/proof/walk.c, in hex. */
export function checksum(bytes: Uint8Array): string {
  const padded = new Uint8Array((bytes.length + 7) & ~7);
  padded.set(bytes);
  let h = MIX_START;
  for (const word of new BigUint64Array(padded.buffer)) {
    h = ((h ^ word) * MIX_FACTOR) & MASK;
    h ^= h >> 29n;
  }
  return h.toString(16).padStart(16, "0");
}

/** A line for each file of an image. => throws DiskError */
export function walkImage(image: Uint8Array): string[] {
  // The kernel's ext2 works on the bytes themselves.
  const disk = new DiskFs(Uint8Array.from(image), { readOnly: true }), lines: string[] = [];
  const show = (path: string): void => {
    const a = disk.stat(path, false), isDir = a.type === VDIR, type = isDir ? "d" : a.type === VLNK ? "l" : a.type === VREG ? "f" : "?";
    const contents = type === "f" ? checksum(disk.readFile(path)) : type === "l" ? disk.readlink(path) : "-";
    lines.push(`${type} ${a.mode.toString(8).padStart(4, "0")} ${a.nlink} ${a.uid}:${a.gid} ${a.size} ${a.blocks} ${type === "f" ? a.mtime.sec : 0} ${contents} ${path}`);
    if (!isDir) return;
    for (const name of disk.list(path).map((e) => e.name).sort()) show(path === "/" ? `/${name}` : `${path}/${name}`);
  };
  show("/");
  return lines;
}
