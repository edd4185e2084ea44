// The TLB's refill: the WebAssembly function that translated code and the interpreter ask after a miss, before TypeScript.
//
//   place(ea, kind)   the entry (it may hold the page: a misaligned access)   ─► host offset of the bytes
//                     the tables, from a kept one or from the root, the leaf,
//                     marks of its page ─► a new entry                        ─► host offset of the bytes
//                     a PTE on the way that is not valid                      ─► UNMAPPED: a page fault
//                     all else: other faults, A and D to set, devices, page
//                     ends, what PMP divides, stores that somebody must see   ─► 0, and nothing has changed
//
// It does what Walker.walk and Mmu.fill do, in the same order, for the cases that need nobody; whether it does at all is WalkCache's
// matter, so that --tlb tiny, hostile and --engine check go on without.
import { GROUP_SIZE_SHIFT, KIND_AMO, KIND_SIZE, KIND_STORE } from "../hart/cold.ts";
import {
  DATA_BANK, DATA_ENTRIES, DATA_ENTRY, ENTRY_LEVEL, ENTRY_LISTED, ENTRY_PTE, HOST_PAGE, KEPT_AGE, KEPT_PAGE, KEPT_TABLE, KEPT_TABLES, KNOWN_SUPERS,
  MARKS_MAX, noTag, PAGE_MARKS, RAM_OFFSET, RAM_PA, REFILL, REFILL_AGE, REFILL_CONTEXT, REFILL_COUNTS, REFILL_FILLED, REFILL_FILLS, REFILL_GLOBAL, REFILL_KEPT,
  REFILL_LOADS, REFILL_ROOT, REFILL_SHIFT, REFILL_SHORT, REFILL_STORES, REFILL_STRIDE, REFILL_SUPERS, TAG_READ, TAG_WRITE,
} from "../hart/layout.ts";
import { PMP_R, PMP_W } from "../hart/pmp.ts";
import { Emitter, I32, I64 } from "../jit/wasm.ts";
import { PTE_A, PTE_D, PTE_G, PTE_R, PTE_U, PTE_V, PTE_W, PTE_X } from "./walk.ts";

export const PLACE_PARAMS = [I64, I32] as const, PLACE_RESULTS = [I32] as const;
/** No host offset of guest memory: the tables have nothing for the address. */
export const UNMAPPED = 1;
const EA = 0, KIND = 1;
/** Shift of an address for its index into a table of 4 KiB leaves (and for its page), and bits of an index. */
const PAGE_SHIFT = 12, INDEX_BITS = 9;
const PPN_SHIFT = 10n, RAM_PPN = BigInt(RAM_PA / 4096), REGION_SHIFT = 21n;
/** Labels: TypeScript's, seen from the top of the function, and from within the loop over the levels. */
const TYPESCRIPT = 0, LOOP_ENDS = 1, LOOP_TYPESCRIPT = 2;

/** Local variables. */
interface Locals {
  /** Whether the access is a store: not 0. */
  readonly store: number;
  readonly entry: number;
  /** The page of the address, as a tag. */
  readonly tag: number;
  /** How far the address is shifted for the present level. */
  readonly shift: number;
  /** RAM page of the present table, in the end of the frame. */
  readonly page: number;
  /** Bits 21 to 52 of the address; offset of its kept table's slot; whether the walk begins there. */
  readonly region: number;
  readonly kept: number;
  readonly isShort: number;
  /** Low word of the PTE, and its frame counted from the begin of RAM. */
  readonly pte: number;
  readonly frame: number;
  readonly context: number;
  readonly scratch: number;
  readonly writable: number;
}

/** => hart: its block; hartId: its part of REFILL */
export function placeFunction(hart: number, hartId: number): Emitter {
  const e = new Emitter(2), refill = REFILL + hartId * REFILL_STRIDE;
  const l: Locals = {
    store: e.local(I32), entry: e.local(I32), shift: e.local(I32), page: e.local(I32), region: e.local(I32), kept: e.local(I32), isShort: e.local(I32),
    pte: e.local(I32), context: e.local(I32), scratch: e.local(I32), writable: e.local(I32), tag: e.local(I64), frame: e.local(I64),
  };
  e.block();
  emitCrossing(e).brIf(TYPESCRIPT);
  emitLook(e, hart, l);
  emitBegin(e, refill, l);
  e.block().loop();
  emitLevel(e, refill, l);
  e.br(0).op("end").op("end");
  emitRights(e, refill, l);
  emitSuperpage(e, refill, l);
  emitFill(e, refill, l);
  e.op("end").i32(0);
  return e;
}

/** Emits whether the bytes lie on two pages, for a function whose first parameters are those of `place`. */
export function emitCrossing(e: Emitter): Emitter {
  emitOffset(e);
  // The bytes of a group of accesses count as one.
  e.get(KIND).i32(KIND_SIZE).op("i32.and").get(KIND).i32(GROUP_SIZE_SHIFT).op("i32.shr_u").op("i32.or").op("i32.add");
  return e.i32(4096).op("i32.gt_u");
}

/** Emits a field that TypeScript keeps. */
function field(e: Emitter, at: number): Emitter {
  return e.i32(0).mem("i32.load", at);
}

/** Emits where in its page the address lies. */
function emitOffset(e: Emitter): Emitter {
  return e.get(EA).op("i32.wrap_i64").i32(4095).op("i32.and");
}

/** Emits the number of the address's page at the present level, as an i64. */
function pageNumber(e: Emitter, l: Locals): Emitter {
  return e.get(EA).get(l.shift).op("i64.extend_i32_u").op("i64.shr_s");
}

/** The entry as it is: it answers misaligned accesses, and those that shared a check with others. */
function emitLook(e: Emitter, hart: number, l: Locals): void {
  e.get(EA).op("i32.wrap_i64").i32(7).op("i32.shr_u").i32((DATA_ENTRIES - 1) * DATA_ENTRY).op("i32.and");
  field(e, hart + DATA_BANK).op("i32.add").set(l.entry);
  e.get(EA).i64(-4096n).op("i64.and").tee(l.tag).get(l.entry).mem("i64.load", TAG_WRITE).get(l.entry).mem("i64.load", TAG_READ);
  e.get(KIND).i32(KIND_STORE | KIND_AMO).op("i32.and").tee(l.store).op("select").op("i64.eq");
  e.if().get(l.entry).mem("i32.load", HOST_PAGE);
  emitOffset(e).op("i32.add").op("return").op("end");
}

/** Where the walk begins. */
function emitBegin(e: Emitter, refill: number, l: Locals): void {
  field(e, refill + REFILL_SHIFT).tee(l.shift).op("i32.eqz").brIf(TYPESCRIPT);
  // Sign-extended: all bits from the highest of the root's index on are the same.
  e.get(EA).get(l.shift).i32(INDEX_BITS - 1).op("i32.add").op("i64.extend_i32_u").op("i64.shr_s").i64(1n).op("i64.add").i64(1n).op("i64.gt_u").brIf(TYPESCRIPT);
  e.get(EA).i64(REGION_SHIFT).op("i64.shr_u").op("i32.wrap_i64").tee(l.region).i32(KEPT_TABLES - 1).op("i32.and").i32(KEPT_TABLE).op("i32.mul").tee(l.kept);
  e.mem("i32.load", refill + REFILL_KEPT).get(l.region).op("i32.eq").get(l.kept).mem("i32.load", refill + REFILL_KEPT + KEPT_AGE);
  field(e, refill + REFILL_AGE).op("i32.eq").op("i32.and").tee(l.isShort);
  e.if().get(l.kept).mem("i32.load", refill + REFILL_KEPT + KEPT_PAGE).set(l.page).i32(PAGE_SHIFT).set(l.shift);
  e.op("else");
  field(e, refill + REFILL_ROOT).set(l.page);
  e.op("end");
}

/** One table: ends the loop with a leaf, or goes on to the next. */
function emitLevel(e: Emitter, refill: number, l: Locals): void {
  e.get(l.page).mem("i32.load8_u", PAGE_MARKS).i32(PMP_R).op("i32.and").op("i32.eqz").brIf(LOOP_TYPESCRIPT);
  e.get(l.shift).i32(PAGE_SHIFT).op("i32.eq").if();
  e.get(l.kept).get(l.region).mem("i32.store", refill + REFILL_KEPT).get(l.kept);
  field(e, refill + REFILL_AGE).mem("i32.store", refill + REFILL_KEPT + KEPT_AGE);
  e.get(l.kept).get(l.page).mem("i32.store", refill + REFILL_KEPT + KEPT_PAGE).op("end");
  e.get(l.page).i32(PAGE_SHIFT).op("i32.shl");
  pageNumber(e, l).op("i32.wrap_i64").i32((1 << INDEX_BITS) - 1).op("i32.and").i32(3).op("i32.shl").op("i32.add").mem("i64.load", RAM_OFFSET).tee(l.frame);
  e.op("i32.wrap_i64").tee(l.pte).i32(PTE_V).op("i32.and").op("i32.eqz").if().i32(UNMAPPED).op("return").op("end");
  // The reserved bits above are part of the number: with one of them it is too large.
  e.get(l.frame).i64(PPN_SHIFT).op("i64.shr_u").i64(RAM_PPN).op("i64.sub").tee(l.frame).i64(BigInt(MARKS_MAX)).op("i64.ge_u").brIf(LOOP_TYPESCRIPT);
  e.get(l.frame).op("i32.wrap_i64").set(l.page);
  e.get(l.pte).i32(PTE_R | PTE_W | PTE_X).op("i32.and").brIf(LOOP_ENDS);
  e.get(l.pte).i32(PTE_A | PTE_D | PTE_U).op("i32.and").get(l.shift).i32(PAGE_SHIFT).op("i32.eq").op("i32.or").brIf(LOOP_TYPESCRIPT);
  e.get(l.shift).i32(INDEX_BITS).op("i32.sub").set(l.shift);
}

/** What the leaf must grant: reading always, for a store writing too, with A and D. */
function emitRights(e: Emitter, refill: number, l: Locals): void {
  const grants = (rights: number) => {
    e.get(l.pte);
    field(e, refill + rights).op("i32.and");
    return field(e, refill + rights + 4);
  };
  grants(REFILL_LOADS).op("i32.ne").brIf(TYPESCRIPT);
  grants(REFILL_STORES).op("i32.eq").set(l.writable);
}

/** The frame within a superpage: aligned, and one that the TLB knows it has fragments of, so that a fence finds this one too. */
function emitSuperpage(e: Emitter, refill: number, l: Locals): void {
  e.get(l.shift).i32(PAGE_SHIFT).op("i32.ne").if();
  e.i32(1).get(l.shift).i32(PAGE_SHIFT).op("i32.sub").op("i32.shl").i32(1).op("i32.sub").tee(l.scratch).get(l.page).op("i32.and").brIf(TYPESCRIPT + 1);
  e.get(EA).i64(BigInt(PAGE_SHIFT)).op("i64.shr_u").op("i32.wrap_i64").get(l.scratch).op("i32.and").get(l.page).op("i32.or").set(l.page);
  pageNumber(e, l).op("i32.wrap_i64").i32(KNOWN_SUPERS - 1).op("i32.and");
  field(e, refill + REFILL_CONTEXT).i32(KNOWN_SUPERS).op("i32.mul").op("i32.add").i32(3).op("i32.shl").mem("i64.load", refill + REFILL_SUPERS);
  pageNumber(e, l).i64(6n).op("i64.shl").get(l.shift).op("i64.extend_i32_u").op("i64.or").op("i64.ne").brIf(TYPESCRIPT + 1).op("end");
}

/** The marks of the frame, and the entry. */
function emitFill(e: Emitter, refill: number, l: Locals): void {
  e.get(l.page).mem("i32.load8_u", PAGE_MARKS).tee(l.scratch).i32(PMP_R).op("i32.and").op("i32.eqz").brIf(TYPESCRIPT);
  e.get(l.scratch).i32(PMP_W).op("i32.and").op("i32.eqz").op("i32.eqz").get(l.writable).op("i32.and").tee(l.writable);
  e.op("i32.eqz").get(l.store).op("i32.eqz").op("i32.eqz").op("i32.and").brIf(TYPESCRIPT);
  emitListing(e, refill, l);
  e.get(l.entry).get(l.tag).mem("i64.store", TAG_READ).get(l.entry).get(l.tag);
  // noTag of the entry's place.
  e.get(l.tag).i64(BigInt((DATA_ENTRIES - 1) << PAGE_SHIFT)).op("i64.and").i64(BigInt(noTag(0))).op("i64.xor").get(l.writable).op("select").mem("i64.store", TAG_WRITE);
  e.get(l.entry).get(l.page).i32(PAGE_SHIFT).op("i32.shl").i32(RAM_OFFSET).op("i32.add").tee(l.scratch).mem("i32.store", HOST_PAGE);
  e.get(l.entry).get(l.pte).mem("i32.store", ENTRY_PTE);
  e.get(l.entry).get(l.shift).i32(PAGE_SHIFT).op("i32.sub").i32(INDEX_BITS).op("i32.div_u").mem("i32.store", ENTRY_LEVEL);
  e.i32(0).i32(0).mem("i64.load", refill + REFILL_FILLS).i64(1n).op("i64.add").mem("i64.store", refill + REFILL_FILLS);
  e.i32(0).i32(0).mem("i64.load", refill + REFILL_SHORT).get(l.isShort).op("i64.extend_i32_u").op("i64.add").mem("i64.store", refill + REFILL_SHORT);
  e.get(l.scratch);
  emitOffset(e).op("i32.add").op("return");
}

/** What a flush and fences must know: the slot, and whether a global page was filled. */
function emitListing(e: Emitter, refill: number, l: Locals): void {
  const { context, scratch: count } = l;
  field(e, refill + REFILL_CONTEXT).tee(context).get(context).mem("i32.load8_u", refill + REFILL_GLOBAL).get(l.pte).i32(PTE_G).op("i32.and").op("i32.or");
  e.mem("i32.store8", refill + REFILL_GLOBAL);
  e.get(l.entry).mem("i32.load", ENTRY_LISTED).op("i32.eqz").if().get(l.entry).i32(1).mem("i32.store", ENTRY_LISTED);
  e.get(context).i32(2).op("i32.shl").mem("i32.load", refill + REFILL_COUNTS).set(count);
  e.get(context).i32(DATA_ENTRIES).op("i32.mul").get(count).op("i32.add").i32(1).op("i32.shl");
  e.get(EA).i64(BigInt(PAGE_SHIFT)).op("i64.shr_u").op("i32.wrap_i64").i32(DATA_ENTRIES - 1).op("i32.and").mem("i32.store16", refill + REFILL_FILLED);
  e.get(context).i32(2).op("i32.shl").get(count).i32(1).op("i32.add").mem("i32.store", refill + REFILL_COUNTS).op("end");
}
