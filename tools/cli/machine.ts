// `loanword machine`: firmware or a kernel on the bare machine. No kernel of ours takes part.
import { existsSync, writeFileSync } from "node:fs";
import { ElfError } from "../../emu/elf.ts";
import { BoardError, Machine, VIRTIO_SLOTS } from "../../emu/machine.ts";
import { fileError, openDisk, openInput } from "./files.ts";
import { type CommandLine, flag, list, text, UsageError } from "./options.ts";
import { clockMode, commonConfig, epoch, Session } from "./session.ts";

/** One slot is the random source's. */
const DRIVES_MAX = VIRTIO_SLOTS - 1;

/** Where distributions put OpenSBI. */
const OPENSBI = ["/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin", "/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin",
  "/usr/share/opensbi/lp64/generic/firmware/fw_dynamic.bin"];

/** => the firmware's path; undefined for none */
function firmware(named: string | undefined): string | undefined {
  if (named !== "default") return named === "none" ? undefined : named;
  const found = OPENSBI.find((path) => existsSync(path));
  if (found === undefined) throw new UsageError("--bios default: no OpenSBI is installed here (Debian has it in the package opensbi); name its fw_dynamic.bin, or say --bios none");
  return found;
}

/** => slots of the disks and perhaps of the random source, or nothing when none were given */
function slotsOf(line: CommandLine, disks: number): { slots?: number[] } {
  const value = text(line, "slots");
  if (value === undefined) return {};
  const slots = value.split(",").map((n) => (/^\d$/.test(n) ? Number(n) : VIRTIO_SLOTS));
  if (new Set(slots).size < slots.length || Math.max(...slots) >= VIRTIO_SLOTS) throw new UsageError(`--slots ${value}: give different numbers from 0 to ${VIRTIO_SLOTS - 1}`);
  if (slots.length < disks || slots.length > disks + 1) throw new UsageError(`--slots ${value}: ${slots.length} slots for ${disks} ${disks === 1 ? "disk" : "disks"} and the random source`);
  return { slots };
}

/** => the exit status: that of the finisher or of tohost */
export async function machineVerb(line: CommandLine): Promise<number> {
  const kernelPath = text(line, "kernel"), biosPath = firmware(text(line, "bios")), initrdPath = text(line, "initrd");
  const dumpPath = text(line, "dumpdtb"), append = text(line, "append");
  if (kernelPath === undefined && biosPath === undefined && dumpPath === undefined) {
    throw new UsageError("machine needs --kernel F (or --bios F); see `loanword machine --help`");
  }
  const common = commonConfig(line), clock = clockMode(line, "host");
  const image = (what: string, path: string | undefined) => (path === undefined ? null : { name: `${what} ${path}`, bytes: openInput(what, path) });
  const kernel = image("kernel", kernelPath), bios = image("bios", biosPath), initrd = image("initrd", initrdPath);
  const drives = list(line, "drive").map((path) => openDisk(path, { writable: flag(line, "rw") }));
  if (initrd !== null && initrd.bytes.sizeBytes > common.ramBytes / 2)
    throw new UsageError(`initrd ${initrdPath}: ${initrd.bytes.sizeBytes} bytes do not fit; give more --mem`);
  if (drives.length > DRIVES_MAX) throw new UsageError(`--drive was given ${drives.length} times; the board has room for ${DRIVES_MAX} disks`);
  const session = new Session("console");
  let machine: Machine;
  try {
    machine = new Machine({
      ...common, drives, ...slotsOf(line, drives.length), console: session.console, epochSeconds: epoch(clock), ...(append === undefined ? {} : { bootargs: append }),
      ...(initrd === null ? {} : { initrd: initrd.bytes }), ...(kernel === null ? {} : { kernel }), ...(bios === null ? {} : { bios }),
    });
  } catch (e) {
    throw e instanceof ElfError || e instanceof BoardError ? new UsageError(e.message) : e;
  }
  if (dumpPath !== undefined) {
    try {
      writeFileSync(dumpPath, machine.fdt);
    } catch (e) {
      throw fileError("device tree", dumpPath, e);
    }
    return 0;
  }
  return session.run(machine, machine, line, { clock });
}
