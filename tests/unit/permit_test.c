#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/permit.h"

static char name[] = "p", other_name[] = "q", issuer[] = "https://a/", username[] = "Anna",
            realm[] = "Users", client[] = "client", other_client[] = "other", post[] = "post",
            basic[] = "basic", none[] = "none", automatic[] = "auto",
            proxy[] = "http://u:pw@proxy:3128", other_proxy[] = "http://u:new@proxy:3128";
static struct account_table *accounts;
static struct profile_config config;
static struct secret *password, *client_secret;
static char anna, berta;

static void set(struct secret **slot, const char *text)
{
    secret_free(*slot);
    *slot = secret_copy(text, strlen(text));
}

static int setup(void **state)
{
    (void)state;
    accounts = account_table_new(NULL);
    config = (struct profile_config){ .name = name,
                                      .issuer = issuer,
                                      .username = username,
                                      .client_id = client,
                                      .client_auth = post,
                                      .proxy = none };
    set(&password, "right");
    set(&client_secret, "secret");
    return accounts ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    account_table_free(accounts);
    password = secret_free(password);
    client_secret = secret_free(client_secret);
    return 0;
}

/* ---- requests, as sentences ------------------------------------------------------------------ */

static struct permit with(const struct secret *pw)
{
    struct permit p;

    permit_open(&p, accounts, &config, client_secret, pw);
    return p;
}

static enum account_verdict ask(struct permit *p, const void *who, enum permit_part *ret_part)
{
    uint64_t when;

    return permit_ask(p, who, true, false, 0, ret_part, &when);
}

/* What it is told, by password or refresh token, and which part of it says so. */
static enum account_verdict verdict_of(const struct secret *pw, enum permit_part *ret_part)
{
    struct permit p = with(pw);
    const struct permit_outcome given_up = { .why = &(struct error){ ERROR_INTERRUPTED, "" } };
    enum account_verdict verdict = ask(&p, &anna, ret_part);

    permit_end(&p, &anna, &given_up);
    return verdict;
}

static bool goes(void)
{
    enum permit_part part;

    return verdict_of(password, &part) == ACCOUNT_GO;
}

static bool is_refused_by(enum permit_part expected)
{
    enum permit_part part;

    return verdict_of(password, &part) == ACCOUNT_REFUSED && part == expected;
}

/* The answer to a request that went out. */
static enum account_end answered(const struct secret *pw, enum error_code code, unsigned status)
{
    struct permit p = with(pw);
    const struct error why = { code, "no" };
    enum permit_part part;

    assert_int_equal(ask(&p, &anna, &part), ACCOUNT_GO);
    bool at_proxy = error_class(code) == ERROR_CLASS_PROXY;
    return permit_end(&p, &anna,
                      &(struct permit_outcome){ .why = code == ERROR_NONE ? NULL : &why,
                                                .by_password = pw != NULL,
                                                .sent_grant = !at_proxy,
                                                .passed_proxy = !at_proxy,
                                                .http_status = status });
}

/* ---- whose credentials they are -------------------------------------------------------------- */

static void an_account_is_one_whatever_the_case_of_its_user(void **state)
{
    const struct account_name one = { ACCOUNT_USER, "https://a/", NULL, "Anna@example.com" },
                              same = { ACCOUNT_USER, "https://a/", NULL, "anna@example.com" };
    const struct account_name others[] = {
        { ACCOUNT_USER, "https://A/", NULL, "Anna@example.com" },
        { ACCOUNT_USER, "https://a/", NULL, "berta@example.com" },
        { ACCOUNT_USER, "https://a/", "realm", "Anna@example.com" },
        { ACCOUNT_USER, "https://a/", "", "Anna@example.com" },
        { ACCOUNT_CLIENT, "https://a/", NULL, "Anna@example.com" },
        { ACCOUNT_CLIENT, "https://a/", NULL, "anna@example.com" },
        { ACCOUNT_PROXY, "https://a/", NULL, "Anna@example.com" },
    };
    uint64_t id = account_table_id(&one);

    (void)state;
    assert_true(id == account_table_id(&same) && id != 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (size_t j = 0; j <= i; j++) {
            assert_true(account_table_id(&others[i]) != id);
            assert_true((account_table_id(&others[i]) == account_table_id(&others[j])) == (i == j));
        }
}

static void an_account_is_made_once(void **state)
{
    (void)state;
    assert_null(account_table_find(accounts, 1));
    struct account *a = account_table_get(accounts, 1);
    assert_non_null(a);
    assert_ptr_equal(a, account_table_get(accounts, 1));
    assert_ptr_equal(a, account_table_find(accounts, 1));
    assert_ptr_not_equal(a, account_table_get(accounts, 2));
    account_table_free(NULL);
}

/* There may be thousands of them. */
static void nothing_is_kept_of_a_client_that_was_never_refused(void **state)
{
    (void)state;
    answered(password, ERROR_NONE, 200);
    assert_null(permit_account(&(struct permit){ .accounts = accounts }, PERMIT_CLIENT));
    struct permit p = with(password);
    assert_null(permit_account(&p, PERMIT_CLIENT));
    assert_non_null(permit_account(&p, PERMIT_USER));
}

static void a_refused_password_is_that_of_its_realm(void **state)
{
    (void)state;
    answered(password, ERROR_REFUSED, 403);
    assert_true(is_refused_by(PERMIT_USER));
    config.realm = realm;
    assert_true(goes());
}

/* A corrected client id or secret says nothing of the password. */
static void a_refusal_of_the_password_outlives_another_client(void **state)
{
    (void)state;
    answered(password, ERROR_REFUSED, 400);
    set(&client_secret, "new");
    assert_true(is_refused_by(PERMIT_USER));
    config.client_id = other_client;
    config.client_auth = basic;
    config.name = other_name;
    assert_true(is_refused_by(PERMIT_USER));
    set(&password, "new");
    assert_true(goes());
}

static void a_refusal_of_the_client_ends_with_its_secret_its_id_or_its_method(void **state)
{
    (void)state;
    assert_int_equal(answered(password, ERROR_CLIENT_REFUSED, 401), ACCOUNT_UNKNOWN);
    assert_true(is_refused_by(PERMIT_CLIENT));
    set(&password, "new");
    config.name = other_name;
    config.username = other_name;
    assert_true(is_refused_by(PERMIT_CLIENT));
    config.client_auth = basic;
    assert_true(goes());
    config.client_auth = post;
    config.client_id = other_client;
    assert_true(goes());
    config.client_id = client;
    set(&client_secret, "new");
    assert_true(goes());
}

static void a_refused_client_refreshes_no_token_either(void **state)
{
    enum permit_part part;

    (void)state;
    answered(NULL, ERROR_CLIENT_REFUSED, 401);
    assert_int_equal(verdict_of(NULL, &part), ACCOUNT_REFUSED);
    assert_true(is_refused_by(PERMIT_CLIENT));
}

static void a_client_that_may_not_use_a_grant_may_use_another(void **state)
{
    enum permit_part part;

    (void)state;
    answered(password, ERROR_GRANT_REFUSED, 400);
    assert_true(is_refused_by(PERMIT_CLIENT));
    assert_int_equal(verdict_of(NULL, &part), ACCOUNT_GO);
    config.realm = realm;
    assert_true(goes());
    config.realm = NULL;
    answered(NULL, ERROR_GRANT_REFUSED, 400); /* that is the refresh token's */
    assert_int_equal(verdict_of(NULL, &part), ACCOUNT_GO);
}

static void what_may_be_either_ends_with_either(void **state)
{
    (void)state;
    assert_int_equal(answered(password, ERROR_REFUSED_SILENTLY, 403), ACCOUNT_EITHER);
    assert_true(is_refused_by(PERMIT_USER));
    set(&client_secret, "new");
    assert_true(goes());
    set(&client_secret, "secret");
    assert_true(is_refused_by(PERMIT_USER));
    config.client_id = other_client; /* corrected in this profile */
    assert_true(goes());
    config.name = other_name; /* another profile, with another client */
    assert_true(is_refused_by(PERMIT_USER));
}

static void a_client_that_was_let_in_is_refused_no_more(void **state)
{
    struct permit p;
    uint64_t when;
    enum permit_part part;

    (void)state;
    answered(password, ERROR_CLIENT_REFUSED, 401);
    p = with(password);
    assert_true(permit_refuses(&p));
    assert_int_equal(permit_ask(&p, &anna, true, false, time_boottime() + 1, &part, &when),
                     ACCOUNT_GO);
    permit_end(&p, &anna, &(struct permit_outcome){ .by_password = true, .sent_grant = true });
    assert_false(permit_refuses(&p));
    assert_true(goes());
}

/* A client's secret gets no probe: nobody refuses it for the moment. */
static void a_client_that_was_let_in_is_refused_at_once(void **state)
{
    (void)state;
    answered(password, ERROR_NONE, 200);
    answered(password, ERROR_CLIENT_REFUSED, 401);
    assert_true(is_refused_by(PERMIT_CLIENT));
}

/* ---- what an answer says --------------------------------------------------------------------- */

static void each_answer_says_so_much_of_the_password(void **state)
{
    static const struct {
        enum error_code code;
        unsigned status;
        enum account_end end;
    } rows[] = {
        { ERROR_NONE, 200, ACCOUNT_TOOK },
        { ERROR_NO_ID_TOKEN, 200, ACCOUNT_TOOK },
        { ERROR_TOKEN_AUDIENCE, 200, ACCOUNT_TOOK },
        { ERROR_PROVIDER_FAULT, 503, ACCOUNT_UNKNOWN },
        { ERROR_RATE_LIMITED, 429, ACCOUNT_UNKNOWN },
        { ERROR_GATEWAY, 400, ACCOUNT_DENIED },
        { ERROR_GATEWAY, 401, ACCOUNT_DENIED },
        { ERROR_PROVIDER_ERROR, 403, ACCOUNT_DENIED },
        { ERROR_GATEWAY, 200, ACCOUNT_ODD },
        { ERROR_ANSWER_INVALID, 302, ACCOUNT_ODD },
        { ERROR_GATEWAY, 404, ACCOUNT_ODD },
        { ERROR_TIMEOUT, 0, ACCOUNT_SILENCE },
        { ERROR_TRANSFER, 0, ACCOUNT_SILENCE },
        { ERROR_FETCHER, 0, ACCOUNT_SILENCE },
        { ERROR_ACCOUNT, 403, ACCOUNT_REJECTED },
        { ERROR_OTP_REQUIRED, 403, ACCOUNT_ALONE },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(answered(password, rows[i].code, rows[i].status), rows[i].end);
        teardown(state);
        setup(state);
    }
}

static enum account_end answered_with_otp(enum error_code code, unsigned status)
{
    struct permit p = with(password);
    const struct error why = { code, "no" };
    enum permit_part part;
    uint64_t when;

    p.with_otp = true;
    assert_int_equal(permit_ask(&p, &anna, true, false, time_boottime(), &part, &when), ACCOUNT_GO);
    return permit_end(&p, &anna,
                      &(struct permit_outcome){ .why = code == ERROR_NONE ? NULL : &why,
                                                .by_password = true,
                                                .sent_grant = true,
                                                .with_otp = true,
                                                .passed_proxy = true,
                                                .http_status = status });
}

/* Neither held against it nor for it. */
static void with_a_one_time_password_an_answer_says_nothing_of_the_password(void **state)
{
    static const enum error_code codes[] = { ERROR_OTP_REFUSED,      ERROR_REFUSED, ERROR_ACCOUNT,
                                             ERROR_REFUSED_SILENTLY, ERROR_GATEWAY, ERROR_NONE };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        for (int n = 0; n < 4; n++)
            assert_int_equal(answered_with_otp(codes[i], 403), ACCOUNT_UNKNOWN);
        assert_true(goes());
        struct permit p = with(password);
        assert_false(
            account_accepts(permit_account(&p, PERMIT_USER), p.parts[PERMIT_USER].what.password));
        teardown(state);
        setup(state);
    }
}

/* A code that is typed at once behind a wrong one is another login. */
static void a_new_code_goes_where_a_word_has_just_been_heard(void **state)
{
    (void)state;
    answered(password, ERROR_OTP_REQUIRED, 403);
    assert_true(is_refused_by(PERMIT_USER));
    assert_int_equal(answered_with_otp(ERROR_OTP_REFUSED, 403), ACCOUNT_UNKNOWN);
    assert_int_equal(answered_with_otp(ERROR_NONE, 200), ACCOUNT_UNKNOWN);
    assert_true(is_refused_by(PERMIT_USER)); /* alone it is none that was taken */
}

/* What the client may not use is the grant of codes, and not that of passwords. */
static void a_grant_of_codes_that_is_not_allowed_stops_nobody_else(void **state)
{
    (void)state;
    answered_with_otp(ERROR_GRANT_REFUSED, 403);
    assert_true(goes());
}

/* Each of them takes from the bucket. */
static void logins_with_codes_are_counted(void **state)
{
    struct permit p = with(password);
    enum permit_part part;
    uint64_t when;

    (void)state;
    for (int i = 0; i < ACCOUNT_BURST; i++)
        answered_with_otp(ERROR_OTP_REFUSED, 403);
    p.with_otp = true;
    assert_int_equal(permit_ask(&p, &anna, true, false, time_boottime(), &part, &when),
                     ACCOUNT_EMPTY);
}

static void what_was_not_sent_says_nothing(void **state)
{
    struct permit p = with(password);
    enum permit_part part;
    const struct error why = { ERROR_CONNECT, "" };

    (void)state;
    assert_int_equal(ask(&p, &anna, &part), ACCOUNT_GO);
    assert_int_equal(
        permit_end(&p, &anna, &(struct permit_outcome){ .why = &why, .by_password = true }),
        ACCOUNT_NOT_SENT);
    assert_true(goes());
}

static void a_refresh_token_is_nothing_to_the_user(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(answered(NULL, ERROR_REFUSED, 400), ACCOUNT_NOT_SENT);
    assert_true(goes());
}

static void logins_of_one_user_go_one_after_the_other(void **state)
{
    struct permit one = with(password), other = with(password), refresh = with(NULL);
    enum permit_part part;

    (void)state;
    assert_int_equal(ask(&one, &anna, &part), ACCOUNT_GO);
    assert_int_equal(ask(&other, &berta, &part), ACCOUNT_BUSY);
    assert_int_equal(part, PERMIT_USER);
    assert_int_equal(ask(&refresh, &berta, &part), ACCOUNT_GO);
    permit_end(&one, &anna, &(struct permit_outcome){ .by_password = true, .sent_grant = true });
    assert_int_equal(ask(&other, &berta, &part), ACCOUNT_GO);
}

/* ---- the proxy ------------------------------------------------------------------------------- */

static void a_proxys_user_is_refused_until_it_changes(void **state)
{
    enum permit_part part;

    (void)state;
    config.proxy = proxy;
    assert_int_equal(answered(password, ERROR_PROXY_REFUSED, 0), ACCOUNT_NOT_SENT);
    assert_true(is_refused_by(PERMIT_PROXY));
    assert_int_equal(verdict_of(NULL, &part), ACCOUNT_REFUSED);
    set(&password, "new");
    assert_true(is_refused_by(PERMIT_PROXY));
    config.proxy = other_proxy;
    assert_true(goes());
    config.proxy = none;
    assert_true(goes());
}

static void one_that_was_let_through_is_doubted_first(void **state)
{
    enum permit_part part;

    (void)state;
    config.proxy = proxy;
    answered(password, ERROR_PROVIDER_FAULT, 503);
    answered(password, ERROR_PROXY_REFUSED, 0);
    assert_int_equal(verdict_of(password, &part), ACCOUNT_DOUBTED);
    assert_int_equal(part, PERMIT_PROXY);
}

/* Twenty profiles do not try a wrong one at once; nor does the first of them keep it for ever. */
static void one_tries_a_proxys_user(void **state)
{
    struct permit one, other;
    enum permit_part part;
    const struct error why = { ERROR_DNS, "" };

    (void)state;
    config.proxy = proxy;
    one = with(NULL), other = with(NULL);
    assert_int_equal(ask(&one, &anna, &part), ACCOUNT_GO);
    assert_int_equal(ask(&other, &berta, &part), ACCOUNT_BUSY);
    assert_int_equal(part, PERMIT_PROXY);
    permit_end(&one, &anna, &(struct permit_outcome){ .why = &why });
    assert_int_equal(ask(&other, &berta, &part), ACCOUNT_GO);
}

/* Who is stopped by a later account does not hold the proxy's. */
static void who_may_not_go_holds_nothing(void **state)
{
    struct permit one, other;
    enum permit_part part;

    (void)state;
    config.proxy = proxy;
    answered(password, ERROR_CLIENT_REFUSED, 401);
    struct permit p = with(password);
    *permit_account(&p, PERMIT_PROXY) = (struct account){ 0 }; /* not taken yet */
    one = with(password);
    assert_int_equal(ask(&one, &anna, &part), ACCOUNT_REFUSED);
    assert_int_equal(part, PERMIT_CLIENT);
    config.client_id = other_client;
    other = with(password);
    assert_int_equal(ask(&other, &berta, &part), ACCOUNT_GO);
}

static void the_proxy_of_the_environment_counts_too(void **state)
{
    static const struct {
        const char *variable, *value;
        bool has_user;
    } rows[] = {
        { "https_proxy", "http://u:pw@proxy:3128", true },
        { "HTTPS_PROXY", "u:p%40w@proxy", true },
        { "all_proxy", "http://proxy:3128/?a@b", false },
        { "ALL_PROXY", "http://u:a@b@proxy", true },
        { "http_proxy", "http://u:pw@proxy", false }, /* of http:// alone, which no proxy sees */
        { "no_proxy", "u@proxy", false },
    };

    (void)state;
    config.proxy = automatic;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv(rows[i].variable, rows[i].value, 1);
        assert_int_equal(with(NULL).parts[PERMIT_PROXY].id != 0, rows[i].has_user);
        unsetenv(rows[i].variable);
    }
}

/* ---- an exchange ----------------------------------------------------------------------------- */

static struct profile_config exchanging(void)
{
    struct profile_config c = config;

    c.grant = GRANT_EXCHANGE;
    c.username = NULL;
    return c;
}

static struct permit of_exchange(void)
{
    const struct profile_config c = exchanging();
    struct permit p;

    permit_open(&p, accounts, &c, client_secret, NULL);
    permit_join(&p, &config);
    return p;
}

static enum account_verdict exchange(enum error_code code, bool sent)
{
    struct permit p = of_exchange();
    const struct error why = { code, "no" };
    enum permit_part part;
    enum account_verdict verdict = ask(&p, &berta, &part);

    permit_end(&p, &berta,
               &(struct permit_outcome){ .why = code == ERROR_NONE ? NULL : &why,
                                         .by_exchange = true,
                                         .sent_grant = sent,
                                         .passed_proxy = sent,
                                         .http_status = 400 });
    return verdict;
}

static void an_exchange_takes_from_the_bucket_of_the_sources_account(void **state)
{
    (void)state;
    for (int i = 0; i < ACCOUNT_BURST; i++)
        assert_int_equal(exchange(ERROR_NONE, true), ACCOUNT_GO);
    assert_int_equal(exchange(ERROR_NONE, true), ACCOUNT_EMPTY);
    enum permit_part part;
    assert_int_equal(verdict_of(password, &part), ACCOUNT_EMPTY);
}

static void an_exchange_that_was_not_sent_gives_it_back(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * ACCOUNT_BURST; i++)
        assert_int_equal(exchange(ERROR_DNS, false), ACCOUNT_GO);
}

static void an_exchange_waits_for_no_login_and_no_login_for_it(void **state)
{
    struct permit login = with(password), p = of_exchange();
    enum permit_part part;

    (void)state;
    assert_int_equal(ask(&login, &anna, &part), ACCOUNT_GO);
    assert_int_equal(ask(&p, &berta, &part), ACCOUNT_GO);
}

static void a_refused_exchange_is_nothing_to_the_login(void **state)
{
    static const enum error_code codes[] = { ERROR_SUBJECT_REFUSED, ERROR_EXCHANGE_REFUSED,
                                             ERROR_CLIENT_REFUSED };

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        teardown(NULL);
        setup(NULL);
        exchange(codes[i], true);
        if (!goes())
            fail_msg("%s stops the password", error_name(codes[i]));
    }
    assert_int_equal(exchange(ERROR_NONE, true), ACCOUNT_REFUSED); /* its client may not */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_account_is_one_whatever_the_case_of_its_user),
        TEST(an_account_is_made_once),
        TEST(nothing_is_kept_of_a_client_that_was_never_refused),
        TEST(a_refused_password_is_that_of_its_realm),
        TEST(a_refusal_of_the_password_outlives_another_client),
        TEST(a_refusal_of_the_client_ends_with_its_secret_its_id_or_its_method),
        TEST(a_refused_client_refreshes_no_token_either),
        TEST(a_client_that_may_not_use_a_grant_may_use_another),
        TEST(what_may_be_either_ends_with_either),
        TEST(a_client_that_was_let_in_is_refused_no_more),
        TEST(a_client_that_was_let_in_is_refused_at_once),
        TEST(each_answer_says_so_much_of_the_password),
        TEST(with_a_one_time_password_an_answer_says_nothing_of_the_password),
        TEST(a_new_code_goes_where_a_word_has_just_been_heard),
        TEST(a_grant_of_codes_that_is_not_allowed_stops_nobody_else),
        TEST(logins_with_codes_are_counted),
        TEST(what_was_not_sent_says_nothing),
        TEST(a_refresh_token_is_nothing_to_the_user),
        TEST(logins_of_one_user_go_one_after_the_other),
        TEST(a_proxys_user_is_refused_until_it_changes),
        TEST(one_that_was_let_through_is_doubted_first),
        TEST(one_tries_a_proxys_user),
        TEST(who_may_not_go_holds_nothing),
        TEST(the_proxy_of_the_environment_counts_too),
        TEST(an_exchange_takes_from_the_bucket_of_the_sources_account),
        TEST(an_exchange_that_was_not_sent_gives_it_back),
        TEST(an_exchange_waits_for_no_login_and_no_login_for_it),
        TEST(a_refused_exchange_is_nothing_to_the_login),
    };

    unsetenv("https_proxy"), unsetenv("HTTPS_PROXY"), unsetenv("all_proxy"), unsetenv("ALL_PROXY");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
