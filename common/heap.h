/*
 * heap - the heap of a program whose libraries copy secrets.
 *
 * Where this is linked, whatever is freed is wiped first, by whichever library: free() and
 * realloc() are ours, and then libc's. So are malloc() and calloc(), which note that there was no
 * memory, whoever asked: many a library says then that a signature is wrong, a file is none, or
 * nothing at all, and what it says is no ground to decide by.
 */
#ifndef KUBETOKEN_COMMON_HEAP_H
#define KUBETOKEN_COMMON_HEAP_H

#include <features.h>
#include <stdbool.h>

/* AddressSanitizer brings a heap of its own; of other libcs nothing is known here. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_IS_ANOTHER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define HEAP_IS_ANOTHER
#endif

/* Whether an allocation has failed since the program began. Where the heap is another, only what
 * was noted by hand counts. */
bool heap_lacked(void);

/* Something else could not be had for want of memory. */
void heap_note_lack(void);

/* Locks what the heap has and its next few MiB, if RLIMIT_MEMLOCK allows that much, and leaves them
 * out of core dumps. Only pages that are touched take memory. Before there is another thread. */
void heap_lock(void);

#endif
