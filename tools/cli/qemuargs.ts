// QEMU's command line for its `virt` board, as the Makefiles of teaching kernels have it, in words of ours:
//
//   make qemu QEMU='npx --prefix LOANWORD_FOLDER loanword machine'
//
//   -machine virt -bios none -kernel kernel/kernel -m 128M -smp 3 -nographic -global virtio-mmio.force-legacy=false
//   -drive file=fs.img,if=none,format=raw,id=x0 -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0
//
// As there: disks keep what is written to them unless -snapshot or snapshot=on is given, virtio is the legacy one unless told
// otherwise, a device without a bus is in the last slot that is free, the device tree lists slots from the last, and a machine
// named by -machine or -M has OpenSBI unless it is given another -bios. Options in two dashes are ours.
import { VIRTIO_SLOTS } from "../../emu/machine.ts";
import { didYouMean } from "./nearest.ts";
import { takesValue, UsageError } from "./options.ts";

/** Options of QEMU without a value that change nothing here. */
const IDLE_FLAGS = new Set(["-nographic", "-no-reboot", "-no-shutdown", "-nodefaults", "-no-user-config", "-enable-kvm"]);
/** Options with a value, and the values that ask for what is here anyway; others are noted. */
const IDLE_VALUES: Readonly<Record<string, RegExp>> = {
  "-serial": /^(mon:)?stdio$/, "-cpu": /^(rv64|max)$/, "-monitor": /^(none|null|stdio|mon:stdio)$/,
  "-display": /./, "-accel": /./, "-name": /./, "-rtc": /./, "-vga": /./, "-parallel": /./,
};
/** Properties of the board that change nothing here. */
const IDLE_PROPERTIES = new Set(["type", "virt", "accel", "dumpdtb", "graphics", "usb"]);
const BOARD_OPTIONS = new Set(["-machine", "-M", "-m", "-smp", "-global", "-drive", "-device", "-netdev"]);
/** Options whose value is passed on as it is. */
const SAME: Readonly<Record<string, string>> = { "-kernel": "--kernel", "-bios": "--bios", "-initrd": "--initrd", "-append": "--append" };
const KNOWN = [...IDLE_FLAGS, ...Object.keys(IDLE_VALUES), ...Object.keys(SAME), ...BOARD_OPTIONS, "-snapshot"].map((option) => option.slice(1));
/** The board's virtio slots: virtio-mmio-bus.0 and so on. */
const SLOTS: readonly number[] = Array.from({ length: VIRTIO_SLOTS }, (_, i) => i);
const LEGACY_OPTION = "virtio-mmio.force-legacy";

export interface Translated {
  readonly argv: string[];
  /** What was asked for and is not to be had, for standard error. */
  readonly notes: string[];
}

/** `a=1,b,c=2` as QEMU has it; a comma in a value is written twice. */
function fields(value: string): Map<string, string> {
  return new Map(value.replaceAll(",,", "\0").split(",").map((part) => {
    const field = part.replaceAll("\0", ","), at = field.indexOf("=");
    return at < 0 ? [field, ""] : [field.slice(0, at), field.slice(at + 1)];
  }));
}

const isOn = (value: string | undefined): boolean => value === "on" || value === "true" || value === "yes";

class Translation {
  readonly out: string[] = [];
  readonly notes: string[] = [];
  private readonly drives: { id: string; file: string; dropped: boolean }[] = [];
  /** Slots of disks by the names of their drives, and the random source's, which has no drive. */
  private readonly placed = new Map<string | null, number>();
  private legacy = true;
  private snapshot = false;
  private board = false;

  /** => whether the option took its value */
  take(option: string, value: string | undefined): boolean {
    if (IDLE_FLAGS.has(option)) return false;
    if (option === "-snapshot") {
      this.snapshot = true;
      return false;
    }
    const idle = IDLE_VALUES[option], same = SAME[option];
    if (idle === undefined && same === undefined && !BOARD_OPTIONS.has(option)) {
      const hint = didYouMean(option.slice(1), KNOWN, "-");
      throw new UsageError(`${option} is no option of this machine, nor one of QEMU's that it knows${hint} (see \`loanword machine --help\`)`);
    }
    if (value === undefined) throw new UsageError(`${option} needs a value`);
    if (same !== undefined) this.out.push(same, value);
    else if (idle === undefined) this.takeBoard(option, value);
    else if (!idle.test(value)) this.notes.push(`${option} ${value}: has no effect here`);
    return true;
  }

  private takeBoard(option: string, value: string): void {
    const f = fields(value), first = value.split(",")[0]!;
    if (option === "-machine" || option === "-M") {
      const type = f.get("type") ?? first;
      if (type !== "virt") throw new UsageError(`${option} ${type}: only the board virt is here`);
      this.board = true;
      if (f.has("dumpdtb")) this.out.push("--dumpdtb", f.get("dumpdtb")!);
      for (const name of f.keys()) if (!IDLE_PROPERTIES.has(name)) this.notes.push(`${option} ${value}: ${name} has no effect here`);
    } else if (option === "-m") {
      const size = f.get("size") ?? first;
      this.out.push("--mem", /^\d+$/.test(size) ? `${size}M` : size);
    } else if (option === "-smp") {
      const harts = Number(f.get("cpus") ?? first);
      if (!(harts >= 1)) throw new UsageError(`-smp ${value}: give a number of harts; this machine has one`);
      if (harts > 1) this.notes.push(`-smp ${harts}: this machine has one hart`);
    } else if (option === "-global") {
      if (f.has(LEGACY_OPTION)) this.legacy = isOn(f.get(LEGACY_OPTION));
      else this.notes.push(`-global ${value}: has no effect here`);
    } else if (option === "-drive") this.drive(f);
    else this.device(option, value, first, f);
  }

  private drive(f: Map<string, string>): void {
    const file = f.get("file"), format = f.get("format") ?? "raw";
    if (file === undefined) throw new UsageError("-drive needs file=F");
    if (!/^(none|virtio)$/.test(f.get("if") ?? "none")) throw new UsageError(`-drive ${file}: if=${f.get("if")} is not here; disks are virtio's (if=none or if=virtio)`);
    if (format !== "raw") throw new UsageError(`-drive ${file}: format ${format} is not read here; convert the image to raw`);
    this.drives.push({ id: f.get("id") ?? "", file, dropped: isOn(f.get("snapshot")) || isOn(f.get("readonly")) });
  }

  private device(option: string, value: string, type: string, f: Map<string, string>): void {
    if (option === "-device" && (type === "virtio-blk-device" || type === "virtio-blk")) {
      this.place(f.get("drive") ?? "", f.get("bus"));
    } else if (option === "-device" && type === "virtio-rng-device") this.place(null, f.get("bus"));
    else this.notes.push(`${option} ${value}: there is no such device here`);
  }

  /** The slot of a device: its bus, else the last that is free. */
  private place(drive: string | null, bus: string | undefined): void {
    const named = /virtio-mmio-bus\.(\d+)$/.exec(bus ?? ""), taken = [...this.placed.values()];
    const slot = named === null ? SLOTS.findLast((s) => !taken.includes(s)) : Number(named[1]);
    if (slot === undefined) throw new UsageError(`there are more than ${SLOTS.length} virtio devices`);
    if (!SLOTS.includes(slot)) throw new UsageError(`there is no virtio-mmio-bus.${slot}; the last is ${SLOTS.length - 1}`);
    if (taken.includes(slot)) throw new UsageError(`virtio-mmio-bus.${slot} has a device already`);
    this.placed.set(drive, slot);
  }

  /** The disks, in the order of their drives, and the slots where they are not what they would be anyway. */
  private placeDrives(): void {
    const { out, drives, placed } = this, taken = [...placed.values()], free = SLOTS.filter((s) => !taken.includes(s));
    for (const id of placed.keys()) if (id !== null && !drives.some((d) => d.id === id)) throw new UsageError(`-device virtio-blk-device,drive=${id}: no -drive has that id`);
    for (const d of drives) out.push("--drive", d.file);
    const slots = [...drives.map((d) => placed.get(d.id) ?? free.shift()), ...(placed.has(null) ? [placed.get(null)] : [])];
    if (placed.size > 0 && slots.join() !== "0") out.push("--slots", slots.join());
  }

  finish(): Translated {
    const { out, drives, placed } = this;
    if (this.board && !out.includes("--bios")) out.push("--bios", "default");
    this.placeDrives();
    const dropped = drives.filter((d) => d.dropped || this.snapshot), kept = drives.find((d) => !dropped.includes(d));
    if (kept !== undefined && dropped.length > 0) {
      throw new UsageError(`-drive ${dropped[0]!.file} forgets what is written and ${kept.file} keeps it: here all disks do the one or the other (-snapshot: all forget)`);
    }
    if (kept !== undefined) out.push("--rw");
    const saysVirtio = out.some((word) => /^--virtio(=|$)/.test(word));
    if ((this.board || placed.size > 0) && this.legacy && !saysVirtio) out.push("--virtio", "legacy");
    return { argv: out, notes: this.notes };
  }
}

/** Puts what is said in QEMU's way into ours. => the same when nothing is. Throws UsageError */
export function fromQemu(argv: readonly string[]): Translated {
  const t = new Translation();
  let isQemu = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!, value = argv[i + 1], isDrive = word === "--drive" && /(^|,)file=/.test(value ?? "");
    if (isDrive || (/^-[a-zA-Z]/.test(word) && word !== "-h")) {
      isQemu = true;
      if (t.take(isDrive ? "-drive" : word, value)) i++;
    } else {
      t.out.push(word);
      if (takesValue("machine", word) === true && value !== undefined) t.out.push(argv[++i]!);
    }
  }
  return isQemu ? t.finish() : { argv: [...argv], notes: [] };
}
