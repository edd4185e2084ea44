# M-mode to S-mode to U-mode under Sv39, with delegation: the privileged architecture from the guest's side.
# Ends by the test finisher: 0, or the number of the step that went wrong (s11).
#
#   va 0x80000000   1 GiB superpage onto RAM, supervisor only        va 0x40000000   user text, read and execute
#   va 0x40001000   user data, read and write                        va 0x40002000   user page, read only
#   va 0x40003000   not mapped                                       va 0x40200000   2 MiB superpage, misaligned: faults
.equ FINISHER, 0x100000
.equ PTE_V, 1
.equ PTE_R, 2
.equ PTE_W, 4
.equ PTE_X, 8
.equ PTE_U, 16
.equ PTE_AD, 0xc0

.globl _start
_start:
    li s11, 1
    csrr t0, mhartid
    bnez t0, fail
    la sp, stack
    la t0, m_trap
    csrw mtvec, t0
    # All of memory to S and U.
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    # User ecalls, page faults, breakpoints and illegal instructions go to S; supervisor ecalls come here.
    li t0, 0xb10c
    csrw medeleg, t0
    csrr t1, medeleg
    bne t0, t1, fail
    li t0, 0x222
    csrw mideleg, t0
    csrw satp, zero

    # Page tables.
    li s11, 2
    la t0, root
    li t1, 0x80000000 >> 2 | PTE_V | PTE_R | PTE_W | PTE_X | PTE_AD
    sd t1, 16(t0)
    la t1, middle
    srli t1, t1, 2
    ori t1, t1, PTE_V
    sd t1, 8(t0)
    la t0, middle
    la t1, leaf
    srli t1, t1, 2
    ori t1, t1, PTE_V
    sd t1, 0(t0)
    li t1, 0x80001000 >> 2 | PTE_V | PTE_R | PTE_U | PTE_AD
    sd t1, 8(t0)
    la t0, leaf
    la t1, user_text
    srli t1, t1, 2
    ori t1, t1, PTE_V | PTE_R | PTE_X | PTE_U | PTE_AD
    sd t1, 0(t0)
    la t1, user_data
    srli t1, t1, 2
    ori t2, t1, PTE_V | PTE_R | PTE_W | PTE_U | PTE_AD
    sd t2, 8(t0)
    ori t2, t1, PTE_V | PTE_R | PTE_U | PTE_AD
    sd t2, 16(t0)

    # To S-mode.
    li s11, 3
    li t0, 3 << 11
    csrc mstatus, t0
    li t0, 1 << 11
    csrs mstatus, t0
    la t0, supervisor
    csrw mepc, t0
    mret

supervisor:
    la t0, s_trap
    csrw stvec, t0
    la t0, root
    srli t0, t0, 12
    li t1, 8 << 60
    or t0, t0, t1
    csrw satp, t0
    sfence.vma
    csrr t1, satp
    bne t0, t1, fail
    # M-mode's registers are out of reach: an illegal instruction, delegated to us.
    li s11, 4
    li s10, 2
    la s9, after_csr
    csrr t0, mscratch
    j fail
after_csr:
    # User pages are out of reach without SUM, and within reach with it.
    li s11, 5
    li s10, 13
    la s9, after_sum
    li s8, 0x40001000
    ld t0, 0(s8)
    j fail
after_sum:
    li s11, 6
    li t0, 1 << 18
    csrs sstatus, t0
    li t1, 0x1234567
    sd t1, 0(s8)
    la t2, user_data
    ld t3, 0(t2)
    bne t1, t3, fail
    csrc sstatus, t0
    # A call to M-mode and back.
    li s11, 7
    li a0, 41
    ecall
    li t0, 42
    bne a0, t0, fail
    # To U-mode.
    li s11, 8
    li t0, 1 << 8
    csrc sstatus, t0
    li t0, 0x40000000
    csrw sepc, t0
    la t0, stack
    csrw sscratch, t0
    li s10, 8
    la s9, user_called
    sret
user_called:
    # a0 is what user code read from its data page.
    li s11, 9
    li t0, 0x1234567
    bne a0, t0, fail
    csrr t0, sstatus
    andi t0, t0, 1 << 8
    bnez t0, fail
    # Its next three instructions that fault: a load from nowhere, a store to a read-only page, a jump to data.
    li s11, 10
    li s10, 13
    li s8, 0x40003008
    la s9, user_loaded
    j resume
user_loaded:
    li s11, 11
    li s10, 15
    li s8, 0x40002010
    la s9, user_stored
    j resume
user_stored:
    li s11, 12
    li s10, 13
    li s8, 0x40200000
    la s9, user_misaligned
    j resume
user_misaligned:
    li s11, 13
    li s10, 12
    li s8, 0x40001000
    la s9, user_jumped
    j resume
user_jumped:
    # The read-only page becomes writable: after a fence the store goes through.
    li s11, 14
    la t0, leaf
    ld t1, 16(t0)
    ori t1, t1, PTE_W
    sd t1, 16(t0)
    li t0, 0x40002000
    sfence.vma t0, zero
    la t0, user_again
    la t1, user_text
    sub t0, t0, t1
    li t1, 0x40000000
    add t0, t0, t1
    csrw sepc, t0
    li s10, 8
    la s9, user_done
    sret
user_done:
    li s11, 15
    la t0, user_data
    ld t1, 24(t0)
    li t2, 77
    bne t1, t2, fail
    li t1, 0x5555
    j finish_s

# Continues behind the user instruction that trapped.
resume:
    csrr t0, sepc
    addi t0, t0, 4
    csrw sepc, t0
    sret

# Checks cause (s10) and, for page faults, the address (s8); continues at s9.
.align 2
s_trap:
    csrr t0, scause
    bne t0, s10, fail
    li t1, 12
    blt t0, t1, s_ok
    csrr t0, stval
    bne t0, s8, fail
s_ok:
    jr s9

.align 2
m_trap:
    csrr t0, mcause
    li t1, 9
    bne t0, t1, fail
    csrr t0, mstatus
    srli t0, t0, 11
    andi t0, t0, 3
    li t1, 1
    bne t0, t1, fail
    addi a0, a0, 1
    csrr t0, mepc
    addi t0, t0, 4
    csrw mepc, t0
    mret

finish_s:
    li t0, FINISHER
    # The finisher is not mapped: turn translation off, which only S may do.
    csrw satp, zero
    sfence.vma
    sw t1, 0(t0)
hang:
    j hang

# Whatever the mode: M reaches the finisher, S after turning translation off.
fail:
    slli s11, s11, 16
    li t1, 0x3333
    or t1, t1, s11
    li t0, FINISHER
    la t2, fail_m
    csrr t3, sstatus
    csrw satp, zero
fail_m:
    sw t1, 0(t0)
    j hang

.align 12
user_text:
    li t0, 0x40001000
    ld a0, 0(t0)
    ecall
    li t0, 0x40003008
    ld a0, 0(t0)
    li t0, 0x40002010
    sd a0, 0(t0)
    li t0, 0x40200000
    lb a0, 0(t0)
    li t0, 0x40001000
    jr t0
user_again:
    li t0, 0x40002018
    li t1, 77
    sd t1, 0(t0)
    ecall

.align 12
user_data:
    .space 4096
root:
    .space 4096
middle:
    .space 4096
leaf:
    .space 4096
    .space 1024
stack:
    .dword 0
