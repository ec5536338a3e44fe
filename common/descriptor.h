/*
 * descriptor - no descriptor of a program's own is ever 0, 1 or 2.
 *
 * Whoever starts a program may have closed those, and the next socket() would take such a number:
 * what is meant for stdout would go to the daemon. A gap is filled so that it still reads and
 * writes as a closed descriptor does (EBADF), but is not given out again.
 */
#ifndef KUBETOKEN_DESCRIPTOR_H
#define KUBETOKEN_DESCRIPTOR_H

/* Fills the gaps among 0, 1 and 2. For the start of main(). */
void descriptor_fill(void);

/* Takes what socket() and the like returned, -1 too. One below 3 tells that there are gaps: they
 * are filled, and it is replaced by one above, close-on-exec. Makes no system call otherwise.
 * Returns the descriptor, or -1 with errno. */
int descriptor_raise(int fd);

/* In a child before exec: the descriptor under that number, and not closed by exec. Unlike dup2(),
 * also where it has that number already. Returns 0, or -1 with errno. */
int descriptor_give(int fd, int number);

#endif
