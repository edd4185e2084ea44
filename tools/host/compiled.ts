// Loads a program of ours with the code that V8 made of it when it ran last: what a run calls is neither parsed nor compiled again, which
// saves `loanword boot -c true` 75 of 680 ms. Node's own cache for this (module.enableCompileCache) is not in Node 20.
//
//   cli.cjs                                    the program: a function of what a CommonJS module knows
//   cli.cjs.<use>.<V8>.<when built>.cache      its functions that the first run for this use had compiled when it ended well
import { accessSync, constants, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";

/** A file's bytes, or undefined when there are none to read. */
function bytesOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Keeps a script's compiled functions, if the folder is ours to write to. A program that cannot does well without. */
function keep(script: Script, path: string): void {
  const part = `${path}.${process.pid}`;
  try {
    accessSync(dirname(path), constants.W_OK);
    writeFileSync(part, script.createCachedData());
    // Whole or not at all: others may be reading it.
    renameSync(part, path);
  } catch {
    rmSync(part, { force: true });
  }
}

/**
 * Runs a program that is in such a file.
 *
 * => use: what it is run for; each use keeps the functions that it needs. V8's switches must not change afterwards
 * => its exports
 */
export function loadCompiled(path: string, use: string): unknown {
  // V8 itself looks at no more than the source's length: the time keeps another build's code away.
  const cachePath = `${path}.${use}.${cachedDataVersionTag()}.${statSync(path).mtimeMs}.cache`, cachedData = bytesOf(cachePath);
  const script = new Script(readFileSync(path, "latin1"), { filename: path, ...(cachedData === undefined ? {} : { cachedData }) });
  const module = { exports: {} }, start = script.runInThisContext() as (exports: object, require: NodeJS.Require, module: { exports: object }, file: string) => void;
  start(module.exports, createRequire(path), module, path);
  const isMissing = cachedData === undefined || script.cachedDataRejected === true;
  // What failed may have compiled next to nothing.
  if (isMissing) process.once("exit", (status) => { if (status === 0) keep(script, cachePath); });
  return module.exports;
}
