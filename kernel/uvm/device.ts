// uvm_device: memory that has no page records, such as a device's registers. Its only pager operation is fault.
import type { KGen } from "../lib/kthread.ts";
import { PMAP_CANFAIL } from "../hal/prot.ts";
import { ENOMEM } from "../lib/errno.ts";
import { UO_DEVICE, UvmObject, type PagerFault, type PagerOps } from "./object.ts";
import type { Uvm } from "./uvm.ts";

/** The device behind the object. */
export interface DeviceMemory {
  readonly uvm: Uvm;
  /** Physical address of the page at byte `offset`, or -errno (-EINVAL beyond the device). */
  mmap(offset: number, prot: number): number;
}

/** An object that maps a device. BSD: udv_attach. */
export function udvAttach(uvm: Uvm, device: DeviceMemory): UvmObject {
  return new UvmObject(uvm.ctx, DEVICE_OPS, UO_DEVICE, device);
}

const DEVICE_OPS: PagerOps = {
  name: "device",
  reference(o) {
    o.lock.enter();
    o.refs++;
    o.lock.exit();
  },
  *detach(o) {
    o.lock.enter();
    o.refs--;
    o.lock.exit();
  },
  *put(o) {
    o.lock.exit();
    return 0;
  },
  *fault(o: UvmObject, f: PagerFault): KGen<number> {
    const device = o.owner as DeviceMemory, pa = device.mmap(f.entry.offsetOf(f.va), f.enterProt);
    const err = pa < 0 ? pa : device.uvm.pmap.pmapEnter(f.map.pmap, f.va, pa, f.enterProt, PMAP_CANFAIL | f.access);
    if (pa >= 0) device.uvm.pmap.pmapUpdate(f.map.pmap);
    o.lock.exit();
    f.unlockMaps();
    return err < 0 && pa >= 0 ? -ENOMEM : err;
  },
};
