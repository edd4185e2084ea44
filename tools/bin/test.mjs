// The test command. Builds tests/**/*.test.ts, runs each file in a process of its own, two at a time, and
// ends with one line: N passed, N failed, N skipped. Arguments select files whose path contains one of them;
// --engine interp|jit|check|stress says how machines run that do not say it themselves; stress translates at once and drops at random.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { installPackages, root } from "./setup.mjs";

const ENGINES = ["interp", "jit", "check", "stress"];

installPackages();
const { filesBelow, buildTests, buildTools } = await import("./build.mjs");

const wanted = process.argv.slice(2), engineAt = wanted.indexOf("--engine"), engine = engineAt < 0 ? undefined : wanted.splice(engineAt, 2)[1];
const fail = (why) => {
  console.error(`test: ${why}`);
  process.exit(2);
};
if (engineAt >= 0 && !ENGINES.includes(engine)) fail(`--engine ${engine ?? ""}: give one of ${ENGINES.join(", ")}`);
const option = wanted.find((w) => w.startsWith("-"));
if (option !== undefined) fail(`there is no option ${option}; words select test files, --engine E says how machines run`);
const files = filesBelow("tests", ".test.ts").filter((f) => !wanted.length || wanted.some((w) => f.includes(w)));
if (files.length === 0) fail(`no test file's path contains ${wanted.join(" or ")}`);
console.log(`building ${files.length} test files`);
await buildTools();
// A folder of its own, so that two runs at once do not disturb each other.
const outdir = `build/tests-${process.pid}`;
await buildTests(files, outdir, engine);
process.on("exit", () => rmSync(join(root, outdir), { recursive: true, force: true }));

/** Runs one built test file; its output is shown whole when it fails. */
function runFile(file) {
  const built = join(root, outdir, file.replace(/^tests\//, "").replace(/\.ts$/, ".mjs"));
  return new Promise((done) => {
    const child = spawn(process.execPath, ["--enable-source-maps", built], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (d) => (text += d));
    child.stderr.on("data", (d) => (text += d));
    child.on("close", (code) => done({ file, code, text }));
  });
}

/** uvu's closing lines, which every suite in the file prints through tests/helpers/suite.ts. */
function tally({ code, text }) {
  const sum = (word) => [...text.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, "gm"))].reduce((n, m) => n + Number(m[1]), 0);
  const total = sum("Total"), passed = sum("Passed"), skipped = sum("Skipped");
  // A file that dies, or that runs no test at all, is a failure and not silence.
  const failed = Math.max(total - passed, code !== 0 || total + skipped === 0 ? 1 : 0);
  return { passed, failed, skipped };
}

const queue = [...files], sums = { passed: 0, failed: 0, skipped: 0 };
async function worker() {
  for (let file = queue.shift(); file; file = queue.shift()) {
    const started = Date.now(), result = await runFile(file), t = tally(result);
    for (const k of Object.keys(sums)) sums[k] += t[k];
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(`${t.failed ? "FAIL" : "ok  "} ${file}  ${t.passed} passed${t.skipped ? `, ${t.skipped} skipped` : ""}  ${seconds} s`);
    for (const line of result.text.matchAll(/^skip: .*$/gm)) console.log(`     ${line[0]}`);
    if (t.failed) console.log(result.text);
  }
}
await Promise.all([worker(), worker()]);
console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`);
process.exitCode = sums.failed || !files.length ? 1 : 0;
