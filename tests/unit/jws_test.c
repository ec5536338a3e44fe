/* One signature: the examples of the RFCs, every algorithm, and what comes close to valid. */
#define _GNU_SOURCE
#include "support.h"

#include <dlfcn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/jwks.h"
#include "daemon/fetch/jws.h"

/* Stands before libjwt's own, and counts what comes by. */
int jwt_decode(void **jwt, const char *token, const unsigned char *key, int length);

static unsigned libjwt_asked, libjwt_took;

int jwt_decode(void **jwt, const char *token, const unsigned char *key, int length)
{
    int (*real)(void **, const char *, const unsigned char *, int);
    void *symbol = dlsym(RTLD_NEXT, "jwt_decode");

    assert_non_null(symbol);
    memcpy(&real, &symbol, sizeof real);
    int r = real(jwt, token, key, length);
    libjwt_asked++;
    libjwt_took += r == 0;
    return r;
}

#define CLAIMS "{\"iss\":\"https://login.example.com/\",\"exp\":1795510800}"

static EVP_PKEY *rsa, *p256, *p384, *p521, *k256, *ed25519, *ed448;

static int make_keys(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    p521 = EVP_EC_gen("P-521");
    k256 = EVP_EC_gen("secp256k1");
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ed448 = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    return rsa && p256 && p384 && p521 && k256 && ed25519 && ed448 ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p521);
    EVP_PKEY_free(k256);
    EVP_PKEY_free(ed25519);
    EVP_PKEY_free(ed448);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    libjwt_asked = libjwt_took = 0;
    return 0;
}

/* Verifies the token and frees it. Nothing may be left in libcrypto's queue: libcurl reads it. */
static bool verifies(char *token, const char *alg, EVP_PKEY *key)
{
    bool valid = jws_verify(token, alg, key);

    free(token);
    assert_int_equal(ERR_peek_error(), 0);
    return valid;
}

static char *header_of(const char *alg, const char *further)
{
    static char header[256];

    snprintf(header, sizeof header, "{\"alg\":\"%s\"%s}", alg, further);
    return header;
}

static char *token_of(EVP_PKEY *key, const char *alg)
{
    return signed_token(key, alg, header_of(alg, ""), CLAIMS);
}

/* The same token with another character in the middle of the part. */
static char *changed(char *token, int part)
{
    char *start = token;

    while (part-- > 0)
        start = strchr(start, '.') + 1;
    char *p = start + strcspn(start, ".") / 2;
    *p = *p == 'A' ? 'B' : 'A';
    return token;
}

/* ---- the examples of the RFCs ---------------------------------------------------------------- */

/* What RFC 7515 A.2 and A.3 sign, and what RFC 7520 §4 signs. */
#define JOE                                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"         \
    "Ijp0cnVlfQ"
#define FRODO                                                                                      \
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0"         \
    "ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5v"         \
    "IGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4"
#define BILBO_KEY                                                                                  \
    "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"n\":\""         \
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZ"         \
    "QHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oB"         \
    "HqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVb"         \
    "b9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHd"         \
    "rNP5zw"                                                                                       \
    "\",\"e\":\"AQAB\"}"

static const struct {
    const char *where, *alg, *key, *token;
} examples[] = {
    { "RFC 7515 A.2", "RS256",
      "{\"kty\":\"RSA\",\"n\":\""
      "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz"
      "P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf6"
      "3kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Zw"
      "Kh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW"
      "yuXpoQ"
      "\",\"e\":\"AQAB\"}",
      "eyJhbGciOiJSUzI1NiJ9." JOE "."
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt"
      "_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArL"
      "IARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7no"
      "OPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
      "Ge77Rw" },
    { "RFC 7515 A.3", "ES256",
      "{\"kty\":\"EC\",\"crv\":\"P-256\","
      "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
      "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
      "eyJhbGciOiJFUzI1NiJ9." JOE "."
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU"
      "1Q" },
    { "RFC 7515 A.4", "ES512",
      "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\""
      "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk"
      "\",\"y\":\""
      "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"
      "\"}",
      "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
      "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"
      "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXo"
      "lLzeO_Jn" },
    { "RFC 7520 §4.1", "RS256", BILBO_KEY,
      "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." FRODO "."
      "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996i"
      "vp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1u"
      "SNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAh"
      "b6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18"
      "kDquDg" },
    { "RFC 7520 §4.2", "PS384", BILBO_KEY,
      "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." FRODO "."
      "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqH"
      "CdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn"
      "442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0"
      "n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-"
      "X72Eaw" },
    { "RFC 8037 A.2, A.4", "EdDSA",
      "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
      "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0K"
      "Ag" },
};

static void the_examples_of_the_rfcs_are_valid(void **state)
{
    for (size_t i = 0; i < COUNT(examples); i++) {
        char text[2048];
        struct jwks keys;
        struct error why;

        snprintf(text, sizeof text, "{\"keys\":[%s]}", examples[i].key);
        assert_int_equal(jwks_parse(text, strlen(text), &keys, &why), 0);
        assert_true(jwks_fits(&keys.keys[0], examples[i].alg, NULL));
        EVP_PKEY *key = keys.keys[0].key;
        if (!verifies(strdup(examples[i].token), examples[i].alg, key))
            fail_msg("%s", examples[i].where);
        for (int part = 0; part < 3; part++)
            if (verifies(changed(strdup(examples[i].token), part), examples[i].alg, key))
                fail_msg("%s, changed in part %d", examples[i].where, part);
        jwks_clear(&keys);
    }
    (void)state;
}

static void the_unsecured_and_symmetric_examples_of_rfc_7519_are_not(void **state)
{
    static const char unsecured[] = "eyJhbGciOiJub25lIn0." JOE ".";
    static const char symmetric[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE
                                    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    (void)state;
    assert_false(jws_supported("none"));
    assert_false(jws_supported("HS256"));
    assert_false(verifies(strdup(unsecured), "none", rsa));
    assert_false(verifies(strdup(unsecured), "RS256", rsa));
    assert_false(verifies(strdup(symmetric), "HS256", rsa));
    assert_false(verifies(strdup(symmetric), "RS256", rsa));
}

/* ---- every algorithm ------------------------------------------------------------------------- */

struct row {
    const char *alg;
    EVP_PKEY **key;
};

static const struct row rows[] = {
    { "RS256", &rsa },  { "RS384", &rsa },     { "RS512", &rsa },   { "ES256", &p256 },
    { "ES384", &p384 }, { "ES512", &p521 },    { "PS256", &rsa },   { "PS384", &rsa },
    { "PS512", &rsa },  { "EdDSA", &ed25519 }, { "EdDSA", &ed448 },
};

static bool by_libjwt(const char *alg)
{
    return alg[1] == 'S' && alg[0] != 'P';
}

static void each_algorithm_is_verified_with_its_key(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(jws_supported(rows[i].alg));
        if (!verifies(token_of(*rows[i].key, rows[i].alg), rows[i].alg, *rows[i].key))
            fail_msg("%s", rows[i].alg);
    }
    (void)state;
}

static void libjwt_verifies_rs_and_es_and_is_not_asked_for_the_rest(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        setup(NULL);
        assert_true(verifies(token_of(*rows[i].key, rows[i].alg), rows[i].alg, *rows[i].key));
        assert_int_equal(libjwt_asked, by_libjwt(rows[i].alg));
        assert_int_equal(libjwt_took, libjwt_asked);
    }
    (void)state;
}

static void a_change_in_any_part_is_seen(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int part = 0; part < 3; part++) {
            char *token = changed(token_of(*rows[i].key, rows[i].alg), part);
            if (verifies(token, rows[i].alg, *rows[i].key))
                fail_msg("%s, changed in part %d", rows[i].alg, part);
        }
    (void)state;
}

static void no_key_verifies_for_another_algorithm(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(rows); k++) {
            if (strcmp(rows[i].alg, rows[k].alg) == 0)
                continue;
            /* the header says the one, the signature is of the other */
            char *token = signed_token(*rows[k].key, rows[k].alg, header_of(rows[i].alg, ""),
                                       CLAIMS);
            if (verifies(token, rows[i].alg, *rows[k].key))
                fail_msg("%s by %s", rows[i].alg, rows[k].alg);
        }
    (void)state;
}

static void another_key_of_the_type_verifies_nothing(void **state)
{
    EVP_PKEY *others[] = { EVP_RSA_gen(2048), EVP_EC_gen("P-256"),
                           EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };

    (void)state;
    assert_false(verifies(token_of(rsa, "RS256"), "RS256", others[0]));
    assert_false(verifies(token_of(rsa, "PS256"), "PS256", others[0]));
    assert_false(verifies(token_of(p256, "ES256"), "ES256", others[1]));
    assert_false(verifies(token_of(ed25519, "EdDSA"), "EdDSA", others[2]));
    for (size_t i = 0; i < COUNT(others); i++)
        EVP_PKEY_free(others[i]);
}

static void a_name_in_another_case_is_another_name(void **state)
{
    (void)state;
    assert_false(jws_supported("rs256"));
    assert_false(jws_supported("EDDSA"));
    assert_false(verifies(token_of(rsa, "RS256"), "rs256", rsa));
}

/* ---- what libjwt refuses by shape ------------------------------------------------------------ */

/* With that header and those claims; the same signature spoilt is refused. */
static void assert_verified(EVP_PKEY *key, const char *alg, const char *further, const char *claims)
{
    char *token = signed_token(key, alg, header_of(alg, further), claims);

    assert_true(verifies(strdup(token), alg, key));
    assert_false(verifies(changed(token, 2), alg, key));
}

static void any_typ_will_do(void **state)
{
    static const char *const types[] = { ",\"typ\":\"at+jwt\"", ",\"typ\":\"JOSE\"",
                                         ",\"typ\":\"\"", ",\"typ\":7" };

    for (size_t i = 0; i < COUNT(types); i++)
        for (size_t k = 0; k < COUNT(rows); k++)
            assert_verified(*rows[k].key, rows[k].alg, types[i], CLAIMS);
    (void)state;
}

static void claims_that_jansson_does_not_read_will_do(void **state)
{
    static const char *const claims[] = { "{\"n\":18446744073709551616}", "{\"n\":1e400}",
                                          "{\"name\":\"\\ud83d\"}", "{\"name\":\"J\xfcrgen\"}" };

    for (size_t i = 0; i < COUNT(claims); i++) {
        assert_verified(rsa, "RS256", "", claims[i]);
        assert_verified(p256, "ES256", "", claims[i]);
    }
    (void)state;
}

/* ---- ES: curves and lengths ------------------------------------------------------------------ */

static void another_curve_than_the_algorithms_is_refused(void **state)
{
    (void)state;
    /* each with the digest that the header tells */
    assert_false(verifies(token_of(p384, "ES256"), "ES256", p384));
    assert_false(verifies(token_of(p521, "ES256"), "ES256", p521));
    assert_false(verifies(token_of(k256, "ES256"), "ES256", k256));
    assert_false(verifies(token_of(p256, "ES384"), "ES384", p256));
    assert_false(verifies(token_of(p521, "ES384"), "ES384", p521));
    assert_false(verifies(token_of(p256, "ES512"), "ES512", p256));
    assert_false(verifies(token_of(p384, "ES512"), "ES512", p384));
    assert_int_equal(libjwt_asked, 0);
}

/* A token of ES512 with that many bytes of zero before, and after, r and s. */
static char *padded(size_t before, size_t after)
{
    char *token = token_of(p521, "ES512"), *dot = strrchr(token, '.'), *whole;
    unsigned char raw[132], out[264] = { 0 };

    assert_int_equal(base64url_decode(dot + 1, strlen(dot + 1), raw), sizeof raw);
    memcpy(out + before, raw, sizeof raw);
    char *signature = base64url(out, before + sizeof raw + after);
    assert_true(asprintf(&whole, "%.*s.%s", (int)(dot - token), token, signature) > 0);
    free(signature);
    free(token);
    return whole;
}

static void r_and_s_have_their_exact_length(void **state)
{
    (void)state;
    assert_true(verifies(padded(0, 0), "ES512", p521));
    assert_false(verifies(padded(0, 1), "ES512", p521));
    assert_false(verifies(padded(1, 0), "ES512", p521));
    assert_false(verifies(padded(0, 132), "ES512", p521));
    assert_false(verifies(padded(1, 1), "ES512", p521));
}

/* The token with that signature in place of its own. Frees the token. */
static char *with_signature(char *token, const void *bytes, size_t length)
{
    char *signature = base64url(bytes, length), *whole;

    *strrchr(token, '.') = '\0';
    assert_true(asprintf(&whole, "%s.%s", token, signature) > 0);
    free(signature);
    free(token);
    return whole;
}

/* The token, which is freed, signed again: by ECDSA in DER, or PSS with that salt. */
static char *signed_again(char *token, EVP_PKEY *key, int salt)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters;
    unsigned char out[512];
    size_t length = sizeof out;

    assert_int_equal(EVP_DigestSignInit(context, &parameters, EVP_sha256(), NULL, key), 1);
    if (EVP_PKEY_is_a(key, "RSA")) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt), 1);
    }
    assert_int_equal(EVP_DigestSign(context, out, &length, (unsigned char *)token,
                                    (size_t)(strrchr(token, '.') - token)),
                     1);
    EVP_MD_CTX_free(context);
    return with_signature(token, out, length);
}

static void a_signature_in_der_is_refused(void **state)
{
    (void)state;
    assert_false(verifies(signed_again(token_of(p256, "ES256"), p256, 0), "ES256", p256));
}

static void r_and_s_of_zero_are_refused(void **state)
{
    static const unsigned char zero[132];

    (void)state;
    assert_false(verifies(with_signature(token_of(p256, "ES256"), zero, 64), "ES256", p256));
    assert_false(verifies(with_signature(token_of(p384, "ES384"), zero, 96), "ES384", p384));
    assert_false(verifies(with_signature(token_of(p521, "ES512"), zero, 132), "ES512", p521));
    assert_false(verifies(with_signature(token_of(ed25519, "EdDSA"), zero, 64), "EdDSA", ed25519));
}

/* ---- PS: the salt ---------------------------------------------------------------------------- */

/* RFC 8017 §8.1.2, step 1, as in Go's crypto/rsa. */
static void a_leading_zero_of_an_rsa_signature_belongs_to_it(void **state)
{
    static const char *const algs[] = { "RS256", "PS256" };
    unsigned char raw[512] = { 1 };
    char claims[64];

    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        char *token = NULL;
        long n = 0;
        raw[0] = 1;
        for (unsigned k = 0; raw[0] != 0; k++) { /* one in 256 has it */
            free(token);
            snprintf(claims, sizeof claims, "{\"jti\":%u}", k);
            token = signed_token(rsa, algs[i], header_of(algs[i], ""), claims);
            const char *signature = strrchr(token, '.') + 1;
            n = base64url_decode(signature, strlen(signature), raw);
            assert_int_equal(n, 256);
        }
        assert_true(jws_verify(token, algs[i], rsa));
        char *shorter = base64url(raw + 1, (size_t)n - 1);
        memcpy(strrchr(token, '.') + 1, shorter, strlen(shorter) + 1);
        assert_false(jws_verify(token, algs[i], rsa));
        free(shorter);
        free(token);
    }
}

static void a_salt_of_another_length_than_the_digest_is_refused(void **state)
{
    (void)state;
    assert_true(verifies(signed_again(token_of(rsa, "PS256"), rsa, 32), "PS256", rsa));
    assert_false(verifies(signed_again(token_of(rsa, "PS256"), rsa, 0), "PS256", rsa));
    assert_false(verifies(signed_again(token_of(rsa, "PS256"), rsa, 20), "PS256", rsa));
    assert_false(verifies(signed_again(token_of(rsa, "PS256"), rsa, 222), "PS256", rsa));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_examples_of_the_rfcs_are_valid),
        TEST(the_unsecured_and_symmetric_examples_of_rfc_7519_are_not),
        TEST(each_algorithm_is_verified_with_its_key),
        TEST(libjwt_verifies_rs_and_es_and_is_not_asked_for_the_rest),
        TEST(a_change_in_any_part_is_seen),
        TEST(no_key_verifies_for_another_algorithm),
        TEST(another_key_of_the_type_verifies_nothing),
        TEST(a_name_in_another_case_is_another_name),
        TEST(any_typ_will_do),
        TEST(claims_that_jansson_does_not_read_will_do),
        TEST(another_curve_than_the_algorithms_is_refused),
        TEST(r_and_s_have_their_exact_length),
        TEST(a_signature_in_der_is_refused),
        TEST(r_and_s_of_zero_are_refused),
        TEST(a_leading_zero_of_an_rsa_signature_belongs_to_it),
        TEST(a_salt_of_another_length_than_the_digest_is_refused),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
