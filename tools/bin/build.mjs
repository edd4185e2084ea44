// Bundles the tools and every test with esbuild. Plain JavaScript, because it runs before anything is built.
import { build } from "esbuild";
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { STAMP } from "./stale.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

const PIECE_LIFE_MS = 3_600_000;

/** Options shared by every bundle: `export const` numbers are inlined, functions keep their speed. */
const common = {
  absWorkingDir: root, bundle: true, platform: "node", format: "esm", target: "node20",
  minifySyntax: true, sourcemap: "linked", logLevel: "warning", legalComments: "none", packages: "external",
};

/** Lists the files below `dir` whose name ends in `suffix`, sorted. */
export function filesBelow(dir, suffix) {
  if (!existsSync(join(root, dir))) return [];
  return readdirSync(join(root, dir), { recursive: true })
    .map(String).filter((f) => f.endsWith(suffix)).map((f) => join(dir, f)).sort();
}

/** Builds the command line tools into build/tools. */
export async function buildTools() {
  const outdir = "build/tools", startedMs = Date.now();
  const result = await build({ ...common, entryPoints: filesBelow("tools", ".main.ts"), outdir, outbase: "tools", outExtension: { ".js": ".mjs" }, splitting: true, metafile: true });
  const cli = await buildCli(`${outdir}/cli.cjs`);
  dropOldPieces(outdir, new Set([result, cli].flatMap((r) => Object.keys(r.metafile.outputs)).concat(STAMP)));
  const sources = new Set([result, cli].flatMap((r) => Object.keys(r.metafile.inputs)));
  writeFileSync(join(root, STAMP), JSON.stringify({ startedMs, sources: [...sources] }));
  return result;
}

/**
 * The command line program in one piece, as tools/host/compiled.ts wants it: one function of CommonJS' names. Its characters are ASCII, as
 * esbuild has it, and its lines short: Node prints the one where an error comes from.
 */
function buildCli(outfile) {
  const head = '(function (exports, require, module, __filename) { "use strict"; const moduleUrl = require("node:url").pathToFileURL(__filename).href;';
  return build({
    ...common, format: "cjs", entryPoints: ["tools/cli/main.ts"], outfile, metafile: true, minifyWhitespace: true, lineLimit: 160,
    define: { "import.meta.url": "moduleUrl" }, banner: { js: head }, footer: { js: "})" },
  });
}

/** Pieces have names of their contents, so each build leaves those of the last one behind. A program that runs may still load its own: the young stay. */
function dropOldPieces(outdir, current) {
  const before = Date.now() - PIECE_LIFE_MS;
  for (const file of filesBelow(outdir, "")) {
    const path = join(root, file), info = statSync(path, { throwIfNoEntry: false });
    if (!current.has(file) && info?.isFile() && info.mtimeMs < before) rmSync(path, { force: true });
  }
}

/** Builds the named test files into `outdir`. */
export async function buildTests(files, outdir, engine) {
  const define = engine === undefined ? {} : { LOANWORD_ENGINE: JSON.stringify(engine) };
  return build({ ...common, define, entryPoints: files, outdir, outbase: "tests", outExtension: { ".js": ".mjs" }, splitting: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildTools();
