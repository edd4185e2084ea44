// `loanword boot` and `loanword run`: our kernel on the machine, with the embedded root disk or another.
import { realpathSync, statSync } from "node:fs";
import { basename } from "node:path";
import { ElfError, parseElf, PT_INTERP } from "../../emu/elf.ts";
import { Machine } from "../../emu/machine.ts";
import { type Trace, TRACE_KINDS } from "../../kernel/kern/kern.ts";
import { type CpioEntry, packCpio, S_IFREG } from "../cpio.ts";
import { Ddb } from "../ddb/commands.ts";
import { DdbConsole } from "../ddb/console.ts";
import { entriesOf } from "../host/folder.ts";
import { printError } from "../host/stdio.ts";
import { fileError, readInput } from "./files.ts";
import { startKernel } from "./kernel.ts";
import { type CommandLine, flag, list, memoryBytes, text, UsageError } from "./options.ts";
import { embeddedDisk, rootDisk } from "./rootdisk.ts";
import { clockMode, commonConfig, epoch, Session } from "./session.ts";

const INIT = "/sbin/init";
/** Where files of the host appear, unless another place is named. */
const HOST_FOLDER = "host";

/** Boots to a shell, or runs one command with -c. => the exit status */
export function bootVerb(line: CommandLine): Promise<number> {
  const command = text(line, "command");
  return start(line, command === undefined ? null : [INIT, "-c", command], []);
}

/** Runs one program of the host. => its exit status */
export function runVerb(line: CommandLine): Promise<number> {
  const [path, ...args] = line.rest;
  if (path === undefined) throw new UsageError("run needs a program: loanword run [options] PROG [ARGS]");
  const bytes = readInput("program", path);
  try {
    const elf = parseElf(bytes), interpreter = elf.segments.find((s) => s.type === PT_INTERP);
    if (interpreter !== undefined && list(line, "dir").length === 0) {
      const name = new TextDecoder().decode(bytes.subarray(interpreter.offset, interpreter.offset + interpreter.fileBytes)).replace(/\0.*$/s, "");
      throw new UsageError(`program ${path}: is dynamically linked and needs ${name}; link it with -static, or bring its libraries, such as --dir /usr/riscv64-linux-gnu/lib:/lib`);
    }
  } catch (e) {
    throw e instanceof ElfError ? new UsageError(`program ${path}: ${e.message}`) : e;
  }
  const guestPath = `${HOST_FOLDER}/${basename(path)}`;
  return start(line, [INIT, "-e", `/${guestPath}`, ...args], [{ path: guestPath, mode: S_IFREG | 0o755, data: bytes }]);
}

/** Both sides of a --dir. */
function guestFolder(value: string): { host: string; guest: string } {
  const colon = value.lastIndexOf(":"), host = colon > 0 ? value.slice(0, colon) : value;
  const guest = (colon > 0 ? value.slice(colon + 1) : `${HOST_FOLDER}/${basename(host)}`).split("/").filter((part) => part !== "" && part !== ".");
  if (guest.includes("..") || guest.length === 0) throw new UsageError(`--dir ${value}: name a directory of the guest other than /, without ..`);
  return { host, guest: guest.join("/") };
}

/** The files that --dir names. */
function hostFolders(line: CommandLine): CpioEntry[] {
  return list(line, "dir").flatMap((value) => {
    const { host, guest } = guestFolder(value);
    try {
      if (!statSync(host).isDirectory()) throw new UsageError(`--dir ${host}: is not a folder; name the folder that the file is in`);
      // A link to a folder is followed, as a shell does.
      return entriesOf(realpathSync(host), guest, (path, what) => printError(`loanword: --dir ${host}: ${path} is left out: it is a ${what}\n`));
    } catch (e) {
      throw e instanceof UsageError ? e : fileError("--dir", host, e);
    }
  });
}

/** --trace KINDS: lines on standard error. */
function traceOf(kinds: string | undefined): Trace | null {
  if (kinds === undefined) return null;
  const wanted = kinds.split(","), wrong = wanted.find((k) => k !== "all" && !TRACE_KINDS.some((t) => t === k));
  if (wrong !== undefined) throw new UsageError(`--trace ${kinds}: there is no kind "${wrong}"; use all, or some of ${TRACE_KINDS.join(",")}`);
  return { kinds: new Set(TRACE_KINDS.filter((k) => wanted.includes("all") || wanted.includes(k))), line: (text) => printError(`${text}\n`) };
}

/** `init`: the first program, or null for a shell. */
async function start(line: CommandLine, init: readonly string[] | null, files: readonly CpioEntry[]): Promise<number> {
  const common = commonConfig(line), clock = clockMode(line, "host"), path = text(line, "disk"), rw = flag(line, "rw"), kinds = text(line, "trace");
  if (rw && path === undefined) throw new UsageError("--rw needs --disk F: the embedded root disk is never changed");
  const entries = [...hostFolders(line), ...files], initrd = entries.length === 0 ? null : packCpio(entries);
  if (initrd !== null && initrd.length > memoryBytes(line) / 2) {
    throw new UsageError(`${initrd.length} bytes of host files do not fit into ${memoryBytes(line)} bytes of memory; give more --mem`);
  }
  const disk = path === undefined ? await embeddedDisk() : rootDisk(path, rw);
  const session = new Session("ports");
  // On a terminal, a shell that ends is followed by a new one. Input that has ended would end that one too, and so on for ever.
  const first = init ?? (session.ports === null ? [INIT] : [INIT, "-e", "/bin/sh", "-l"]);
  const bootargs = [text(line, "append"), session.ports === null ? undefined : "stdio=ports"].filter((a) => a !== undefined).join(" ");
  const machine = new Machine({
    ...common, hosted: true, drives: [disk], console: session.console, bootargs, epochSeconds: epoch(clock),
    ...(session.ports === null ? {} : { ports: session.ports }), ...(initrd === null ? {} : { initrd }),
  });
  const kernel = startKernel(machine, { init: first, trace: traceOf(kinds), readOnlyDirs: list(line, "dir").map((value) => `/${guestFolder(value).guest}`) });
  const ddb = new Ddb(kernel);
  const status = await session.run(kernel, machine, line, { clock, debug: { kernel, ddb, console: (actions) => new DdbConsole(kernel, actions, ddb) } });
  disk.flush();
  return status;
}
