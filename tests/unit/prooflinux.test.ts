// The Linux proof's own parts: the order of modules, what is compared of a console, and how differences are told.
import { type ModuleInfo, type ModuleSource, elfSection, loadOrder, parseModinfo } from "../../tools/proof/kmodules.ts";
import { checksum } from "../../tools/proof/linuxdisk.ts";
import { differences, linesOf } from "../../tools/proof/linuxrun.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("Linux proof"), ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Modules by name: what they need, what they would like before them, their aliases. */
class Made implements ModuleSource {
  private readonly modules: Readonly<Record<string, Partial<ModuleInfo>>>;

  constructor(modules: Readonly<Record<string, Partial<ModuleInfo>>>) {
    this.modules = modules;
  }

  isBuiltin(name: string): boolean {
    return name.startsWith("builtin");
  }

  startingWith(prefix: string): string[] {
    return Object.keys(this.modules).filter((name) => name.startsWith(prefix));
  }

  info(name: string): ModuleInfo | null {
    return name in this.modules ? { depends: [], before: [], aliases: [], ...this.modules[name] } : null;
  }
}

test("modules come after what they need, each once, and after what their softdeps mean", () => {
  const source = new Made({
    ext4: { depends: ["jbd2", "crc16", "builtin_a"], before: ["crypto-crc32c", "nobody", "builtin-b"] }, jbd2: { depends: ["crc16"] }, crc16: {},
    crc32c_other: { aliases: ["other"] }, crc32c_generic: { aliases: ["crc32c", "crypto-crc32c"] }, virtio_rng: {},
  });
  assert.equal(loadOrder(source, ["virtio-rng", "ext4", "crc16", "builtin_c"]), ["virtio_rng", "crc16", "jbd2", "crc32c_generic", "ext4"]);
});

test("modules that need each other are each loaded once; one that is missing is named with who needs it", () => {
  assert.equal(loadOrder(new Made({ a: { depends: ["b"] }, b: { depends: ["a"] } }), ["a"]), ["b", "a"]);
  assert.throws(() => loadOrder(new Made({ a: { depends: ["b"] } }), ["a"]), /no module b, which a needs/);
  assert.throws(() => loadOrder(new Made({}), ["a"]), /no module a$/);
});

test(".modinfo is found in the file and read", () => {
  const section = ascii("name=ext4\0depends=jbd2,crc-16\0softdep=pre: crypto-crc32c x post: y\0alias=fs-ext2\0alias=ext3\0license=GPL\0"), names = ascii("\0.shstrtab\0.modinfo\0");
  const bytes = new Uint8Array(64 + names.length + section.length + 3 * 64), v = new DataView(bytes.buffer), table = 64 + names.length + section.length;
  bytes.set(names, 64);
  bytes.set(section, 64 + names.length);
  v.setBigUint64(40, BigInt(table), true);
  v.setUint16(60, 3, true);
  v.setUint16(62, 1, true);
  for (const [i, name, from, len] of [[1, 1, 64, names.length], [2, 11, 64 + names.length, section.length]] as const) {
    v.setUint32(table + 64 * i, name, true);
    v.setBigUint64(table + 64 * i + 24, BigInt(from), true);
    v.setBigUint64(table + 64 * i + 32, BigInt(len), true);
  }
  assert.equal(parseModinfo(elfSection(bytes, ".modinfo")), { depends: ["jbd2", "crc_16"], before: ["crypto-crc32c", "x"], aliases: ["fs-ext2", "ext3"] });
  assert.is(elfSection(bytes, ".text").length, 0);
});

test("what is compared of a console is between START and END, without notes", () => {
  assert.equal(linesOf("OpenSBI\nSTART\na\n# 17 us\nb\nEND\nrest"), ["START", "a", "b", "END"]);
  assert.is(linesOf("OpenSBI\nSTART\na\n"), null);
  assert.is(linesOf("END\nSTART\n"), null);
});

test("differences name both sides, also where one has ended", () => {
  assert.equal(differences(["a", "b"], ["a", "b"], "x", "y"), []);
  assert.equal(differences(["a", "b"], ["a", "c", "d"], "x", "y"), ["line 2\n    x: b\n    y: c", "line 3\n    x: (no more)\n    y: d"]);
});

test("a checksum covers all bytes and the order of words", () => {
  const sums = ["", "a", "a\u0001", "aaaaaaaabbbbbbbb", "bbbbbbbbaaaaaaaa", "aaaaaaaabbbbbbbbc"].map((t) => checksum(ascii(t)));
  assert.is(new Set(sums).size, sums.length);
  assert.is(sums[0], "cbf29ce484222325");
});

test.run();
