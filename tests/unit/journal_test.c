#define SD_JOURNAL_SUPPRESS_LOCATION
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "common/message_id.h"
#include "common/time.h"
#include "daemon/journal.h"

/* What the journal would have got; it stands before libsystemd's. */
static char sent[16][256];
static int n_sent;

int sd_journal_sendv(const struct iovec *fields, int n)
{
    n_sent = n;
    for (int i = 0; i < n && i < (int)COUNT(sent); i++)
        snprintf(sent[i], sizeof sent[i], "%.*s", (int)fields[i].iov_len,
                 (const char *)fields[i].iov_base);
    return 0;
}

static int stderr_is_the_journal(void **state)
{
    char stream[64];
    struct stat st;

    (void)state;
    if (fstat(STDERR_FILENO, &st) < 0)
        return -1;
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    journal_open();
    return 0;
}

static bool has(const char *field)
{
    for (int i = 0; i < n_sent; i++)
        if (strcmp(sent[i], field) == 0)
            return true;
    return false;
}

static void a_line_has_the_fields_that_select_it(void **state)
{
    char id[MESSAGE_ID_SIZE], expected[64];

    (void)state;
    message_id("refused", id);
    snprintf(expected, sizeof expected, "MESSAGE_ID=%s", id);
    journal_write(LOG_ERR, "p", "refused", "%s", "not taken");
    assert_int_equal(n_sent, 5);
    assert_true(has("MESSAGE=p: not taken"));
    assert_true(has("PRIORITY=3"));
    assert_true(has("KUBETOKEN_EVENT=refused"));
    assert_true(has("KUBETOKEN_PROFILE=p"));
    assert_true(has(expected));
}

static void a_line_of_the_daemon_itself_has_no_profile(void **state)
{
    (void)state;
    journal_write(LOG_NOTICE, NULL, "config", "%s", "there is none");
    assert_int_equal(n_sent, 4);
    assert_true(has("MESSAGE=there is none"));
    assert_true(has("PRIORITY=5"));
}

/* Whoever has it in a filter, or in a catalogue of another language, keeps it. */
static void the_number_of_an_event_is_the_same_for_ever(void **state)
{
    char id[MESSAGE_ID_SIZE];

    (void)state;
    message_id("refused", id);
    assert_string_equal(id, "adbce3a5af1d80759d362779f48a4b03");
    message_id("recovered", id);
    assert_string_equal(id, "adbce3a5af1d8075b21e1900c467abfa");
}

static void so_many_lines_at_once_then_one_each_so_often(void **state)
{
    const uint64_t minute = 60 * USEC_PER_SEC, start = minute;
    struct journal_limit limit = { 0 };

    (void)state;
    for (unsigned i = 0; i < JOURNAL_BURST; i++)
        assert_true(journal_allows(&limit, start));
    assert_false(journal_allows(&limit, start));
    assert_false(journal_allows(&limit, start + 10 * minute - 1));
    assert_int_equal(limit.left_out, 2);
    assert_true(journal_allows(&limit, start + 10 * minute));
    assert_false(journal_allows(&limit, start + 10 * minute));
    assert_true(journal_allows(&limit, start + 20 * minute));
    for (unsigned i = 0; i < JOURNAL_BURST; i++)
        assert_true(journal_allows(&limit, start + 600 * minute));
    assert_false(journal_allows(&limit, start + 600 * minute));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_fields_that_select_it),
        cmocka_unit_test(a_line_of_the_daemon_itself_has_no_profile),
        cmocka_unit_test(the_number_of_an_event_is_the_same_for_ever),
        cmocka_unit_test(so_many_lines_at_once_then_one_each_so_often),
    };

    return cmocka_run_group_tests(tests, stderr_is_the_journal, NULL);
}
