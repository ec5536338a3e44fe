#define _GNU_SOURCE
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"

void fuzz_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, condition);
    abort();
}

/* AddressSanitizer does not know that of libc, and so not how far it writes. */
void explicit_bzero(void *bytes, size_t size)
{
    memset(bytes, 0, size);
}

void *fuzz_bytes(const uint8_t *data, size_t size)
{
    void *copy = malloc(size);

    PROMISE(copy || size == 0);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

char *fuzz_text(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);

    PROMISE(copy);
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

/* "#1,2" as two numbers of 64 bits, in the order of this machine. */
static void put_numbers(struct tlv_writer *w, const char *name, const char *text, size_t length)
{
    uint64_t numbers[64];
    size_t n = 0, at = 1;

    while (at < length && n < sizeof numbers / sizeof *numbers && text[at] >= '0' &&
           text[at] <= '9') {
        uint64_t number = 0;
        for (; at < length && text[at] >= '0' && text[at] <= '9'; at++)
            number = number * 10 + (uint64_t)(text[at] - '0');
        numbers[n++] = number;
        at++;
    }
    tlv_put(w, name, numbers, n * sizeof *numbers);
}

static void put_line(struct tlv_writer *w, const char *line, size_t length)
{
    const char *equals = memchr(line, '=', length);
    size_t n = equals ? (size_t)(equals - line) : length;
    char name[256];

    if (n == 0 || n >= sizeof name)
        return;
    snprintf(name, sizeof name, "%.*s", (int)n, line);
    if (*name && equals && length > n + 2 && equals[1] == '#')
        put_numbers(w, name, equals + 1, length - n - 1);
    else if (*name && equals)
        tlv_put(w, name, equals + 1, length - n - 1);
}

void *fuzz_record(const uint8_t *data, size_t size, size_t *ret_length)
{
    size_t room = RECORD_HEADER + 6 * size + 16;
    struct tlv_writer w;

    if (size >= 4 && memcmp(data, "KTR1", 4) == 0) {
        *ret_length = size;
        return fuzz_bytes(data, size);
    }
    uint8_t *bytes = malloc(room);
    PROMISE(bytes);
    tlv_begin(&w, bytes, room);
    for (size_t at = 0; at < size;) {
        const char *line = (const char *)data + at;
        const char *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        put_line(&w, line, length);
        at += length + 1;
    }
    *ret_length = tlv_end(&w);
    uint8_t *exact = fuzz_bytes(bytes, *ret_length);
    free(bytes);
    return exact;
}

void fuzz_wipe_tail(char *text, size_t room)
{
    size_t length = strnlen(text, room);

    PROMISE(length < room);
    memset(text + length, 0, room - length);
}

/* The length of the UTF-8 character at p, 0: it is none or moves the cursor. Not by the tables
 * of error.c: by decoding it. */
static size_t character(const unsigned char *p)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
    uint32_t c = n == 1 ? *p : *p & (0x7fU >> n);

    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) /* the final NUL too */
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (n == 0 || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    return c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0 : n;
}

bool fuzz_is_clean(const char *text)
{
    const char *p = text;

    for (size_t n; *p; p += n) {
        bool outer = p == text || p[1] == '\0' || p[1] == ' ';
        n = character((const unsigned char *)p);
        if (n == 0 || (*p == ' ' && outer))
            return false;
    }
    return true;
}

void fuzz_check_error(const struct error *e)
{
    PROMISE(e->code > ERROR_NONE && e->code < ERROR_MAX);
    PROMISE(strnlen(e->detail, sizeof e->detail) <= ERROR_DETAIL_MAX);
    PROMISE(fuzz_is_clean(e->detail));
}

void fuzz_check_words(const struct result *result)
{
    PROMISE(strnlen(result->user, sizeof result->user) < sizeof result->user);
    PROMISE(fuzz_is_clean(result->user));
    PROMISE(strnlen(result->sub, sizeof result->sub) < sizeof result->sub);
    PROMISE(fuzz_is_clean(result->sub));
    PROMISE(strnlen(result->email, sizeof result->email) < sizeof result->email);
    PROMISE(fuzz_is_clean(result->email));
    PROMISE(result->n_warnings <= RESULT_WARNINGS_MAX);
    for (unsigned i = 0; i < result->n_warnings; i++)
        fuzz_check_error(&result->warnings[i]);
}

struct job fuzz_job(void)
{
    return (struct job){
        .kind = JOB_PASSWORD,
        .deadline = 30 * USEC_PER_SEC,
        .issuer = "https://login.example.com/",
        .client_id = "kube",
        .client_auth = "auto",
        .client_secret = FUZZ_CLIENT_SECRET,
        .username = "anna",
        .password = FUZZ_PASSWORD,
        .refresh_token = FUZZ_REFRESH_TOKEN,
        .scope = "openid email",
        .signing_algs = "RS256 ES256 EdDSA",
        .allow_http_loopback = true,
    };
}
