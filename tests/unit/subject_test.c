/* The token of another profile for which a profile's own is got. That other one is a stand-in,
 * linked in the place of the daemon's own, and so is the clock. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/profile.h"
#include "daemon/subject.h"

static const uint64_t second = USEC_PER_SEC, minute = 60 * USEC_PER_SEC;

/* ---- the stand-ins --------------------------------------------------------------------------- */

struct profile {
    struct profile_config config;
    const struct secret *token, *access_token;
    struct facts facts;
    enum profile_trouble trouble;
    struct error error;
    uint64_t next;
    enum profile_verdict verdict; /* of the next one that wants a token, */
    struct error why;             /* and with PROFILE_ERROR */
    struct waiter *waiter;        /* the one that wanted it last, and what it wanted: */
    struct waiter wanted;
    unsigned n_wanted, n_forgotten;
};

static uint64_t now;
static struct context shared;
static struct profile source;
static bool is_gone;
static const struct profile_config *joined;

__typeof__(time_boottime) __wrap_time_boottime;
__typeof__(permit_join) __wrap_permit_join;
__typeof__(profile_access_token) __wrap_profile_access_token;
__typeof__(profile_config) __wrap_profile_config;
__typeof__(profile_error) __wrap_profile_error;
__typeof__(profile_facts) __wrap_profile_facts;
__typeof__(profile_forget) __wrap_profile_forget;
__typeof__(profile_look) __wrap_profile_look;
__typeof__(profile_named) __wrap_profile_named;
__typeof__(profile_token) __wrap_profile_token;
__typeof__(profile_trouble) __wrap_profile_trouble;
__typeof__(profile_want) __wrap_profile_want;
__typeof__(profile_words) __wrap_profile_words;

uint64_t __wrap_time_boottime(void)
{
    return now;
}

void __wrap_permit_join(struct permit *permit, const struct profile_config *config)
{
    assert_non_null(permit);
    joined = config;
}

struct profile *__wrap_profile_named(const struct context *context, const char *name)
{
    assert_ptr_equal(context, &shared);
    assert_string_equal(name, "corp");
    return is_gone ? NULL : &source;
}

const struct profile_config *__wrap_profile_config(const struct profile *p)
{
    return &p->config;
}

const struct secret *__wrap_profile_token(const struct profile *p, uint64_t when)
{
    assert_int_equal(when, now);
    return p->token;
}

const struct secret *__wrap_profile_access_token(const struct profile *p, uint64_t when)
{
    assert_int_equal(when, now);
    return p->access_token;
}

const struct facts *__wrap_profile_facts(const struct profile *p)
{
    return &p->facts;
}

const struct error *__wrap_profile_error(const struct profile *p)
{
    return &p->error;
}

enum profile_trouble __wrap_profile_trouble(const struct profile *p)
{
    return p->trouble;
}

struct profile_look __wrap_profile_look(const struct profile *p, uint64_t when)
{
    assert_int_equal(when, now);
    return (struct profile_look){ .next = p->next };
}

void __wrap_profile_words(const struct profile *p, uint64_t when, char *out, size_t size)
{
    (void)p;
    assert_int_equal(when, now);
    snprintf(out, size, "resolving login.example.com");
}

enum profile_verdict __wrap_profile_want(struct profile *p, struct waiter *w, uint64_t when,
                                         struct error *why)
{
    assert_ptr_equal(p, &source);
    assert_int_equal(when, now);
    p->wanted = *w;
    p->n_wanted++;
    p->waiter = w;
    if (p->verdict == PROFILE_QUEUED)
        w->profile = p;
    else if (p->verdict == PROFILE_ERROR)
        *why = p->why;
    return p->verdict;
}

void __wrap_profile_forget(struct waiter *w)
{
    if (w->profile) {
        assert_ptr_equal(w, source.waiter);
        source.n_forgotten++;
    }
    w->profile = NULL;
}

/* ---- the tests' own -------------------------------------------------------------------------- */

static char name[] = "team", from[] = "corp", access_token[] = "access_token", jwt[] = "jwt";
static struct profile_config config;
static struct subject *subject;
static struct secret *first, *second_one, *access_one;
static struct attempt_end lack;
static unsigned ready;

static void on_ready(void *context)
{
    assert_ptr_equal(context, &now);
    assert_null(source.waiter->profile);
    ready++;
}

static void open_subject(char *type)
{
    config = (struct profile_config){
        .name = name, .grant = GRANT_EXCHANGE, .from = from, .subject_token_type = type
    };
    subject_free(subject);
    subject = subject_new(&shared, &config, 0, on_ready, &now);
    assert_non_null(subject);
}

static int setup(void **state)
{
    (void)state;
    now = 1000 * second;
    is_gone = false;
    joined = NULL;
    ready = 0;
    source = (struct profile){ .config = { .name = from }, .trouble = PROFILE_WELL };
    lack = (struct attempt_end){ .kind = LIFECYCLE_STALE };
    first = secret_copy("first", 5);
    second_one = secret_copy("second", 6);
    access_one = secret_copy("access", 6);
    open_subject(NULL);
    return first && second_one && access_one ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    subject = subject_free(subject);
    first = secret_free(first);
    second_one = secret_free(second_one);
    access_one = secret_free(access_one);
    return 0;
}

static void has(const struct secret *token, uint64_t sent)
{
    source.token = token;
    source.facts.sent = token ? sent : source.facts.sent;
    source.facts.lifetime = 10 * minute;
}

static enum subject_verdict ask(void)
{
    return subject_ask(subject, now + minute, &lack);
}

/* What it waits for has come; why: NULL with a token. */
static void answer(const struct error *why)
{
    struct waiter *w = source.waiter;

    assert_ptr_equal(w->profile, &source);
    w->profile = NULL;
    w->ready(w, &source, why);
}

static void queue(void)
{
    source.verdict = PROFILE_QUEUED;
    assert_int_equal(ask(), SUBJECT_AWAITED);
}

static void assert_lack(enum lifecycle_failure kind, enum error_code code, const char *detail,
                        uint64_t retry_after)
{
    assert_int_equal(lack.kind, kind);
    assert_int_equal(lack.error.code, code);
    assert_string_equal(lack.error.detail, detail);
    assert_int_equal(lack.retry_after, retry_after);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void a_token_in_hand_is_served_at_once(void **state)
{
    (void)state;
    has(first, now - second);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_ptr_equal(subject_token(subject), first);
    assert_int_equal(source.n_wanted, 1);
    assert_false(source.wanted.renew);
    assert_int_equal(ready, 0);
}

static void it_is_asked_for_as_a_client_asks(void **state)
{
    (void)state;
    assert_int_equal(subject_ask(subject, now + 7 * second, &lack), SUBJECT_LACKING);
    assert_int_equal(source.wanted.request.verb, VERB_GET);
    assert_true(source.wanted.inside);
    assert_false(source.wanted.renew);
    assert_int_equal(source.wanted.deadline, now + 7 * second);
    assert_null(source.wanted.secret);
}

static void one_that_is_waited_for_is_asked_for_once(void **state)
{
    (void)state;
    queue();
    assert_int_equal(ask(), SUBJECT_AWAITED);
    assert_null(subject_token(subject));
    assert_int_equal(source.n_wanted, 1);
    assert_int_equal(ready, 0);
    has(first, now);
    answer(NULL);
    assert_int_equal(ready, 1);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_ptr_equal(subject_token(subject), first);
    assert_int_equal(source.n_wanted, 1);
}

static void an_answer_counts_once(void **state)
{
    (void)state;
    queue();
    has(first, now);
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_HERE);
    has(NULL, 0); /* it died before it was sent */
    assert_null(subject_token(subject));
    assert_int_equal(ask(), SUBJECT_AWAITED);
    assert_int_equal(source.n_wanted, 2);
    assert_false(source.wanted.renew);
}

static void a_token_is_to_live_a_quarter_of_its_life_or_a_minute(void **state)
{
    static const struct {
        uint64_t lifetime, min_validity;
    } rows[] = { { 0, 0 },    { 4, 1 },    { 40, 10 },   { 236, 59 },
                 { 240, 60 }, { 244, 60 }, { 3600, 60 }, { 31 * 24 * 3600, 60 } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        has(first, now);
        source.facts.lifetime = rows[i].lifetime * second;
        assert_int_equal(ask(), SUBJECT_HERE);
        assert_int_equal(source.wanted.request.min_validity, rows[i].min_validity * second);
    }
}

static void what_is_freed_waits_no_more(void **state)
{
    (void)state;
    queue();
    subject = subject_free(subject);
    assert_int_equal(source.n_forgotten, 1);
    assert_null(subject_free(NULL));
    open_subject(NULL);
    subject = subject_free(subject); /* it has not waited at all */
    assert_int_equal(source.n_forgotten, 1);
}

/* ---- which of its tokens --------------------------------------------------------------------- */

static void which_token_is_sent_the_configuration_says(void **state)
{
    static char id_token[] = "id_token";
    static const struct {
        char *type;
        bool access;
    } rows[] = { { NULL, false }, { id_token, false }, { jwt, false }, { access_token, true } };

    (void)state;
    has(first, now);
    source.access_token = access_one;
    for (size_t i = 0; i < COUNT(rows); i++) {
        open_subject(rows[i].type);
        assert_int_equal(ask(), SUBJECT_HERE);
        assert_ptr_equal(subject_token(subject), rows[i].access ? access_one : first);
    }
}

/* The one in hand came when nobody had a use for it, or it lives shorter than the id_token. */
static void without_an_access_token_a_new_one_is_wanted(void **state)
{
    (void)state;
    open_subject(access_token);
    has(first, now - second);
    queue();
    assert_true(source.wanted.renew);
    assert_null(subject_token(subject));
    has(second_one, now);
    source.access_token = access_one;
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_ptr_equal(subject_token(subject), access_one);
}

static void an_access_token_goes_with_its_id_token(void **state)
{
    (void)state;
    open_subject(access_token);
    has(first, now - minute);
    source.access_token = access_one;
    assert_ptr_equal(subject_token(subject), access_one);
    has(NULL, 0);
    assert_null(subject_token(subject));
    queue();
    assert_false(source.wanted.renew);
}

static void that_there_is_no_access_token_is_said(void **state)
{
    (void)state;
    open_subject(access_token);
    queue();
    has(first, now);
    source.next = now + 30 * second;
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_lack(LIFECYCLE_DEFERRED, ERROR_EXCHANGE_TYPE,
                "corp brought no access_token to be exchanged", 31 * second);
}

/* ---- one that was refused -------------------------------------------------------------------- */

static void for_one_that_was_refused_another_is_wanted(void **state)
{
    (void)state;
    has(first, now - minute);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_int_equal(subject_renew(subject), now - minute);
    assert_null(subject_token(subject));
    queue();
    assert_true(source.wanted.renew);
    now += second;
    has(second_one, now);
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_ptr_equal(subject_token(subject), second_one);
}

static void one_that_had_been_got_for_this_is_not_replaced(void **state)
{
    (void)state;
    queue();
    has(first, now);
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_int_equal(subject_renew(subject), 0);
    assert_ptr_equal(subject_token(subject), first);
}

/* It died in the queue, and meanwhile somebody else had another one fetched. */
static void one_that_was_there_by_then_had_not_been_got_for_this(void **state)
{
    (void)state;
    queue();
    has(first, now);
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_HERE);
    has(second_one, now + second);
    source.verdict = PROFILE_TOKEN;
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_true(subject_renew(subject) > 0);
}

static void without_one_there_is_nothing_to_replace(void **state)
{
    (void)state;
    assert_int_equal(subject_renew(subject), 0);
    has(first, now);
    assert_int_equal(ask(), SUBJECT_HERE);
    has(NULL, 0);
    assert_int_equal(subject_renew(subject), 0);
    is_gone = true;
    assert_int_equal(subject_renew(subject), 0);
}

/* What came of the other one had to wait, and is another attempt's. */
static void what_was_refused_in_the_attempt_before_is_not_sent_in_this_one(void **state)
{
    (void)state;
    subject_free(subject);
    subject = subject_new(&shared, &config, now - minute, on_ready, &now);
    assert_non_null(subject);
    has(first, now - minute);
    assert_null(subject_token(subject));
    queue();
    assert_true(source.wanted.renew);
    has(second_one, now);
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_ptr_equal(subject_token(subject), second_one);
}

static void the_one_that_was_refused_is_not_sent_again(void **state)
{
    (void)state;
    has(first, now - minute);
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_true(subject_renew(subject) > 0);
    assert_int_equal(subject_renew(subject), 0);
    source.verdict = PROFILE_TOKEN; /* no new one is fetched for it */
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_lack(LIFECYCLE_DEFERRED, ERROR_TIMEOUT, "corp, from which its tokens come", minute);
    queue();
    answer(NULL);
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_null(subject_token(subject));
}

/* ---- why there is none ----------------------------------------------------------------------- */

static void that_a_login_is_needed_is_said(void **state)
{
    static const struct {
        const char *said, *detail;
    } rows[] = { { "", "kubetoken login corp" },
                 { "it was logged out", "kubetoken login corp (it was logged out)" },
                 { "the session is over.", "kubetoken login corp (the session is over)" } };

    (void)state;
    source.trouble = PROFILE_LOGIN_NEEDED;
    source.verdict = PROFILE_ERROR;
    for (size_t i = 0; i < COUNT(rows); i++) {
        error_set(&source.error, ERROR_LOGIN_NEEDED, "%s", rows[i].said);
        source.why = source.error;
        assert_int_equal(ask(), SUBJECT_LACKING);
        assert_lack(LIFECYCLE_NO_LOGIN, ERROR_SOURCE_LOGIN, rows[i].detail, 0);
    }
}

static void that_it_was_refused_is_said(void **state)
{
    char expected[256];

    (void)state;
    source.trouble = PROFILE_REFUSED;
    queue();
    error_set(&source.error, ERROR_REFUSED, "invalid_grant");
    answer(&source.error);
    assert_int_equal(ask(), SUBJECT_LACKING);
    snprintf(expected, sizeof expected, "corp: %s: invalid_grant", error_sentence(ERROR_REFUSED));
    assert_lack(LIFECYCLE_REFUSED, ERROR_SOURCE_REFUSED, expected, 0);
    source.verdict = PROFILE_ERROR;
    source.error = source.why = (struct error){ ERROR_ACCOUNT, "" };
    assert_int_equal(ask(), SUBJECT_LACKING);
    snprintf(expected, sizeof expected, "corp: %s", error_sentence(ERROR_ACCOUNT));
    assert_lack(LIFECYCLE_REFUSED, ERROR_SOURCE_REFUSED, expected, 0);
}

/* What comes of that try wakes it sooner. */
static void one_that_waits_is_asked_a_second_behind_its_next_try(void **state)
{
    (void)state;
    source.trouble = PROFILE_WAITS;
    source.next = now + 40 * second;
    queue();
    now += 10 * second;
    answer(&(struct error){ ERROR_CONNECT, "refused" });
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_lack(LIFECYCLE_DEFERRED, ERROR_CONNECT, "corp, from which its tokens come: refused",
                31 * second);
}

static void one_that_has_no_try_in_mind_is_asked_in_a_minute(void **state)
{
    const uint64_t nexts[] = { 0, now - second, now };
    static const enum profile_trouble troubles[] = { PROFILE_WAITS, PROFILE_WELL };

    (void)state;
    source.verdict = PROFILE_ERROR;
    error_set(&source.why, ERROR_DNS, "%s", "");
    for (size_t i = 0; i < COUNT(nexts) * COUNT(troubles); i++) {
        source.next = nexts[i / COUNT(troubles)];
        source.trouble = troubles[i % COUNT(troubles)];
        assert_int_equal(ask(), SUBJECT_LACKING);
        assert_lack(LIFECYCLE_DEFERRED, ERROR_DNS, "corp, from which its tokens come", minute);
    }
    source.next = now + 1;
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_int_equal(lack.retry_after, second + 1);
}

/* Who was served with one that was refused before was told nothing. */
static void what_it_was_not_told_the_other_profile_knows(void **state)
{
    (void)state;
    source.trouble = PROFILE_WAITS;
    error_set(&source.error, ERROR_TLS, "certificate has expired");
    source.verdict = PROFILE_TOKEN;
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_lack(LIFECYCLE_DEFERRED, ERROR_TLS,
                "corp, from which its tokens come: certificate has expired", minute);
    source.verdict = PROFILE_ERROR; /* what it was told goes before that */
    error_set(&source.why, ERROR_TIMEOUT, "still connecting");
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_lack(LIFECYCLE_DEFERRED, ERROR_TIMEOUT,
                "corp, from which its tokens come: still connecting", minute);
    source.verdict = PROFILE_TOKEN; /* and is forgotten when it is asked again */
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_int_equal(lack.error.code, ERROR_TLS);
}

static void an_end_that_nobody_explains_is_one_of_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        queue();
        answer(NULL);
        assert_int_equal(ask(), SUBJECT_LACKING);
        assert_lack(LIFECYCLE_DEFERRED, ERROR_TIMEOUT, "corp, from which its tokens come", minute);
        open_subject(access_token); /* and no token brought none of the other kind */
    }
}

/* The token came in spite of what is wrong. */
static void a_token_in_hand_needs_no_reason(void **state)
{
    (void)state;
    source.trouble = PROFILE_REFUSED;
    queue();
    has(first, now);
    answer(&(struct error){ ERROR_REFUSED, "" });
    assert_int_equal(ask(), SUBJECT_HERE);
    assert_int_equal(lack.kind, LIFECYCLE_STALE);
}

static void that_there_is_no_such_profile_is_said(void **state)
{
    struct permit permit = { .accounts = NULL };

    (void)state;
    has(first, now);
    is_gone = true;
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_lack(LIFECYCLE_LOCAL, ERROR_CONFIG, "from = corp: there is no such profile", 0);
    assert_null(subject_token(subject));
    subject_join(subject, &permit);
    assert_null(joined);
    assert_int_equal(source.n_wanted, 0);
}

static void one_that_goes_while_it_is_waited_for_is_gone(void **state)
{
    (void)state;
    queue();
    is_gone = true;
    answer(&(struct error){ ERROR_NO_PROFILE, "corp is no longer configured" });
    assert_int_equal(ready, 1);
    assert_int_equal(ask(), SUBJECT_LACKING);
    assert_lack(LIFECYCLE_LOCAL, ERROR_CONFIG, "from = corp: there is no such profile", 0);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void the_request_counts_for_the_other_ones_account(void **state)
{
    struct permit permit = { .accounts = NULL };

    (void)state;
    subject_join(subject, &permit);
    assert_ptr_equal(joined, &source.config);
}

static void what_it_waits_for_is_said(void **state)
{
    char words[256];

    (void)state;
    subject_words(subject, words, sizeof words);
    assert_string_equal(words, "waiting for a token of corp, from which its own come, which is "
                               "resolving login.example.com");
    is_gone = true;
    subject_words(subject, words, sizeof words);
    assert_string_equal(words,
                        "waiting for a token of corp, from which its own come, which is gone");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_in_hand_is_served_at_once),
        TEST(it_is_asked_for_as_a_client_asks),
        TEST(one_that_is_waited_for_is_asked_for_once),
        TEST(an_answer_counts_once),
        TEST(a_token_is_to_live_a_quarter_of_its_life_or_a_minute),
        TEST(what_is_freed_waits_no_more),
        TEST(which_token_is_sent_the_configuration_says),
        TEST(without_an_access_token_a_new_one_is_wanted),
        TEST(an_access_token_goes_with_its_id_token),
        TEST(that_there_is_no_access_token_is_said),
        TEST(for_one_that_was_refused_another_is_wanted),
        TEST(one_that_had_been_got_for_this_is_not_replaced),
        TEST(one_that_was_there_by_then_had_not_been_got_for_this),
        TEST(without_one_there_is_nothing_to_replace),
        TEST(what_was_refused_in_the_attempt_before_is_not_sent_in_this_one),
        TEST(the_one_that_was_refused_is_not_sent_again),
        TEST(that_a_login_is_needed_is_said),
        TEST(that_it_was_refused_is_said),
        TEST(one_that_waits_is_asked_a_second_behind_its_next_try),
        TEST(one_that_has_no_try_in_mind_is_asked_in_a_minute),
        TEST(what_it_was_not_told_the_other_profile_knows),
        TEST(an_end_that_nobody_explains_is_one_of_time),
        TEST(a_token_in_hand_needs_no_reason),
        TEST(that_there_is_no_such_profile_is_said),
        TEST(one_that_goes_while_it_is_waited_for_is_gone),
        TEST(the_request_counts_for_the_other_ones_account),
        TEST(what_it_waits_for_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
