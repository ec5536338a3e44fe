#include "support.h"

#include "daemon/digest.h"

/* The vectors of the reference implementation: key and message are 00 01 02 ... */
static void the_published_vectors_come_out(void **state)
{
    static const struct {
        size_t length;
        uint64_t digest;
    } vectors[] = { { 0, 0x726fdb47dd0e0e31 },  { 1, 0x74f839c593dc67fd },
                    { 7, 0xab0200f58b01d137 },  { 8, 0x93f5f5799a932462 },
                    { 15, 0xa129ca6149be45e5 }, { 63, 0x958a324ceb064572 } };
    unsigned char key[DIGEST_KEY_SIZE], message[64];

    (void)state;
    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)i;
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)i;
    for (size_t i = 0; i < COUNT(vectors); i++)
        assert_true(digest_bytes(key, message, vectors[i].length) == vectors[i].digest);
}

static void equal_secrets_have_equal_digests_and_others_have_not(void **state)
{
    struct secret *a = secret_copy("password", 8), *b = secret_copy("password", 8);
    struct secret *c = secret_copy("passwore", 8), *empty = secret_copy("", 0);

    (void)state;
    assert_true(digest_secret(a) == digest_secret(b));
    assert_true(digest_secret(a) != digest_secret(c));
    assert_true(digest_secret(empty) != digest_secret(NULL));
    assert_true(digest_secret(NULL) != 0 && digest_secret(empty) != 0);
    secret_free(a);
    secret_free(b);
    secret_free(c);
    secret_free(empty);
}

static void texts_and_pairs_have_digests_of_their_own(void **state)
{
    (void)state;
    assert_true(digest_text("a") == digest_text("a") && digest_text("a") != digest_text("b"));
    assert_true(digest_pair(1, 2) == digest_pair(1, 2) && digest_pair(1, 2) != digest_pair(2, 1));
    assert_true(digest_text("") != 0 && digest_pair(0, 0) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_come_out),
        cmocka_unit_test(equal_secrets_have_equal_digests_and_others_have_not),
        cmocka_unit_test(texts_and_pairs_have_digests_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
