// The committed root disk is what its sources make: rebuilt and compared, where the compiler and musl are those recorded.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { rootImage } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("root disk");
const recorded = JSON.parse(readFileSync("guest/image/root.json", "utf8")) as { sha256: string; bytes: number; gcc: string; musl: string };

test("the committed image is the recorded one", () => {
  const image = rootImage();
  assert.is(image.length, recorded.bytes);
  assert.is(createHash("sha256").update(image).digest("hex"), recorded.sha256);
});

/** Why the image cannot be rebuilt here, or "". */
function obstacle(): string {
  const found = ["riscv-none-elf-gcc", "riscv64-unknown-elf-gcc"].map((c) => spawnSync(c, ["-dumpfullversion"], { encoding: "utf8" })).find((r) => r.status === 0);
  if (!found) return "no RISC-V compiler is installed";
  const gcc = found.stdout.trim();
  if (gcc !== recorded.gcc) return `recorded with gcc ${recorded.gcc}, here is ${gcc}`;
  const built = spawnSync(process.execPath, ["tools/bin/guest.mjs"], { encoding: "utf8" });
  if (built.status !== 0) return `the guest cannot be built: ${built.stderr.trim().split("\n").at(-1)}`;
  const { musl } = JSON.parse(readFileSync("build/guest/versions.json", "utf8")) as { musl: string };
  return musl === recorded.musl ? "" : `recorded with musl ${recorded.musl}, here is ${musl}`;
}

test.skipBecause(obstacle(), "sources make the same bytes", () => {
  const r = spawnSync(process.execPath, ["build/tools/mkimage.main.mjs", "--check"], { encoding: "utf8" });
  assert.is(r.status, 0, r.stdout + r.stderr);
});

test.run();
