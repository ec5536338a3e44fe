/* What systemd kept, as a new life takes it up. The input is four bytes of choice, as many of
 * operations as the fourth says, and what the memory begins with; the rest of it is 0. The header
 * is made right, or no byte behind it would ever be looked at, and the checksums of the records
 * too, where that is chosen. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "daemon/store.h"

/* Not the lines of a million starts. */
void journal_write(int priority, const char *profile, const char *event, const char *format, ...)
{
    (void)priority, (void)profile, (void)event, (void)format;
}

/* As store.c has them: what is kept is a format. */
struct header {
    char magic[8];
    uint64_t version;
    sd_id128_t boot;
    unsigned char key[DIGEST_KEY_SIZE];
    uint64_t check, size;
};

struct block {
    uint32_t size, kind;
    uint64_t generation, id;
    uint32_t secret, rest;
    uint64_t check, unused;
    char place[SECRET_PLACE];
    char content[];
};

enum { PAGE = 4096, LEAST = 4 * PAGE, KINDS = 6, IDS = 4 };

enum choice {
    HEADER = 1,    /* it is right */
    CHAIN = 2,     /* the blocks are followed by others up to the end */
    RECORDS = 4,   /* their checksums are right */
    SHORT = 8,     /* there is less memory than the header says */
    UNSEALED = 16, /* it may be cut off */
};

/* ---- the memory ------------------------------------------------------------------------------ */

static struct block *block_at(char *memory, size_t at)
{
    return (struct block *)(void *)(memory + at);
}

static void correct_header(struct header *h, size_t size)
{
    memcpy(h->magic, "KTSTORE", sizeof h->magic);
    h->version = 3;
    h->size = size;
    PROMISE(sd_id128_get_boot(&h->boot) == 0);
    h->check = digest_bytes(h->key, h, offsetof(struct header, check));
}

/* Each block has a size that leads to the next one, and the last one to the end. */
static void correct_chain(char *memory, size_t size)
{
    for (size_t at = sizeof(struct header); at < size; at += block_at(memory, at)->size) {
        struct block *b = block_at(memory, at);
        b->size = b->size / 16 * 16;
        if (b->size < sizeof *b + 16 || b->size > size - at - sizeof *b - 16)
            b->size = (uint32_t)(size - at);
    }
}

static void correct_records(char *memory, size_t size)
{
    const unsigned char *key = ((struct header *)(void *)memory)->key;
    struct block *b;

    for (size_t at = sizeof(struct header); at + sizeof *b + 16 <= size; at += b->size) {
        b = block_at(memory, at);
        if (b->size < sizeof *b + 16 || b->size % 16 != 0 || b->size > size - at)
            return;
        if ((uint64_t)b->secret + 1 + b->rest > b->size - sizeof *b)
            continue;
        const uint64_t content = digest_bytes(key, b->content, (size_t)b->secret + 1 + b->rest);
        const uint64_t all[] = { b->kind, b->generation, b->id, b->secret, b->rest, content };
        b->check = digest_bytes(key, all, sizeof all);
    }
}

/* A descriptor as systemd would hand it over. */
static int memory_of(const uint8_t *data, size_t length, uint8_t choice, size_t size)
{
    size_t there = choice & SHORT ? size - PAGE : size;
    int fd = memfd_create("kubetoken", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    char *m = calloc(1, size);

    PROMISE(fd >= 0 && m && ftruncate(fd, (off_t)there) == 0);
    memcpy(m, data, length < size ? length : size);
    if (choice & HEADER)
        correct_header((struct header *)(void *)m, size);
    if (choice & CHAIN)
        correct_chain(m, size);
    if (choice & RECORDS)
        correct_records(m, size);
    PROMISE(pwrite(fd, m, there, 0) == (ssize_t)there);
    if (!(choice & UNSEALED))
        PROMISE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == 0);
    free(m);
    return fd;
}

/* Whether it is the memory of that store, and not a new one: a key is as old as its store. */
static bool is_of(int fd, const struct store *s)
{
    unsigned char key[DIGEST_KEY_SIZE];

    return pread(fd, key, sizeof key, offsetof(struct header, key)) == sizeof key &&
           memcmp(key, store_key(s), sizeof key) == 0;
}

/* ---- the records ----------------------------------------------------------------------------- */

static unsigned sum(const char *bytes, size_t length)
{
    unsigned n = 0;

    for (size_t i = 0; i < length; i++)
        n += (unsigned char)bytes[i];
    return n;
}

/* It can be read whole. */
static void check_record(const struct store_record *r, const struct block *b)
{
    const struct secret *secret = store_secret(r);
    size_t length;
    const char *rest = store_rest(r, &length);

    PROMISE(secret_length(secret) == b->secret && length == b->rest);
    PROMISE(secret_peek(secret)[b->secret] == '\0');
    PROMISE(sum(secret_peek(secret), b->secret) == sum(b->content, b->secret));
    PROMISE(sum(rest, length) == sum(b->content + b->secret + 1, length));
}

/* What is left of it is a chain of records, each of which can be found. */
static void check_all(struct store *s, int fd)
{
    struct stat st;

    PROMISE(fstat(fd, &st) == 0);
    char *m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    PROMISE(m != MAP_FAILED);
    size_t size = ((const struct header *)(const void *)m)->size;
    PROMISE(size <= (size_t)st.st_size);
    for (size_t at = sizeof(struct header); at < size; at += block_at(m, at)->size) {
        const struct block *b = block_at(m, at);
        PROMISE(b->size > sizeof *b && b->size <= size - at);
        if (b->kind == 0)
            continue;
        const struct store_record *r = store_find(s, (enum store_kind)b->kind, b->id);
        PROMISE(r);
        check_record(r, b);
    }
    munmap(m, (size_t)st.st_size);
}

/* ---- what every life does with it ------------------------------------------------------------ */

/* The length of each record that was written in this life; 0: none was. */
static size_t written[KINDS][IDS];

static void put(struct store *s, unsigned kind, uint64_t id, size_t length)
{
    static char text[16 * 256];
    struct secret *secret = secret_new(length / 2);

    PROMISE(secret);
    memset(text, 'a' + (int)(kind + id), length);
    memset(secret_bytes(secret), 's', length / 2);
    secret_set_length(secret, length / 2);
    PROMISE(store_put(s, (enum store_kind)kind, id, secret, text, length));
    secret_free(secret);
    written[kind][id] = length;
}

static void operate(struct store *s, uint8_t what, uint8_t length)
{
    unsigned kind = what % KINDS;
    uint64_t id = what / KINDS % IDS;

    if (kind == 0) {
        store_sweep(s);
    } else if (what & 128) {
        store_remove(s, store_find(s, (enum store_kind)kind, id));
        written[kind][id] = 0;
        PROMISE(!store_find(s, (enum store_kind)kind, id));
    } else {
        put(s, kind, id, 16U * length + 1);
    }
}

/* All that was written in this life is there. */
static void check_written(struct store *s)
{
    for (unsigned kind = 1; kind < KINDS; kind++)
        for (uint64_t id = 0; id < IDS; id++) {
            size_t length, wanted = written[kind][id];
            if (wanted == 0)
                continue;
            const struct store_record *r = store_find(s, (enum store_kind)kind, id);
            PROMISE(r && secret_length(store_secret(r)) == wanted / 2);
            const char *rest = store_rest(r, &length);
            PROMISE(length == wanted);
            PROMISE(sum(rest, length) == length * ('a' + kind + id));
        }
}

static void live(int fd, bool all_wanted, const uint8_t *operations, size_t n)
{
    int own = dup(fd);
    struct store *s = store_new(&own, 1);

    PROMISE(s);
    bool taken_up = is_of(fd, s);
    if (taken_up && all_wanted)
        check_all(s, fd);
    memset(written, 0, sizeof written);
    for (size_t i = 0; i + 1 < n; i += 2)
        operate(s, operations[i], operations[i + 1]);
    check_written(s);
    if (taken_up)
        check_all(s, fd);
    store_free(s);
    if (!taken_up)
        return;
    own = dup(fd); /* and the next life finds what this one left */
    s = store_new(&own, 1);
    PROMISE(s && is_of(fd, s));
    check_written(s);
    check_all(s, fd);
    store_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    size_t pages = LEAST + data[1] % 4U * PAGE, n = data[3] < size - 4 ? data[3] : size - 4;
    int fd = memory_of(data + 4 + n, size - 4 - n, data[0] ^ HEADER, pages);

    live(fd, data[2] % 2 == 0, data + 4, n);
    close(fd);
    return 0;
}
