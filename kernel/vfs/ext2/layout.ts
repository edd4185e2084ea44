// ext2 revision 1 on the disk. All numbers little-endian.
//
//   byte 1024   superblock                     block group: [superblock copy, descriptors] block bitmap, inode bitmap,
//   next block  group descriptors, 32 bytes                 inode table, data
//
//   inode       i_block[0..11] data, [12] single, [13] double, [14] triple indirect
//   directory   inode 4 | rec_len 2 | name_len 1 | type 1 | name ..., rec_len a multiple of 4, none crosses a block

export const SB_OFFSET = 1024, SB_SIZE = 1024, EXT2_MAGIC = 0xef53, ROOT_INO = 2;
/** Offsets in the superblock. */
export const SB_INODES = 0, SB_BLOCKS = 4, SB_RESERVED = 8, SB_FREE_BLOCKS = 12, SB_FREE_INODES = 16, SB_FIRST_BLOCK = 20, SB_LOG_BLOCK = 24,
  SB_BLOCKS_PER_GROUP = 32, SB_INODES_PER_GROUP = 40, SB_MTIME = 44, SB_WTIME = 48, SB_MOUNTS = 52, SB_MAGIC = 56, SB_STATE = 58, SB_REVISION = 76,
  SB_FIRST_INO = 84, SB_INODE_SIZE = 88, SB_COMPAT = 92, SB_INCOMPAT = 96, SB_RO_COMPAT = 100;
export const STATE_CLEAN = 1;
export const INCOMPAT_FILETYPE = 2, RO_COMPAT_SPARSE_SUPER = 1, RO_COMPAT_LARGE_FILE = 2;

export const GD_SIZE = 32, GD_BLOCK_BITMAP = 0, GD_INODE_BITMAP = 4, GD_INODE_TABLE = 8, GD_FREE_BLOCKS = 12, GD_FREE_INODES = 14, GD_DIRS = 16;

/** Offsets in an inode. */
export const I_MODE = 0, I_UID = 2, I_SIZE = 4, I_ATIME = 8, I_CTIME = 12, I_MTIME = 16, I_DTIME = 20, I_GID = 24, I_LINKS = 26, I_BLOCKS = 28,
  I_FLAGS = 32, I_BLOCK = 40, I_GENERATION = 100, I_FILE_ACL = 104, I_SIZE_HIGH = 108, I_UID_HIGH = 120, I_GID_HIGH = 122, I_EXTRA_SIZE = 128,
  I_CTIME_EXTRA = 132, I_MTIME_EXTRA = 136, I_ATIME_EXTRA = 140, I_CRTIME = 144, I_CRTIME_EXTRA = 148;
export const I_SMALL = 128, I_LARGE = 160, DIRECT = 12, SINGLE = 12, DOUBLE = 13, TRIPLE = 14, FAST_LINK = 60;
/** i_flags: append only, immutable, hashed directory (read as a list: we drop the flag when we change it), not for dump, time of access stays. */
export const FL_IMMUTABLE = 0x10, FL_APPEND = 0x20, FL_INDEX = 0x1000, FL_NODUMP = 0x40, FL_NOATIME = 0x80;
/** What an extended attribute block inside an inode begins with, behind its extra fields. */
export const XATTR_MAGIC = 0xea020000;

export const D_INODE = 0, D_REC_LEN = 4, D_NAME_LEN = 6, D_TYPE = 7, D_NAME = 8;
/** Type of a directory entry by vnode type (VNON, VREG, VDIR, VLNK, VCHR, VBLK, VFIFO, VSOCK). */
export const DIR_TYPES = [0, 1, 2, 7, 3, 4, 5, 6] as const;

/** Bytes of an entry with a name of this length. */
export const entrySize = (nameLen: number): number => (D_NAME + nameLen + 3) & ~3;
export const LINK_MAX = 32000;
