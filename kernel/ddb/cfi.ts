// From a frame to its caller's, as the call frame information of its function says (DWARF's CFI).
//
//   the instructions of CIE and FDE up to pc ─► rules: CFA = a register + offset; each saved register lies at CFA + offset
//   CFA is the caller's sp; the return address column is its pc
//
// What needs an expression to be computed is refused, by name.
import { Cursor, type Fde } from "./ehframe.ts";

/** x0 to x31; null: its value there is not known. */
export type Registers = readonly (number | null)[];

/** What became of a register, by CFA + n, or register n. */
interface Rule { readonly kind: "offset" | "valOffset" | "register" | "undefined" | "same"; readonly n: number }

interface Rules {
  cfaReg: number;
  cfaOffset: number;
  regs: Map<number, Rule>;
}

/** Registers as they were in the caller, and where it goes on; pc 0: nobody called. */
export interface Caller { readonly regs: Registers; readonly pc: number }

const REG_SP = 2, NREGS = 32, FIRST_FREG = 32, LAST_REG = 64, STATES_MAX = 64;
/** Not kept over calls: t0-t2, a0-a7, t3-t6. */
const isTemporary = (r: number): boolean => (r >= 5 && r <= 7) || (r >= 10 && r <= 17) || r >= 28;

const NOP = 0, SET_LOC = 1, ADVANCE1 = 2, ADVANCE2 = 3, ADVANCE4 = 4, OFFSET_EXTENDED = 5, RESTORE_EXTENDED = 6, UNDEFINED = 7, SAME_VALUE = 8, REGISTER = 9;
const REMEMBER = 10, RESTORE_STATE = 11, DEF_CFA = 12, DEF_CFA_REGISTER = 13, DEF_CFA_OFFSET = 14, OFFSET_SF = 17, DEF_CFA_SF = 18, DEF_CFA_OFFSET_SF = 19;
const VAL_OFFSET = 20, VAL_OFFSET_SF = 21, GNU_ARGS_SIZE = 0x2e, GNU_NEGATIVE_OFFSET = 0x2f;
const EXPRESSIONS: Readonly<Record<number, string>> = { 15: "DW_CFA_def_cfa_expression", 16: "DW_CFA_expression", 22: "DW_CFA_val_expression" };

/** Runs the instructions of one function's frame. */
class FrameProgram {
  private readonly fde: Fde;
  /** As the CIE leaves it: what `restore` goes back to. */
  private first: Map<number, Rule> = new Map();
  private readonly states: Rules[] = [];
  private now: Rules = { cfaReg: -1, cfaOffset: 0, regs: new Map() };
  private loc: number;

  constructor(fde: Fde) {
    this.fde = fde;
    this.loc = fde.start;
  }

  /** The rules at an address of the function. => in words: why there are none */
  at(va: number): Rules | string {
    const wrong = this.run(this.fde.cie.program, Infinity);
    this.first = new Map(this.now.regs);
    return wrong ?? this.run(this.fde.program, va) ?? (this.now.cfaReg < 0 ? "no rule for the frame's address" : this.now);
  }

  private run(program: Uint8Array, va: number): string | null {
    const c = new Cursor(program);
    while (!c.isAtEnd && this.loc <= va) {
      const op = c.u8(), low = op & 63, before = this.loc;
      if (op >= 0xc0) this.restore(low);
      else if (op >= 0x80) this.save(low, c.uleb() * this.fde.cie.dataAlign);
      else {
        const wrong = op >= 0x40 ? this.advance(low) : this.location(op, c);
        if (wrong !== null) return wrong;
      }
      if (this.loc < before || Number.isNaN(this.loc)) return "locations go backward";
    }
    return c.isBad ? "the instructions end in the middle of one" : null;
  }

  private advance(n: number): null {
    this.loc += n * this.fde.cie.codeAlign;
    return null;
  }

  /** Instructions with operands; first those that move on. */
  private location(op: number, c: Cursor): string | null {
    switch (op) {
      case NOP: return null;
      case SET_LOC: return "DW_CFA_set_loc is not known here";
      case ADVANCE1: return this.advance(c.u8());
      case ADVANCE2: return this.advance(c.u16());
      case ADVANCE4: return this.advance(c.u32());
      default: return this.state(op, c);
    }
  }

  private state(op: number, c: Cursor): string | null {
    const { now, states } = this;
    switch (op) {
      case REMEMBER:
        if (states.length >= STATES_MAX) return "too many remembered states";
        states.push({ ...now, regs: new Map(now.regs) });
        return null;
      case RESTORE_STATE: {
        const last = states.pop();
        if (last === undefined) return "no state was remembered";
        this.now = last;
        return null;
      }
      case GNU_ARGS_SIZE:
        c.uleb();
        return null;
      default: return op >= DEF_CFA && op <= DEF_CFA_OFFSET || op === DEF_CFA_SF || op === DEF_CFA_OFFSET_SF ? this.defCfa(op, c) : this.register(op, c);
    }
  }

  private defCfa(op: number, c: Cursor): null {
    const { now } = this, { dataAlign } = this.fde.cie;
    if (op !== DEF_CFA_OFFSET && op !== DEF_CFA_OFFSET_SF) now.cfaReg = c.uleb();
    if (op === DEF_CFA || op === DEF_CFA_OFFSET) now.cfaOffset = c.uleb();
    else if (op !== DEF_CFA_REGISTER) now.cfaOffset = c.sleb() * dataAlign;
    return null;
  }

  private register(op: number, c: Cursor): string | null {
    const expression = EXPRESSIONS[op], { dataAlign } = this.fde.cie;
    if (expression !== undefined) return `${expression} is not followed`;
    if (![OFFSET_EXTENDED, RESTORE_EXTENDED, UNDEFINED, SAME_VALUE, REGISTER, OFFSET_SF, VAL_OFFSET, VAL_OFFSET_SF, GNU_NEGATIVE_OFFSET].includes(op)) {
      return `call frame instruction 0x${op.toString(16)} is not known here`;
    }
    const r = c.uleb();
    if (op === RESTORE_EXTENDED) this.restore(r);
    else if (op === UNDEFINED) this.set(r, { kind: "undefined", n: 0 });
    else if (op === SAME_VALUE) this.set(r, { kind: "same", n: 0 });
    else if (op === REGISTER) this.set(r, { kind: "register", n: c.uleb() });
    else if (op === VAL_OFFSET) this.set(r, { kind: "valOffset", n: c.uleb() * dataAlign });
    else if (op === VAL_OFFSET_SF) this.set(r, { kind: "valOffset", n: c.sleb() * dataAlign });
    else this.save(r, (op === OFFSET_SF ? c.sleb() : op === GNU_NEGATIVE_OFFSET ? -c.uleb() : c.uleb()) * dataAlign);
    return null;
  }

  private save(r: number, n: number): void {
    this.set(r, { kind: "offset", n });
  }

  private set(r: number, rule: Rule): void {
    if (r <= LAST_REG) this.now.regs.set(r, rule);
  }

  private restore(r: number): void {
    const rule = this.first.get(r);
    if (rule === undefined) this.now.regs.delete(r);
    else this.now.regs.set(r, rule);
  }
}

/** The caller of a frame. `va`: where its function is, in the file's addresses; `word`: eight bytes of memory, or null. => in words: why not */
export function unwind(fde: Fde, va: number, regs: Registers, word: (va: number) => number | null): Caller | string {
  const rules = new FrameProgram(fde).at(va), { raColumn } = fde.cie;
  if (typeof rules === "string") return rules;
  const base = regs[rules.cfaReg] ?? null, sp = regs[REG_SP] ?? null;
  if (base === null || raColumn >= NREGS) return `register ${raColumn >= NREGS ? raColumn : rules.cfaReg} is not known`;
  const cfa = base + rules.cfaOffset;
  if (sp !== null && cfa < sp) return "the frame ends below the stack pointer";
  const next = regs.map((v, r) => (isTemporary(r) ? null : v));
  next[REG_SP] = cfa;
  for (const [r, { kind, n }] of rules.regs) {
    if (r >= FIRST_FREG) continue;
    if (kind === "undefined") next[r] = null;
    else if (kind === "same") next[r] = regs[r] ?? null;
    else next[r] = kind === "offset" ? word(cfa + n) : kind === "valOffset" ? cfa + n : regs[n] ?? null;
  }
  const rule = rules.regs.get(raColumn), pc = next[raColumn] ?? null;
  if (rule?.kind === "undefined") return { regs: next, pc: 0 };
  return pc === null ? "the return address is not in memory" : { regs: next, pc };
}
