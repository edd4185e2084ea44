// Standard input that is no terminal: its end, and every byte of it.
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { DiskFs } from "../../tools/diskfs.ts";
import { loanword, Scratch } from "../helpers/cli.ts";
import { rootImage } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("stdin"), scratch = new Scratch();

test("a shell whose input is no terminal ends with it, and the machine with the shell's status", () => {
  const boot = ["boot", "--clock", "virtual"];
  assert.equal(loanword(boot, "echo hi; cd /; pwd\n"), { status: 0, stdout: "hi\n/\n", stderr: "" });
  assert.equal(loanword(boot, "(exit 7)"), { status: 7, stdout: "", stderr: "" });
  assert.equal(loanword(boot, "exit 9\necho never\n"), { status: 9, stdout: "", stderr: "" });
  // What a program reads the shell does not.
  assert.equal(loanword(boot, "read a; echo \"$a\"\n1 2\nhead -n 1 >/dev/null\nx\n"), { status: 0, stdout: "1 2\n", stderr: "" });
  assert.equal(loanword(boot), { status: 0, stdout: "", stderr: "" });
  // The same from a file instead of a pipe.
  const script = scratch.file("script", "echo hi\nexit 3\n"), fd = openSync(script, "r");
  const r = spawnSync(process.execPath, ["build/tools/cli.main.mjs", ...boot], { stdio: [fd, "pipe", "pipe"], encoding: "latin1", timeout: 60_000 });
  closeSync(fd);
  assert.equal([r.status, r.stdout, r.stderr], [3, "hi\n", ""]);
});

test("a program gets standard input to the byte, from a pipe and from a file: NUL, byte 4, 255, line ends, 1 MiB", () => {
  const bytes = Uint8Array.from({ length: (1 << 20) + 3 }, (_, i) => (i < 256 ? i : (i * 2654435761) >>> 24)), path = scratch.file("input", bytes);
  const cat = scratch.file("cat", new DiskFs(rootImage(), { readOnly: true }).readFile("/bin/cat"));
  const run = (stdin: number | "pipe"): void => {
    const r = spawnSync(process.execPath, ["build/tools/cli.main.mjs", "run", "--clock", "virtual", cat], {
      stdio: [stdin, "pipe", "pipe"], timeout: 60_000, maxBuffer: 4 << 20, ...(stdin === "pipe" ? { input: bytes } : {}),
    });
    assert.is(r.status, 0, r.stderr.toString());
    assert.is(r.stdout.length, bytes.length);
    assert.is(Buffer.compare(r.stdout, bytes), 0);
  };
  run("pipe");
  const fd = openSync(path, "r");
  run(fd);
  closeSync(fd);
});

test.run();
