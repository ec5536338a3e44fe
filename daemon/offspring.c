#define _GNU_SOURCE
#include "daemon/offspring.h"

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "common/time.h"

/* More than run at once, with those that have just ended. */
enum { OFFSPRING_MAX = 64 };

static const uint64_t remembered = USEC_PER_SEC;

static struct {
    pid_t pid;     /* 0: free */
    uint64_t gone; /* usec of CLOCK_BOOTTIME when it was collected, 0: it runs */
} offspring[OFFSPRING_MAX];

static bool is_free(size_t i, uint64_t now)
{
    return offspring[i].pid == 0 ||
           (offspring[i].gone > 0 && now - offspring[i].gone >= remembered);
}

/* Without a free place that of the one which has been gone for longest. */
static size_t find_place(uint64_t now)
{
    size_t best = 0;

    for (size_t i = 0; i < OFFSPRING_MAX; i++) {
        if (is_free(i, now))
            return i;
        if (offspring[i].gone > 0 &&
            (offspring[best].gone == 0 || offspring[i].gone < offspring[best].gone))
            best = i;
    }
    return best;
}

void offspring_add(pid_t pid)
{
    size_t i = find_place(time_boottime());

    offspring[i].pid = pid;
    offspring[i].gone = 0;
}

void offspring_remove(pid_t pid)
{
    for (size_t i = 0; i < OFFSPRING_MAX; i++)
        if (offspring[i].pid == pid && offspring[i].gone == 0)
            offspring[i].gone = time_boottime();
}

bool offspring_is(pid_t peer)
{
    uint64_t now = 0;
    pid_t group = 0;

    if (peer <= 0) /* of another pid namespace */
        return false;
    for (size_t i = 0; i < OFFSPRING_MAX; i++) {
        if (offspring[i].pid == 0)
            continue;
        if (now == 0) { /* most requests come while there is none */
            now = time_boottime();
            group = getpgid(peer);
        }
        if (!is_free(i, now) && (offspring[i].pid == peer || offspring[i].pid == group))
            return true;
    }
    return false;
}
