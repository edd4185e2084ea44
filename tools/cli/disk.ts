// `loanword disk`: ext2 images without booting them.
//
//   create IMAGE SIZE [DIR]    ls IMAGE [PATH]    cat IMAGE PATH    put IMAGE FILE PATH    check IMAGE
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EEXIST } from "../../kernel/lib/errno.ts";
import { DiskError, DiskFs } from "../diskfs.ts";
import { checkExt2 } from "../ext2check.ts";
import { OutputClosed, writeOut } from "../host/stdio.ts";
import { makeExt2 } from "../mkext2.ts";
import { longList } from "./disklist.ts";
import { fileError, readInput } from "./files.ts";
import { UsageError } from "./options.ts";

export const DISK_HELP = `loanword disk COMMAND ...

ext2 disk images, without booting them

  create IMAGE SIZE [DIR]   makes an image, such as of 64M, with the files of a host folder
  ls IMAGE [PATH]           lists a directory of the image: mode, links, owner, group, size or device, time in UTC, name
  cat IMAGE PATH            writes a file of the image to standard output
  put IMAGE FILE PATH       copies a host file into the image
  check IMAGE               looks for damage; exit status 1 when there is some
`;

const BYTES_PER_INODE = 8192, SIZE_MIN = 1 << 20, SIZE_MAX = 1 << 30;
/** Our reader went away. */
const EXIT_PIPE = 141;

/** => the exit status */
export function diskVerb(args: readonly string[]): number {
  const [command, image, ...rest] = args;
  if (command === undefined || command === "--help" || command === "-h") {
    print(DISK_HELP);
    return command === undefined ? 2 : 0;
  }
  const run = COMMANDS[command];
  if (run === undefined) throw new UsageError(`disk ${command}: use one of ${Object.keys(COMMANDS).join(", ")} (see \`loanword disk --help\`)`);
  if (image === undefined) throw new UsageError(`disk ${command} needs an image; see \`loanword disk --help\``);
  try {
    return run(image, rest);
  } catch (e) {
    if (e instanceof OutputClosed) return EXIT_PIPE;
    throw e instanceof DiskError ? new UsageError(`disk ${image}: ${Buffer.from(e.message, "latin1").toString()}`) : e;
  }
}

const COMMANDS: Readonly<Record<string, (image: string, rest: readonly string[]) => number>> = {
  create(image, [size, folder, ...more]) {
    noMore("create", more);
    const m = /^(\d+)([KMG]?)$/i.exec(size ?? ""), bytes = m === null ? NaN : Number(m[1]) * { "": 1, K: 1024, M: 1 << 20, G: 1 << 30 }[m[2]!.toUpperCase()]!;
    if (!(bytes >= SIZE_MIN && bytes <= SIZE_MAX)) throw new UsageError(`disk create: ${size ?? "no size"}: give a size from 1M to 1G, such as 64M`);
    if (existsSync(image)) throw new UsageError(`disk create: ${image} exists; remove it first`);
    const sizeBytes = Math.floor(bytes / 4096) * 4096, timeSec = Math.floor(Date.now() / 1000);
    const uuid = crypto.getRandomValues(new Uint8Array(16));
    const disk = new DiskFs(makeExt2({ sizeBytes, inodes: Math.max(64, Math.floor(sizeBytes / BYTES_PER_INODE / 16) * 16), label: "", uuid, timeSec }), { timeSec });
    if (folder !== undefined) copyTree(disk, folder, "");
    save(image, disk.close());
    return 0;
  },
  ls(image, [path = "/", ...more]) {
    noMore("ls", more);
    const disk = open(image, true);
    for (const line of longList(disk, guestBytes(path))) writeOut(1, Buffer.from(`${line}\n`, "latin1"));
    return 0;
  },
  cat(image, [path, ...more]) {
    noMore("cat", more);
    if (path === undefined) throw new UsageError("disk cat needs a path in the image");
    writeOut(1, open(image, true).readFile(guestBytes(path)));
    return 0;
  },
  put(image, [file, path, ...more]) {
    noMore("put", more);
    if (file === undefined || path === undefined) throw new UsageError("disk put needs a host file and a path in the image");
    const bytes = readInput("file", file), mode = statSync(file).mode & 0o7777, disk = open(image, false);
    if (disk.has(guestBytes(path))) throw new DiskError(`${guestBytes(path)}: exists; name a path that does not`, EEXIST);
    disk.writeFile(guestBytes(path), bytes, mode);
    save(image, disk.close());
    return 0;
  },
  check(image, more) {
    noMore("check", more);
    const found = checkExt2(readInput("disk", image));
    for (const { where, what } of found) print(`${where}: ${what}\n`);
    print(found.length === 0 ? `${image}: sound\n` : `${image}: ${found.length} findings\n`);
    return found.length === 0 ? 0 : 1;
  },
};

/** The kernel's form of paths, a character for each byte; ours are UTF-8. */
const guestBytes = (path: string): string => Buffer.from(path).toString("latin1");

const print = (text: string): void => writeOut(1, new TextEncoder().encode(text));

function noMore(command: string, more: readonly string[]): void {
  if (more.length > 0) throw new UsageError(`disk ${command}: ${more[0]} is one argument too many`);
}

function open(image: string, readOnly: boolean): DiskFs {
  // The file's bytes are shared with nobody: what goes wrong in the middle leaves the image as it was.
  return new DiskFs(Uint8Array.from(readInput("disk", image)), { readOnly, timeSec: Math.floor(Date.now() / 1000) });
}

function save(image: string, bytes: Uint8Array): void {
  try {
    writeFileSync(image, bytes);
  } catch (e) {
    throw fileError("disk", image, e);
  }
}

function copyTree(disk: DiskFs, from: string, to: string): void {
  let names: string[];
  try {
    names = readdirSync(from).sort();
  } catch (e) {
    throw fileError("folder", from, e);
  }
  for (const name of names) {
    const host = join(from, name), guest = `${to}/${guestBytes(name)}`, s = lstatSync(host);
    if (guest === "/lost+found") continue;
    if (s.isDirectory()) {
      disk.mkdir(guest, s.mode & 0o7777);
      copyTree(disk, host, guest);
    } else if (s.isSymbolicLink()) disk.symlink(guest, guestBytes(readlinkSync(host)));
    else if (s.isFile()) disk.writeFile(guest, readFileSync(host), s.mode & 0o7777);
  }
}
