// A run in virtual time is the same wherever the host cuts it into pieces.
import { runGuest } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("pieces of a run");

test("where the host gets control in between changes nothing of what processes do, nor when", () => {
  const command = "seq 1 3000 | sort -r | grep 7 | wc; for i in 1 2 3; do (seq 1 $((i * 500)) | tail -1) & done; wait";
  const runs = [5_000_000, 77_777, 1_000_003].map((runInsns) => runGuest(command, { runInsns }));
  for (const r of runs) assert.equal([r.status, r.err, r.out, r.insns], [0, "", runs[0]!.out, runs[0]!.insns]);
});

test.run();
