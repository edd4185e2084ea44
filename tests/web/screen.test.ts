// The page's terminal of plain text.
import { Screen } from "../../tools/web/page/screen.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("screen of the page");

/** What is shown after these pieces of output. */
function shown(...pieces: (string | Uint8Array)[]): string {
  const screen = new Screen();
  for (const p of pieces) screen.write(typeof p === "string" ? new TextEncoder().encode(p) : p);
  return screen.text;
}

test("lines end in carriage return and newline, and what follows a carriage return overwrites", () => {
  assert.is(shown("one\r\ntwo\r\n"), "one\ntwo\n");
  assert.is(shown("10 %\r99"), "99 %");
});

test("backspace, tab and bell", () => {
  assert.is(shown("lx\b \bs\x07"), "ls");
  assert.is(shown("a\tb"), "a       b");
  assert.is(shown("\b\bx"), "x");
});

test("escape sequences are swallowed, also in pieces", () => {
  assert.is(shown("\x1b[1;31mred\x1b[0m"), "red");
  assert.is(shown("a\x1b", "[3", "1mb\x1bMc"), "abc");
});

test("a character in two pieces is one", () => {
  const bytes = new TextEncoder().encode("größe");
  assert.is(shown(bytes.subarray(0, 3), bytes.subarray(3)), "größe");
});

test("what is long gone is forgotten, by whole lines", () => {
  const screen = new Screen(), line = new TextEncoder().encode(`${"x".repeat(99)}\n`);
  for (let i = 0; i < 5000; i++) screen.write(line);
  assert.ok(screen.text.length <= 200_000 && screen.text.length >= 90_000, `${screen.text.length}`);
  assert.ok(screen.text.split("\n").slice(0, -1).every((l) => l.length === 99));
});

test.run();
