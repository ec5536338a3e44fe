#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/peer_process.h"

static bool reads(const char *arguments, size_t size)
{
    return peer_process_arguments_read_manifest(arguments, size);
}
#define READS(text) reads(text, sizeof text)

static void a_file_named_dash_is_a_manifest_on_stdin(void **state)
{
    (void)state;
    assert_true(READS("kubectl\0apply\0-f\0-"));
    assert_true(READS("kubectl\0-f-"));
    assert_true(READS("kubectl\0-f=-"));
    assert_true(READS("kubectl\0--filename=-"));
    assert_true(READS("kubectl\0--filename\0-"));
}

static void other_arguments_are_not(void **state)
{
    (void)state;
    assert_false(READS("kubectl\0get\0-"));
    assert_false(READS("kubectl\0apply\0-f\0file"));
    assert_false(READS("kubectl\0apply\0-f"));
    assert_false(READS("kubectl\0apply\0-f\0a\0-"));
    assert_false(READS("kubectl\0--filename=-x"));
    assert_false(READS(""));
    assert_false(reads("-", 0));
    assert_false(reads("-f\0-f", 5));
}

static void a_child_has_us_as_its_parent_and_was_started_just_now(void **state)
{
    pid_t parent, child = fork();
    uint64_t started, now = time_boottime();

    (void)state;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "a) S 1 ("); /* what would mislead who takes the first bracket */
        for (;;)
            pause();
    }
    assert_int_equal(peer_process_look(child, &parent, &started), 0);
    assert_int_equal(parent, getpid());
    assert_true(started <= time_boottime());
    assert_true(started + 5 * USEC_PER_SEC > now);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(peer_process_look(child, &parent, &started), -1);
}

static void a_name_is_printable_and_ends_at_the_last_bracket(void **state)
{
    static const char rest[] = " S 5 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 200 1 1";
    struct peer_process p;
    char text[256];

    (void)state;
    snprintf(text, sizeof text, "7 (a) S 1 (\n\033[1m)%s", rest);
    assert_int_equal(peer_process_parse(text, &p), 0);
    assert_string_equal(p.name, "a) S 1 ( [1m");
    assert_int_equal(p.parent, 5);
    assert_true(p.started > 0);
    assert_int_equal(peer_process_parse("7 kubectl S 5", &p), -1);
    assert_int_equal(peer_process_parse(") S 5 (", &p), -1);
    assert_int_equal(peer_process_parse("7 (kubectl) S", &p), -1);
    assert_int_equal(peer_process_parse("", &p), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_named_dash_is_a_manifest_on_stdin),
        cmocka_unit_test(other_arguments_are_not),
        cmocka_unit_test(a_name_is_printable_and_ends_at_the_last_bracket),
        cmocka_unit_test(a_child_has_us_as_its_parent_and_was_started_just_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
