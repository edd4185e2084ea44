// Archives for the guest, judged by cpio(1) where it is installed.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { packCpio, S_IFREG } from "../../tools/cpio.ts";
import { entriesOf } from "../../tools/host/folder.ts";
import { Scratch } from "../helpers/cli.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("cpio");
const noCpio = spawnSync("cpio", ["--version"]).status === 0 ? "" : "cpio is not installed";
const scratch = new Scratch();

function tree(): string {
  const dir = `${scratch.dir}/tree`;
  mkdirSync(`${dir}/sub`, { recursive: true });
  scratch.file("tree/a", "alpha");
  chmodSync(scratch.file("tree/sub/run", "#!/bin/sh\n"), 0o755);
  symlinkSync("../a", `${dir}/sub/link`);
  return dir;
}

test.skipBecause(noCpio, "cpio(1) unpacks what was packed, parents first", () => {
  const archive = packCpio([...entriesOf(tree(), "opt/tree"), { path: "host/prog", mode: S_IFREG | 0o755, data: Uint8Array.of(1, 2, 3) }]);
  const out = `${scratch.dir}/out`;
  mkdirSync(out);
  const r = spawnSync("cpio", ["-idv", "--quiet"], { input: archive, cwd: out, encoding: "utf8" });
  assert.is(r.status, 0, r.stderr);
  assert.is(r.stderr.trim().split("\n").join(" "), "opt opt/tree opt/tree/a opt/tree/sub opt/tree/sub/link opt/tree/sub/run host host/prog");
  assert.is(readFileSync(`${out}/opt/tree/sub/link`, "utf8"), "alpha");
  assert.equal([...readFileSync(`${out}/host/prog`)], [1, 2, 3]);
});

test("the same files make the same bytes, and an archive is a multiple of four", () => {
  const entries = [{ path: "x", mode: S_IFREG | 0o644, data: Uint8Array.of(1) }], archive = packCpio(entries);
  assert.equal(archive, packCpio(entries));
  assert.is(archive.length % 4, 0);
});

test.run();
