// Checks an ext2 image without mounting it: what inodes and directories say against bitmaps and counts. Each finding names
// the structure, the inode and the block.
//
//   superblock ─► group descriptors ─► inodes ─► blocks claimed ─► bitmaps, counts
//                                        └► directories ─► names ─► link counts, the tree
import { checkCounts } from "./ext2check/counts.ts";
import { Ext2Image, type Finding } from "./ext2check/image.ts";
import { InodeCheck } from "./ext2check/inodes.ts";
import { NameCheck } from "./ext2check/names.ts";

export { type Finding, FINDINGS_MAX } from "./ext2check/image.ts";

/** => what is wrong with the image, at most FINDINGS_MAX findings; empty when it is sound */
export function checkExt2(bytes: Uint8Array): Finding[] {
  const image = new Ext2Image(bytes);
  if (!image.open()) return image.findings;
  const inodes = new InodeCheck(image);
  inodes.run();
  new NameCheck(image, inodes).run();
  checkCounts(image, inodes);
  return image.findings;
}
