// epoll, eventfd, timerfd and signalfd in the guest: what the program says under Linux (recorded from qemu-riscv64, and asked again
// where that is installed) it says here.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiskFs } from "../../tools/diskfs.ts";
import { rootImage, runGuest } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("events, compared with Linux"), recorded = readFileSync("tests/guest/event.txt", "latin1");
const qemu = spawnSync("qemu-riscv64", ["--version"]).error ? "qemu-riscv64 is not installed" : "";

test("the guest says what Linux said", () => assert.is(runGuest("/tests/event -v", { maxInsns: 2e8 }).out, recorded));

test.skipBecause(qemu, "Linux still says it", () => {
  const dir = mkdtempSync(join(tmpdir(), "event-")), file = join(dir, "event");
  writeFileSync(file, new DiskFs(rootImage(), { readOnly: true }).readFile("/tests/event"), { mode: 0o755 });
  const r = spawnSync("qemu-riscv64", [file, "-v"], { encoding: "latin1", timeout: 30_000 });
  rmSync(dir, { recursive: true });
  assert.is(r.stdout, recorded);
});

test.run();
