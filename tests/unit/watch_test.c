/* What is told of profiles, and when. */
#define _GNU_SOURCE
#include "support.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/watch.h"

static const uint64_t minute = 60 * USEC_PER_SEC, pause_between = 100 * USEC_PER_MSEC;
static char folder[] = "/tmp/kubetoken-watch-XXXXXX", path[64];
static const char *paths[] = { path };
static struct context shared;
static struct profiles *profiles;
static struct request request;
static struct watch *watch;
static uint64_t now;
static struct rendered out;

/* Profiles of which nothing is ever asked: no password is known. */
static void configure(const char *names, const char *extra)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fchmod(fileno(f), 0600);
    for (; *names; names++)
        fprintf(f, "[profile %c]\nissuer = https://i/\nclient-id = c\nusername = u\n%s\n", *names,
                extra);
    fclose(f);
    assert_true(profiles_reload(profiles));
}

static int setup(void **state)
{
    (void)state;
    shared = (struct context){ .fetcher.fd = -1,
                               .program = -1,
                               .accounts = account_table_new(NULL) };
    fetch_queue_init(&shared.fetch_queue);
    TAILQ_INIT(&shared.turns);
    if (!shared.accounts || sd_event_new(&shared.event) < 0 || !mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/conf", folder);
    profiles = profiles_new(&shared, paths, 1);
    now = time_boottime() + minute;
    return profiles ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    render_clear(&out);
    watch = watch_free(watch);
    profiles_free(profiles);
    sd_event_unref(shared.event);
    account_table_free(shared.accounts);
    unlink(path);
    rmdir(folder);
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return 0;
}

static void begin(enum protocol_format format, const char *profile)
{
    request = (struct request){ .verb = VERB_WATCH, .format = format };
    memcpy(request.profile, profile, strlen(profile) + 1);
    watch = watch_new(profiles, &request);
    assert_non_null(watch);
}

/* The answer's text, "" for one without, NULL: none is due. */
static const char *answer(void)
{
    render_clear(&out);
    if (!watch_answer(watch, &out, now))
        return NULL;
    return out.heap ? out.heap : "";
}

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void a_table_comes_at_once_and_each_minute(void **state)
{
    (void)state;
    configure("ab", "");
    begin(FORMAT_TEXT, "");
    assert_non_null(strstr(answer(), "PROFILE"));
    assert_int_equal(watch_next(watch), now + minute);
    now += minute - 1;
    assert_null(answer());
    assert_int_equal(watch_next(watch), now + 1);
    now += 1;
    assert_non_null(answer());
    assert_int_equal(watch_next(watch), now + minute);
}

static void a_table_is_not_drawn_more_often_than_can_be_seen(void **state)
{
    (void)state;
    configure("ab", "");
    begin(FORMAT_TEXT, "");
    assert_non_null(answer());
    configure("abc", "");
    now += pause_between - 1;
    assert_null(answer());
    assert_int_equal(watch_next(watch), now + 1);
    now += 1;
    assert_non_null(strstr(answer(), "\nc "));
    assert_null(answer());
}

static void a_line_is_one_for_each_change_and_no_time_counts(void **state)
{
    (void)state;
    configure("abc", "");
    begin(FORMAT_JSON, "");
    assert_int_equal(lines(answer()), 3);
    assert_null(answer());
    assert_int_equal(watch_next(watch), USEC_INFINITY);
    now += 100 * minute;
    assert_null(answer());
    configure("ac", "");
    const char *text = answer();
    assert_int_equal(lines(text), 1);
    assert_non_null(strstr(text, ",\"profile\":\"b\",\"state\":\"gone\"}\n"));
    configure("Aac", "");
    text = answer();
    assert_int_equal(lines(text), 1);
    assert_non_null(strstr(text, "\"profile\":\"A\""));
    configure("Aac", "username-claim = email");
    assert_int_equal(lines(answer()), 3);
    configure("z", "username-claim = email");
    assert_int_equal(lines(answer()), 4);
    assert_null(answer());
}

static void what_is_the_same_again_is_no_change(void **state)
{
    (void)state;
    configure("ab", "");
    begin(FORMAT_JSON, "");
    assert_non_null(answer());
    configure("abc", "");
    configure("ab", "");
    assert_null(answer());
}

static void a_broken_file_is_a_change_of_the_table(void **state)
{
    (void)state;
    configure("ab", "");
    begin(FORMAT_TEXT, "");
    assert_non_null(answer());
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("nonsense\n", f);
    fclose(f);
    assert_false(profiles_reload(profiles));
    now += pause_between;
    assert_non_null(strstr(answer(), "is not in force"));
}

static void of_one_profile_others_are_no_news_and_its_end_is_the_last(void **state)
{
    (void)state;
    configure("ab", "");
    begin(FORMAT_JSON, "b");
    assert_int_equal(lines(answer()), 1);
    configure("bc", "");
    assert_null(answer());
    assert_false(watch_is_over(watch));
    configure("c", "");
    assert_non_null(answer());
    assert_true(watch_is_over(watch));
    assert_memory_equal(out.header, "error no-profile ", 17);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_table_comes_at_once_and_each_minute),
        TEST(a_table_is_not_drawn_more_often_than_can_be_seen),
        TEST(a_line_is_one_for_each_change_and_no_time_counts),
        TEST(what_is_the_same_again_is_no_change),
        TEST(a_broken_file_is_a_change_of_the_table),
        TEST(of_one_profile_others_are_no_news_and_its_end_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
