// `loanword disk`: ext2 images without booting them.
//
//   root IMAGE    create IMAGE SIZE [DIR]    ls IMAGE [PATH]    cat IMAGE PATH    put IMAGE FILE PATH    check IMAGE
import {
  accessSync, constants, existsSync, lstatSync, readFileSync, readlinkSync, realpathSync, renameSync, rmSync, statSync, writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { EEXIST } from "../../kernel/lib/errno.ts";
import { DiskError, DiskFs } from "../diskfs.ts";
import { checkExt2, FINDINGS_MAX } from "../ext2check.ts";
import { kindOf, namesIn } from "../host/folder.ts";
import { print, printError, writeOut } from "../host/stdio.ts";
import { makeExt2 } from "../mkext2.ts";
import { longList } from "./disklist.ts";
import { fileError, readInput } from "./files.ts";
import { didYouMean } from "./nearest.ts";
import { UsageError } from "./options.ts";
import { embeddedRoot } from "./rootdisk.ts";

export const DISK_HELP = `loanword disk COMMAND ...

ext2 disk images, without booting them

  root IMAGE                writes the root disk that comes with us, to boot from with --disk
  create IMAGE SIZE [DIR]   makes an image, such as of 64M, with the files of a host folder
  ls IMAGE [PATH]           lists a directory or file of the image: mode, links, owner, group, size or device, time in UTC, name
  cat IMAGE PATH            writes a file of the image to standard output
  put IMAGE FILE PATH       copies a host file into the image
  check IMAGE               looks for damage; exit status 1 when there is some
`;

const BYTES_PER_INODE = 8192, SIZE_MIN = 1 << 20, SIZE_MAX = 1 << 30;

/** => the exit status */
export async function diskVerb(args: readonly string[]): Promise<number> {
  const [command, image, ...rest] = args;
  if (command === undefined || args.some((word) => word === "--help" || word === "-h")) {
    print(DISK_HELP);
    return command === undefined ? 2 : 0;
  }
  const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined, names = Object.keys(COMMANDS);
  if (run === undefined) throw new UsageError(`disk has no command ${command}${didYouMean(command, names) || `; use one of ${names.join(", ")}`} (see \`loanword disk --help\`)`);
  if (image === undefined) throw new UsageError(`disk ${command} needs an image; see \`loanword disk --help\``);
  try {
    return await run(image, rest);
  } catch (e) {
    throw e instanceof DiskError ? new UsageError(`disk ${image}: ${Buffer.from(e.message, "latin1").toString()}`) : e;
  }
}

const COMMANDS: Readonly<Record<string, (image: string, rest: readonly string[]) => number | Promise<number>>> = {
  async root(image, more) {
    noMore("root", more);
    mustNotExist("root", image);
    const bytes = await embeddedRoot();
    makeFile("root", image, () => bytes);
    return 0;
  },
  create(image, [size, folder, ...more]) {
    noMore("create", more);
    const m = /^(\d+)([KMG]?)$/i.exec(size ?? ""), bytes = m === null ? NaN : Number(m[1]) * { "": 1, K: 1024, M: 1 << 20, G: 1 << 30 }[m[2]!.toUpperCase()]!;
    if (!(bytes >= SIZE_MIN && bytes <= SIZE_MAX)) throw new UsageError(`disk create: ${size ?? "no size"}: give a size from 1M to 1G, such as 64M`);
    const sizeBytes = Math.floor(bytes / 4096) * 4096, inodes = Math.max(64, Math.floor(sizeBytes / BYTES_PER_INODE / 16) * 16);
    makeFile("create", image, () => {
      const timeSec = Math.floor(Date.now() / 1000), uuid = crypto.getRandomValues(new Uint8Array(16));
      const disk = new DiskFs(makeExt2({ sizeBytes, inodes, label: "", uuid, timeSec }), { timeSec });
      if (folder !== undefined) copyTree(disk, folder, "");
      return disk.close();
    });
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
    replace(image, disk.close());
    return 0;
  },
  check(image, more) {
    noMore("check", more);
    const found = checkExt2(readInput("disk", image));
    // Names of the image are in them, a character for each byte.
    for (const { where, what } of found) writeOut(1, Buffer.from(`${where}: ${what}\n`, "latin1"));
    print(`${image}: ${found.length === 0 ? "sound" : counted(found.length)}\n`);
    return found.length === 0 ? 0 : 1;
  },
};

/** The kernel's form of paths, a character for each byte; ours are UTF-8. */
const guestBytes = (path: string): string => Buffer.from(path).toString("latin1");

function counted(findings: number): string {
  return findings < FINDINGS_MAX ? `${findings} ${findings === 1 ? "finding" : "findings"}` : `${findings} findings, and there may be more: the check ends there`;
}

function noMore(command: string, more: readonly string[]): void {
  if (more.length > 0) throw new UsageError(`disk ${command}: ${more[0]} is one argument too many`);
}

function open(image: string, readOnly: boolean): DiskFs {
  // The file's bytes are shared with nobody: what goes wrong in the middle leaves the image as it was.
  return new DiskFs(Uint8Array.from(readInput("disk", image)), { readOnly, timeSec: Math.floor(Date.now() / 1000) });
}

/** An image that is not there yet. */
function mustNotExist(command: string, image: string): void {
  if (existsSync(image)) throw new UsageError(`disk ${command}: ${image} exists; remove it first`);
}

function makeFile(command: string, image: string, make: () => Uint8Array): void {
  mustNotExist(command, image);
  const bytes = make();
  try {
    writeFileSync(image, bytes, { flag: "wx" });
  } catch (e) {
    throw fileError("disk", image, e);
  }
}

/** Takes the place of an image when it is written as a whole: a full disk or a kill leaves the old one. */
function replace(image: string, bytes: Uint8Array): void {
  let beside: string | null = null;
  try {
    const path = realpathSync(image);
    accessSync(path, constants.W_OK);
    beside = `${path}.${process.pid}.new`;
    writeFileSync(beside, bytes, { flag: "wx", mode: statSync(path).mode & 0o7777 });
    renameSync(beside, path);
  } catch (e) {
    if (beside !== null) rmSync(beside, { force: true });
    throw fileError("disk", image, e);
  }
}

function copyTree(disk: DiskFs, from: string, to: string): void {
  try {
    if (!statSync(from).isDirectory()) throw new UsageError(`folder ${from}: is not a folder`);
    copyBelow(disk, from, to);
  } catch (e) {
    throw e instanceof DiskError || e instanceof UsageError ? e : fileError("folder", from, e);
  }
}

/** => throws DiskError, or the host's error */
function copyBelow(disk: DiskFs, from: string, to: string): void {
  for (const name of namesIn(from)) {
    const host = join(from, name), guest = `${to}/${guestBytes(name)}`, s = lstatSync(host);
    if (guest === "/lost+found") continue;
    if (s.isDirectory()) {
      disk.mkdir(guest, s.mode & 0o7777);
      copyBelow(disk, host, guest);
    } else if (s.isSymbolicLink()) disk.symlink(guest, guestBytes(readlinkSync(host)));
    else if (s.isFile()) disk.writeFile(guest, readFileSync(host), s.mode & 0o7777);
    else printError(`loanword: disk create: ${host} is left out: it is a ${kindOf(s)}\n`);
  }
}
