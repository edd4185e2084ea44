// Whether the built program is older than what it was made from. Plain JavaScript, because it runs before anything is built, and
// without any package, because it runs at each start.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** What build.mjs leaves: { startedMs, sources }, the files that went into the tools, from the root on. */
export const STAMP = "build/tools/sources.json";

/**
 * A file that is new matters only once one of the sources imports it, and so does one that is gone. An image without sources is never
 * stale.
 */
export function isStale(root) {
  let stamp;
  try {
    stamp = JSON.parse(readFileSync(join(root, STAMP), "utf8"));
  } catch {
    return true;
  }
  return stamp.sources.some((path) => statSync(`${root}/${path}`, { throwIfNoEntry: false })?.mtimeMs > stamp.startedMs);
}
