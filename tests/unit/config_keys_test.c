/* The table of the keys: what each row says of its key is what comes of it, and no key that the
 * manual knows is without one. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"
#include "daemon/config_keys.h"

#define MANUAL "man/kubetoken.conf.5"

/* What is to come of a key. None of this is taken from the table, which may be wrong. */
struct expectation {
    const char *key;
    const char *value; /* in the file */
    size_t place;      /* in struct profile_config */
    const char *kept;  /* as shown() tells it; NULL: as it stands in the file */
    const char *job;   /* the job's field; NULL: there is none */
    bool identity;
};

#define AT(member) offsetof(struct profile_config, member)

enum { IDENTITY = true, SAME = false };

/* Each value is another than that of BASE, or than the built-in default. */
static const struct expectation expectations[] = {
    { "issuer", "https://b/", AT(issuer), NULL, "issuer", IDENTITY },
    { "token-endpoint", "https://b/token", AT(token_endpoint), NULL, "token-endpoint", IDENTITY },
    { "jwks-uri", "https://b/keys", AT(jwks_uri), NULL, "jwks-uri", IDENTITY },
    { "ca-file", "/b/ca", AT(ca_file), NULL, "ca-file", SAME },
    { "tls-client-cert", "/b/cert", AT(tls_client_cert), NULL, "tls-client-cert", SAME },
    { "tls-client-key", "/b/key", AT(tls_client_key), NULL, "tls-client-key", SAME },
    { "proxy", "http://proxy:3128", AT(proxy), NULL, "proxy", SAME },
    { "timeout", "20s", AT(timeout), "20 s", NULL, SAME },
    { "allow-http-loopback", "yes", AT(allow_http_loopback), "1", "allow-http-loopback", SAME },
    { "client-id", "kube-b", AT(client_id), NULL, "client-id", IDENTITY },
    { "client-auth", "basic-raw", AT(client_auth), NULL, "client-auth", SAME },
    { "client-secret", "cs", AT(client_secret), "inline cs", NULL, SAME },
    { "client-secret-file", "/b/cs", AT(client_secret), "file /b/cs", NULL, SAME },
    { "client-secret-command", "pass cs", AT(client_secret), "command pass cs", NULL, SAME },
    { "client-secret-credential", "cs", AT(client_secret), "credential cs", NULL, SAME },
    { "username", "ben", AT(username), NULL, "username", IDENTITY },
    { "password", "pw", AT(password), "inline pw", NULL, SAME },
    { "password-file", "/b/pw", AT(password), "file /b/pw", NULL, SAME },
    { "password-command", "pass pw", AT(password), "command pass pw", NULL, SAME },
    { "password-credential", "pw", AT(password), "credential pw", NULL, SAME },
    { "password-lifetime", "8h", AT(password_lifetime), "28800 s", NULL, SAME },
    { "scope", "openid groups", AT(scope), NULL, "scope", IDENTITY },
    { "audience", "an audience", AT(audience), NULL, "audience", IDENTITY },
    { "resource", "a resource", AT(resource), NULL, "resource", IDENTITY },
    { "realm", "a realm", AT(realm), NULL, "realm", IDENTITY },
    { "token-parameter", "tenant=blue", AT(parameters), NULL, "parameter", IDENTITY },
    { "use-refresh-token", "no", AT(use_refresh_token), "0", NULL, SAME },
    { "grant", "device", AT(grant), "1", NULL, IDENTITY },
    { "otp-parameter", "totp", AT(otp_parameter), NULL, "otp-parameter", SAME },
    { "device-authorization-endpoint", "https://b/device", AT(device_endpoint), NULL,
      "device-endpoint", IDENTITY },
    { "from", "a", AT(from), NULL, NULL, IDENTITY },
    /* which of the two goes into a job with from: config_keys_subject_type() */
    { "subject-token-type", "access_token", AT(subject_token_type), NULL, NULL, IDENTITY },
    { "token-command", "gettoken", AT(token_command), NULL, NULL, IDENTITY },
    { "refresh-before", "2m", AT(refresh_before), "120 s", NULL, SAME },
    { "keep-fresh", "1h", AT(keep_fresh), "3600 s", NULL, SAME },
    { "username-claim", "email", AT(username_claim), NULL, "username-claim", IDENTITY },
    { "username-prefix", "oidc:", AT(username_prefix), NULL, "username-prefix", SAME },
    { "groups-claim", "groups", AT(groups_claim), NULL, "groups-claim", IDENTITY },
    { "groups-prefix", "oidc:", AT(groups_prefix), NULL, "groups-prefix", SAME },
    { "start", "with-daemon", AT(start_with_daemon), "1", NULL, SAME },
    { "keep-over-restart", "all", AT(keep_over_restart), "1", NULL, SAME },
    { "signing-algs", "RS256 ES256", AT(signing_algs), NULL, "signing-algs", IDENTITY },
    { "default-profile", "b", 0, NULL, NULL, SAME },
};

/* With a secret, a certificate and claims, without which some keys are refused. */
#define BASE                                                                                       \
    "[defaults]\nissuer = https://a/\nclient-id = kube\nusername = anna\nclient-secret = a\n"      \
    "tls-client-cert = /a/cert\nusername-claim = upn\ngroups-claim = roles\n"

static struct config *config;
static struct config_report report;

static int setup(void **state)
{
    static const char *const proxies[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
                                           "ALL_PROXY",   "no_proxy",    "NO_PROXY" };

    for (size_t i = 0; i < COUNT(proxies); i++)
        unsetenv(proxies[i]);
    config = NULL;
    report = (struct config_report){ 0 };
    return folder_setup(state);
}

static int teardown(void **state)
{
    config = config_free(config);
    config_report_clear(&report);
    return folder_teardown(state);
}

/* The profiles a and b, of which b has the key with the value besides. */
static void load_with(const struct expectation *e)
{
    char text[1024];
    const char *path;

    config = config_free(config);
    snprintf(text, sizeof text, BASE "[profile a]\n[profile b]\n%s = %s\n", e->key, e->value);
    path = write_file("kubetoken.conf", text, 0600);
    config = config_load(&path, 1, &report);
    if (!config)
        fail_msg("%s", report.text);
}

/* All but default-profile, which has a test of its own. */
static bool is_of_profile(const struct expectation *e)
{
    return e->place != 0;
}

static const struct config_key *row_of(const char *name)
{
    for (size_t i = 0; i < config_keys_count; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    fail_msg("the table has no row for %s", name);
    return NULL;
}

static const struct expectation *expectation_of(const char *key, const char *whose)
{
    for (size_t i = 0; i < COUNT(expectations); i++)
        if (strcmp(expectations[i].key, key) == 0)
            return &expectations[i];
    fail_msg("%s has the key %s, of which nothing is expected here", whose, key);
    return NULL;
}

/* ---- the table is whole ---------------------------------------------------------------------- */

static void nothing_is_without_an_expectation_and_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_keys_count; i++)
        expectation_of(config_keys[i].name, "the table");
    for (size_t i = 0; i < COUNT(expectations); i++)
        row_of(expectations[i].key);
    assert_int_equal(config_keys_count, COUNT(expectations));
}

/* The keys are the items of its lists that have a value; those of client-auth's have none. */
static void every_key_of_the_manual_is_known_and_no_other(void **state)
{
    bool found[COUNT(expectations)] = { false };
    char line[512], key[64], value[16];
    FILE *manual = fopen(MANUAL, "re");

    (void)state;
    if (!manual)
        fail_msg("there is no " MANUAL " here: run this in the top folder");
    while (fgets(line, sizeof line, manual))
        if (sscanf(line, ".It Cm %63s %15s", key, value) == 2)
            found[expectation_of(key, MANUAL) - expectations] = true;
    fclose(manual);
    for (size_t i = 0; i < COUNT(expectations); i++)
        if (!found[i])
            fail_msg(MANUAL " does not have the key %s", expectations[i].key);
}

/* ---- the profile ----------------------------------------------------------------------------- */

static const char *shown(const void *value, enum config_form form)
{
    static const char *const kinds[] = { "none", "inline", "file", "command", "credential" };
    static char text[256];
    const struct source *source = value;

    switch (form) {
    case FORM_TEXT:
        return *(char *const *)value ? *(char *const *)value : "";
    case FORM_LIST:
        return *(char **const *)value ? **(char **const *)value : "";
    case FORM_BOOL:
        return *(const bool *)value ? "1" : "0";
    case FORM_KEEP:
        return *(const enum keep_over_restart *)value == KEEP_ALL ? "1" : "0";
    case FORM_GRANT:
        return *(const enum grant *)value == GRANT_DEVICE ? "1" : "0";
    case FORM_USEC:
        snprintf(text, sizeof text, "%llu s",
                 (unsigned long long)(*(const uint64_t *)value / USEC_PER_SEC));
        break;
    case FORM_SOURCE:
        snprintf(text, sizeof text, "%s %s", kinds[source->kind],
                 source->value ? secret_peek(source->value) : source->text);
        break;
    case FORM_NONE:
        return "";
    }
    return text;
}

static void every_key_arrives_in_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expectations); i++) {
        const struct expectation *e = &expectations[i];
        const char *expected = e->kept ? e->kept : e->value;
        if (!is_of_profile(e))
            continue;
        load_with(e);
        enum config_form form = config_keys_form(row_of(e->key)->type);
        const char *a = (const char *)config_find(config, "a");
        const char *b = (const char *)config_find(config, "b");
        if (strcmp(shown(b + e->place, form), expected) != 0)
            fail_msg("%s = %s became %s", e->key, e->value, shown(b + e->place, form));
        if (strcmp(shown(a + e->place, form), expected) == 0)
            fail_msg("%s = %s is no other than without the key", e->key, e->value);
    }
}

static void the_default_profile_is_no_part_of_a_profile(void **state)
{
    const struct config_key *row = row_of("default-profile");

    (void)state;
    assert_int_equal(row->place, 0);
    assert_int_equal(row->job, 0);
    assert_false(row->identity);
    assert_int_equal(config_keys_form(row->type), FORM_NONE);
}

/* ---- the job --------------------------------------------------------------------------------- */

static struct secret *encoded_job(const char *profile)
{
    char room[CONFIG_KEYS_ROOM];
    struct job job = { .kind = JOB_PASSWORD, .password = "pw" };

    config_keys_fill(&job, config_find(config, profile), room);
    struct secret *encoded = job_encode(&job);
    assert_non_null(encoded);
    return encoded;
}

/* The first field of that name. False: the job has none. */
static bool find_field(const struct secret *job, const char *name, struct tlv_field *ret)
{
    struct tlv_reader r;

    assert_true(tlv_open(&r, secret_peek(job), secret_length(job)) > 0);
    while (tlv_next(&r, ret) == 1)
        if (tlv_is(ret, name))
            return true;
    return false;
}

static bool has_field(const struct secret *job, const struct tlv_field *f)
{
    struct tlv_reader r;
    struct tlv_field other;

    assert_true(tlv_open(&r, secret_peek(job), secret_length(job)) > 0);
    while (tlv_next(&r, &other) == 1)
        if (other.name_length == f->name_length && other.length == f->length &&
            memcmp(other.name, f->name, f->name_length) == 0 &&
            memcmp(other.value, f->value, f->length) == 0)
            return true;
    return false;
}

/* How many fields of the one job are not in the other. */
static unsigned fields_without(const struct secret *job, const struct secret *other)
{
    struct tlv_reader r;
    struct tlv_field f;
    unsigned n = 0;

    assert_true(tlv_open(&r, secret_peek(job), secret_length(job)) > 0);
    while (tlv_next(&r, &f) == 1)
        n += !has_field(other, &f);
    return n;
}

static void every_key_fills_its_field_of_a_job_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expectations); i++) {
        const struct expectation *e = &expectations[i];
        const char *expected = e->kept ? e->kept : e->value;
        struct tlv_field f;
        if (!is_of_profile(e))
            continue;
        load_with(e);
        struct secret *a = encoded_job("a"), *b = encoded_job("b");
        if (fields_without(b, a) != (e->job != NULL))
            fail_msg("%s changes %u fields of a job", e->key, fields_without(b, a));
        if (e->job && (!find_field(b, e->job, &f) || f.length != strlen(expected) ||
                       memcmp(f.value, expected, f.length) != 0))
            fail_msg("%s is not the %s of a job", e->key, e->job);
        if ((row_of(e->key)->job != 0) != (e->job != NULL))
            fail_msg("the row of %s is wrong about the job", e->key);
        secret_free(a);
        secret_free(b);
    }
}

static void the_proxy_variables_are_in_the_job_where_they_count(void **state)
{
    struct tlv_field f;

    (void)state;
    load_with(expectation_of("proxy", "this"));
    setenv("https_proxy", "http://proxy:3128", 1);
    struct secret *automatic = encoded_job("a"), *fixed = encoded_job("b");
    unsetenv("https_proxy");
    assert_true(find_field(automatic, "environment", &f));
    assert_memory_equal(f.value, "https_proxy=http://proxy:3128", f.length);
    assert_false(find_field(fixed, "environment", &f));
    secret_free(automatic);
    secret_free(fixed);
}

/* ---- the identity ---------------------------------------------------------------------------- */

static void a_key_changes_the_identity_where_its_row_says_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expectations); i++) {
        const struct expectation *e = &expectations[i];
        if (!is_of_profile(e))
            continue;
        load_with(e);
        if (row_of(e->key)->identity != e->identity)
            fail_msg("the row of %s is wrong about the identity", e->key);
        if (config_keys_same_identity(config_find(config, "a"), config_find(config, "b")) ==
            e->identity)
            fail_msg("%s makes %s identity", e->key, e->identity ? "the same" : "another");
    }
}

/* Also one that no request is made of, as keep-fresh: to try once more for its sake costs little.
 */
static void a_key_with_another_value_changes_the_digest_of_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expectations); i++) {
        const struct expectation *e = &expectations[i];
        if (!is_of_profile(e))
            continue;
        load_with(e);
        uint64_t a = config_keys_digest(config_find(config, "a"));
        if (a == config_keys_digest(config_find(config, "b")))
            fail_msg("%s does not change the digest", e->key);
        load_with(e);
        assert_int_equal(config_keys_digest(config_find(config, "a")), a);
    }
}

/* Of which what is kept over a restart is told by. */
static void a_key_changes_the_digest_of_the_identity_where_it_changes_that(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expectations); i++) {
        const struct expectation *e = &expectations[i];
        if (!is_of_profile(e))
            continue;
        load_with(e);
        if ((config_keys_identity(config_find(config, "a")) !=
             config_keys_identity(config_find(config, "b"))) != e->identity)
            fail_msg("%s makes %s identity", e->key, e->identity ? "the same" : "another");
    }
}

static void a_value_that_moves_to_another_key_changes_the_digest_of_all(void **state)
{
    static const struct expectation pairs[][2] = {
        { { .key = "audience", .value = "x" }, { .key = "resource", .value = "x" } },
        { { .key = "password-file", .value = "/x" }, { .key = "password-command", .value = "/x" } },
        { { .key = "password-file", .value = "/x" }, { .key = "ca-file", .value = "/x" } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        load_with(&pairs[i][0]);
        uint64_t one = config_keys_digest(config_find(config, "b"));
        load_with(&pairs[i][1]);
        if (config_keys_digest(config_find(config, "b")) == one)
            fail_msg("%s and %s are taken for one", pairs[i][0].key, pairs[i][1].key);
    }
}

static void the_proxy_of_the_environment_changes_the_digest_where_it_counts(void **state)
{
    (void)state;
    load_with(expectation_of("proxy", "this"));
    uint64_t automatic = config_keys_digest(config_find(config, "a"));
    uint64_t fixed = config_keys_digest(config_find(config, "b"));
    setenv("https_proxy", "http://proxy:3128", 1);
    bool changed = config_keys_digest(config_find(config, "a")) != automatic;
    bool other_changed = config_keys_digest(config_find(config, "b")) != fixed;
    unsetenv("https_proxy");
    assert_true(changed);
    assert_false(other_changed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_without_an_expectation_and_a_row),
        TEST(every_key_of_the_manual_is_known_and_no_other),
        TEST(every_key_arrives_in_its_place),
        TEST(the_default_profile_is_no_part_of_a_profile),
        TEST(every_key_fills_its_field_of_a_job_and_no_other),
        TEST(the_proxy_variables_are_in_the_job_where_they_count),
        TEST(a_key_changes_the_identity_where_its_row_says_so),
        TEST(a_key_with_another_value_changes_the_digest_of_all),
        TEST(a_key_changes_the_digest_of_the_identity_where_it_changes_that),
        TEST(a_value_that_moves_to_another_key_changes_the_digest_of_all),
        TEST(the_proxy_of_the_environment_changes_the_digest_where_it_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
