// When the command builds itself anew: as soon as one of the files that it was made from is younger than the build.
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Scratch } from "../helpers/cli.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("stale builds");
const { isStale, STAMP } = (await import(pathToFileURL("tools/bin/stale.mjs").href)) as { isStale: (root: string) => boolean; STAMP: string };
const STARTED_MS = 1_700_000_000_000;

test("a build is stale without a stamp, and when a source changed since it began", () => {
  const { dir } = new Scratch(), put = (path: string, afterMs: number): void => {
    writeFileSync(join(dir, path), path);
    utimesSync(join(dir, path), (STARTED_MS + afterMs) / 1000, (STARTED_MS + afterMs) / 1000);
  };
  assert.is(isStale(dir), true);
  mkdirSync(join(dir, "build/tools"), { recursive: true });
  writeFileSync(join(dir, STAMP), "{ half");
  assert.is(isStale(dir), true);
  writeFileSync(join(dir, STAMP), JSON.stringify({ startedMs: STARTED_MS, sources: ["a.ts", "b.ts"] }));
  assert.is(isStale(dir), false, "an image without sources");
  put("a.ts", -1000);
  put("b.ts", -1);
  put("c.ts", 1000);
  assert.is(isStale(dir), false, "nothing imports c.ts");
  put("b.ts", 1);
  assert.is(isStale(dir), true, "b.ts was written while it was built");
  rmSync(join(dir, "b.ts"));
  assert.is(isStale(dir), false, "whoever imported b.ts has changed, or it is not needed");
});

test("the build leaves the stamp of what it read", () => {
  const stamp = JSON.parse(readFileSync(STAMP, "utf8")) as { sources: string[] };
  for (const path of ["tools/cli.main.ts", "tools/cli/machine.ts", "emu/machine.ts", "kernel/kernel.ts"]) assert.ok(stamp.sources.includes(path), path);
});

test.run();
