// Tools for developers, as a person starts them: a wrong command line is a line and status 2. And the server of the page.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { get } from "node:http";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("tools");
const PORT_MAX = 65535;

test("a wrong command line is one line on standard error and status 2", () => {
  for (const [tool, args, reason] of [
    ["tools/bin/page.mjs", ["--prot", "1"], /^page: there is no option --prot; usage/], ["tools/bin/page.mjs", ["--port"], /--port needs a number/],
    ["tools/bin/page.mjs", ["--port", String(PORT_MAX + 1)], /--port 65536: give a number up to 65535/],
    ["tools/bin/test.mjs", ["--engine"], /--engine : give one of interp/], ["tools/bin/test.mjs", ["--engine", "x"], /--engine x: give one of interp/],
    ["tools/bin/test.mjs", ["no-such-test"], /no test file's path contains no-such-test/], ["tools/bin/test.mjs", ["--only"], /there is no option --only/],
    ["build/tools/fuzz.main.mjs", ["--nope"], /^fuzz: unknown option '--nope'/], ["build/tools/fuzz.main.mjs", ["--seed", "x"], /--seed x: give a number/],
    ["build/tools/fuzz.main.mjs", ["--tlb", "x"], /--tlb x: give one of/], ["build/tools/bench.main.mjs", ["--nope"], /^bench: unknown option '--nope'/],
    ["build/tools/busybox.main.mjs", ["--nope"], /^proof: unknown option '--nope'/], ["build/tools/mkimage.main.mjs", ["--nope"], /^mkimage: there is no option --nope/],
  ] as const) {
    const r = spawnSync(process.execPath, [tool, ...args], { encoding: "latin1", timeout: 60_000 });
    assert.is(r.status, 2, `${tool} ${args.join(" ")}: ${r.stderr}`);
    assert.match(r.stderr, reason);
    assert.is(r.stderr.trim().split("\n").length, 1, r.stderr);
  }
});

/** `npm run page` on a port. => its first line of output, or of errors when it ended */
function serve(port: string): Promise<{ server: ChildProcess; line: string }> {
  const server = spawn(process.execPath, ["tools/bin/page.mjs", "--port", port], { stdio: ["ignore", "pipe", "pipe"] });
  process.once("exit", () => server.kill());
  return new Promise((done) => {
    for (const stream of [server.stdout, server.stderr]) stream.once("data", (data: Buffer) => done({ server, line: data.toString().trim() }));
  });
}

const status = (port: string, path: string): Promise<number | undefined> => new Promise((done, failed) => {
  get({ host: "127.0.0.1", port, path }, (response) => done(response.resume().statusCode)).once("error", failed);
});

test("the page's server has its own files and no others, whatever is asked, and says when its port is in use", async () => {
  const { server, line } = await serve("0"), port = new URL(line).port;
  for (const [path, wanted] of [["/", 200], ["/?c=ls", 200], ["/page.js", 200], ["/%", 404], ["//x", 404], ["/../tools/cli.main.mjs", 404], ["/%2e%2e/tools/cli.main.mjs", 404]] as const) {
    assert.is(await status(port, path), wanted, path);
  }
  const second = await serve(port);
  assert.is(second.line, `page: cannot listen on 127.0.0.1:${port}: the port is in use; name another with --port N`);
  server.kill();
});

test.run();
