// The command line: what it does with bad input, with disks, and with standard streams.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { DiskFs } from "../../tools/diskfs.ts";
import { makeExt2 } from "../../tools/mkext2.ts";
import { fromQemu } from "../../tools/cli/qemuargs.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { loanword, Scratch } from "../helpers/cli.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("cli");
const scratch = new Scratch();
const elf = (source: string) => elfOf(assemble(source));
const changed = (bytes: Uint8Array, change: (v: DataView) => void) => {
  const copy = bytes.slice();
  change(new DataView(copy.buffer));
  return copy;
};

const EXIT_42 = elf("li t0, 0x100000\n li t1, 42 << 16 | 0x3333\n sw t1, 0(t0)\n here: j here");
const kernel = scratch.file("exit42.elf", EXIT_42), missing = `${scratch.dir}/missing`;
const disk = scratch.file("disk.img", Uint8Array.from({ length: 65536 }, (_, i) => i & 255));

/** One line on standard error, status 2, nothing else. */
function refused(args: readonly string[], reason: RegExp): void {
  const r = loanword(args);
  assert.is(r.status, 2, `${args.join(" ")}: ${r.stderr}`);
  assert.is(r.stdout, "");
  assert.match(r.stderr, /^loanword: [^\n]+\n$/);
  assert.match(r.stderr, reason);
}

const machine = (...args: string[]) => ["machine", "--clock", "virtual", ...args];

test("help goes to standard output; no verb and an unknown one are mistakes", () => {
  for (const args of [["--help"], ["machine", "--help"], ["run", "--help"], ["boot", "-h"]]) {
    const r = loanword(args);
    assert.is(r.status, 0);
    assert.match(r.stdout, /^loanword/);
  }
  assert.is(loanword([]).status, 2);
  refused(["frobnicate"], /frobnicate is not a verb of loanword; use one of run, boot, machine, disk/);
  refused(["bot"], /did you mean boot\?/);
  refused(["toString"], /toString is not a verb/);
  assert.equal(loanword(["--version"]), { status: 0, stdout: `loanword ${(JSON.parse(readFileSync("package.json", "utf8")) as { version: string }).version}\n`, stderr: "" });
});

test("output that cannot be written is a line and status 1; a reader that goes away is no error", () => {
  const kept = scratch.file("kept.img", new DiskFs(makeExt2({ sizeBytes: 1 << 20, inodes: 64, uuid: new Uint8Array(16), timeSec: 0 })).close());
  const into = (target: string, ...args: string[]) => spawnSync("sh", ["-c", `"$0" build/tools/cli.main.mjs "$@" ${target}`, process.execPath, ...args], { encoding: "latin1" });
  for (const args of [["--help"], ["boot", "--help"], ["disk"], ["disk", "ls", kept], ["boot", "--clock", "virtual", "-c", "echo hi"]]) {
    const full = into(">/dev/full", ...args);
    assert.equal([full.status, full.stderr], [1, "loanword: standard output cannot be written: no space left on the device\n"], args.join(" "));
    const gone = into("| true", ...args);
    assert.equal([gone.status, gone.stderr], [0, ""], args.join(" "));
  }
});

test("an option that is nearly one is suggested, and a missing value is said to be missing", () => {
  refused(["boot", "--comand", "ls"], /there is no option --comand; did you mean --command\? \(see/);
  refused(["boot", "--eng", "jit"], /did you mean --engine\?/);
  refused(["boot", "--frobnicate"], /there is no option --frobnicate \(see/);
  refused(["boot", "-x"], /there is no option -x \(see/);
  refused(["boot", "--seed", "-1"], /--seed needs a value; one that begins with a dash is written --seed=VALUE/);
  refused(["boot", "--seed=-1"], /--seed -1: give a number/);
  refused(["boot", "-c"], /-c needs a value|--command needs a value: --command CMD/);
  refused(["boot", "ls"], /unexpected argument 'ls'; a command goes behind -c, in quotes/);
  refused(["machine", "x.elf"], /the kernel goes behind --kernel/);
  refused(["boot", "--rw=1"], /'--rw' does not take an argument/);
});

test("options that do not exist, lack their value or have a wrong one", () => {
  refused(machine("--kernle", kernel), /--kernle.*see `loanword machine --help`/);
  refused(machine("--kernel"), /--kernel/);
  refused(machine(), /needs --kernel/);
  refused(machine("--kernel", kernel, "extra"), /extra/);
  for (const mem of ["0", "12", "1T", "-5M", "4G", "1000001"]) refused(machine("--kernel", kernel, `--mem=${mem}`), /--mem .*such as 128M/);
  refused(machine("--kernel", kernel, "--virtio", "old"), /--virtio old: use one of modern, legacy/);
  refused(machine("--kernel", kernel, "--ad", "x"), /--ad x/);
  refused(machine("--kernel", kernel, "--clock", "sun"), /--clock sun/);
  refused(machine("--kernel", kernel, "--seed", "x"), /--seed x/);
  const tunes = [["hto=3", /no such setting "hto"/], ["hot", /hot wants a number/], ["hot=65536", /hot wants a number up to 65535/]] as const;
  for (const [tune, reason] of tunes) refused(machine("--kernel", kernel, "--tune", tune), reason);
});

test("kernels that are missing, not kernels, for another machine, or cut short", () => {
  const bad = (name: string, bytes: Uint8Array | string, reason: RegExp) => {
    const path = scratch.file(name, bytes);
    refused(machine("--kernel", path), new RegExp(`${path} ${reason.source}`));
  };
  refused(machine("--kernel", missing), new RegExp(`kernel ${missing}: no such file`));
  refused(machine("--kernel", scratch.dir), /is a directory/);
  bad("script", "#!/bin/sh\necho\n", /is not an ELF file but a script/);
  bad("empty", "", /is empty/);
  bad("compressed", gzipSync(EXIT_42), /is compressed/);
  bad("x86", changed(EXIT_42, (v) => v.setUint16(18, 62, true)), /is for x86-64, not for RISC-V/);
  bad("arm", changed(EXIT_42, (v) => v.setUint16(18, 183, true)), /is for AArch64/);
  bad("rv32", changed(EXIT_42, (v) => v.setUint8(4, 1)), /is a 32-bit RISC-V file/);
  bad("object", changed(EXIT_42, (v) => v.setUint16(16, 1, true)), /is an object file/);
  bad("cut-header", EXIT_42.slice(0, 30), /is truncated/);
  bad("cut-segment", EXIT_42.slice(0, 132), /is truncated: segment 0 ends at byte/);
  bad("low", changed(EXIT_42, (v) => v.setBigUint64(88, 0x1000n, true)), /has a segment .* outside RAM/);
  bad("huge", changed(EXIT_42, (v) => v.setBigUint64(104, 1n << 40n, true)), /has a segment .* outside RAM/);
  refused(machine("--kernel", scratch.file("raw", new Uint8Array(3 << 20)), "--mem", "2M"), /does not fit.*--mem/);
  refused(machine("--kernel", kernel, "--bios", kernel), /over the firmware/);
});

test("disks and initrds that are missing, directories, cut short or compressed", () => {
  const drive = (path: string, ...more: string[]) => machine("--kernel", kernel, "--drive", path, ...more);
  refused(drive(missing), /disk .*: no such file/);
  refused(drive(scratch.dir), /not a regular file/);
  refused(drive(scratch.file("short", new Uint8Array(1000))), /1000 bytes are not whole sectors of 512/);
  refused(drive(scratch.file("none", "")), /is empty/);
  const zipped = gzipSync(new Uint8Array(4096));
  refused(drive(scratch.file("zip", zipped), "--rw"), /is compressed, so --rw cannot/);
  refused(drive(scratch.file("cutzip", zipped.subarray(0, 20))), /cannot be uncompressed/);
  assert.is(loanword(drive(scratch.file("goodzip", zipped))).status, 42);
  const half = scratch.file("half", new Uint8Array(2 << 20));
  refused(machine("--kernel", half, "--initrd", half, "--mem", "4M"), /^loanword: kernel, initrd and device tree do not fit into RAM together; give more --mem/);
  refused(machine("--kernel", kernel, "--initrd", missing), /initrd .*: no such file/);
  refused(machine("--kernel", kernel, "--initrd", scratch.file("big", new Uint8Array(3 << 20)), "--mem", "4M"), /give more --mem/);
  refused(machine("--kernel", kernel, ...new Array<string[]>(8).fill(["--drive", disk]).flat()), /room for 7 disks/);
});

test("programs and folders for the kernel that are missing or of the wrong kind", () => {
  const dynamic = changed(EXIT_42, (v) => v.setUint32(64, 3, true));
  refused(["run"], /needs a program/);
  refused(["run", missing], /program .*missing: no such file/);
  refused(["run", scratch.dir], /is a directory/);
  refused(["run", "--nope", kernel], /--nope/);
  refused(["run", scratch.file("text", "hello\n"), "--nope"], /is not an ELF file/);
  refused(["run", scratch.file("x86-prog", changed(EXIT_42, (v) => v.setUint16(18, 62, true)))], /is for x86-64/);
  refused(["run", scratch.file("cut-prog", EXIT_42.slice(0, 132))], /is truncated/);
  refused(["run", scratch.file("dynamic", dynamic)], /is dynamically linked .* link it with -static, or bring its libraries/);
  refused(["run", "--dir", missing, kernel], /--dir .*missing: no such file/);
  refused(["run", "--dir", `${scratch.dir}:/a/../b`, kernel], /without \.\./);
  refused(["run", "--dir", kernel, kernel], /--dir .*exit42\.elf: is not a folder/);
  refused(["boot", "--disk", scratch.file("zero.img", new Uint8Array(1 << 20))], /superblock \(byte 1024\): magic 0x0 .*`loanword disk root` writes a root disk/);
  refused(["boot", "--rw"], /--rw needs --disk/);
  refused(["boot", "--disk", missing], /disk .*missing: no such file/);
  refused(["boot", "--mem", "64Q"], /--mem 64Q/);
  refused(["boot", "ls"], /ls/);
});

test("--dir follows a link to a folder, and names what it leaves out", () => {
  const folder = `${scratch.dir}/shown`, link = `${scratch.dir}/link`;
  mkdirSync(folder);
  symlinkSync(folder, link);
  scratch.file("shown/file", "text");
  assert.is(spawnSync("mkfifo", [`${folder}/fifo`]).status, 0);
  const r = loanword(["boot", "--clock", "virtual", "--dir", `${link}:/shown`, "-c", "ls /shown; cat /shown/file"]);
  assert.equal(r, { status: 0, stdout: "file\ntext", stderr: `loanword: --dir ${link}: ${folder}/fifo is left out: it is a pipe\n` });
});

test("QEMU's options for its board mean what they mean there", () => {
  const said = (line: string) => fromQemu(line.split(" ")).argv.join(" ");
  const disks = "-drive file=fs.img,if=none,format=raw,id=x0 -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0";
  assert.is(said(`-machine virt -bios none -kernel kernel/kernel -m 128M -smp 3 -nographic -global virtio-mmio.force-legacy=false ${disks}`),
    "--bios none --kernel kernel/kernel --mem 128M --drive fs.img --rw");
  assert.is(said(`-M virt -kernel k -m 64 ${disks} -snapshot`), "--kernel k --mem 64M --bios default --drive fs.img --virtio legacy");
  assert.is(said("--kernel k --drive fs.img -nographic"), "--kernel k --drive fs.img");
  assert.is(said("--kernel k --append -v --rw --drive d"), "--kernel k --append -v --rw --drive d");
  assert.is(said("-kernel k -drive id=b,file=b.img,snapshot=on -drive id=a,file=a,,b.img,readonly=on -device virtio-blk-device,drive=b,bus=virtio-mmio-bus.1 " +
    "-device virtio-blk-device,drive=a,bus=virtio-mmio-bus.0"), "--kernel k --drive b.img --drive a,b.img --slots 1,0 --virtio legacy");
  assert.is(said("--kernel k --json -nographic"), "--kernel k --json");
  assert.is(said("-M virt -bios none --virtio modern"), "--bios none --virtio modern");
  const noted = "-smp 3 -device e1000 -cpu rv32 -serial file:log -M virt,aia=aplic -global a.b=c";
  assert.equal(fromQemu(["-kernel", "k", "-serial", "mon:stdio", ...noted.split(" ")]).notes, [
    "-smp 3: this machine has one hart", "-device e1000: there is no such device here", "-cpu rv32: has no effect here", "-serial file:log: has no effect here",
    "-M virt,aia=aplic: aia has no effect here", "-global a.b=c: has no effect here",
  ]);
  assert.match(loanword(["machine", "--version"]).stdout, /^QEMU emulator version 7\.2\.0 \(its board virt, by loanword \d/);
  refused(machine("-kernel", kernel, "-smp", "many"), /-smp many: give a number/);
  refused(machine("-kernle", kernel), /-kernle is no option .*; did you mean -kernel\?/);
  refused(machine("-kernel", kernel, "-drive", `file=${disk},if=pflash`), /if=pflash is not here/);
  refused(machine("-kernel", kernel, "-drive", `file=${disk}`, "-drive", "file=b,snapshot=on"), /all disks do the one or the other/);
  refused(machine("-kernel", kernel, "-M", "sifive_u"), /only the board virt/);
  refused(machine("-kernel", kernel, "-gdb", "tcp::26000"), /-gdb is no option/);
  refused(machine("-kernel", kernel, "-drive", "file=x.qcow2,format=qcow2"), /convert the image to raw/);
  refused(machine("-kernel", kernel, "-device", "virtio-blk-device,drive=x"), /no -drive has that id/);
  assert.is(loanword(machine("-machine", "virt", "-bios", "none", "-nographic", "-m", "16M", "-kernel", kernel)).status, 42);
  assert.is(loanword(machine("--kernel", kernel, "--bios", "none")).status, 42);
});

test("QEMU's devices are in the slots that QEMU puts them into: its buses, else from the last slot down", () => {
  const drives = ["a", "b", "c"].map((id) => `-drive file=${id}.img,if=none,format=raw,id=${id}`).join(" "), blk = (id: string, bus = "") => `-device virtio-blk-device,drive=${id}${bus}`;
  const slots = (devices: string) => / --slots (\S+)/.exec(` ${fromQemu(`-M virt -kernel k ${drives} ${devices}`.split(" ")).argv.join(" ")}`)?.[1];
  const on = (n: number) => `,bus=virtio-mmio-bus.${n}`;
  assert.is(slots(`${blk("a")} ${blk("b")} ${blk("c")}`), "7,6,5");
  assert.is(slots(`${blk("a")} -device virtio-rng-device ${blk("b")} ${blk("c", on(0))}`), "7,5,0,6");
  assert.is(slots(`${blk("c", on(7))} ${blk("a")} ${blk("b", on(2))} -device virtio-rng-device${on(4)}`), "6,2,7,4");
  assert.is(slots(`${blk("b", on(3))}`), "0,3,1", "disks of no device are in the first free slots");
  assert.is(slots(""), undefined);
  refused(machine("-kernel", kernel, ...`${drives} ${blk("a", on(1))} ${blk("b", on(1))}`.split(" ")), /virtio-mmio-bus\.1 has a device already/);
  refused(machine("-kernel", kernel, ...`${drives} ${blk("a", on(8))}`.split(" ")), /there is no virtio-mmio-bus\.8; the last is 7/);
  refused(machine("--kernel", kernel, "--drive", disk, "--slots", "8"), /--slots 8: give different numbers from 0 to 7/);
  refused(machine("--kernel", kernel, "--drive", disk, "--slots", "1,1"), /--slots 1,1: give different numbers/);
  refused(machine("--kernel", kernel, "--drive", disk, "--slots", "1,2,3"), /--slots 1,2,3: 3 slots for 1 disk and the random source/);
});

test("--dumpdtb writes the board's device tree", () => {
  const path = `${scratch.dir}/board.dtb`;
  assert.is(loanword(machine("--dumpdtb", path)).status, 0);
  assert.is(readFileSync(path).readUInt32BE(0), 0xd00dfeed);
  refused(machine("--dumpdtb", `${missing}/x`), /no such file/);
});

test("the exit status is the guest's, and --json tells how it went", () => {
  const r = loanword(machine("--kernel", kernel, "--json"));
  assert.is(r.status, 42);
  const report = JSON.parse(r.stderr) as Record<string, unknown>;
  assert.is(report["exit"], 42);
  assert.ok((report["instructions"] as number) > 0 && (report["instructions"] as number) < 100);
});

const DISK_PROGRAM = scratch.file("disk.elf", elf(readFileSync("guest/bare/disk.S", "utf8")));

test("a disk's file is changed with --rw, and only then", () => {
  const before = readFileSync(disk);
  assert.is(loanword(machine("--kernel", DISK_PROGRAM, "--drive", disk)).status, 0);
  assert.ok(readFileSync(disk).equals(before), "unchanged without --rw");
  assert.is(loanword(machine("--kernel", DISK_PROGRAM, "--drive", disk, "--rw", "--virtio", "legacy")).status, 0);
  const after = readFileSync(disk);
  assert.is(after[1024], 1);
  assert.ok(after.subarray(0, 1024).equals(before.subarray(0, 1024)) && after.subarray(1536).equals(before.subarray(1536)));
});

// Echoes what comes in on the serial port in capital letters, by polling, until a full stop.
const ECHO = scratch.file("echo.elf", elf(`
    li s0, 0x10000000
poll:
    lbu t0, 5(s0)
    andi t0, t0, 1
    beqz t0, poll
    lbu a0, 0(s0)
    li t0, '.'
    beq a0, t0, off
    andi a0, a0, ~32
    sb a0, 0(s0)
    j poll
off:
    li t0, 0x100000
    li t1, 0x5555
    sw t1, 0(t0)
here: j here`));

test("standard input reaches the serial port, and its output standard output", () => {
  const r = loanword(machine("--kernel", ECHO), "loanword.");
  assert.is(r.status, 0);
  assert.is(r.stdout, "LOANWORD");
});

test.run();
