/* The provider's keys. */
#define _GNU_SOURCE
#include "support.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/jwks.h"

static EVP_PKEY *rsa, *p256, *p384, *ed25519, *ed448;
static struct jwks keys;
static struct error why;

static int make_keys(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ed448 = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    return rsa && p256 && p384 && ed25519 && ed448 ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(ed25519);
    EVP_PKEY_free(ed448);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    jwks_clear(&keys);
    return 0;
}

static int parse(const char *text)
{
    return jwks_parse(text, strlen(text), &keys, &why);
}

/* A set of one or two keys; takes the JWKs over. */
static int parse_set(char *first, char *second)
{
    char text[8192];

    snprintf(text, sizeof text, "{\"keys\":[%s%s%s]}", first, second ? "," : "",
             second ? second : "");
    free(first);
    free(second);
    return parse(text);
}

static void an_rsa_key_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        parse_set(jwk_of(rsa, ",\"kid\":\"a\",\"alg\":\"RS256\",\"use\":\"sig\""), NULL), 0);
    assert_int_equal(keys.n, 1);
    assert_int_equal(EVP_PKEY_eq(keys.keys[0].key, rsa), 1);
    assert_string_equal(keys.keys[0].kid, "a");
    assert_string_equal(keys.keys[0].curve, "");
}

static void ec_keys_are_read(void **state)
{
    (void)state;
    assert_int_equal(parse_set(jwk_of(p256, ""), jwk_of(p384, "")), 0);
    assert_int_equal(keys.n, 2);
    assert_int_equal(EVP_PKEY_eq(keys.keys[0].key, p256), 1);
    assert_int_equal(EVP_PKEY_eq(keys.keys[1].key, p384), 1);
    assert_string_equal(keys.keys[0].curve, "P-256");
    assert_string_equal(keys.keys[1].curve, "P-384");
    assert_null(keys.keys[0].kid);
}

static void okp_keys_are_read(void **state)
{
    (void)state;
    assert_int_equal(parse_set(jwk_of(ed25519, ""), jwk_of(ed448, "")), 0);
    assert_int_equal(keys.n, 2);
    assert_int_equal(EVP_PKEY_eq(keys.keys[0].key, ed25519), 1);
    assert_int_equal(EVP_PKEY_eq(keys.keys[1].key, ed448), 1);
    assert_string_equal(keys.keys[0].curve, "Ed25519");
    assert_string_equal(keys.keys[1].curve, "Ed448");
}

static void okp_keys_for_agreement_or_of_a_wrong_length_are_passed_over(void **state)
{
    static const char *const crvs[] = { "X25519", "X448", "ed25519", "Ed448", "P-256", "" };
    char *good = jwk_of(ed25519, ""), *x = strstr(good, "\"x\""), text[512];

    for (size_t i = 0; i < COUNT(crvs); i++) {
        snprintf(text, sizeof text, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"%s\",%s]}", crvs[i], x);
        assert_int_equal(parse(text), -1);
    }
    snprintf(text, sizeof text, "{\"keys\":[{\"kty\":\"OKP\",%s]}", x);
    assert_int_equal(parse(text), -1);
    assert_int_equal(parse("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}]}"), -1);
    free(good);
    (void)state;
}

/* kube-apiserver passes over none of these: what they say is not what Go looks at. */
static void a_key_is_read_whatever_it_is_for(void **state)
{
    static const char *const members[] = {
        ",\"key_ops\":[]",       ",\"key_ops\":[\"encrypt\",\"wrapKey\"]",
        ",\"key_ops\":7",        ",\"key_ops\":[\"verify\"]",
        ",\"use\":\"enc\"",      ",\"use\":null",
        ",\"alg\":\"RSA-OAEP\"", ",\"alg\":\"PS256\"",
    };

    for (size_t i = 0; i < COUNT(members); i++) {
        assert_int_equal(parse_set(jwk_of(rsa, members[i]), NULL), 0);
        assert_int_equal(keys.n, 1);
        assert_true(jwks_fits(&keys.keys[0], "RS256", NULL));
        assert_string_equal(keys.unreadable, "");
        jwks_clear(&keys);
    }
    (void)state;
}

static void the_same_key_may_be_there_under_several_names(void **state)
{
    (void)state;
    assert_int_equal(parse_set(jwk_of(rsa, ",\"kid\":\"a\",\"alg\":\"RS256\""),
                               jwk_of(rsa, ",\"kid\":\"b\",\"alg\":\"PS256\"")),
                     0);
    assert_int_equal(keys.n, 2);
    assert_true(jwks_fits(&keys.keys[0], "RS256", "a"));
    assert_true(jwks_fits(&keys.keys[0], "PS256", "a"));
    assert_false(jwks_fits(&keys.keys[0], "PS256", "b"));
    assert_true(jwks_fits(&keys.keys[1], "PS256", "b"));
}

static void what_is_kept_is_read_as_the_set_itself(void **state)
{
    char text[8192], *kept,
        *jwks[] = {
            jwk_of(rsa, ",\"kid\":\"a\",\"use\":\"sig\",\"x5c\":[\"AAAA\"]"),
            jwk_of(p256, ",\"kid\":\"b\",\"d\":\"AQAB\""),
            strdup("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAA\"}"),
            jwk_of(ed448, ",\"key_ops\":[\"verify\"]"),
        };

    (void)state;
    snprintf(text, sizeof text, "{\"keys\":[%s,%s,%s,%s,7,null]}", jwks[0], jwks[1], jwks[2],
             jwks[3]);
    assert_int_equal(parse(text), 0);
    assert_int_equal(keys.n_refused, 1);
    kept = jwks_distill(&keys, 8192);
    jwks_clear(&keys);
    assert_int_equal(parse(kept), 0);
    assert_int_equal(keys.n, 2);
    assert_int_equal(keys.n_refused, 0);
    assert_string_equal(keys.unreadable,
                        "key 1 of its set, \"a\": its x5c is no list of certificates");
    assert_int_equal(EVP_PKEY_eq(keys.keys[0].key, rsa), 1);
    assert_int_equal(EVP_PKEY_eq(keys.keys[1].key, ed448), 1);
    assert_holds_not(kept, "\"x5c\"");
    free(kept);
    for (size_t i = 0; i < COUNT(jwks); i++)
        free(jwks[i]);
}

static void a_key_whose_private_part_is_published_is_not_kept(void **state)
{
    char *kept, *public = jwk_of(rsa, ",\"kid\":\"a\""),
                *private = jwk_of(rsa, ",\"kid\":\"b\",\"d\":\"AQAB\""), text[8192];

    (void)state;
    snprintf(text, sizeof text, "%s,%s", public, private);
    free(public);
    free(private);
    assert_int_equal(parse_set(strdup(text), jwk_of(p384, ",\"kid\":\"c\"")), 0);
    assert_int_equal(keys.n, 2);
    assert_true(keys.keys[0].leaked);
    assert_false(keys.keys[1].leaked);
    kept = jwks_distill(&keys, 8192);
    jwks_clear(&keys);
    assert_int_equal(parse(kept), 0);
    assert_int_equal(keys.n, 1);
    assert_string_equal(keys.keys[0].kid, "c");
    free(kept);
}

static void keys_of_other_types_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(parse_set(strdup("{\"kty\":\"oct\",\"k\":\"AAAA\"},null,7,\"x\",[],{},"
                                      "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"),
                               jwk_of(rsa, "")),
                     0);
    assert_int_equal(keys.n, 1);
}

static void broken_keys_are_passed_over(void **state)
{
    static const char *const broken[] = {
        "{\"kty\":\"RSA\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"!!!!\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":7,\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-999\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
    };

    for (size_t i = 0; i < COUNT(broken); i++)
        assert_int_equal(parse_set(strdup(broken[i]), NULL), -1);
    (void)state;
}

static void a_point_beside_the_curve_is_passed_over(void **state)
{
    (void)state;
    char *jwk = jwk_of(p256, ""), *y = strstr(jwk, "\"y\":\"") + 5;
    y[10] = y[10] == 'A' ? 'B' : 'A';
    assert_int_equal(parse_set(jwk, NULL), -1);
}

static void assert_only_refused(int r, const char *reason)
{
    assert_int_equal(r, 0);
    assert_int_equal(keys.n, 0);
    assert_int_equal(keys.n_refused, 1);
    assert_string_equal(keys.refused[0].why, reason);
    assert_null(keys.refused[0].key);
    assert_true(jwks_fits(&keys.refused[0], "RS256", NULL));
    assert_null(jwks_distill(&keys, 8192));
    jwks_clear(&keys);
}

static void an_rsa_key_under_1024_bits_is_refused(void **state)
{
    (void)state;
    EVP_PKEY *small = EVP_RSA_gen(512);
    assert_non_null(small);
    int r = parse_set(jwk_of(small, ""), NULL);
    EVP_PKEY_free(small);
    assert_only_refused(r, "it has fewer than 1024 bits");
}

static void an_exponent_that_go_refuses_is_refused(void **state)
{
    static const char *const exponents[] = { "AQ", "Ag", "AQAA", "AQAAAAE", "gAAAAQ" };

    for (size_t i = 0; i < COUNT(exponents); i++) {
        char text[1024], *jwk = jwk_of(rsa, ""), *e = strstr(jwk, "\"e\":\"AQAB\"");
        assert_non_null(e);
        snprintf(text, sizeof text, "%.*s\"e\":\"%s\"%s", (int)(e - jwk), jwk, exponents[i],
                 e + 10);
        free(jwk);
        assert_only_refused(parse_set(strdup(text), NULL),
                            "its e is no odd number from 3 to 2147483647");
    }
    (void)state;
}

static void a_key_of_which_anybody_has_the_private_part_is_refused(void **state)
{
    (void)state;
    assert_only_refused(parse_set(jwk_of(rsa, ",\"d\":\"AQAB\""), NULL),
                        "its private part is published, with which anybody signs");
    assert_int_equal(parse_set(jwk_of(rsa, ",\"d\":null"), NULL), 0);
    assert_int_equal(keys.n, 1);
}

static void a_key_that_go_cannot_read_is_noted(void **state)
{
    static const struct {
        const char *members, *note;
    } rows[] = {
        { ",\"kid\":\"a\\u0000\",\"x5u\":\"https://x/\"",
          "key 1 of its set, \"a\xef\xbf\xbd\": it has an x5u" },
        { ",\"kid\":7", "key 1 of its set: its kid is no string" },
        { ",\"y\":\"*\"", "key 1 of its set: its y is not base64url without padding" },
        { ",\"kid\":\"a\",\"kid\":\"b\"", "key 1 of its set, \"b\": it has two kid" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(parse_set(jwk_of(rsa, rows[i].members), NULL), 0);
        assert_string_equal(keys.unreadable, rows[i].note);
        jwks_clear(&keys);
    }
    (void)state;
}

static void a_note_on_the_set_finds_room_with_the_keys(void **state)
{
    char *kept = NULL;

    (void)state;
    assert_int_equal(parse_set(jwk_of(p256, ""), strdup("{\"kty\":\"x\"}")), 0);
    jwks_mark_used(&keys, 0);
    for (size_t most = 0; !kept; most++) {
        kept = jwks_distill(&keys, most);
        assert_true(!kept || strlen(kept) <= most);
        assert_true(most < 1024);
    }
    assert_holds(kept, "key 2 of its set: kty");
    free(kept);
}

static void keys_are_found_in_any_spelling(void **state)
{
    static const char *const sets[] = {
        "{\"KEYS\":[",
        "{\"keys\":[],\"Keys\":[",
        "{\"\xe2\x84\xaa"
        "eys\":[",
    };
    char text[2048], *jwk = jwk_of(rsa, "");

    for (size_t i = 0; i < COUNT(sets); i++) {
        snprintf(text, sizeof text, "%s%s]}", sets[i], jwk);
        assert_int_equal(parse(text), 0);
        jwks_clear(&keys);
    }
    snprintf(text, sizeof text, "{\"keys\":[%s],\"KEYS\":[]}", jwk);
    assert_int_equal(parse(text), -1);
    free(jwk);
    (void)state;
}

static void a_modulus_of_unbelievable_size_is_passed_over(void **state)
{
    static char text[16384];

    (void)state;
    snprintf(text, sizeof text, "%s", "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"");
    memset(text + strlen(text), 'A', 8000);
    strncat(text, "\"}]}", sizeof text - strlen(text) - 1);
    assert_int_equal(parse(text), -1);
}

/* A thousand keys, named k0 to k999: those of the P-256 key, but for one. */
static void parse_a_thousand(int other)
{
    size_t room = 1024 * 1024, used;
    char *text = malloc(room), further[32];

    assert_non_null(text);
    used = (size_t)snprintf(text, room, "{\"keys\":[");
    for (int i = 0; i < 1000; i++) {
        snprintf(further, sizeof further, ",\"kid\":\"k%d\"", i);
        char *jwk = jwk_of(i == other ? rsa : p256, further);
        used += (size_t)snprintf(text + used, room - used, "%s%s", i ? "," : "", jwk);
        free(jwk);
    }
    snprintf(text + used, room - used, "]}");
    assert_int_equal(parse(text), 0);
    free(text);
}

static void a_thousand_keys_are_read(void **state)
{
    (void)state;
    parse_a_thousand(999);
    assert_int_equal(keys.n, 1000);
    assert_string_equal(keys.keys[999].kid, "k999");
    assert_int_equal(EVP_PKEY_eq(keys.keys[999].key, rsa), 1);
}

/* ---- what is kept ---------------------------------------------------------------------------- */

/* Has what is kept of the set take its place. */
static void keep(size_t most)
{
    char *kept = jwks_distill(&keys, most);

    assert_non_null(kept);
    assert_true(strlen(kept) <= most);
    jwks_clear(&keys);
    assert_int_equal(parse(kept), 0);
    free(kept);
}

static void of_a_thousand_keys_those_that_were_used_are_kept(void **state)
{
    (void)state;
    parse_a_thousand(500);
    jwks_mark_used(&keys, 500);
    keys.keys[7].used_before = true;
    keep(24 * 1024);
    assert_int_equal(keys.n, 2);
    assert_string_equal(keys.keys[0].kid, "k500");
    assert_string_equal(keys.keys[1].kid, "k7");
}

static void of_keys_that_were_used_the_latest_find_room_first(void **state)
{
    (void)state;
    parse_a_thousand(500);
    for (size_t i = 0; i < keys.n; i++)
        keys.keys[i].used_before = true;
    jwks_mark_used(&keys, 500);
    keep(2 * 1024);
    assert_in_range(keys.n, 5, 20);
    assert_string_equal(keys.keys[0].kid, "k500");
}

static void where_none_was_used_all_are_kept_or_none(void **state)
{
    (void)state;
    parse_a_thousand(500);
    assert_null(jwks_distill(&keys, 24 * 1024));
    keep(1024 * 1024);
    assert_int_equal(keys.n, 1000);
}

static void a_name_that_was_used_keeps_all_its_keys(void **state)
{
    (void)state;
    assert_int_equal(parse_set(jwk_of(rsa, ",\"kid\":\"a\""), jwk_of(p256, ",\"kid\":\"a\"")), 0);
    jwks_mark_used(&keys, 1);
    keep(8192);
    assert_int_equal(keys.n, 2);
}

static void a_key_without_a_name_is_kept_by_itself(void **state)
{
    (void)state;
    assert_int_equal(parse_set(jwk_of(rsa, ""), jwk_of(p256, "")), 0);
    jwks_mark_used(&keys, 1);
    keep(8192);
    assert_int_equal(keys.n, 1);
    assert_string_equal(keys.keys[0].curve, "P-256");
}

static void what_was_used_before_is_known_in_a_newer_set(void **state)
{
    struct jwks before;

    (void)state;
    assert_int_equal(parse_set(jwk_of(rsa, ",\"kid\":\"a\""), jwk_of(p256, "")), 0);
    before = keys;
    jwks_mark_used(&before, 0);
    before.keys[1].used_before = true;
    assert_int_equal(parse_set(jwk_of(p384, ",\"kid\":\"a\""), jwk_of(p256, "")), 0);
    jwks_inherit_use(&keys, &before);
    assert_true(keys.keys[0].used_before);
    assert_true(keys.keys[1].used_before);
    jwks_clear(&keys);
    assert_int_equal(parse_set(jwk_of(rsa, ",\"kid\":\"b\""), jwk_of(p384, "")), 0);
    jwks_inherit_use(&keys, &before);
    assert_false(jwks_any_used(&keys));
    jwks_clear(&before);
}

static void what_is_no_set_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "<html>", "{\"keys\":null}"
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(parse(texts[i]), -1);
        assert_int_equal(why.code, ERROR_KEYS_UNREADABLE);
    }
    (void)state;
}

static void a_set_with_a_byte_order_mark_is_unreadable_to_the_api_server(void **state)
{
    char *jwk = jwk_of(rsa, ""), text[2048];

    (void)state;
    snprintf(text, sizeof text, "\xef\xbb\xbf{\"keys\":[%s]}", jwk);
    free(jwk);
    assert_int_equal(parse(text), 0);
    assert_int_equal(keys.n, 1);
    assert_string_equal(keys.unreadable, "its set begins with a byte order mark");
}

/* By any of them a signature is made without a key; beside it a good key is one. */
static void points_of_small_order_are_no_keys(void **state)
{
    static const char *const rows[][2] = {
        { "Ed25519", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
        { "Ed25519", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA" },
        { "Ed25519", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
        { "Ed25519", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA" },
        { "Ed25519", "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU" },
        { "Ed25519", "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_IU" },
        { "Ed25519", "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o" },
        { "Ed25519", "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA_o" },
        { "Ed25519", "7P_______________________________________38" },
        { "Ed25519", "7f_______________________________________38" },
        { "Ed25519", "7v_______________________________________38" },
        { "Ed448", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
        { "Ed448", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
        { "Ed448", "_v____________________________________7___________________________________8A" },
    };
    char text[256];

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof text, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"%s\"}]}",
                 rows[i][0], rows[i][1]);
        if (parse(text) < 0 || keys.n > 0 || keys.n_refused != 1)
            fail_msg("%s was not refused", text);
        assert_string_equal(keys.refused[0].why, "it is a point of small order");
        jwks_clear(&keys);
    }
    (void)state;
}

/* ---- which key for which token --------------------------------------------------------------- */

static void the_same_kid_fits(void **state)
{
    (void)state;
    struct jwk key = { .kid = (char[]){ "a" } };
    assert_true(jwks_fits(&key, "RS256", "a"));
    assert_false(jwks_fits(&key, "RS256", "b"));
}

static void a_token_without_a_kid_is_fit_by_any_key(void **state)
{
    (void)state;
    struct jwk key = { .kid = (char[]){ "a" } };
    assert_true(jwks_fits(&key, "RS256", NULL));
    assert_true(jwks_fits(&key, "RS256", ""));
}

static void a_key_without_a_kid_fits_any_token(void **state)
{
    (void)state;
    struct jwk key = { .kid = NULL };
    assert_true(jwks_fits(&key, "RS256", "b"));
}

static void only_a_key_without_a_kid_is_unnamed_to_a_token_with_one(void **state)
{
    (void)state;
    struct jwk key = { .kid = NULL }, named = { .kid = (char[]){ "a" } };
    assert_true(jwks_unnamed(&key, "b"));
    assert_false(jwks_unnamed(&key, ""));
    assert_false(jwks_unnamed(&key, NULL));
    assert_false(jwks_unnamed(&named, "b"));
}

static void a_curve_fits_its_algorithm_alone(void **state)
{
    (void)state;
    struct jwk key = { .curve = "P-384" };
    assert_true(jwks_fits(&key, "ES384", NULL));
    assert_false(jwks_fits(&key, "ES256", NULL));
    assert_false(jwks_fits(&key, "RS384", NULL));
}

static void an_rsa_key_fits_no_curve(void **state)
{
    (void)state;
    struct jwk key = { .curve = "" };
    assert_true(jwks_fits(&key, "RS384", NULL));
    assert_true(jwks_fits(&key, "PS256", NULL));
    assert_false(jwks_fits(&key, "ES256", NULL));
    assert_false(jwks_fits(&key, "EdDSA", NULL));
    assert_false(jwks_fits(&key, "HS256", NULL));
    assert_false(jwks_fits(&key, "none", NULL));
}

static void an_edwards_curve_fits_eddsa_alone(void **state)
{
    (void)state;
    struct jwk one = { .curve = "Ed25519" }, other = { .curve = "Ed448" },
               ec = { .curve = "P-256" };
    assert_true(jwks_fits(&one, "EdDSA", NULL));
    assert_true(jwks_fits(&other, "EdDSA", NULL));
    assert_false(jwks_fits(&ec, "EdDSA", NULL));
    assert_false(jwks_fits(&one, "ES256", NULL));
    assert_false(jwks_fits(&one, "PS256", NULL));
}

/* ---- base64url ------------------------------------------------------------------------------- */

static long decode(const char *text, unsigned char out[64])
{
    return base64url_decode(text, strlen(text), out);
}

static void base64url_is_decoded(void **state)
{
    unsigned char out[64];

    (void)state;
    assert_int_equal(decode("AP-_", out), 3);
    assert_memory_equal(out, "\x00\xff\xbf", 3);
    assert_int_equal(decode("YQ", out), 1);
    assert_memory_equal(out, "a", 1);
    assert_int_equal(decode("YWI", out), 2);
    assert_memory_equal(out, "ab", 2);
    assert_int_equal(decode("", out), 0);
}

static void base64url_is_strict(void **state)
{
    static const char *const texts[] = { "A",    "AAAAA", "YQ==", "YQ=",  "A+AA",
                                         "A/AA", "A AA",  "AA\n", "A.AA", "A\303\244A" };
    unsigned char out[64];

    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(decode(texts[i], out), -1);
    (void)state;
}

static void unused_bits_may_be_set(void **state)
{
    unsigned char out[64];

    (void)state;
    assert_int_equal(decode("YR", out), 1);
    assert_memory_equal(out, "a", 1);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_rsa_key_is_read),
        TEST(ec_keys_are_read),
        TEST(okp_keys_are_read),
        TEST(okp_keys_for_agreement_or_of_a_wrong_length_are_passed_over),
        TEST(a_key_is_read_whatever_it_is_for),
        TEST(a_key_that_go_cannot_read_is_noted),
        TEST(a_note_on_the_set_finds_room_with_the_keys),
        TEST(a_key_of_which_anybody_has_the_private_part_is_refused),
        TEST(an_exponent_that_go_refuses_is_refused),
        TEST(keys_are_found_in_any_spelling),
        TEST(the_same_key_may_be_there_under_several_names),
        TEST(what_is_kept_is_read_as_the_set_itself),
        TEST(a_key_whose_private_part_is_published_is_not_kept),
        TEST(keys_of_other_types_are_passed_over),
        TEST(broken_keys_are_passed_over),
        TEST(a_point_beside_the_curve_is_passed_over),
        TEST(an_rsa_key_under_1024_bits_is_refused),
        TEST(a_modulus_of_unbelievable_size_is_passed_over),
        TEST(a_thousand_keys_are_read),
        TEST(of_a_thousand_keys_those_that_were_used_are_kept),
        TEST(of_keys_that_were_used_the_latest_find_room_first),
        TEST(where_none_was_used_all_are_kept_or_none),
        TEST(a_name_that_was_used_keeps_all_its_keys),
        TEST(a_key_without_a_name_is_kept_by_itself),
        TEST(what_was_used_before_is_known_in_a_newer_set),
        TEST(what_is_no_set_is_refused),
        TEST(a_set_with_a_byte_order_mark_is_unreadable_to_the_api_server),
        TEST(points_of_small_order_are_no_keys),
        TEST(the_same_kid_fits),
        TEST(a_token_without_a_kid_is_fit_by_any_key),
        TEST(a_key_without_a_kid_fits_any_token),
        TEST(only_a_key_without_a_kid_is_unnamed_to_a_token_with_one),
        TEST(a_curve_fits_its_algorithm_alone),
        TEST(an_rsa_key_fits_no_curve),
        TEST(an_edwards_curve_fits_eddsa_alone),
        TEST(base64url_is_decoded),
        TEST(base64url_is_strict),
        TEST(unused_bits_may_be_set),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
