// The program keeps what V8 compiled of it: whatever becomes of that file, the program that runs is the one that was built.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Scratch } from "../helpers/cli.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("compiled program");
const TOOLS = "build/tools";

/** A copy of the built command, whose folder is its own. */
class Copy {
  readonly tools: string;

  constructor() {
    const { dir } = new Scratch();
    this.tools = join(dir, TOOLS);
    mkdirSync(this.tools, { recursive: true });
    for (const file of readdirSync(TOOLS).filter((f) => /^(cli\.main|chunk-.*)\.mjs$|^cli\.cjs$/.test(f))) copyFileSync(join(TOOLS, file), join(this.tools, file));
    copyFileSync("package.json", join(dir, "package.json"));
  }

  get caches(): string[] {
    return readdirSync(this.tools).filter((f) => f.endsWith(".cache")).map((f) => join(this.tools, f));
  }

  run(...args: string[]): string {
    const r = spawnSync(process.execPath, [join(this.tools, "cli.main.mjs"), ...args], { encoding: "latin1" });
    return `${r.status} ${r.stdout}${r.stderr}`;
  }
}

test("the second run takes the code that the first left, each verb its own", () => {
  const copy = new Copy(), first = copy.run("--version"), [cache] = copy.caches, made = readFileSync(cache!);
  assert.match(first, /^0 loanword \d/);
  assert.is(copy.run("--version"), first);
  assert.equal(copy.caches, [cache], "no other was made");
  assert.ok(readFileSync(cache!).equals(made), "it was taken as it is");
  for (const asked of ["--help", "--version"]) assert.match(copy.run("machine", asked), /^0 /);
  assert.match(copy.run("machine"), /^2 loanword: /);
  assert.equal(copy.caches, [cache], "neither help nor a wrong line is what a verb needs");
  assert.match(copy.run("machine", "--dumpdtb", join(copy.tools, "dtb")), /^0 $/);
  assert.is(copy.caches.length, 2);
  assert.equal(readdirSync(copy.tools).filter((f) => /\.cache\./.test(f)), [], "no part is left");
});

test("code that is broken or cut off is made again", () => {
  const copy = new Copy(), good = copy.run("--version"), [cache] = copy.caches, bytes = readFileSync(cache!);
  for (const bad of [bytes.subarray(0, bytes.length / 2), new Uint8Array(0), new Uint8Array(bytes.length).fill(7)]) {
    writeFileSync(cache!, bad);
    assert.is(copy.run("--version"), good);
    assert.ok(readFileSync(cache!).length > bytes.length / 2, "made again");
    assert.is(copy.run("--version"), good);
  }
});

test("another build of the same length is not run from the old code", () => {
  const copy = new Copy(), program = join(copy.tools, "cli.cjs");
  assert.match(copy.run("--version"), /^0 loanword /);
  const source = readFileSync(program, "latin1"), changed = source.replace("print(`loanword ${", "print(`loanwort ${");
  assert.ok(changed !== source && changed.length === source.length, "the built program prints its name");
  writeFileSync(program, changed, "latin1");
  assert.match(copy.run("--version"), /^0 loanwort /);
});

test.run();
