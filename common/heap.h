/*
 * heap - the heap of a program whose libraries copy secrets.
 *
 * Where this is linked, whatever is freed is wiped first, by whichever library: free() and
 * realloc() are ours, and then libc's.
 */
#ifndef KUBETOKEN_COMMON_HEAP_H
#define KUBETOKEN_COMMON_HEAP_H

#include <features.h>

/* AddressSanitizer brings a heap of its own; of other libcs nothing is known here. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_IS_ANOTHER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define HEAP_IS_ANOTHER
#endif

/* Locks what the heap has and its next few MiB, if RLIMIT_MEMLOCK allows that much, and leaves them
 * out of core dumps. Only pages that are touched take memory. Before there is another thread. */
void heap_lock(void);

#endif
