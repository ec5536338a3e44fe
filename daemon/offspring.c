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
static unsigned n_places; /* that are not free */

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

    n_places += offspring[i].pid == 0;
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
    if (peer <= 0 || n_places == 0) /* of another pid namespace; most requests come while none is */
        return false;

    uint64_t now = time_boottime();
    pid_t group = getpgid(peer);
    for (size_t i = 0; i < OFFSPRING_MAX; i++) {
        if (offspring[i].pid == 0)
            continue;
        if (is_free(i, now)) { /* it was asked for long enough */
            offspring[i].pid = 0;
            n_places--;
            continue;
        }
        if (offspring[i].pid == peer || offspring[i].pid == group)
            return true;
    }
    return false;
}
