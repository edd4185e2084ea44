// The same machine, kernel and disk in Chromium and in Node: in virtual time they print the same, end the same, and retire the
// same number of instructions. Chromium runs as anyone's does: no switches, no special headers, no shared memory.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { S_IFREG } from "../../tools/cpio.ts";
import { Chromium, findChromium } from "../helpers/chromium.ts";
import { rootImage, runGuest } from "../helpers/guest.ts";
import { DiskFs } from "../../tools/diskfs.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("in a browser"), { command: browser, why } = findChromium();
const EPOCH = 1_800_000_000, BENCH = "build/guest/bench";
const programs = new DiskFs(rootImage(), { readOnly: true }).list("/tests").map((e) => e.name).filter((name) => !name.includes(".")).sort();

interface Report { status: number; panic: string | null; out: string; err: string; instructions: number; engine: Record<string, number> | null }
interface Wanted { command: string; engine: "jit" | "interp"; stdin?: string; program?: string }

let chromium: Chromium | null = null, server: ChildProcess | null = null, url = "";
const page = (): Chromium => chromium!;
const end = (): void => void server?.kill();

/** `npm run page` on a port that is free. => its address */
function startServer(): Promise<string> {
  server = spawn(process.execPath, ["tools/bin/page.mjs", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  process.once("exit", end);
  return new Promise((done, failed) => {
    server!.stdout!.once("data", (data: Buffer) => done(data.toString().trim()));
    server!.once("exit", (code) => failed(new Error(`the page's server ended with ${code}`)));
  });
}

/** Runs a command in the page. */
async function inPage({ command, engine, stdin, program }: Wanted): Promise<Report> {
  const files = program === undefined ? {} : { [`host/${program}`]: readFileSync(`${BENCH}/${program}`).toString("base64") };
  const request = { command, engine, files, epochSeconds: EPOCH, ...(stdin === undefined ? {} : { stdin }) };
  return await page().evaluate(`loanword.run(${JSON.stringify(request)})`) as Report;
}

/** Runs a command here and there. => what both did */
async function same(wanted: Wanted): Promise<Report> {
  const { command, engine, stdin, program } = wanted;
  const files = program === undefined ? {} : { files: [{ path: `host/${program}`, mode: S_IFREG | 0o755, data: readFileSync(`${BENCH}/${program}`) }] };
  const here = runGuest(command, { machine: { engine, epochSeconds: EPOCH }, ...(stdin === undefined ? {} : { stdin }), ...files });
  const there = await inPage(wanted);
  assert.equal({ status: there.status, panic: there.panic, out: there.out, err: there.err, instructions: there.instructions },
    { status: here.status, panic: null, out: here.out, err: here.err, instructions: here.insns });
  return there;
}

test.before(async () => {
  if (browser === "") return;
  url = await startServer();
  chromium = new Chromium(browser);
  await chromium.open(`${url}?idle`);
});

test.after(async () => {
  end();
  await chromium?.close();
});

test.skipBecause(why, "the page is an ordinary one: not isolated, and without shared memory", async () => {
  assert.equal(await page().evaluate("[crossOriginIsolated, typeof SharedArrayBuffer]"), [false, "undefined"]);
});

for (const engine of ["jit", "interp"] as const) {
  test.skipBecause(why, `${engine}: output, errors and exit status come through`, async () => {
    const r = await same({ engine, command: "echo out; echo err >&2; cat | tr a-z A-Z; exit 7", stdin: "typed\n" });
    assert.equal([r.out, r.err, r.status], ["out\nTYPED\n", "err\n", 7]);
  });

  test.skipBecause(why, `${engine}: a pipeline that computes`, async () => {
    const r = await same({ engine, command: "seq 1 20000 | sort -r | grep 7 | wc; ls /bin | wc -l" });
    assert.is(r.engine === null, engine === "interp");
    if (engine === "jit") assert.ok(r.engine!["regions"]! > 20, "hot code is translated");
  });

  test.skipBecause(why, `${engine}: the guest's own tests`, async () => {
    assert.ok(programs.length >= 6);
    for (const name of programs) await same({ engine, command: `/tests/${name}` });
  });
}

/** Programs of the bench, where they are built, with scales that end soon. */
const bench = why !== "" ? why : existsSync(`${BENCH}/sha256`) ? "" : `${BENCH} is not built (node tools/bin/guest.mjs)`;
for (const [program, scale] of [["sha256", 1], ["nbody", 1], ["records", 1]] as const) {
  test.skipBecause(bench, `${program} of the bench under both engines`, async () => {
    const jit = await same({ engine: "jit", program, command: `/host/${program} ${scale}` }), interp = await inPage({ engine: "interp", program, command: `/host/${program} ${scale}` });
    assert.ok(jit.engine!["regions"]! > 0);
    assert.equal([interp.status, interp.out, interp.instructions], [0, jit.out, jit.instructions]);
  });
}

test.skipBecause(why, "the terminal of the page: a line typed is answered, and poweroff ends the guest", async () => {
  await page().open(url);
  const shows = (text: string): Promise<unknown> => page().evaluate(`new Promise((done) => {
    const look = () => document.body.innerText.includes(${JSON.stringify(text)}) ? done(true) : requestAnimationFrame(look);
    look();
  })`);
  const type = (line: string): Promise<unknown> => page().evaluate(`(document.getElementById("line").value = ${JSON.stringify(line)}, document.getElementById("form").requestSubmit())`);
  await shows("$");
  await type("echo $((6 * 7)) is the answer");
  await shows("42 is the answer");
  await type("poweroff");
  await shows("the guest has ended with exit status 0");
});

test.run();
