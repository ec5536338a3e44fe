#include "daemon/digest.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void round_of(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* Little-endian, of up to 8 bytes. */
static uint64_t word(const unsigned char *p, size_t length)
{
    uint64_t w = 0;

    for (size_t i = 0; i < length; i++)
        w |= (uint64_t)p[i] << (8 * i);
    return w;
}

/* The same of 8, in one load. */
static uint64_t whole_word(const unsigned char *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return le64toh(w);
}

static void absorb(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    round_of(v);
    round_of(v);
    v[0] ^= m;
}

uint64_t digest_bytes(const unsigned char key[DIGEST_KEY_SIZE], const void *bytes, size_t length)
{
    uint64_t k0 = whole_word(key), k1 = whole_word(key + 8);
    uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                      k1 ^ 0x7465646279746573 };
    const unsigned char *p = bytes;
    size_t left = length;

    for (; left >= 8; p += 8, left -= 8)
        absorb(v, whole_word(p));
    absorb(v, word(p, left) | (uint64_t)length << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        round_of(v);
    uint64_t digest = v[0] ^ v[1] ^ v[2] ^ v[3];
    explicit_bzero(v, sizeof v);
    return digest;
}

static unsigned char own_key[DIGEST_KEY_SIZE];
static int has_key;

void digest_set_key(const unsigned char key[DIGEST_KEY_SIZE])
{
    memcpy(own_key, key, sizeof own_key);
    has_key = 1;
}

static void make_key(void)
{
    while (!has_key) {
        has_key = getrandom(own_key, sizeof own_key, 0) == sizeof own_key;
        if (!has_key && errno != EINTR)
            abort(); /* no kernel that this runs on */
    }
}

static uint64_t own_digest(const void *bytes, size_t length)
{
    make_key();
    uint64_t digest = digest_bytes(own_key, bytes, length);
    return digest > 1 ? digest : digest + 2;
}

uint64_t digest_secret(const struct secret *secret)
{
    return secret ? own_digest(secret_peek(secret), secret_length(secret)) : 1;
}

uint64_t digest_text(const char *text)
{
    return own_digest(text, strlen(text));
}

uint64_t digest_pair(uint64_t one, uint64_t other)
{
    const uint64_t both[] = { one, other };

    return own_digest(both, sizeof both);
}
