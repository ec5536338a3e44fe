/* How a command line is split, and what is told of a command that fails. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/secret_command.h"

static char **argv;

static int teardown(void **state)
{
    (void)state;
    if (argv)
        free(argv[0]);
    free(argv);
    argv = NULL;
    return 0;
}

/* The words, each followed by a stroke: "a|b|". */
static void assert_split(const char *line, const char *expected)
{
    char words[256] = "";
    size_t n = 0;

    argv = secret_command_split(line);
    assert_non_null(argv);
    for (size_t i = 0; argv[i]; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s|", argv[i]);
    assert_string_equal(words, expected);
}

static void blanks_and_tabs_part_words(void **state)
{
    (void)state;
    assert_split("  secret-tool \t lookup  user ", "secret-tool|lookup|user|");
}

static void one_word_is_one_argument(void **state)
{
    (void)state;
    assert_split("x", "x|");
}

static void words_of_one_character_all_fit(void **state)
{
    (void)state;
    assert_split("a b c d e f g", "a|b|c|d|e|f|g|");
}

static void single_quotes_group(void **state)
{
    (void)state;
    assert_split("sh -c 'pass show \"x\" | head -1'", "sh|-c|pass show \"x\" | head -1|");
}

static void double_quotes_group(void **state)
{
    (void)state;
    assert_split("a \"b 'c' d\"", "a|b 'c' d|");
}

static void quotes_inside_a_word_join_it(void **state)
{
    (void)state;
    assert_split("a'b c'd\"e f\"", "ab cde f|");
}

static void an_empty_argument_is_kept(void **state)
{
    (void)state;
    assert_split("a '' \"\" b", "a|||b|");
}

static void an_empty_argument_at_the_end_is_kept(void **state)
{
    (void)state;
    assert_split("a ''", "a||");
}

static void backslash_dollar_and_tilde_are_plain_characters(void **state)
{
    (void)state;
    assert_split("a\\ b $HOME ~/x `y` *", "a\\|b|$HOME|~/x|`y`|*|");
}

static void a_long_line_is_split(void **state)
{
    char line[8001];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 4000; i++)
        memcpy(line + 2 * i, "a ", 3);
    argv = secret_command_split(line);
    while (argv[n])
        n++;
    assert_int_equal(n, 4000);
}

static void an_open_quote_is_refused(void **state)
{
    static const char *const lines[] = { "a 'b", "a \"b", "a 'b\"", "'", "a b'" };

    for (size_t i = 0; i < COUNT(lines); i++)
        assert_null(secret_command_split(lines[i]));
    (void)state;
}

static void an_empty_line_is_refused(void **state)
{
    (void)state;
    assert_null(secret_command_split(""));
    assert_null(secret_command_split(" \t "));
}

static void a_command_without_a_name_is_refused(void **state)
{
    (void)state;
    assert_null(secret_command_split("'' a"));
}

/* Of a home or a name no quote or blank parts words, and no shell reads it. */
static void what_a_specifier_stands_for_is_no_more_words(void **state)
{
    struct error why;
    char *home;

    (void)state;
    setenv("HOME", "/a b'\"; reboot %u", 1);
    char **words = secret_command_words("get -x%h \"%%U\" '%h y'", &why);
    assert_string_equal(words[0], "get");
    assert_string_equal(words[1], "-x/a b'\"; reboot %u");
    assert_string_equal(words[2], "%U");
    assert_string_equal(words[3], "/a b'\"; reboot %u y");
    assert_null(words[4]);
    secret_command_words_free(words);
    words = secret_command_words("printf %s%q", &why);
    assert_string_equal(words[1], "%s%q");
    secret_command_words_free(words);
    assert_null(secret_command_words("get 'x", &why));
    assert_string_equal(why.detail, "the command line is empty or has an open quote");
    assert_int_equal(asprintf(&home, "/%04000d", 7), 4001);
    setenv("HOME", home, 1);
    assert_null(secret_command_words("get %h%h%h%h%h", &why));
    assert_string_equal(why.detail, "the words of the command are longer than 16384 bytes");
    unsetenv("HOME");
    assert_null(secret_command_words("get %h", &why));
    assert_string_equal(why.detail, "nobody knows what %h in the command line stands for");
    free(home);
}

/* What came of a command: its output, or why there is none. */
struct end {
    bool over;
    char output[64], detail[ERROR_DETAIL_MAX + 1];
};

static void on_done(void *context, struct secret *output, const struct error *why)
{
    struct end *end = context;

    end->over = true;
    if (output)
        snprintf(end->output, sizeof end->output, "%s", secret_peek(output));
    else
        memcpy(end->detail, why->detail, sizeof end->detail);
    secret_free(output);
}

static struct end run(const char *line, uint64_t time)
{
    sd_event *event = NULL;
    struct secret_command *command = NULL;
    struct error why;
    struct end end = { 0 };

    assert_true(sd_event_new(&event) >= 0);
    struct children *children = children_new(event, NULL, NULL);
    assert_int_equal(secret_command_start(children, "p", line, time, on_done, &end, &command, &why),
                     0);
    while (!end.over)
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
    secret_command_free(command);
    while (!children_all_ended(children))
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    children_free(children);
    sd_event_unref(event);
    return end;
}

static void assert_fails(const char *line, const char *detail)
{
    struct end end = run(line, SECRET_COMMAND_TIME);

    assert_string_equal(end.detail, detail);
}

static void a_command_that_does_not_end_is_killed(void **state)
{
    (void)state;
    struct end end = run("sleep 1000", 1);
    assert_non_null(strstr(end.detail, "did not end within "));
}

/* What it has started itself, in its group, has the writing end of a fifo until it ends. */
static void what_it_has_started_is_killed_with_it(void **state)
{
    char fifo[96], text[160], byte;
    ssize_t n = -1;

    (void)state;
    snprintf(fifo, sizeof fifo, "%s/held", test_folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int held = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(held >= 0);
    snprintf(text, sizeof text, "sh -c 'sleep 1000 9>%s & wait'", fifo);
    struct end end = run(text, 300 * USEC_PER_MSEC);
    assert_non_null(strstr(end.detail, "did not end within "));
    for (int i = 0; n != 0 && i < 1000; i++) { /* it ends at once, but in its own time */
        n = read(held, &byte, 1);
        usleep(n == 0 ? 0 : 10000);
    }
    assert_int_equal(n, 0);
    close(held);
}

static void what_asked_for_a_passphrase_is_told_at_the_deadline(void **state)
{
    struct end end = { .detail = "" };

    (void)state;
    /* longer where the machine is too slow to have asked by then */
    for (uint64_t t = 1; t <= 64 && !strstr(end.detail, ": "); t *= 2)
        end = run("sh -c 'printf \"Enter passphrase: \" >&2; exec sleep 1000'",
                  t * USEC_PER_SEC / 4);
    assert_holds(end.detail, "the command did not end within ");
    assert_holds(end.detail, ": Enter passphrase:");
}

static void it_has_no_descriptor_of_ours(void **state)
{
    (void)state;
    int fd = dup2(STDERR_FILENO, 77); /* without FD_CLOEXEC */
    assert_int_equal(fd, 77);
    struct end end = run("sh -c 'test -e /proc/self/fd/77 || echo none'", SECRET_COMMAND_TIME);
    close(fd);
    assert_string_equal(end.output, "none\n");
}

static void what_a_command_leaves_behind_is_not_waited_for(void **state)
{
    char text[96];
    const char *pid = write_file("pid", "", 0600);

    (void)state;
    snprintf(text, sizeof text, "sh -c 'sleep 1000 & echo $! > %s; echo x'", pid);
    struct end end = run(text, SECRET_COMMAND_TIME);
    FILE *f = fopen(pid, "re");
    int left = 0;
    assert_int_equal(fscanf(f, "%d", &left), 1);
    fclose(f);
    int killed = kill(left, SIGKILL); /* it lives, and has our pipes */
    assert_string_equal(end.output, "x\n");
    assert_int_equal(killed, 0);
}

static void the_last_line_on_stderr_is_told(void **state)
{
    (void)state;
    assert_fails("sh -c 'echo one >&2; echo two >&2; echo >&2; exit 2'",
                 "the command failed with exit status 2: two");
    assert_fails("sh -c 'exit 2'", "the command failed with exit status 2");
    assert_fails("sh -c 'echo two >&2; kill -9 $$'", "the command was killed by signal 9: two");
    assert_fails("sh -c 'printf \"10%%%%\\r20%%%%\\r\" >&2; exit 2'",
                 "the command failed with exit status 2: 20%");
}

static void it_is_printable_and_short(void **state)
{
    (void)state;
    assert_fails("sh -c 'printf \"\\033[1;31mred\\033[0m\\a \\377 end\\n\" >&2; exit 2'",
                 "the command failed with exit status 2: red end");
    struct end end = run("sh -c 'printf %%0500d 7 >&2; exit 2'", SECRET_COMMAND_TIME);
    assert_int_equal(strspn(strchr(end.detail, ':') + 2, "0"), 200);
}

static void a_line_that_may_show_the_secret_is_not_told(void **state)
{
    static const char *const lines[] = {
        "sh -c 'echo hunter2; echo got hunter2 >&2; exit 2'",
        "sh -c 'echo got hunter2 >&2; echo hunter2; exit 2'",
        "sh -c 'printf hunt; echo got hunter2 >&2; exit 2'",
        "sh -c 'echo the hunter2 of x; echo \"bad: 0hunter0\" >&2; exit 2'",
        "sh -c 'printf \"a\\nhunter2\\n\"; echo got hunter2 >&2; exit 2'",
        "sh -c 'printf x7; echo x7 >&2; exit 2'",
        "sh -c 'echo hunter2; printf \"hun\\033[1mter2\" >&2; exit 2'",
        "sh -xc 'p=hunter2; exit 2'",
        "sh -xc 'exec sh -c \"exit 2\" hunter2'", /* that one line alone */
        "sh -xc 'p=hunter2; echo no such entry >&2; exit 2'",
        /* of so long a line the beginning is not known any more */
        "sh -c 'printf \"%%09000d hunter2\" 7 >&2; exit 2'",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_fails(lines[i], "the command failed with exit status 2");
}

static void nor_is_one_where_not_all_of_the_output_is_known(void **state)
{
    (void)state;
    assert_fails("sh -c 'printf %%066000d 7; echo hunter2 | tee /dev/stderr; exit 2'",
                 "the command printed more than 64 KiB");
}

static void what_never_ends_on_stderr_is_ended(void **state)
{
    (void)state;
    assert_fails("sh -c 'yes >&2'", "the command printed more than 1 MiB to stderr");
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_specifier_stands_for_is_no_more_words),
        TEST(blanks_and_tabs_part_words),
        TEST(one_word_is_one_argument),
        TEST(words_of_one_character_all_fit),
        TEST(single_quotes_group),
        TEST(double_quotes_group),
        TEST(quotes_inside_a_word_join_it),
        TEST(an_empty_argument_is_kept),
        TEST(an_empty_argument_at_the_end_is_kept),
        TEST(backslash_dollar_and_tilde_are_plain_characters),
        TEST(a_long_line_is_split),
        TEST(an_open_quote_is_refused),
        TEST(an_empty_line_is_refused),
        TEST(a_command_without_a_name_is_refused),
        TEST(a_command_that_does_not_end_is_killed),
        IN_FOLDER(what_it_has_started_is_killed_with_it),
        TEST(what_asked_for_a_passphrase_is_told_at_the_deadline),
        TEST(it_has_no_descriptor_of_ours),
        IN_FOLDER(what_a_command_leaves_behind_is_not_waited_for),
        TEST(the_last_line_on_stderr_is_told),
        TEST(it_is_printable_and_short),
        TEST(a_line_that_may_show_the_secret_is_not_told),
        TEST(nor_is_one_where_not_all_of_the_output_is_known),
        TEST(what_never_ends_on_stderr_is_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
