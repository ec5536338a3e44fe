/* Thousands of profiles: each is found, also after the configuration has changed, and they are
 * small. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/profiles.h"

enum { MANY = 5000, SMALL = 4096 };

static struct context shared;
static struct profiles *profiles;
static char path[128];
static const char *paths[] = { path };

/* [profile c-FIRST] and so on, each step-th. */
static void configure(unsigned first, unsigned end, unsigned step)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    fputs("[defaults]\nissuer = https://login.example.com/realms/one\nclient-id = kubernetes\n"
          "ca-file = /etc/ssl/certs/example.pem\npassword-file = /home/somebody/.password\n",
          f);
    for (unsigned i = first; i < end; i += step)
        fprintf(f, "[profile c-%u]\nusername = user-%u\n", i, i % 200);
    fclose(f);
    snprintf(path, sizeof path, "%s", write_file("conf", text, 0600));
    free(text);
    assert_true(profiles_reload(profiles));
}

static int setup(void **state)
{
    if (folder_setup(state) < 0)
        return -1;
    shared = (struct context){ .fetcher.fd = -1,
                               .program = -1,
                               .accounts = account_table_new(NULL) };
    fetch_queue_init(&shared.fetch_queue);
    TAILQ_INIT(&shared.turns);
    if (!shared.accounts || sd_event_new(&shared.event) < 0)
        return -1;
    profiles = profiles_new(&shared, paths, 1);
    return profiles ? 0 : -1;
}

static int teardown(void **state)
{
    profiles_free(profiles);
    sd_event_unref(shared.event);
    account_table_free(shared.accounts);
    return folder_teardown(state);
}

static struct profile *find(unsigned i)
{
    char name[32];
    struct error why;

    snprintf(name, sizeof name, "c-%u", i);
    struct profile *p = profiles_find(profiles, name, &why);
    if (p)
        assert_string_equal(profile_config(p)->name, name);
    else
        assert_int_equal(why.code, ERROR_NO_PROFILE);
    return p;
}

static void each_of_thousands_is_found(void **state)
{
    (void)state;
    configure(0, MANY, 1);
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(find(i));
    assert_null(find(MANY));
}

static void who_stays_is_the_same_and_who_goes_is_gone(void **state)
{
    struct profile *stays, *odd;

    (void)state;
    configure(0, 1000, 1);
    stays = find(500);
    odd = find(501);
    assert_non_null(odd);
    configure(0, 2000, 2);
    assert_ptr_equal(find(500), stays);
    assert_null(find(501));
    assert_non_null(find(1998));
    for (unsigned i = 0; i < 2000; i += 2)
        assert_non_null(find(i));
    configure(501, 502, 1);
    assert_null(find(500));
    assert_non_null(find(501));
}

static void a_profile_without_a_token_is_small(void **state)
{
    size_t one, all;

    (void)state;
    configure(0, 1, 1);
    one = heap_in_use();
    if (one == 0)
        skip();
    configure(0, MANY, 1);
    all = heap_in_use();
    assert_in_range((all - one) / (MANY - 1), 0, SMALL);
}

/* Another takes up what the first one wrote down, which had no time to end. */
static void a_login_that_is_needed_is_told_after_a_crash_too(void **state)
{
    const char text[] = "[profile c-0]\nissuer = https://login.example.com/realms/one\n"
                        "client-id = kubernetes\ngrant = refresh-token\n"
                        "keep-over-restart = all\n";

    (void)state;
    shared.store = store_new(NULL, 0);
    assert_non_null(shared.store);
    snprintf(path, sizeof path, "%s", write_file("conf", text, 0600));
    assert_true(profiles_reload(profiles));
    const struct profile *first = find(0);
    assert_non_null(first);
    assert_int_equal(profile_error(first)->code, ERROR_NOT_LOGGED_IN);
    struct profile *second = profile_new(&shared, profile_config(first));
    assert_non_null(second);
    assert_int_equal(profile_trouble(second), PROFILE_LOGIN_NEEDED);
    assert_int_equal(profile_error(second)->code, ERROR_NOT_LOGGED_IN);
    assert_string_equal(profile_error(second)->detail, "kubetoken login c-0");
    profile_free(second);
    profiles = profiles_free(profiles);
    shared.store = store_free(shared.store);
}

/* ---- a profile whose user somebody typed ----------------------------------------------------- */

static enum error_code told;

static void on_ready(struct waiter *waiter, struct profile *profile, const struct error *why)
{
    (void)waiter, (void)profile;
    told = why ? why->code : ERROR_NONE;
}

static void configure_with(const char *user_of_the_other, bool both)
{
    char text[512];

    snprintf(text, sizeof text,
             "%s[profile other]\nissuer = https://login.example.com\nclient-id = c\n"
             "username = %s\n",
             both ? "[profile typed]\nissuer = https://login.example.com\nclient-id = c\n" : "",
             user_of_the_other);
    snprintf(path, sizeof path, "%s", write_file("conf", text, 0600));
    assert_true(profiles_reload(profiles));
}

/* What is under way names the configuration that has the user in it; and so, once, did what was
 * over, after a reload. */
static void a_profile_with_a_typed_user_goes(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        struct waiter w = { .request = { .verb = VERB_LOGIN, .username = 4 },
                            .secret = secret_copy("annahunter2", 11),
                            .deadline = time_boottime() + 3600 * USEC_PER_SEC,
                            .ready = on_ready };
        struct error why;
        configure_with("bert", true);
        struct profile *p = profiles_find(profiles, "typed", &why);
        assert_non_null(p);
        assert_int_equal(profile_want(p, &w, time_boottime(), &why), PROFILE_QUEUED);
        assert_string_equal(profile_config(p)->username, "anna");
        while (over && w.profile)
            assert_true(sd_event_run(shared.event, UINT64_MAX) >= 0);
        if (over)
            configure_with("carl", true);
        told = ERROR_NONE;
        configure_with("bert", false);
        assert_null(w.profile);
        assert_int_equal(told, over ? ERROR_NONE : ERROR_NO_PROFILE);
        assert_null(profiles_find(profiles, "typed", &why));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_of_thousands_is_found),
        TEST(who_stays_is_the_same_and_who_goes_is_gone),
        TEST(a_profile_without_a_token_is_small),
        TEST(a_login_that_is_needed_is_told_after_a_crash_too),
        TEST(a_profile_with_a_typed_user_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
