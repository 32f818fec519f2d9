# Fills the registers that a callee preserves with constants and calls close(-1), so that a test knows
# what the copy of the stack must hold.
        .text
        .globl  call_close_with_known_registers
        .type   call_close_with_known_registers, @function
call_close_with_known_registers:
        .cfi_startproc
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 56
        movabsq $0x1b1b1b1b1b1b1b1b, %rbx
        movabsq $0x2b2b2b2b2b2b2b2b, %rbp
        movabsq $0x3c3c3c3c3c3c3c3c, %r12
        movabsq $0x4d4d4d4d4d4d4d4d, %r13
        movabsq $0x5e5e5e5e5e5e5e5e, %r14
        movabsq $0x6f6f6f6f6f6f6f6f, %r15
        movabsq $0x7a7a7a7a7a7a7a7a, %rax
        movq    %rax, (%rsp)
        movl    $-1, %edi
        call    close@PLT
        .globl  known_return_address
known_return_address:
        movq    %rbx, %rax
        addq    %rbp, %rax
        addq    %r12, %rax
        addq    %r13, %rax
        addq    %r14, %rax
        addq    %r15, %rax
        addq    $8, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
        .cfi_endproc
        .size   call_close_with_known_registers, .-call_close_with_known_registers
        .section .note.GNU-stack,"",@progbits
