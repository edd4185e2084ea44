// vmcheck's second half: maps, amap references seen from the maps, and what the page tables map against what the maps say.
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import type { Pmap } from "../hal/pmap.ts";
import type { Amap } from "./amap.ts";
import type { VmMap } from "./map.ts";
import { ET_COPYONWRITE, ET_NEEDSCOPY, type VmMapEntry } from "./mapentry.ts";
import { PAGE_SIZE, PG_RDONLY } from "./page.ts";
import type { Uvm } from "./uvm.ts";

/** Bits of a PTE's low word. */
const PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32;

const hex = (n: number): string => n.toString(16);

function mapsOf(uvm: Uvm): VmMap[] {
  return [uvm.kernelMap, ...[...uvm.vmspaces].map((vm) => vm.map)];
}

/** INV-34, 36, 37. */
export function checkMaps(uvm: Uvm, bad: string[]): void {
  const users = new Map<Amap, VmMapEntry[]>();
  for (const map of mapsOf(uvm)) {
    let size = 0, at = map.min;
    for (const e of map.tree.entries()) {
      const where = `entry ${hex(e.start)}-${hex(e.end)}`;
      const isAligned = e.start % PAGE_SIZE === 0 && e.end % PAGE_SIZE === 0;
      if (e.start < at || e.start >= e.end || e.end > map.max || !isAligned) bad.push(`INV-37: ${where}: out of order`);
      if ((e.etype & ET_NEEDSCOPY) !== 0 && (e.etype & ET_COPYONWRITE) === 0) bad.push(`INV-36: ${where}: needs copy but is not copy-on-write`);
      if (e.amap) users.set(e.amap, [...(users.get(e.amap) ?? []), e]);
      if (e.isWiredOnFault && e.wiredCount === 0) bad.push(`INV-42: ${where}: wired on fault, but not wired`);
      at = e.end;
      size += e.end - e.start;
    }
    for (const vpn of map.faultWired) if (!map.lookup(vpn * PAGE_SIZE)?.isWiredOnFault) bad.push(`INV-42: ${hex(vpn)}000: wired by a fault where no entry asks for it`);
    if (size !== map.size) bad.push(`INV-37: map size ${map.size}, entries ${size}`);
    for (const what of map.tree.check()) bad.push(`INV-37: ${what}`);
  }
  for (const am of uvm.amaps) if (!users.has(am)) bad.push("INV-34: an amap that no entry refers to");
  for (const [am, entries] of users) checkAmapUsers(uvm, am, entries, bad);
}

function checkAmapUsers(uvm: Uvm, am: Amap, entries: readonly VmMapEntry[], bad: string[]): void {
  if (!uvm.amaps.has(am)) bad.push("INV-34: an entry refers to a dead amap");
  if (am.ref !== entries.length) bad.push(`INV-34: amap ref ${am.ref}, ${entries.length} entries`);
  const cover = new Array<number>(am.nslot).fill(0);
  for (const e of entries) {
    if (e.amapSlot < 0 || e.amapSlot + e.npages > am.nslot) bad.push(`INV-34: entry ${hex(e.start)}: slots beyond the amap`);
    for (let s = e.amapSlot; s < e.amapSlot + e.npages; s++) cover[s]!++;
  }
  if (!am.ppref) return;
  for (let s = 0; s < am.nslot; s++) {
    if (am.ppref[s] !== cover[s]) bad.push(`INV-34: amap slot ${s}: ppref ${am.ppref[s]}, covered by ${cover[s]}`);
    if (cover[s] === 0 && am.anons[s] !== 0) bad.push(`INV-34: amap slot ${s} holds an anon that nobody can reach`);
  }
}

/** INV-12, 38, 39, 40, 42. */
export function checkPmaps(uvm: Uvm, bad: string[]): void {
  const { pages, pmap } = uvm, mapOf = new Map<Pmap, VmMap>(), resident = new Map<Pmap, number>();
  for (const map of mapsOf(uvm)) mapOf.set(map.pmap, map);
  for (let pg = 1; pg < pages.nframes; pg++) {
    if (pages.managed[pg] !== 1) continue;
    const seen = new Set<string>();
    for (const { pm, va } of pmap.pvList(pg)) {
      const w = pmap.pmapWalk(pm, va), map = mapOf.get(pm), where = `page ${pg} at ${hex(va)}`;
      resident.set(pm, (resident.get(pm) ?? 0) + 1);
      if (seen.has(`${pm.asid}:${va}:${pm.rootPg}`)) bad.push(`INV-38: ${where}: two pv entries`);
      seen.add(`${pm.asid}:${va}:${pm.rootPg}`);
      if (!w || uvm.pageAt(pm, va) !== pg) {
        bad.push(`INV-38: ${where}: pv entry without mapping`);
        continue;
      }
      if ((w.pteLo & PTE_W) !== 0 && (w.pteLo & PTE_R) === 0) bad.push(`INV-40: ${where}: W without R`);
      if (va < 0 && ((w.pteLo & PTE_U) !== 0 || (w.pteLo & PTE_G) === 0)) bad.push(`INV-40: ${where}: kernel mapping with U or without G`);
      if ((w.pteLo & PTE_W) !== 0 && pages.loanCount[pg] !== 0) bad.push(`INV-12: ${where}: loaned and writable`);
      if (!map) bad.push(`INV-38: ${where}: mapped in an unknown pmap`);
      else if (va >= 0) checkUserPte(uvm, map, va, pg, w.pteLo, bad);
    }
  }
  for (const [pm, map] of mapOf) {
    // Unmanaged mappings, of devices, are resident and have no pv entry.
    if (map !== uvm.kernelMap && pm.residentCount < (resident.get(pm) ?? 0)) {
      bad.push(`INV-38: pmap counts ${pm.residentCount} resident, pv lists ${resident.get(pm) ?? 0}`);
    }
  }
}

/** INV-39: a user mapping is what the two-layer lookup yields, with no more rights than it may have. */
function checkUserPte(uvm: Uvm, map: VmMap, va: number, pg: number, pte: number, bad: string[]): void {
  const { pages, anons } = uvm, e = map.lookup(va), where = `page ${pg} at ${hex(va)}`;
  if (!e) return void bad.push(`INV-39: ${where}: mapped outside every entry`);
  const an = e.amap ? e.amap.lookup(e.slotOf(va)) : 0;
  const expected = an !== 0 ? anons.page[an]! : e.object ? pages.lookup(e.object, e.offsetOf(va)) : 0;
  // A layered object's pages are another object's.
  if (expected !== pg && (an !== 0 || expected !== 0 || !e.object)) bad.push(`INV-39: ${where}: should be page ${expected}`);
  const prot = ((pte & PTE_R) !== 0 ? PROT_READ : 0) | ((pte & PTE_W) !== 0 ? PROT_WRITE : 0) | ((pte & PTE_X) !== 0 ? PROT_EXEC : 0);
  const implied = e.protection !== 0 ? e.protection | PROT_READ : 0;
  if ((prot & ~implied) !== 0) bad.push(`INV-39: ${where}: rights ${prot} beyond ${e.protection}`);
  if ((pte & PTE_U) === 0) bad.push(`INV-39: ${where}: user mapping without U`);
  const isWired = e.wiredCount > 0 && (!e.isWiredOnFault || map.faultWired.has(va / PAGE_SIZE));
  if (isWired && pages.wireCount[pg] === 0 && map.busy === null) bad.push(`INV-42: ${where}: in a wired entry, but not wired`);
  if ((prot & PROT_WRITE) === 0) return;
  const ok = an !== 0 ? anons.ref[an] === 1 : !e.isCopyOnWrite;
  if (!ok || e.needsCopy || (pages.flags[pg]! & PG_RDONLY) !== 0) bad.push(`INV-39: ${where}: may not be writable`);
}
