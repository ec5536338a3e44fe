/* The provider's keys. The input is a JWK Set. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/jwks.h"

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_key(const struct jwk *k)
{
    bool ec = *k->curve == 'P', okp = *k->curve == 'E';

    PROMISE(k->key);
    PROMISE(strnlen(k->curve, sizeof k->curve) < sizeof k->curve);
    PROMISE(EVP_PKEY_is_a(k->key, "EC") == ec);
    PROMISE(EVP_PKEY_is_a(k->key, "RSA") == (*k->curve == '\0'));
    PROMISE((EVP_PKEY_is_a(k->key, "ED25519") || EVP_PKEY_is_a(k->key, "ED448")) == okp);
    PROMISE(!k->why && (*k->curve || EVP_PKEY_get_bits(k->key) >= 1024));
    for (const char *const *alg = (const char *const[]){ "HS256", "none", "", NULL }; *alg; alg++)
        PROMISE(!jwks_fits(k, *alg, NULL));
}

static void check_same(const struct jwks *a, const struct jwks *b)
{
    PROMISE(a->n == b->n && strcmp(a->unreadable, b->unreadable) == 0);
    PROMISE(b->n_refused == 0);
    for (size_t i = 0; i < a->n; i++) {
        PROMISE(same(a->keys[i].kid, b->keys[i].kid));
        PROMISE(strcmp(a->keys[i].curve, b->keys[i].curve) == 0);
        PROMISE(EVP_PKEY_eq(a->keys[i].key, b->keys[i].key) == 1);
    }
}

/* What is kept of the set gives the same keys, and keeps itself. */
static void check_distilled(const struct jwks *keys)
{
    size_t most = 8 * 1024 * 1024; /* escapes may make it longer than the set */
    char *bare = jwks_distill(keys, most);
    struct jwks again = { .n = 0 };
    struct error why;

    PROMISE(bare && jwks_parse(bare, strlen(bare), &again, &why) == 0);
    check_same(keys, &again);
    char *twice = jwks_distill(&again, most);
    PROMISE(twice && strcmp(bare, twice) == 0);
    free(twice);
    free(bare);
    jwks_clear(&again);
}

/* Of those that were used what fits is kept, and it is nothing else. */
static void check_kept(struct jwks *keys, size_t size)
{
    struct jwks again = { .n = 0 };
    struct error why;

    jwks_mark_used(keys, size % keys->n);
    char *kept = jwks_distill(keys, size);
    PROMISE(!kept || strlen(kept) <= size);
    PROMISE(!kept || jwks_parse(kept, strlen(kept), &again, &why) == 0);
    PROMISE(again.n <= keys->n);
    jwks_inherit_use(&again, keys);
    for (size_t i = 0; i < again.n; i++)
        PROMISE(again.keys[i].used_before);
    free(kept);
    jwks_clear(&again);
}

/* Such keys are not kept. */
static bool any_leaked(const struct jwks *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        if (keys->keys[i].leaked)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct jwks keys = { .n = 0 };
    struct error why = { .code = ERROR_NONE };

    if (jwks_parse(text, size, &keys, &why) == 0) {
        PROMISE(keys.n + keys.n_refused > 0);
        PROMISE(strnlen(keys.unreadable, sizeof keys.unreadable) < sizeof keys.unreadable);
        for (size_t i = 0; i < keys.n; i++)
            check_key(&keys.keys[i]);
        for (size_t i = 0; i < keys.n_refused; i++)
            PROMISE(!keys.refused[i].key && keys.refused[i].why);
        PROMISE(keys.n_refused > 0 || !any_leaked(&keys));
        if (keys.n > 0 && !any_leaked(&keys)) {
            check_distilled(&keys);
            check_kept(&keys, size);
        }
    } else {
        PROMISE(keys.n == 0);
        fuzz_check_error(&why);
    }
    jwks_clear(&keys);
    free(text);
    return 0;
}
