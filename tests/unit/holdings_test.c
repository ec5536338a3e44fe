/* Where the secrets of a profile lie: in the store, or in memory of this process alone. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/holdings.h"

static char name[] = "p", issuer[] = "https://a/", openid[] = "openid", groups[] = "openid groups";
static struct profile_config config;
static struct store *store;
static int memory = -1; /* of the store, which outlives it here as it does at systemd */
static struct holdings h;

static const char *const canaries[HOLDINGS] = {
    [HOLDING_TOKEN] = "canary-token",
    [HOLDING_REFRESH_TOKEN] = "canary-refresh-token",
    [HOLDING_PASSWORD] = "canary-password",
};

/* ---- the store ------------------------------------------------------------------------------- */

/* A second descriptor of its memory. */
static int memory_of_store(void)
{
    static const char wanted[] = "/memfd:kubetoken";
    char path[32], link[64] = "";

    for (int fd = 3; fd < 100; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, link, sizeof link) > 0 && strncmp(link, wanted, sizeof wanted - 1) == 0)
            return dup(fd);
    }
    fail_msg("the store has no memory");
    return -1;
}

static bool lies_in_store(const char *text)
{
    struct stat st;

    fstat(memory, &st);
    char *m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, memory, 0);
    assert_true(m != MAP_FAILED);
    bool found = memmem(m, (size_t)st.st_size, text, strlen(text)) != NULL;
    munmap(m, (size_t)st.st_size);
    return found;
}

static int setup(void **state)
{
    (void)state;
    config = (struct profile_config){ .name = name, .issuer = issuer, .scope = openid };
    h = (struct holdings){ .store = NULL };
    store = store_new(NULL, 0);
    memory = store ? memory_of_store() : -1;
    return store ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    holdings_close(&h);
    store = store_free(store);
    close(memory);
    return 0;
}

static void open_with(enum keep_over_restart keep)
{
    config.keep_over_restart = keep;
    holdings_open(&h, store, &config);
}

/* Another life, with that configuration. */
static void restart_with(enum keep_over_restart keep)
{
    int fd = dup(memory);

    holdings_close(&h);
    store_free(store);
    store = store_new(&fd, 1);
    assert_non_null(store);
    open_with(keep);
}

static void configure_with(enum keep_over_restart keep)
{
    config.keep_over_restart = keep;
    holdings_configure(&h, &config, true);
}

static bool take(enum holding which, const char *text, const char *rest)
{
    return holdings_take(&h, which, secret_copy(text, strlen(text)), rest, strlen(rest));
}

static void take_all(void)
{
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_true(take(i, canaries[i], "rest"));
    holdings_note(&h, "canary-note", 11);
}

/* ---- what is where --------------------------------------------------------------------------- */

static void assert_holds_secret(enum holding which, const char *text)
{
    const struct secret *s = holdings_get(&h, which);

    if (!s || strcmp(secret_peek(s), text) != 0)
        fail_msg("%s is not held, but %s", text, s ? secret_peek(s) : "nothing");
}

/* It is there, and there alone. */
static void assert_in_store(enum holding which)
{
    assert_holds_secret(which, canaries[which]);
    assert_true(lies_in_store(canaries[which]));
    assert_non_null(h.each[which].record);
    assert_null(h.each[which].own);
}

static void assert_in_own_memory(enum holding which)
{
    assert_holds_secret(which, canaries[which]);
    assert_false(lies_in_store(canaries[which]));
    assert_non_null(h.each[which].own);
}

static void assert_nowhere(enum holding which)
{
    assert_null(holdings_get(&h, which));
    assert_false(lies_in_store(canaries[which]));
}

static void assert_rest(enum holding which, const char *rest)
{
    size_t length;
    const void *there = holdings_rest(&h, which, &length);

    assert_int_equal(length, strlen(rest));
    if (length > 0)
        assert_memory_equal(there, rest, length);
}

static bool is_noted(void)
{
    size_t length;
    const void *noted = holdings_noted(&h, &length);

    assert_int_equal(length, noted ? 11 : 0);
    assert_int_equal(noted != NULL, lies_in_store("canary-note"));
    return noted && memcmp(noted, "canary-note", 11) == 0;
}

/* ---- the levels ------------------------------------------------------------------------------ */

static void by_default_tokens_and_what_is_known_are_in_the_store(void **state)
{
    (void)state;
    open_with(KEEP_TOKENS);
    take_all();
    assert_in_store(HOLDING_TOKEN);
    assert_in_own_memory(HOLDING_REFRESH_TOKEN);
    assert_in_own_memory(HOLDING_PASSWORD);
    assert_true(is_noted());
}

static void with_all_everything_is(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    take_all();
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_store(i);
    assert_true(is_noted());
}

static void with_nothing_nothing_is(void **state)
{
    (void)state;
    open_with(KEEP_NOTHING);
    take_all();
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_own_memory(i);
    assert_false(is_noted());
}

static void without_a_store_it_holds_all_the_same(void **state)
{
    size_t length;

    (void)state;
    config.keep_over_restart = KEEP_ALL;
    holdings_open(&h, NULL, &config);
    take_all();
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_own_memory(i);
    assert_null(holdings_noted(&h, &length));
    configure_with(KEEP_NOTHING);
    configure_with(KEEP_TOKENS);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_own_memory(i);
    holdings_wipe(&h);
    assert_null(holdings_get(&h, HOLDING_TOKEN));
}

/* ---- over a restart -------------------------------------------------------------------------- */

static void what_is_in_the_store_comes_back_with_what_was_said_of_it(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    take_all();
    restart_with(KEEP_ALL);
    for (unsigned i = 0; i < HOLDINGS; i++) {
        assert_in_store(i);
        assert_rest(i, "rest");
    }
    assert_true(is_noted());
}

static void what_is_in_own_memory_does_not(void **state)
{
    (void)state;
    open_with(KEEP_TOKENS);
    take_all();
    restart_with(KEEP_ALL);
    assert_in_store(HOLDING_TOKEN);
    assert_nowhere(HOLDING_REFRESH_TOKEN);
    assert_nowhere(HOLDING_PASSWORD);
}

static void what_is_not_to_be_kept_any_more_is_wiped_at_the_start(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    take_all();
    restart_with(KEEP_TOKENS);
    assert_in_store(HOLDING_TOKEN);
    assert_nowhere(HOLDING_REFRESH_TOKEN);
    assert_nowhere(HOLDING_PASSWORD);
    assert_true(is_noted());
    restart_with(KEEP_NOTHING);
    assert_nowhere(HOLDING_TOKEN);
    assert_false(is_noted());
}

static void another_identity_finds_nothing_and_the_sweep_wipes_it(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    take_all();
    config.scope = groups;
    restart_with(KEEP_ALL);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_null(holdings_get(&h, i));
    store_sweep(store);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_nowhere(i);
    assert_false(is_noted());
}

static void another_profile_of_the_same_identity_finds_nothing(void **state)
{
    static char other[] = "q";

    (void)state;
    open_with(KEEP_ALL);
    take_all();
    config.name = other;
    restart_with(KEEP_ALL);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_null(holdings_get(&h, i));
}

/* ---- another configuration ------------------------------------------------------------------- */

static void what_is_to_be_kept_now_moves_into_the_store(void **state)
{
    (void)state;
    open_with(KEEP_NOTHING);
    take_all();
    configure_with(KEEP_TOKENS);
    assert_in_store(HOLDING_TOKEN);
    assert_in_own_memory(HOLDING_REFRESH_TOKEN);
    assert_in_own_memory(HOLDING_PASSWORD);
    configure_with(KEEP_ALL);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_store(i);
    restart_with(KEEP_ALL);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_store(i);
}

static void what_is_not_to_be_kept_any_more_moves_out_of_it(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    take_all();
    configure_with(KEEP_TOKENS);
    assert_in_store(HOLDING_TOKEN);
    assert_rest(HOLDING_TOKEN, "rest");
    assert_in_own_memory(HOLDING_REFRESH_TOKEN);
    assert_in_own_memory(HOLDING_PASSWORD);
    assert_true(is_noted());
    configure_with(KEEP_NOTHING);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_own_memory(i);
    assert_false(is_noted());
}

static void of_another_identity_all_is_wiped(void **state)
{
    (void)state;
    open_with(KEEP_TOKENS);
    take_all();
    config.scope = groups;
    holdings_configure(&h, &config, false);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_nowhere(i);
    assert_false(is_noted());
    take_all(); /* what comes now is the new one's */
    restart_with(KEEP_TOKENS);
    assert_in_store(HOLDING_TOKEN);
    assert_true(is_noted());
    config.scope = openid;
    restart_with(KEEP_TOKENS);
    assert_null(holdings_get(&h, HOLDING_TOKEN));
}

/* ---- changes --------------------------------------------------------------------------------- */

static void a_newer_one_takes_the_place_of_the_former(void **state)
{
    (void)state;
    open_with(KEEP_TOKENS);
    take_all();
    for (unsigned i = 0; i < HOLDINGS; i++) {
        assert_true(take(i, "newer", "more"));
        assert_holds_secret(i, "newer");
        assert_false(lies_in_store(canaries[i]));
    }
    assert_rest(HOLDING_TOKEN, "more");
    assert_rest(HOLDING_PASSWORD, "");
}

static void something_else_can_be_said_of_the_present_one(void **state)
{
    (void)state;
    open_with(KEEP_TOKENS);
    assert_false(holdings_take(&h, HOLDING_TOKEN, NULL, "more", 4)); /* of nothing */
    take_all();
    assert_true(holdings_take(&h, HOLDING_TOKEN, NULL, "more", 4));
    assert_true(holdings_take(&h, HOLDING_PASSWORD, NULL, "more", 4));
    assert_in_store(HOLDING_TOKEN);
    assert_in_own_memory(HOLDING_PASSWORD);
    assert_rest(HOLDING_TOKEN, "more");
    assert_true(holdings_take(&h, HOLDING_TOKEN, NULL, NULL, 0));
    assert_in_store(HOLDING_TOKEN);
    assert_rest(HOLDING_TOKEN, "");
}

static void what_is_dropped_is_wiped_wherever_it_lies(void **state)
{
    (void)state;
    open_with(KEEP_TOKENS);
    take_all();
    for (unsigned i = 0; i < HOLDINGS; i++) {
        holdings_drop(&h, i);
        assert_nowhere(i);
        holdings_drop(&h, i);
    }
    assert_true(is_noted());
    restart_with(KEEP_ALL);
    assert_nowhere(HOLDING_TOKEN);
}

static void of_a_profile_that_is_gone_all_is_wiped(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    take_all();
    holdings_wipe(&h);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_nowhere(i);
    assert_false(is_noted());
}

static void what_stands_there_is_not_written_again(void **state)
{
    size_t length;

    (void)state;
    open_with(KEEP_TOKENS);
    take_all();
    const void *there = holdings_noted(&h, &length);
    holdings_note(&h, "canary-note", 11);
    assert_ptr_equal(holdings_noted(&h, &length), there);
    holdings_note(&h, "another one", 11);
    assert_memory_equal(holdings_noted(&h, &length), "another one", 11);
    assert_false(lies_in_store("canary-note"));
    holdings_note(&h, "shorter", 7);
    assert_memory_equal(holdings_noted(&h, &length), "shorter", 7);
    assert_int_equal(length, 7);
}

/* ---- the store is full ----------------------------------------------------------------------- */

/* Until there is no room for a byte. */
static void fill_store(void)
{
    uint64_t id = 1;

    for (size_t size = STORE_MAX / 4; size > 0; size /= 16) {
        char *filler = calloc(1, size);
        assert_non_null(filler);
        while (store_put(store, STORE_ACCOUNT + 100, id++, NULL, filler, size))
            ;
        free(filler);
    }
    assert_null(store_put(store, STORE_ACCOUNT + 100, id, NULL, "", 1));
}

static void where_the_store_is_full_own_memory_is_used(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    fill_store();
    take_all();
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_own_memory(i);
    assert_false(is_noted());
}

static void what_does_not_fit_takes_the_place_of_what_is_there(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    assert_true(take(HOLDING_TOKEN, "former", "rest"));
    fill_store();
    assert_true(take(HOLDING_TOKEN, canaries[HOLDING_TOKEN], "longer than that which was there"));
    assert_in_own_memory(HOLDING_TOKEN);
    assert_null(h.each[HOLDING_TOKEN].record);
    assert_false(lies_in_store("former"));
}

/* Also one that cannot be told of any more: a token is lost for no want of room. */
static void what_is_there_is_not_lost_for_what_is_said_of_it(void **state)
{
    (void)state;
    open_with(KEEP_ALL);
    take_all();
    fill_store();
    for (unsigned i = 0; i < HOLDINGS; i++) {
        assert_true(holdings_take(&h, i, NULL, "said of it", 10));
        assert_holds_secret(i, canaries[i]);
    }
}

static void what_does_not_fit_stays_where_it_is(void **state)
{
    (void)state;
    open_with(KEEP_NOTHING);
    take_all();
    fill_store();
    configure_with(KEEP_ALL);
    for (unsigned i = 0; i < HOLDINGS; i++)
        assert_in_own_memory(i);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(by_default_tokens_and_what_is_known_are_in_the_store),
        TEST(with_all_everything_is),
        TEST(with_nothing_nothing_is),
        TEST(without_a_store_it_holds_all_the_same),
        TEST(what_is_in_the_store_comes_back_with_what_was_said_of_it),
        TEST(what_is_in_own_memory_does_not),
        TEST(what_is_not_to_be_kept_any_more_is_wiped_at_the_start),
        TEST(another_identity_finds_nothing_and_the_sweep_wipes_it),
        TEST(another_profile_of_the_same_identity_finds_nothing),
        TEST(what_is_to_be_kept_now_moves_into_the_store),
        TEST(what_is_not_to_be_kept_any_more_moves_out_of_it),
        TEST(of_another_identity_all_is_wiped),
        TEST(a_newer_one_takes_the_place_of_the_former),
        TEST(something_else_can_be_said_of_the_present_one),
        TEST(what_is_dropped_is_wiped_wherever_it_lies),
        TEST(of_a_profile_that_is_gone_all_is_wiped),
        TEST(what_stands_there_is_not_written_again),
        TEST(where_the_store_is_full_own_memory_is_used),
        TEST(what_does_not_fit_takes_the_place_of_what_is_there),
        TEST(what_is_there_is_not_lost_for_what_is_said_of_it),
        TEST(what_does_not_fit_stays_where_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
