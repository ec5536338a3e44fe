/* System calls of a program that has no libc, and its first instruction: what any program costs. */
#ifndef KUBETOKEN_BENCH_SYSTEM_CALL_H
#define KUBETOKEN_BENCH_SYSTEM_CALL_H

#include <sys/syscall.h>

/* run(stack) is where the program begins; stack[0] is argc, behind it argv. */
__attribute__((noreturn, used)) void run(long *stack);

#if defined(__x86_64__)
__asm__(
    ".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");

/* As syscall(2), but for errno. */
static inline long system_call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl run\n");

/* As syscall(2), but for errno. */
static inline long system_call(long number, long a, long b, long c)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
#else
#error "the floors are written for x86-64 and aarch64"
#endif

/* As _exit(2). */
static inline __attribute__((noreturn)) void leave(int status)
{
    for (;;)
        system_call(SYS_exit_group, status, 0, 0);
}

#endif
