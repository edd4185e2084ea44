// Which names of a suite are asked of the mirror, and which answers are believed. apt is played by a function.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DebianRiscv } from "../../tools/debian.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("Debian's packages");

/** A mirror: of each name the code name in the signed file, or null when apt refuses what it serves. */
function withMirror(names: Readonly<Record<string, string | null>>, body: (debian: DebianRiscv, asked: string[]) => void): void {
  const root = mkdtempSync(join(tmpdir(), "loanword-debian-")), sources = join(root, "debian.sources"), asked: string[] = [];
  const folder = join(root, "build/debian/trixie");
  writeFileSync(sources, "Types: deb deb-src\nURIs: http://mirror.invalid/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://other.invalid\nSuites: x\n");
  try {
    body(new DebianRiscv(root, "trixie", sources, () => {
      const used = readFileSync(join(folder, "parts/debian.sources"), "utf8"), name = /^Suites: (.*)$/m.exec(used)![1]!, codename = names[name] ?? null;
      assert.is(used.includes("other.invalid"), false);
      assert.ok(/^Types: deb$/m.test(used));
      asked.push(name);
      if (codename === null) return { ok: false, out: "", err: "W: something\nE: Failed to fetch it  File has unexpected size\n   Hashes of expected file\nE: Some index files failed\n" };
      writeFileSync(join(folder, "lists", `mirror.invalid_debian_dists_${name}_InRelease`), `Suite: ${name}\nCodename: ${codename}\n`);
      return { ok: true, out: "", err: "" };
    }), asked);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test("the suite's own name is enough when its index is sound", () => {
  withMirror({ trixie: "trixie" }, (debian, asked) => {
    assert.is(debian.update(), null);
    assert.equal(asked, ["trixie"]);
  });
});

test("another name of the same suite is asked when its own is refused", () => {
  withMirror({ trixie: null, stable: "trixie" }, (debian, asked) => {
    assert.is(debian.update(), null);
    assert.equal(asked, ["trixie", "stable"]);
  });
});

test("another name is not believed when it is another suite", () => {
  withMirror({ trixie: null, stable: "forky", testing: "duke", oldstable: "trixie" }, (debian, asked) => {
    assert.is(debian.update(), null);
    assert.equal(asked, ["trixie", "stable", "testing", "oldstable"]);
  });
  withMirror({ trixie: null, stable: "forky", testing: "duke", oldstable: null }, (debian) => {
    const why = debian.update()!;
    assert.ok(why.includes("trixie: Failed to fetch it  File has unexpected size"), why);
  });
});

test.run();
