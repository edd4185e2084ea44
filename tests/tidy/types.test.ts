// The types hold, of the page's window as well: esbuild, which builds everything else here, does not look at them.
import { spawnSync } from "node:child_process";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("types");

for (const project of [".", "tools/web/page"]) {
  test(`tsc finds nothing in ${project}`, () => {
    const r = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "--noEmit", "-p", project], { encoding: "utf8" });
    assert.is(r.status, 0, r.stdout + r.stderr);
  });
}

test.run();
