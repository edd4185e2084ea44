// What a reader should not stumble over: long files, long functions, long lines, words that mark unfinished work, and state or
// time that would make a run differ from the last one.
import { readdirSync, readFileSync } from "node:fs";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("style");
const MOST_LINES = 800, MOST_FUNCTION_LINES = 70, WIDEST = 180, WIDEST_TOOL = 210;
/** Tables, whose length is their number of rows. */
const TABLES = new Set(["emu/isa/rows-i.ts", "emu/isa/rows-fd.ts", "emu/isa/rows-sys.ts", "emu/isa/compressed.ts"]);

const files = ["emu", "kernel", "tools", "tests"].flatMap((dir) => readdirSync(dir, { recursive: true }).map((f) => `${dir}/${String(f)}`).filter((f) => /\.(ts|mjs)$/.test(f)));
const text = new Map(files.map((f) => [f, readFileSync(f, "utf8").split("\n")]));
const inner = files.filter((f) => f.startsWith("emu/") || f.startsWith("kernel/"));

/** Lines of the listed files that match, as file:line. */
function offenders(list: readonly string[], pattern: RegExp): string[] {
  return list.flatMap((f) => text.get(f)!.flatMap((line, i) => (pattern.test(line) ? [`${f}:${i + 1}: ${line.trim().slice(0, 80)}`] : [])));
}

test("no file is too long to read in one sitting", () => {
  assert.equal(files.filter((f) => !TABLES.has(f) && text.get(f)!.length > MOST_LINES).map((f) => `${f}: ${text.get(f)!.length} lines`), []);
});

test("no line is too wide for a screen", () => {
  assert.equal(files.flatMap((f) => text.get(f)!.flatMap((l, i) => (l.length > (inner.includes(f) ? WIDEST : WIDEST_TOOL) ? [`${f}:${i + 1}: ${l.length}`] : []))), []);
});

test("every function fits a screen", () => {
  const bad: string[] = [];
  for (const f of inner) {
    const lines = text.get(f)!;
    let start = -1, indent = 0;
    lines.forEach((line, i) => {
      const head = /^(\s*)(?:export )?(?:private |protected |override |static |async )*(?:function\*? ?\w+|\*?\w+)\(.*\{$/.exec(line);
      if (start < 0 && head && !/^\s*(if|for|while|switch|return|else)\b/.test(line)) {
        start = i;
        indent = head[1]!.length;
      } else if (start >= 0 && line === `${" ".repeat(indent)}}`) {
        if (i - start + 1 > MOST_FUNCTION_LINES) bad.push(`${f}:${start + 1}: ${i - start + 1} lines`);
        start = -1;
      }
    });
  }
  assert.equal(bad, []);
});

test("nothing is marked as unfinished", () => {
  assert.equal(offenders(files.filter((f) => !f.startsWith("tests/tidy/")), /\b(TODO|FIXME|XXX|HACK)\b/), []);
});

test("nothing below tools reads the wall clock or chance, or keeps state in a module", () => {
  assert.equal(offenders(inner, /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval)\b/), []);
  assert.equal(offenders(inner, /^(export )?let /), []);
});

test("nothing in the kernel is async", () => {
  assert.equal(offenders(inner, /\b(async |await )\b/), []);
});

test("every module says what it is", () => {
  assert.equal(inner.filter((f) => !text.get(f)![0]!.startsWith("// ")), []);
});

test.run();
