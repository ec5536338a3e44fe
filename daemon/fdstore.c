#define _GNU_SOURCE
#include "daemon/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/journal.h"

/* The layout. Another one gets another magic. */
static const char magic[8] = "KTSTOR2";

struct slot_bytes {
    uint64_t generation; /* 0 = never written */
    uint64_t id;
    uint64_t bucket_full;
    uint64_t silent_at;
    account_digest accepted[ACCOUNT_ACCEPTED];
    struct account_refusal refusals[ACCOUNT_REFUSALS];
    struct account_trouble troubles[ACCOUNT_TROUBLES];
    uint64_t check; /* of all before it */
};

struct record_bytes {
    struct slot_bytes slots[2];
};

struct layout {
    char magic[8];
    unsigned char key[DIGEST_KEY_SIZE];
    uint64_t check; /* of all before it */
    struct record_bytes accounts[FDSTORE_ACCOUNTS];
};

/* Looked at once, when it is taken over: a checksum for each login would be dear. */
struct place {
    uint64_t id;
    bool used;
    unsigned newest; /* its slot */
};

struct fdstore {
    struct layout *memory;
    struct place places[FDSTORE_ACCOUNTS];
};

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static uint64_t check_of(const struct layout *m, const void *bytes, size_t length)
{
    return digest_bytes(m->key, bytes, length);
}

/* ---- the memory ------------------------------------------------------------------------------ */

static struct layout *map(int fd)
{
    void *memory = mmap(NULL, sizeof(struct layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, sizeof(struct layout), MADV_DONTDUMP);
    madvise(memory, sizeof(struct layout), MADV_DONTFORK);
    return memory;
}

/* Why it is not to be believed, or NULL. */
static const char *flaw_of(const struct layout *m)
{
    if (memcmp(m->magic, magic, sizeof magic) != 0)
        return "it was written by another version";
    if (m->check != check_of(m, m, offsetof(struct layout, check)))
        return "its checksum is wrong";
    return NULL;
}

/* Of an earlier life: a memfd of the right size that nobody can cut off beneath us. NULL with *why
 * set. */
static struct layout *adopt(int fd, const char **why)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    *why = "it is no sealed memory";
    if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW) ||
        fstat(fd, &st) < 0)
        return NULL;
    *why = st.st_size == 0 ? "it is empty" : "it has another size";
    if (st.st_size != sizeof(struct layout))
        return NULL;
    struct layout *m = map(fd);
    *why = m ? flaw_of(m) : "it cannot be mapped";
    if (m && *why) {
        munmap(m, sizeof *m);
        return NULL;
    }
    return m;
}

static bool fill_random(unsigned char *bytes, size_t length)
{
    ssize_t n;

    while ((n = getrandom(bytes, length, 0)) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)length;
}

static struct layout *make(void)
{
    int fd = memfd_create("kubetoken", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct layout *m = NULL;

    if (fd >= 0 && ftruncate(fd, sizeof *m) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        m = map(fd);
    if (m && fill_random(m->key, sizeof m->key)) {
        memcpy(m->magic, magic, sizeof magic);
        m->check = check_of(m, m, offsetof(struct layout, check));
        sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" FDSTORE_NAME, &fd, 1);
    } else if (m) {
        munmap(m, sizeof *m);
        m = NULL;
    }
    if (fd >= 0)
        close(fd); /* the mapping, and systemd, keep it */
    return m;
}

/* Its newer good slot, if any is good. */
static struct place look_at(const struct layout *m, const struct record_bytes *r)
{
    struct place place = { .used = false };

    for (unsigned i = 0; i < 2; i++) {
        const struct slot_bytes *slot = &r->slots[i];
        bool good = slot->generation > 0 &&
                    slot->check == check_of(m, slot, offsetof(struct slot_bytes, check));
        if (good && (!place.used || slot->generation > r->slots[place.newest].generation))
            place = (struct place){ slot->id, true, i };
    }
    return place;
}

struct fdstore *fdstore_new(int descriptor)
{
    struct fdstore *s = calloc(1, sizeof *s);
    const char *why;

    if (!s)
        return NULL;
    if (descriptor >= 0) {
        s->memory = adopt(descriptor, &why);
        close(descriptor);
    }
    if (descriptor >= 0 && !s->memory) {
        journal_write(LOG_WARNING, NULL, "store",
                      "what systemd kept of an earlier kubetokend is not taken up: %s; what was "
                      "known of refused passwords is lost",
                      why);
        sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" FDSTORE_NAME);
    }
    if (!s->memory)
        s->memory = make();
    if (!s->memory)
        return fdstore_free(s);
    for (size_t n = 0; n < FDSTORE_ACCOUNTS; n++)
        s->places[n] = look_at(s->memory, &s->memory->accounts[n]);
    return s;
}

struct fdstore *fdstore_free(struct fdstore *s)
{
    if (!s)
        return NULL;
    if (s->memory)
        munmap(s->memory, sizeof *s->memory);
    free(s);
    return NULL;
}

const unsigned char *fdstore_key(const struct fdstore *s)
{
    return s->memory->key;
}

/* ---- records --------------------------------------------------------------------------------- */

/* The place of that account, else (free) one that is not used, NULL: all are. */
static struct place *find(struct fdstore *s, uint64_t id, bool free)
{
    struct place *unused = NULL;

    for (size_t i = 0; i < FDSTORE_ACCOUNTS; i++) {
        struct place *p = &s->places[i];
        if (p->used && p->id == id)
            return p;
        if (!p->used && !unused)
            unused = p;
    }
    return free ? unused : NULL;
}

bool fdstore_get_account(struct fdstore *s, uint64_t id, struct account *account)
{
    const struct place *p = find(s, id, false);

    if (!p)
        return false;
    const struct slot_bytes *slot = &s->memory->accounts[p - s->places].slots[p->newest];
    account->bucket_full = slot->bucket_full;
    account->silent_at = slot->silent_at;
    memcpy(account->accepted, slot->accepted, sizeof account->accepted);
    memcpy(account->refusals, slot->refusals, sizeof account->refusals);
    memcpy(account->troubles, slot->troubles, sizeof account->troubles);
    return true;
}

/* Most clients are never refused. */
static bool knows_nothing(const struct account *a)
{
    return a->bucket_full == 0 && a->accepted[0] == 0 && a->refusals[0].what.password == 0 &&
           a->troubles[0].password == 0;
}

void fdstore_put_account(struct fdstore *s, uint64_t id, const struct account *account)
{
    struct place *p = find(s, id, !knows_nothing(account));

    if (!p)
        return;
    struct slot_bytes *slots = s->memory->accounts[p - s->places].slots;
    struct slot_bytes next = { .generation = p->used ? slots[p->newest].generation + 1 : 1,
                               .id = id,
                               .bucket_full = account->bucket_full,
                               .silent_at = account->silent_at };
    memcpy(next.accepted, account->accepted, sizeof next.accepted);
    memcpy(next.refusals, account->refusals, sizeof next.refusals);
    memcpy(next.troubles, account->troubles, sizeof next.troubles);
    next.check = check_of(s->memory, &next, offsetof(struct slot_bytes, check));
    *p = (struct place){ id, true, p->used ? !p->newest : 0 };
    slots[p->newest] = next;
}
