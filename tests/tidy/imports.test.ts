// Who may import whom: the table of ARCHITECTURE.md, checked against what esbuild finds in each module.
import { build } from "esbuild";
import { readdirSync } from "node:fs";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("imports");

/** For each folder, what its modules may import besides their own folder. Longest prefix wins. */
const ALLOWED: Record<string, readonly string[]> = {
  "emu/": ["emu/"],
  "kernel/lib/": [],
  "kernel/hal/": ["emu/machine.ts", "kernel/lib/"],
  "kernel/uvm/": ["kernel/lib/", "kernel/hal/"],
  "kernel/vfs/": ["kernel/lib/", "kernel/hal/", "kernel/uvm/"],
  "kernel/dev/": ["kernel/lib/", "kernel/hal/", "kernel/uvm/", "kernel/vfs/"],
  "kernel/kern/": ["kernel/lib/", "kernel/hal/", "kernel/uvm/", "kernel/vfs/", "kernel/dev/"],
  "kernel/sys/": ["kernel/lib/", "kernel/hal/", "kernel/uvm/", "kernel/vfs/", "kernel/dev/", "kernel/kern/"],
  "kernel/ddb/": ["kernel/"],
  "kernel/": ["kernel/"],
};

const sources = ["emu", "kernel"].flatMap((dir) => readdirSync(dir, { recursive: true }).map((f) => `${dir}/${String(f)}`).filter((f) => f.endsWith(".ts")));

const metafile = (await build({
  entryPoints: sources, bundle: true, write: false, metafile: true, outdir: "build/none", platform: "neutral", format: "esm", logLevel: "silent", external: ["node:*"],
})).metafile;

test("each module imports only what its folder may", () => {
  const bad: string[] = [];
  for (const [file, { imports }] of Object.entries(metafile.inputs)) {
    const folder = Object.keys(ALLOWED).sort((a, b) => b.length - a.length).find((prefix) => file.startsWith(prefix));
    if (!folder) continue;
    for (const { path } of imports) {
      const ok = path.startsWith(folder) || ALLOWED[folder]!.some((prefix) => path.startsWith(prefix));
      if (!ok) bad.push(`${file} imports ${path}`);
    }
  }
  assert.equal(bad, []);
});

test("nothing under emu and kernel names node or the page", () => {
  const bad = Object.entries(metafile.inputs).flatMap(([file, { imports }]) => imports.filter((i) => i.path.startsWith("node:")).map((i) => `${file} imports ${i.path}`));
  assert.equal(bad, []);
});

test.run();
