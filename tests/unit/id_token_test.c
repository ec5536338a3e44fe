/* Which tokens are taken, and for how long. The tokens are made by OpenSSL alone. */
#define _GNU_SOURCE
#include "support.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/id_token.h"

enum { DATE = 1795507200 }; /* the provider's clock */

#define GOOD_TIMES "\"iat\":1795507200,\"exp\":1795510800"
#define ISSUER "\"iss\":\"https://login.example.com/\""
#define AUDIENCE "\"aud\":\"kube\""

static EVP_PKEY *rsa, *other_rsa, *p256, *p384, *p521, *ed25519;
static struct jwks keys;
static struct job job;
static struct result result;

static int make_keys(void **state)
{
    struct {
        EVP_PKEY **key;
        const char *kid;
    } set[] = { { &rsa, "rsa" },
                { &p256, "p256" },
                { &p384, "p384" },
                { &p521, "p521" },
                { &ed25519, "ed25519" } };
    char text[8192] = "{\"keys\":[";
    struct error why;

    (void)state;
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    p521 = EVP_EC_gen("P-521");
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!other_rsa)
        return -1;
    for (size_t i = 0; i < COUNT(set); i++) {
        char further[32], *jwk;
        snprintf(further, sizeof further, ",\"kid\":\"%s\"", set[i].kid);
        if (!*set[i].key)
            return -1;
        jwk = jwk_of(*set[i].key, further);
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%s", i ? "," : "", jwk);
        free(jwk);
    }
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "]}");
    return jwks_parse(text, strlen(text), &keys, &why);
}

static int free_keys(void **state)
{
    (void)state;
    jwks_clear(&keys);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p521);
    EVP_PKEY_free(ed25519);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    job = plain_job();
    result = (struct result){ 0 };
    return 0;
}

static int check_at(const char *token, struct jwks *with, int64_t date)
{
    return id_token_check(&job, token, strlen(token), with, date, &result);
}

/* Checks the token and frees it. */
static int check(char *token)
{
    int r = check_at(token, &keys, DATE);

    free(token);
    return r;
}

static int check_signed(const char *header, const char *payload)
{
    return check(signed_token(rsa, "RS256", header, payload));
}

#define GOOD_HEADER "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}"

static int check_payload(const char *payload)
{
    return check_signed(GOOD_HEADER, payload);
}

static void assert_refused(int r, enum error_code code, const char *detail)
{
    assert_int_equal(r, -1);
    assert_string_equal(error_name(result.error.code), error_name(code));
    assert_holds(result.error.detail, detail);
    assert_int_equal(result.outcome, OUTCOME_SOFT);
    assert_false(result.verified);
}

/* ---- signatures ------------------------------------------------------------------------------ */

#define GOOD "{" ISSUER "," AUDIENCE "," GOOD_TIMES ",\"sub\":\"1\",\"email\":\"anna@example.com\"}"

static void a_good_rs256_token_is_taken(void **state)
{
    (void)state;
    assert_int_equal(check_payload(GOOD), 0);
    assert_true(result.verified);
    assert_int_equal(result.lifetime, 3599 * USEC_PER_SEC);
    assert_string_equal(result.sub, "1");
    assert_string_equal(result.email, "anna@example.com");
    assert_string_equal(result.user, ""); /* no username-claim says which one it is */
    assert_int_equal(result.n_warnings, 0);
}

static void a_good_es256_token_is_taken(void **state)
{
    (void)state;
    assert_int_equal(
        check(signed_token(p256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"p256\"}", GOOD)), 0);
    assert_true(result.verified);
}

static const struct {
    const char *alg;
    EVP_PKEY **key;
} algorithms[] = {
    { "RS256", &rsa },  { "RS384", &rsa },     { "RS512", &rsa }, { "ES256", &p256 },
    { "ES384", &p384 }, { "ES512", &p521 },    { "PS256", &rsa }, { "PS384", &rsa },
    { "PS512", &rsa },  { "EdDSA", &ed25519 },
};

static char *token_by(size_t i)
{
    char header[64];

    snprintf(header, sizeof header, "{\"alg\":\"%s\"}", algorithms[i].alg);
    return signed_token(*algorithms[i].key, algorithms[i].alg, header, GOOD);
}

static void each_algorithm_is_taken_when_it_is_allowed(void **state)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        setup(NULL);
        job.signing_algs = algorithms[i].alg;
        assert_int_equal(check(token_by(i)), 0);
        assert_true(result.verified);
    }
    (void)state;
}

static void no_algorithm_is_taken_when_all_others_are_allowed(void **state)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        char others[128] = "", says[64];
        for (size_t k = 0; k < COUNT(algorithms); k++) {
            size_t n = strlen(others);
            if (k != i)
                snprintf(others + n, sizeof others - n, " %s", algorithms[k].alg);
        }
        setup(NULL);
        job.signing_algs = others;
        snprintf(says, sizeof says, "signed with %s; signing-algs allows", algorithms[i].alg);
        assert_refused(check(token_by(i)), ERROR_TOKEN_ALGORITHM, says);
    }
    (void)state;
}

static void any_typ_is_taken(void **state)
{
    (void)state;
    assert_int_equal(check_signed("{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", GOOD), 0);
    assert_true(result.verified);
    assert_int_equal(check_signed("{\"alg\":\"RS256\",\"typ\":7}", GOOD), 0);
}

static void a_token_without_a_kid_is_taken(void **state)
{
    (void)state;
    assert_int_equal(check_signed("{\"alg\":\"RS256\"}", GOOD), 0);
    assert_int_equal(check_signed("{\"alg\":\"RS256\",\"kid\":\"\"}", GOOD), 0);
}

static void a_kid_that_is_not_published_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"alg\":\"RS256\",\"kid\":\"new\"}", GOOD), ERROR_TOKEN_SIGNATURE,
                   "no RS256 key named \"new\"");
}

static void the_signature_of_another_key_is_refused(void **state)
{
    (void)state;
    assert_refused(check(signed_token(other_rsa, "RS256", GOOD_HEADER, GOOD)),
                   ERROR_TOKEN_SIGNATURE, "RS256");
}

/* Changes one character in the middle of a part; the last one has bits that count for nothing. */
static char *tampered(char *token, int part)
{
    char *start = token;

    while (part-- > 0)
        start = strchr(start, '.') + 1;
    char *p = start + strcspn(start, ".") / 2;
    *p = *p == 'A' ? 'B' : 'A';
    return token;
}

static void a_byte_changed_in_the_signature_is_refused(void **state)
{
    (void)state;
    assert_refused(check(tampered(signed_token(rsa, "RS256", GOOD_HEADER, GOOD), 2)),
                   ERROR_TOKEN_SIGNATURE, "RS256");
}

static void a_byte_changed_in_the_payload_is_refused(void **state)
{
    (void)state;
    char *token = signed_token(rsa, "RS256", GOOD_HEADER, GOOD);
    char *forged = signed_token(rsa, "RS256", GOOD_HEADER,
                                "{" ISSUER "," AUDIENCE "," GOOD_TIMES
                                ",\"sub\":\"1\",\"email\":\"anne@example.com\"}");
    /* header and payload of the one, signature of the other: of equal length */
    memcpy(strrchr(forged, '.'), strrchr(token, '.'), strlen(strrchr(token, '.')));
    free(token);
    assert_refused(check(forged), ERROR_TOKEN_SIGNATURE, "RS256");
}

static void a_byte_changed_in_an_ec_signature_is_refused(void **state)
{
    (void)state;
    assert_refused(check(tampered(signed_token(p256, "ES256", "{\"alg\":\"ES256\"}", GOOD), 2)),
                   ERROR_TOKEN_SIGNATURE, "ES256");
}

static void another_curve_than_the_algorithm_has_is_refused(void **state)
{
    (void)state;
    assert_refused(check(signed_token(p384, "ES256", "{\"alg\":\"ES256\",\"kid\":\"p384\"}", GOOD)),
                   ERROR_TOKEN_SIGNATURE, "no ES256 key");
}

static void alg_none_is_refused(void **state)
{
    (void)state;
    assert_refused(check(signed_token(NULL, "none", "{\"alg\":\"none\"}", GOOD)),
                   ERROR_TOKEN_UNVERIFIABLE, "none, which is no signature");
}

static void alg_none_is_refused_in_any_case(void **state)
{
    static const char *const names[] = { "None", "NONE", "nOnE", "none " };
    char header[32];

    for (size_t i = 0; i < COUNT(names); i++) {
        setup(NULL);
        job.signing_algs = "none RS256";
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", names[i]);
        assert_refused(check(signed_token(NULL, "none", header, GOOD)), ERROR_TOKEN_UNVERIFIABLE,
                       "signed with");
    }
    (void)state;
}

static void alg_none_is_refused_also_when_somebody_allows_it(void **state)
{
    (void)state;
    job.signing_algs = "none RS256";
    assert_refused(check(signed_token(NULL, "none", "{\"alg\":\"none\"}", GOOD)),
                   ERROR_TOKEN_UNVERIFIABLE, "none, which is no signature");
}

static char *token_by_pem(void)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char pem[2048];

    PEM_write_bio_PUBKEY(bio, rsa);
    int n = BIO_read(bio, pem, sizeof pem - 1);
    BIO_free(bio);
    pem[n > 0 ? n : 0] = '\0';
    return hmac_token(pem, "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", GOOD);
}

static void a_public_key_is_no_secret_for_hs256(void **state)
{
    (void)state;
    assert_refused(check(token_by_pem()), ERROR_TOKEN_UNVERIFIABLE, "HS256, by a secret");
}

static void hs256_is_refused_also_when_somebody_allows_it(void **state)
{
    (void)state;
    job.signing_algs = "HS256 RS256";
    assert_refused(check(token_by_pem()), ERROR_TOKEN_UNVERIFIABLE, "HS256, by a secret");
}

/* Allowing it in signing-algs would be no help, and that takes none of them. */
static void what_nobody_can_check_is_named_as_that(void **state)
{
    static const char *const names[] = { "HS256", "HS384", "HS512", "ES256K", "rs256", "RSA1_5" };
    char header[64];

    for (size_t i = 0; i < COUNT(names); i++) {
        setup(NULL);
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", names[i]);
        assert_refused(check_signed(header, GOOD), ERROR_TOKEN_UNVERIFIABLE, names[i]);
    }
    (void)state;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ is {"alg":"RSA-OAEP","enc":"A256GCM"}. */
static void an_encrypted_token_is_named_as_that(void **state)
{
    static const char *const tokens[] = {
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo1.48V1_ALb.5eym8TW_.XFBoMYUZ",
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ..48V1_ALb.5eym8TW_.XFBoMYUZ", /* dir */
    };

    for (size_t i = 0; i < COUNT(tokens); i++) {
        setup(NULL);
        assert_refused(check(strdup(tokens[i])), ERROR_TOKEN_ENCRYPTED, "five parts of a JWE");
    }
    (void)state;
}

static void five_parts_without_enc_are_no_encrypted_token(void **state)
{
    static const char *const tokens[] = { "a.b.c.d.e", "....", "eyJhbGciOiJSUzI1NiJ9.a.b.c.d" };

    for (size_t i = 0; i < COUNT(tokens); i++) {
        setup(NULL);
        assert_refused(check(strdup(tokens[i])), ERROR_TOKEN_INVALID, "three base64url parts");
    }
    (void)state;
}

/* A good token of that length or up to two bytes less. */
static char *long_token(size_t length)
{
    static char payload[RESULT_TOKEN_MAX];
    char *probe = signed_token(rsa, "RS256", GOOD_HEADER, GOOD);
    size_t more = (length - strlen(probe)) / 4 * 3 - strlen(",\"x\":\"\"") - 3;
    size_t n = (size_t)snprintf(payload, sizeof payload, "%.*s,\"x\":\"", (int)strlen(GOOD) - 1,
                                GOOD);

    free(probe);
    memset(payload + n, 'x', more);
    for (n += more;; n++) {
        memcpy(payload + n, "\"}", 3);
        char *token = signed_token(rsa, "RS256", GOOD_HEADER, payload);
        if (strlen(token) + 2 > length)
            return token;
        payload[n] = 'x';
        free(token);
    }
}

static void a_token_of_128_kib_is_taken(void **state)
{
    (void)state;
    char *token = long_token(RESULT_TOKEN_MAX);
    assert_in_range(strlen(token), RESULT_TOKEN_MAX - 2, RESULT_TOKEN_MAX);
    assert_int_equal(check(token), 0);
    assert_true(result.verified);
}

static void a_longer_token_is_named_as_that(void **state)
{
    (void)state;
    assert_refused(check(long_token(RESULT_TOKEN_MAX + 3)), ERROR_TOKEN_TOO_LONG, "131072 at most");
}

static void the_key_that_verified_is_marked(void **state)
{
    (void)state;
    for (size_t i = 0; i < keys.n; i++)
        keys.keys[i].used = false;
    assert_int_equal(check(signed_token(p256, "ES256", "{\"alg\":\"ES256\"}", GOOD)), 0);
    for (size_t i = 0; i < keys.n; i++)
        assert_int_equal(keys.keys[i].used, strcmp(keys.keys[i].curve, "P-256") == 0);
}

static void an_algorithm_that_is_not_allowed_is_refused(void **state)
{
    (void)state;
    job.signing_algs = "ES256";
    assert_refused(check_payload(GOOD), ERROR_TOKEN_ALGORITHM, "signing-algs allows ES256");
}

static void without_keys_a_token_is_taken_but_not_called_verified(void **state)
{
    (void)state;
    char *token = signed_token(other_rsa, "RS256", GOOD_HEADER, GOOD);
    int r = check_at(token, NULL, DATE);
    free(token);
    assert_int_equal(r, 0);
    assert_false(result.verified);
}

static void without_keys_the_claims_are_checked_all_the_same(void **state)
{
    (void)state;
    char *token = signed_token(rsa, "RS256", GOOD_HEADER,
                               "{" ISSUER ",\"aud\":\"other\"," GOOD_TIMES "}");
    int r = check_at(token, NULL, DATE);
    free(token);
    assert_refused(r, ERROR_TOKEN_AUDIENCE, "other");
}

/* ---- shape and header ------------------------------------------------------------------------ */

static void what_is_no_jwt_is_refused(void **state)
{
    (void)state;
    assert_refused(check(strdup("opaque-token")), ERROR_TOKEN_INVALID, "three base64url parts");
}

static void a_payload_that_is_no_object_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload("[1,2]"), ERROR_TOKEN_INVALID, "payload");
}

static void a_header_that_is_no_object_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("\"RS256\"", GOOD), ERROR_TOKEN_INVALID, "header");
}

static void text_behind_the_payload_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload(GOOD " {}"), ERROR_TOKEN_INVALID, "payload");
}

static void a_header_without_alg_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"kid\":\"rsa\"}", GOOD), ERROR_TOKEN_INVALID, "alg");
}

static void two_algs_are_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"alg\":\"none\",\"alg\":\"RS256\"}", GOOD), ERROR_TOKEN_INVALID,
                   "alg");
}

static void two_kids_are_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"alg\":\"RS256\",\"kid\":\"x\",\"kid\":\"rsa\"}", GOOD),
                   ERROR_TOKEN_INVALID, "kid");
}

static void any_member_of_the_header_twice_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"typ\":\"JWT\",\"alg\":\"RS256\",\"typ\":\"JWT\"}", GOOD),
                   ERROR_TOKEN_INVALID, "its header has two typ");
}

static void a_kid_that_is_no_string_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"alg\":\"RS256\",\"kid\":7}", GOOD), ERROR_TOKEN_INVALID,
                   "its kid is no string");
    assert_int_equal(check_signed("{\"alg\":\"RS256\",\"kid\":null}", GOOD), 0);
}

static void a_payload_that_is_not_in_base64url_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"alg\":\"RS256\",\"b64\":false}", GOOD), ERROR_TOKEN_INVALID,
                   "b64");
    assert_int_equal(check_signed("{\"alg\":\"RS256\",\"b64\":\"true\"}", GOOD), 0);
    assert_int_equal(check_signed("{\"alg\":\"RS256\",\"b64\":true}", GOOD), 0);
}

static void what_is_no_json_for_go_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"alg\":\"RS256\",\"x\":\"\t\"}", GOOD), ERROR_TOKEN_INVALID,
                   "its header is not a JSON object");
    assert_refused(check_payload("{" ISSUER "," AUDIENCE "," GOOD_TIMES ",\"name\":\"a\nb\"}"),
                   ERROR_TOKEN_INVALID, "its payload is not a JSON object");
    assert_refused(check_payload("\xef\xbb\xbf" GOOD), ERROR_TOKEN_INVALID,
                   "its payload is not a JSON object");
}

static void a_name_cut_within_a_character_is_taken(void **state)
{
    (void)state;
    assert_int_equal(
        check_payload("{" ISSUER "," AUDIENCE "," GOOD_TIMES ",\"sub\":\"Anna \\ud83d\"}"), 0);
    assert_true(result.verified);
    assert_string_equal(result.sub, "Anna \xef\xbf\xbd");
    assert_int_equal(check_payload("{" ISSUER "," AUDIENCE "," GOOD_TIMES ",\"name\":\"J\xfcr\"}"),
                     0);
    assert_true(result.verified);
}

static void crit_of_what_is_not_understood_is_refused(void **state)
{
    (void)state;
    assert_refused(check_signed("{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", GOOD),
                   ERROR_TOKEN_INVALID, "crit");
    assert_refused(check_signed("{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}", GOOD),
                   ERROR_TOKEN_INVALID, "b64");
    assert_int_equal(check_signed("{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":true}", GOOD), 0);
}

/* ---- issuer and audience --------------------------------------------------------------------- */

static void another_issuer_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload("{\"iss\":\"https://evil/\"," AUDIENCE "," GOOD_TIMES "}"),
                   ERROR_ISSUER_MISMATCH, "https://evil/");
}

static void an_issuer_without_its_slash_is_another(void **state)
{
    (void)state;
    assert_refused(
        check_payload("{\"iss\":\"https://login.example.com\"," AUDIENCE "," GOOD_TIMES "}"),
        ERROR_ISSUER_MISMATCH, "the id_token says");
}

static void a_token_without_an_issuer_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload("{" AUDIENCE "," GOOD_TIMES "}"), ERROR_ISSUER_MISMATCH, "");
}

static void another_audience_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload("{" ISSUER ",\"aud\":\"kube2\"," GOOD_TIMES "}"),
                   ERROR_TOKEN_AUDIENCE, "expected \"kube\", got \"kube2\"");
}

/* As the API server may have it as its client id. */
static void of_an_exchange_the_audience_that_was_asked_for_is_taken_too(void **state)
{
    static const char other[] = "{" ISSUER ",\"aud\":\"prod\"," GOOD_TIMES "}";

    (void)state;
    job.audience = "prod";
    assert_refused(check_payload(other), ERROR_TOKEN_AUDIENCE, "expected \"kube\", got \"prod\"");
    job.subject_token_type = "id_token";
    assert_int_equal(check_payload(other), 0);
    assert_int_equal(check_payload("{" ISSUER ",\"aud\":\"kube\"," GOOD_TIMES "}"), 0);
    assert_refused(check_payload("{" ISSUER ",\"aud\":\"dev\"," GOOD_TIMES "}"),
                   ERROR_TOKEN_AUDIENCE, "expected \"kube\" or \"prod\", got \"dev\"");
    job.audience = job.subject_token_type = NULL;
}

static void a_token_without_an_audience_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload("{" ISSUER "," GOOD_TIMES "}"), ERROR_TOKEN_AUDIENCE, "none");
}

static void an_array_that_holds_the_audience_is_taken(void **state)
{
    (void)state;
    assert_int_equal(check_payload("{" ISSUER ",\"aud\":[\"x\",\"kube\"]," GOOD_TIMES "}"), 0);
}

static void an_array_without_the_audience_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload("{" ISSUER ",\"aud\":[\"x\",7]," GOOD_TIMES "}"),
                   ERROR_TOKEN_AUDIENCE, "[\"x\",7]");
}

static void an_array_with_more_than_strings_is_refused(void **state)
{
    (void)state;
    assert_refused(check_payload("{" ISSUER ",\"aud\":[\"kube\",7]," GOOD_TIMES "}"),
                   ERROR_TOKEN_INVALID, "its aud holds what is no string");
    assert_int_equal(check_payload("{" ISSUER ",\"aud\":[\"kube\",null]," GOOD_TIMES "}"), 0);
}

static void nul_in_issuer_and_audience_ends_nothing(void **state)
{
    (void)state;
    assert_refused(check_payload("{\"iss\":\"https://login.example.com/\\u0000x\"," AUDIENCE
                                 "," GOOD_TIMES "}"),
                   ERROR_ISSUER_MISMATCH, "https://login.example.com/\xef\xbf\xbdx");
    assert_refused(check_payload("{" ISSUER ",\"aud\":\"kube\\u0000x\"," GOOD_TIMES "}"),
                   ERROR_TOKEN_AUDIENCE, "kube\xef\xbf\xbdx");
}

static void other_claims_of_a_wrong_type_are_refused(void **state)
{
    static const char *const names[] = { "sub", "nonce", "at_hash" };
    static const char *const values[] = { "7", "true", "[\"x\"]", "{}" };
    char payload[512], says[64];

    for (size_t i = 0; i < COUNT(names); i++) {
        for (size_t k = 0; k < COUNT(values); k++) {
            snprintf(payload, sizeof payload, "{" ISSUER "," AUDIENCE "," GOOD_TIMES ",\"%s\":%s}",
                     names[i], values[k]);
            snprintf(says, sizeof says, "its %s is no string", names[i]);
            setup(NULL);
            assert_refused(check_payload(payload), ERROR_TOKEN_INVALID, says);
        }
        snprintf(payload, sizeof payload, "{" ISSUER "," AUDIENCE "," GOOD_TIMES ",\"%s\":null}",
                 names[i]);
        assert_int_equal(check_payload(payload), 0);
    }
    (void)state;
}

static void an_issuer_that_is_no_string_is_refused(void **state)
{
    (void)state;
    assert_refused(
        check_payload("{\"iss\":[\"https://login.example.com/\"]," AUDIENCE "," GOOD_TIMES "}"),
        ERROR_ISSUER_MISMATCH, "the id_token says \"\"");
}

static void an_issuer_of_null_leaves_the_one_before(void **state)
{
    (void)state;
    assert_int_equal(check_payload("{" ISSUER ",\"iss\":null," AUDIENCE "," GOOD_TIMES "}"), 0);
    assert_refused(check_payload("{\"iss\":null," AUDIENCE "," GOOD_TIMES "}"),
                   ERROR_ISSUER_MISMATCH, "the id_token says \"\"");
}

static void a_claim_that_is_there_twice_is_a_warning(void **state)
{
    (void)state;
    job.scope = "openid"; /* an e-mail is not missed */
    assert_int_equal(check_payload("{\"iss\":\"x\"," ISSUER "," AUDIENCE "," GOOD_TIMES "}"), 0);
    assert_int_equal(result.n_warnings, 1);
    assert_int_equal(result.warnings[0].code, ERROR_CLAIM_TWICE);
    assert_string_equal(result.warnings[0].detail, "iss");
}

static void the_last_of_two_audiences_counts(void **state)
{
    (void)state;
    assert_refused(check_payload("{" ISSUER "," AUDIENCE ",\"aud\":\"x\"," GOOD_TIMES "}"),
                   ERROR_TOKEN_AUDIENCE, "x");
}

/* ---- times: sent + min(exp - iat, exp - Date) - 1 s, since iat and Date are cut -------------- */

static int check_times(const char *times)
{
    char payload[512];

    snprintf(payload, sizeof payload, "{" ISSUER "," AUDIENCE "%s%s}", *times ? "," : "", times);
    return check_payload(payload);
}

static void assert_life(const char *times, uint64_t seconds)
{
    assert_int_equal(check_times(times), 0);
    assert_int_equal(result.lifetime, seconds * USEC_PER_SEC);
}

static void the_life_ends_at_exp_by_the_providers_clock(void **state)
{
    (void)state;
    assert_life("\"iat\":1795507100,\"exp\":1795507800", 599);
}

static void the_life_is_no_longer_than_from_iat_to_exp(void **state)
{
    (void)state;
    assert_life("\"iat\":1795507300,\"exp\":1795507800", 499);
}

static void without_iat_the_life_ends_at_exp(void **state)
{
    (void)state;
    assert_life("\"exp\":1795507800", 599);
}

static void an_exp_past_without_iat_is_refused(void **state)
{
    (void)state;
    assert_refused(check_times("\"exp\":1795507199"), ERROR_TOKEN_EXPIRED, "1 s past");
}

static void a_life_of_the_second_that_was_cut_is_none(void **state)
{
    (void)state;
    assert_refused(check_times("\"exp\":1795507201"), ERROR_TOKEN_EXPIRED, "less than a second");
    assert_life("\"exp\":1795507202", 1);
}

static void an_exp_of_this_very_second_is_refused(void **state)
{
    (void)state;
    assert_refused(check_times("\"exp\":1795507200"), ERROR_TOKEN_EXPIRED, "0 s past");
}

/* As to the API server, which does not look at iat. */
static void an_iat_behind_exp_says_nothing(void **state)
{
    (void)state;
    assert_life("\"iat\":1795510800,\"exp\":1795507800", 599);
    assert_life("\"iat\":1795507800,\"exp\":1795507800", 599);
    assert_life("\"iat\":1e300,\"exp\":1795507800", 599);
    assert_life("\"nbf\":1e300,\"exp\":1795507800", 599);
}

static void an_exp_that_no_64_bits_hold_is_refused(void **state)
{
    (void)state;
    assert_refused(check_times("\"exp\":1e19"), ERROR_TOKEN_INVALID, "its exp is no date");
    assert_refused(check_times("\"exp\":1795507800,\"EXP\":1e19"), ERROR_TOKEN_INVALID,
                   "its EXP is no date");
}

static void a_token_without_exp_is_refused(void **state)
{
    (void)state;
    assert_refused(check_times("\"iat\":1795507200"), ERROR_TOKEN_INVALID, "exp is missing");
}

static void an_exp_in_a_string_is_taken(void **state)
{
    (void)state;
    assert_life("\"exp\":\"1795507800\"", 599);
}

static void an_exp_with_a_fraction_is_cut(void **state)
{
    (void)state;
    assert_life("\"exp\":1795507800.9", 599);
}

static void an_exp_in_words_is_refused(void **state)
{
    static const char *const values[] = { "\"tomorrow\"", "\"\"", "null", "true",
                                          "[]",           "{}",   "1e300" };
    char times[64];

    for (size_t i = 0; i < COUNT(values); i++) {
        snprintf(times, sizeof times, "\"exp\":%s", values[i]);
        assert_refused(check_times(times), ERROR_TOKEN_INVALID, "exp is no date");
    }
    (void)state;
}

static void an_iat_in_words_is_refused(void **state)
{
    (void)state;
    assert_refused(check_times("\"iat\":\"yesterday\",\"exp\":1795507800"), ERROR_TOKEN_INVALID,
                   "iat");
}

static void an_exp_in_milliseconds_is_taken(void **state)
{
    (void)state;
    assert_life("\"exp\":1795507800000", RESULT_LIFETIME_MAX);
}

static void an_nbf_of_null_is_none(void **state)
{
    (void)state;
    assert_life("\"nbf\":null,\"exp\":1795507800", 599);
    assert_refused(check_times("\"nbf\":\"\",\"exp\":1795507800"), ERROR_TOKEN_INVALID, "nbf");
}

static void the_last_of_two_exp_counts(void **state)
{
    (void)state;
    assert_life("\"exp\":1,\"exp\":1795507800", 599);
}

static void a_life_of_a_year_is_cut_to_31_days(void **state)
{
    (void)state;
    assert_life("\"iat\":1795507200,\"exp\":1827043200", RESULT_LIFETIME_MAX);
}

static void an_nbf_within_a_minute_is_taken(void **state)
{
    (void)state;
    assert_life("\"nbf\":1795507260,\"exp\":1795507800", 599);
}

static void an_nbf_beyond_a_minute_is_refused(void **state)
{
    (void)state;
    assert_refused(check_times("\"nbf\":1795507261,\"exp\":1795507800"), ERROR_TOKEN_INVALID,
                   "valid only in 61 s");
}

static int64_t wall(void)
{
    return time_realtime() / (int64_t)USEC_PER_SEC;
}

/* A token for an hour, made at that time, where the provider's Date is another, or 0 = not told. */
static char *token_of(int64_t iat, const char *further)
{
    char payload[512];

    snprintf(payload, sizeof payload,
             "{" ISSUER "," AUDIENCE ",\"iat\":%lld,\"nbf\":%lld,\"exp\":%lld%s}", (long long)iat,
             (long long)iat, (long long)iat + 3600, further);
    return signed_token(rsa, "RS256", GOOD_HEADER, payload);
}

static int check_of(int64_t iat, int64_t date)
{
    char *token = token_of(iat, "");
    int r = check_at(token, &keys, date);

    free(token);
    return r;
}

static void without_a_date_a_wall_clock_that_is_ahead_shortens_nothing(void **state)
{
    (void)state;
    assert_int_equal(check_of(wall() - 86400 * 365, 0), 0);
    assert_int_equal(result.lifetime, 3599 * USEC_PER_SEC);
}

static void without_a_date_a_wall_clock_that_is_behind_refuses_nothing(void **state)
{
    (void)state;
    assert_int_equal(check_of(wall() + 86400 * 365, 0), 0);
    assert_int_equal(result.lifetime, 3599 * USEC_PER_SEC);
}

static void an_exp_past_by_date_alone_is_the_fault_of_the_providers_clock(void **state)
{
    (void)state;
    job.scope = "openid"; /* an e-mail is not missed */
    assert_int_equal(check_of(wall(), wall() + 86400), 0);
    assert_int_equal(result.lifetime, 3599 * USEC_PER_SEC);
    assert_int_equal(result.n_warnings, 1);
    assert_int_equal(result.warnings[0].code, ERROR_TOKEN_EXPIRED);
}

static void an_exp_past_by_the_wall_clock_too_is_past(void **state)
{
    (void)state;
    assert_refused(check_of(wall() - 3700, wall() + 1), ERROR_TOKEN_EXPIRED, "past");
}

/* What is handed out again lives no longer for that. */
static void a_token_of_before_has_no_life_of_its_own(void **state)
{
    int64_t now = wall(), iat = now - 3000;
    char *before = token_of(iat, ""), *again = token_of(iat, ",\"jti\":\"2\"");

    (void)state;
    job.previous = before;
    assert_int_equal(check_at(before, &keys, 0), 0);
    assert_in_range(result.lifetime, 1, 599 * USEC_PER_SEC);
    assert_int_equal(check_at(again, &keys, 0), 0);
    assert_in_range(result.lifetime, 1, 599 * USEC_PER_SEC);
    assert_refused(check_at(before, &keys, iat + 3600), ERROR_TOKEN_EXPIRED, "0 s past");
    assert_refused(check_at(again, &keys, iat + 3700), ERROR_TOKEN_EXPIRED, "100 s past");
    job.previous = NULL;
    free(before);
    free(again);
}

/* Another program may have had it for long, and the provider's clock be right. */
static void a_token_that_is_brought_lives_no_longer_than_its_exp(void **state)
{
    int64_t now = wall();

    (void)state;
    job.kind = JOB_VERIFY;
    assert_int_equal(check_of(now - 3000, 0), 0);
    assert_in_range(result.lifetime, 1, 599 * USEC_PER_SEC);
    assert_int_equal(check_of(now - 86400, now - 86400 + 3000), 0);
    assert_int_equal(result.lifetime, 599 * USEC_PER_SEC);
    assert_refused(check_of(now, now + 86400), ERROR_TOKEN_EXPIRED, "past");
    assert_refused(check_of(now - 3700, 0), ERROR_TOKEN_EXPIRED, "past");
}

static void a_newer_token_is_one_that_was_issued_later(void **state)
{
    static const struct {
        const char *before, *after;
        int64_t date;
        bool newer;
    } rows[] = {
        { "{\"iat\":100,\"exp\":200}", "{\"iat\":101,\"exp\":200}", 0, true },
        { "{\"iat\":100,\"exp\":200}", "{\"iat\":101,\"exp\":190}", 150, true },
        { "{\"iat\":100,\"exp\":200}", "{\"iat\":100,\"exp\":300}", 180, false },
        { "{\"iat\":100,\"exp\":200}", "{\"iat\":99,\"exp\":300}", 180, false },
        { "{\"iat\":100,\"exp\":200}", "{\"iat\":100,\"exp\":300}", 0, false },
        /* twice within a second, and from another node whose clock is a second behind */
        { "{\"iat\":100,\"exp\":200}", "{\"iat\":100,\"exp\":200,\"jti\":2}", 101, true },
        { "{\"iat\":100,\"exp\":200}", "{\"iat\":99,\"exp\":199}", 99, true },
        { "{\"exp\":200}", "{\"exp\":201}", 0, true },
        { "{\"exp\":200}", "{\"exp\":200,\"jti\":2}", 0, false },
        { "{\"iat\":100,\"exp\":200}", "{\"exp\":199}", 0, false },
        /* the checks say what is wrong with it */
        { "{\"iat\":100,\"exp\":200}", "[]", 0, true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *before = signed_token(NULL, "", GOOD_HEADER, rows[i].before);
        char *after = signed_token(NULL, "", GOOD_HEADER, rows[i].after);
        if (id_token_is_newer(after, before, rows[i].date) != rows[i].newer)
            fail_msg("%s after %s", rows[i].after, rows[i].before);
        assert_false(id_token_is_newer(before, before, rows[i].date));
        free(before);
        free(after);
    }
    assert_true(id_token_is_newer("junk", "a.b.c", 0));
}

/* ---- whom it speaks of ----------------------------------------------------------------------- */

static void check_claims_of(const char *claims)
{
    char payload[512];

    snprintf(payload, sizeof payload, "{" ISSUER "," AUDIENCE "," GOOD_TIMES ",%s}", claims);
    result = (struct result){ 0 };
    assert_int_equal(check_payload(payload), 0);
}

static void without_a_username_claim_no_claim_is_taken_for_the_user(void **state)
{
    (void)state;
    check_claims_of("\"sub\":\"7\",\"name\":\"Anna\",\"email\":\"a@b\"");
    assert_string_equal(result.user, "");
    assert_string_equal(result.sub, "7");
    assert_string_equal(result.email, "a@b");
    check_claims_of("\"sub\":\"7\",\"email\":\"a@b\",\"email_verified\":null");
    assert_string_equal(result.email, ""); /* nobody is that user */
}

static void the_username_claim_is_the_user_and_no_other_stands_in_for_it(void **state)
{
    (void)state;
    job.username_claim = "upn";
    job.username_prefix = "oidc:"; /* it is put there when the name is shown */
    check_claims_of("\"sub\":\"7\",\"upn\":\"anna\"");
    assert_string_equal(result.user, "anna");
    check_claims_of("\"sub\":\"7\",\"email\":\"a@b\"");
    assert_string_equal(result.user, "");
}

static void the_user_is_made_printable(void **state)
{
    (void)state;
    job.username_claim = "upn";
    check_claims_of("\"upn\":\"a\\n\\u001b[31mb\"");
    assert_string_equal(result.user, "a [31mb");
}

/* What kube-apiserver makes of each, by flag: seen with 1.20 and with the code of 1.36. */
static void what_is_odd_about_the_name_is_a_warning_that_says_what_comes_of_it(void **state)
{
#define UNTOLD "with username claim email the API server would "
    static const struct {
        const char *claim, *claims;
        enum error_code code; /* ERROR_NONE: nothing is */
        const char *detail;
    } rows[] = {
        { NULL, "\"email\":\"a@b\"", ERROR_NONE, NULL },
        { NULL, "\"email\":\"a@b\",\"email_verified\":true", ERROR_NONE, NULL },
        { NULL, "\"sub\":\"7\"", ERROR_EMAIL_CLAIM, "it has no email: " UNTOLD "answer 401" },
        { NULL, "\"Email\":\"a@b\"", ERROR_EMAIL_CLAIM, "it has no email: " UNTOLD "answer 401" },
        { NULL, "\"email\":\"\"", ERROR_EMAIL_CLAIM,
          "its email is empty: " UNTOLD "see the user \"\", and answer 403" },
        { NULL, "\"email\":null", ERROR_EMAIL_CLAIM,
          "its email is null: " UNTOLD "see the user \"\", and answer 403" },
        { NULL, "\"email\":5", ERROR_EMAIL_CLAIM,
          "its email is a number, no text: " UNTOLD "answer 401" },
        { NULL, "\"email\":[\"a@b\"]", ERROR_EMAIL_CLAIM,
          "its email is a list, no text: " UNTOLD "answer 401" },
        { NULL, "\"email\":{}", ERROR_EMAIL_CLAIM,
          "its email is an object, no text: " UNTOLD "answer 401" },
        { NULL, "\"email\":true", ERROR_EMAIL_CLAIM,
          "its email is true or false, no text: " UNTOLD "answer 401" },
        { NULL, "\"email\":5,\"email_verified\":false", ERROR_EMAIL_CLAIM,
          "its email is a number" },
        { NULL, "\"email\":\"a@b\",\"email_verified\":false", ERROR_EMAIL_NOT_VERIFIED,
          "email_verified is false: " UNTOLD "answer 401" },
        { NULL, "\"email\":\"a@b\",\"email_verified\":null", ERROR_EMAIL_NOT_VERIFIED,
          "email_verified is null: " UNTOLD "answer 401" },
        { NULL, "\"email\":\"a@b\",\"email_verified\":\"true\"", ERROR_EMAIL_NOT_VERIFIED,
          "email_verified is a text, not true: " UNTOLD "answer 401" },
        { "email", "\"email\":\"a@b\",\"email_verified\":1", ERROR_EMAIL_NOT_VERIFIED,
          "email_verified is not true: the API server answers 401" },
        { "email", "\"sub\":\"7\"", ERROR_USERNAME_CLAIM,
          "email is missing: the API server answers 401" },
        { "email", "\"email\":null", ERROR_USERNAME_CLAIM,
          "email is null: the API server sees the user \"\"" },
        { "email", "\"email\":[\"a@b\"],\"email_verified\":false", ERROR_USERNAME_CLAIM,
          "email is a list, no text: the API server answers 401" },
        /* it is looked at before the name that comes of it */
        { NULL, "\"email\":\"\",\"email_verified\":false", ERROR_EMAIL_NOT_VERIFIED,
          "email_verified is false: " UNTOLD "answer 401" },
        { "email", "\"email\":null,\"email_verified\":false", ERROR_EMAIL_NOT_VERIFIED,
          "email_verified is false: the API server answers 401" },
        { "upn", "\"upn\":\"\",\"email_verified\":false", ERROR_USERNAME_CLAIM, "upn is empty" },
        { "upn", "\"upn\":\"\"", ERROR_USERNAME_CLAIM,
          "upn is empty: the API server sees the user \"https://login.example.com/#\"" },
        { "upn", "\"upn\":7", ERROR_USERNAME_CLAIM,
          "upn is a number, no text: the API server answers 401" },
        /* the e-mail counts for nobody */
        { "sub", "\"sub\":\"7\"", ERROR_NONE, NULL },
        { "sub", "\"sub\":\"7\",\"email\":5,\"email_verified\":false", ERROR_NONE, NULL },
    };
#undef UNTOLD

    (void)state;
    job.scope = "openid email profile";
    for (size_t i = 0; i < COUNT(rows); i++) {
        job.username_claim = rows[i].claim;
        check_claims_of(rows[i].claims);
        if (result.n_warnings != (rows[i].code != ERROR_NONE))
            fail_msg("%s: %u warnings", rows[i].claims, result.n_warnings);
        if (rows[i].code != ERROR_NONE) {
            assert_int_equal(result.warnings[0].code, rows[i].code);
            assert_holds(result.warnings[0].detail, rows[i].detail);
        }
    }
}

static void an_email_that_was_not_asked_for_is_not_missed(void **state)
{
    (void)state;
    job.scope = "openid profile";
    check_claims_of("\"sub\":\"7\",\"email_verified\":false");
    assert_int_equal(result.n_warnings, 0);
    check_claims_of("\"sub\":\"7\",\"email\":\"\"");
    assert_int_equal(result.n_warnings, 1);
}

static void warnings_beyond_the_room_are_left_out(void **state)
{
    (void)state;
    for (int i = 0; i < RESULT_WARNINGS_MAX + 3; i++)
        id_token_warn(&result, ERROR_NOT_VERIFIED, "%d", i);
    assert_int_equal(result.n_warnings, RESULT_WARNINGS_MAX);
    assert_string_equal(result.warnings[RESULT_WARNINGS_MAX - 1].detail, "7");
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_rs256_token_is_taken),
        TEST(a_good_es256_token_is_taken),
        TEST(each_algorithm_is_taken_when_it_is_allowed),
        TEST(no_algorithm_is_taken_when_all_others_are_allowed),
        TEST(any_typ_is_taken),
        TEST(a_token_without_a_kid_is_taken),
        TEST(a_kid_that_is_not_published_is_refused),
        TEST(the_signature_of_another_key_is_refused),
        TEST(a_byte_changed_in_the_signature_is_refused),
        TEST(a_byte_changed_in_the_payload_is_refused),
        TEST(a_byte_changed_in_an_ec_signature_is_refused),
        TEST(another_curve_than_the_algorithm_has_is_refused),
        TEST(alg_none_is_refused),
        TEST(alg_none_is_refused_in_any_case),
        TEST(alg_none_is_refused_also_when_somebody_allows_it),
        TEST(a_public_key_is_no_secret_for_hs256),
        TEST(hs256_is_refused_also_when_somebody_allows_it),
        TEST(what_nobody_can_check_is_named_as_that),
        TEST(an_algorithm_that_is_not_allowed_is_refused),
        TEST(an_encrypted_token_is_named_as_that),
        TEST(five_parts_without_enc_are_no_encrypted_token),
        TEST(a_token_of_128_kib_is_taken),
        TEST(a_longer_token_is_named_as_that),
        TEST(the_key_that_verified_is_marked),
        TEST(without_keys_a_token_is_taken_but_not_called_verified),
        TEST(without_keys_the_claims_are_checked_all_the_same),
        TEST(what_is_no_jwt_is_refused),
        TEST(a_payload_that_is_no_object_is_refused),
        TEST(a_header_that_is_no_object_is_refused),
        TEST(text_behind_the_payload_is_refused),
        TEST(a_header_without_alg_is_refused),
        TEST(two_algs_are_refused),
        TEST(two_kids_are_refused),
        TEST(any_member_of_the_header_twice_is_refused),
        TEST(a_kid_that_is_no_string_is_refused),
        TEST(a_payload_that_is_not_in_base64url_is_refused),
        TEST(what_is_no_json_for_go_is_refused),
        TEST(a_name_cut_within_a_character_is_taken),
        TEST(crit_of_what_is_not_understood_is_refused),
        TEST(another_issuer_is_refused),
        TEST(an_issuer_without_its_slash_is_another),
        TEST(a_token_without_an_issuer_is_refused),
        TEST(another_audience_is_refused),
        TEST(of_an_exchange_the_audience_that_was_asked_for_is_taken_too),
        TEST(a_token_without_an_audience_is_refused),
        TEST(an_array_that_holds_the_audience_is_taken),
        TEST(an_array_without_the_audience_is_refused),
        TEST(an_array_with_more_than_strings_is_refused),
        TEST(nul_in_issuer_and_audience_ends_nothing),
        TEST(other_claims_of_a_wrong_type_are_refused),
        TEST(an_issuer_that_is_no_string_is_refused),
        TEST(an_issuer_of_null_leaves_the_one_before),
        TEST(a_claim_that_is_there_twice_is_a_warning),
        TEST(the_last_of_two_audiences_counts),
        TEST(the_life_ends_at_exp_by_the_providers_clock),
        TEST(the_life_is_no_longer_than_from_iat_to_exp),
        TEST(without_iat_the_life_ends_at_exp),
        TEST(an_exp_past_by_date_alone_is_the_fault_of_the_providers_clock),
        TEST(an_exp_past_by_the_wall_clock_too_is_past),
        TEST(a_token_of_before_has_no_life_of_its_own),
        TEST(a_token_that_is_brought_lives_no_longer_than_its_exp),
        TEST(a_newer_token_is_one_that_was_issued_later),
        TEST(a_life_of_the_second_that_was_cut_is_none),
        TEST(an_exp_past_without_iat_is_refused),
        TEST(an_exp_of_this_very_second_is_refused),
        TEST(an_iat_behind_exp_says_nothing),
        TEST(an_exp_that_no_64_bits_hold_is_refused),
        TEST(a_token_without_exp_is_refused),
        TEST(an_exp_in_a_string_is_taken),
        TEST(an_exp_with_a_fraction_is_cut),
        TEST(an_exp_in_words_is_refused),
        TEST(an_iat_in_words_is_refused),
        TEST(an_exp_in_milliseconds_is_taken),
        TEST(an_nbf_of_null_is_none),
        TEST(the_last_of_two_exp_counts),
        TEST(a_life_of_a_year_is_cut_to_31_days),
        TEST(an_nbf_within_a_minute_is_taken),
        TEST(an_nbf_beyond_a_minute_is_refused),
        TEST(without_a_date_a_wall_clock_that_is_ahead_shortens_nothing),
        TEST(without_a_date_a_wall_clock_that_is_behind_refuses_nothing),
        TEST(without_a_username_claim_no_claim_is_taken_for_the_user),
        TEST(the_username_claim_is_the_user_and_no_other_stands_in_for_it),
        TEST(the_user_is_made_printable),
        TEST(what_is_odd_about_the_name_is_a_warning_that_says_what_comes_of_it),
        TEST(an_email_that_was_not_asked_for_is_not_missed),
        TEST(warnings_beyond_the_room_are_left_out),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
