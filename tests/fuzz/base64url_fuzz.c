/* base64url and the shape of a token. */
#include "fuzz.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/jwks.h"

/* Decodes into exactly the room that is promised to be enough. Returns the length, or -1. */
static long decode(const char *text, size_t length)
{
    size_t room = length * 3 / 4;
    unsigned char *out = malloc(room), *whole = malloc(length + 8), *padded = malloc(length + 4);
    long n = base64url_decode(text, length, out);

    PROMISE(whole && padded && (out || room == 0));
    PROMISE(n == -1 || n == (long)room);
    if (n > 0) { /* libcrypto sees the same bytes */
        size_t filled = (length + 3) / 4 * 4;
        for (size_t i = 0; i < filled; i++) {
            char c = i < length ? text[i] : '=';
            padded[i] = (unsigned char)(c == '-' ? '+' : c == '_' ? '/' : c);
        }
        PROMISE(EVP_DecodeBlock(whole, padded, (int)filled) >= n);
        PROMISE(memcmp(out, whole, (size_t)n) == 0);
    }
    free(padded);
    free(whole);
    free(out);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_bytes(data, size);

    decode(text, size);
    if (job_token_shaped(text, size)) {
        PROMISE(size <= RESULT_TOKEN_MAX);
        unsigned parts = 0;
        for (size_t at = 0; at < size; parts++) {
            const char *dot = memchr(text + at, '.', size - at);
            size_t n = dot ? (size_t)(dot - text) - at : size - at;
            PROMISE(decode(text + at, n) > 0);
            at += n + 1;
        }
        PROMISE(parts == 3);
    }
    free(text);
    return 0;
}
