// The built command on a real pseudo-terminal: the shell's job control, ddb's prompt, the window's size, and the way out.
import { PtySession, ptyMaker } from "../helpers/pty.ts";
import { Scratch } from "../helpers/cli.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("pty"), maker = ptyMaker();
const CTRL_A = "\x01", CTRL_C = "\x03", CTRL_D = "\x04", CTRL_Z = "\x1a";

test.skipBecause(maker === "" ? "it needs stty, and python3 or util-linux' script" : "", "a person at a terminal: jobs, debugger, window, leaving", async () => {
  const p = new PtySession(maker || "script", `'${process.execPath}' build/tools/cli.main.mjs boot`, new Scratch().dir);
  try {
    await p.sees(/\$ $/);
    // Keys are typed once the program has said something: before that the terminal is still the shell's.
    p.types("sh -c 'echo up; sleep 1000'\r");
    await p.sees(/\nup\r+\n/);
    p.types(CTRL_C);
    await p.sees(/\^C[^]*\$ $/);
    p.types("echo status $?\r");
    await p.sees(/\r+\nstatus 130\r+\n\$ $/);
    p.types("cat\rline\r");
    await p.sees(/line\r+\nline\r+\n$/);
    p.types(CTRL_Z);
    await p.sees(/Stopped\s+cat\r+\n\$ $/);
    p.types("fg\r");
    await p.sees(/\r+\ncat\r+\n$/);
    p.types("twice\r");
    await p.sees(/twice\r+\ntwice\r+\n/);
    p.types(CTRL_D);
    await p.sees(/\$ $/);

    // One burst of keys: the first are the guest's, those after the escape the prompt's.
    p.types(`echo be${CTRL_A}cps\r`);
    await p.sees(/ddb> ps\r+\n *pid +tid[^]*sleep [^]*ddb> $/);
    assert.not.match(p.screen, /ddb> echo be/);
    p.types("c\r");
    await p.sees(/\r+\necho be$/);
    p.types("fore\r");
    await p.sees(/fore\r+\nbefore\r+\n\$ $/);
    p.types(`${CTRL_A}c`);
    await p.sees(/ddb> $/);
    p.types(`${CTRL_A}cecho there\r`);
    await p.sees(/\r+\nthere\r+\n\$ $/);

    p.types("sh -c 'trap \"echo window changed; exit\" WINCH; echo set; while :; do sleep 1; done'\r");
    await p.sees(/\nset\r+\n/);
    p.resize(41, 137);
    await p.sees(/\r+\nwindow changed\r+\n\$ $/);

    p.types(`${CTRL_A}x`);
    await p.sees(/left with 0\r+\n/);
    const { before, after } = await p.settings();
    assert.match(before, /rows 30; columns 100/);
    assert.is(after.replace("rows 41; columns 137", "rows 30; columns 100"), before);
  } finally {
    p.stop();
  }
});

test.run();
