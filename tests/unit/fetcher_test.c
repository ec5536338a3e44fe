/*
 * The fetcher is played by this program itself: run without a name of its own it reads the job
 * from descriptor 0 and does what the job's user name says.
 */
#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "common/tlv.h"
#include "daemon/fetcher.h"

#define TOKEN "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl"

/* ---- the stand-in ---------------------------------------------------------------------------- */

static void say(const void *bytes, size_t length)
{
    if (write(0, bytes, length) != (ssize_t)length)
        _exit(9);
}

static void say_step(const char *name, const char *host)
{
    struct step step = { "", "" };
    char memory[512];

    snprintf(step.name, sizeof step.name, "%s", name);
    snprintf(step.host, sizeof step.host, "%s", host);
    say(memory, step_encode(&step, memory, sizeof memory));
}

static size_t encode_token(const char *user, char memory[1024])
{
    struct result result = { .outcome = OUTCOME_TOKEN,
                             .id_token = secret_copy(TOKEN, strlen(TOKEN)),
                             .lifetime = 60 * USEC_PER_SEC,
                             .sent = time_boottime(),
                             .verified = true };

    snprintf(result.user, sizeof result.user, "%s", user);
    size_t length = result_encode(&result, memory, 1024);
    result_clear(&result);
    return length;
}

static void say_token(const char *user)
{
    char memory[1024];

    say(memory, encode_token(user, memory));
}

static void say_token_in_pieces(void)
{
    char memory[1024];
    size_t length = encode_token("pieces", memory);

    for (size_t i = 0; i < length; i++)
        say(memory + i, 1);
}

/* What a child of the daemon must not find, in words. */
static void say_surroundings(void)
{
    char text[128];
    int descriptors = 0, deathsig = 0;
    DIR *folder = opendir("/proc/self/fd");

    for (struct dirent *e; folder && (e = readdir(folder));)
        descriptors += e->d_name[0] != '.' && (int)strtol(e->d_name, NULL, 10) != dirfd(folder) &&
                       (int)strtol(e->d_name, NULL, 10) > 2;
    closedir(folder);
    prctl(PR_GET_PDEATHSIG, &deathsig);
    snprintf(text, sizeof text, "fds %d env %s sig %d", descriptors,
             getenv("KUBETOKEN_CANARY") ? "full" : "clean", deathsig);
    say_token(text);
}

/* As long as a result can be, behind a step that has to make room for it. */
static void say_long_token(void)
{
    static char memory[RESULT_MAX - RESULT_STEPS_MAX];
    struct result result = { .outcome = OUTCOME_TOKEN,
                             .id_token = secret_new(RESULT_TOKEN_MAX),
                             .lifetime = 60 * USEC_PER_SEC,
                             .sent = time_boottime() };
    char *token = secret_bytes(result.id_token);

    memset(token, 'a', RESULT_TOKEN_MAX);
    token[4] = token[9] = '.';
    secret_set_length(result.id_token, RESULT_TOKEN_MAX);
    for (int i = 0; i < 60; i++)
        say_step("grant", "login.example.com");
    say(memory, result_encode(&result, memory, sizeof memory));
}

static void say_endlessly(void)
{
    for (;;)
        say_step("dns", "login.example.com");
}

static _Noreturn void play(const char *part)
{
    if (strcmp(part, "token") == 0)
        say_token("anna");
    else if (strcmp(part, "steps") == 0) {
        say_step("dns", "login.example.com");
        say_step("connect", "login.example.com:443");
        say_token("anna");
    } else if (strcmp(part, "long") == 0)
        say_long_token();
    else if (strcmp(part, "pieces") == 0)
        say_token_in_pieces();
    else if (strcmp(part, "surroundings") == 0)
        say_surroundings();
    else if (strcmp(part, "junk") == 0)
        say("HTTP/1.1 200 OK\r\n", 17);
    else if (strcmp(part, "half") == 0)
        say("KTR1\x10\0\0\0\x06re", 11);
    else if (strcmp(part, "endless") == 0)
        say_endlessly();
    else if (strcmp(part, "status") == 0)
        _exit(3);
    else if (strcmp(part, "killed") == 0) {
        say_step("dns", "login.example.com");
        signal(SIGTERM, SIG_DFL);
        raise(SIGTERM);
    } else if (strcmp(part, "hang") == 0) {
        say_step("grant", "login.example.com");
        for (;;)
            pause();
    }
    _exit(0);
}

static _Noreturn void be_the_fetcher(void)
{
    static char memory[JOB_MAX];
    struct tlv_reader r;
    struct job job;
    size_t have = 0;
    long whole = 0;

    while (whole == 0) {
        ssize_t n = read(0, memory + have, sizeof memory - have);
        if (n <= 0)
            _exit(8);
        have += (size_t)n;
        whole = tlv_open(&r, memory, have);
    }
    if (whole < 0 || job_decode(memory, (size_t)whole, &job) < 0)
        _exit(7);
    play(job.username);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static int program;
static struct children *children;
static sd_event *event;
static struct fetcher *fetcher;
static struct result result;
static struct error why;

static int setup(void **state)
{
    (void)state;
    program = fetcher_open("/proc/self/exe");
    if (program < 0 || sd_event_new(&event) < 0)
        return -1;
    children = children_new(event, NULL, NULL);
    return children ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fetcher = fetcher_free(fetcher);
    result_clear(&result);
    close(program);
    children = children_free(children);
    event = sd_event_unref(event);
    return 0;
}

static int start_with(const char *part, const char *password)
{
    struct job job = plain_job();

    job.username = part;
    job.password = password;
    struct secret *bytes = job_encode(&job);
    int r = fetcher_start(children, program, "p", bytes, &fetcher, &why);
    secret_free(bytes);
    return r;
}

/* Polls and reads until there is an end, however long it takes. */
static int read_to_the_end(void)
{
    struct pollfd p = { .events = POLLIN };
    int r;

    do {
        p.fd = fetcher_fd(fetcher);
        poll(&p, 1, -1);
        r = fetcher_read(fetcher, &result, &why);
    } while (r == 0);
    return r;
}

static void run_until_all_have_ended(void)
{
    while (!children_all_ended(children))
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

static int run(const char *part)
{
    assert_int_equal(start_with(part, "x"), 0);
    return read_to_the_end();
}

static void assert_ends_with(const char *part, const char *detail)
{
    assert_int_equal(run(part), -1);
    assert_int_equal(why.code, ERROR_FETCHER);
    assert_holds(why.detail, detail);
    assert_null(result.id_token);
}

static void a_result_is_taken(void **state)
{
    (void)state;
    assert_int_equal(run("token"), 1);
    assert_string_equal(secret_peek(result.id_token), TOKEN);
    assert_string_equal(result.user, "anna");
}

static void steps_before_the_result_are_taken(void **state)
{
    char where[320];

    (void)state;
    assert_int_equal(run("steps"), 1);
    fetcher_where(fetcher, where, sizeof where);
    assert_string_equal(where, "connecting to login.example.com:443");
    assert_string_equal(fetcher_step(fetcher)->name, "connect");
    assert_string_equal(fetcher_step(fetcher)->host, "login.example.com:443");
}

static void a_result_in_pieces_is_taken(void **state)
{
    (void)state;
    assert_int_equal(run("pieces"), 1);
    assert_string_equal(result.user, "pieces");
}

static void a_result_of_any_size_is_taken(void **state)
{
    (void)state;
    assert_int_equal(run("long"), 1);
    assert_int_equal(secret_length(result.id_token), RESULT_TOKEN_MAX);
    assert_string_equal(fetcher_step(fetcher)->name, "grant");
}

static void before_the_first_step_it_is_starting(void **state)
{
    char where[320];

    (void)state;
    assert_int_equal(start_with("hang", "x"), 0);
    fetcher_where(fetcher, where, sizeof where);
    assert_string_equal(where, "starting kubetoken-fetch");
    assert_string_equal(fetcher_step(fetcher)->name, "");
}

static void one_that_hangs_still_tells_where(void **state)
{
    struct pollfd p;
    char where[320];

    (void)state;
    assert_int_equal(start_with("hang", "x"), 0);
    p = (struct pollfd){ .fd = fetcher_fd(fetcher), .events = POLLIN };
    poll(&p, 1, -1);
    assert_int_equal(fetcher_read(fetcher, &result, &why), 0);
    fetcher_where(fetcher, where, sizeof where);
    assert_string_equal(where, "waiting for a token from login.example.com");
}

static void reading_never_waits(void **state)
{
    (void)state;
    assert_int_equal(start_with("hang", "x"), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fetcher_read(fetcher, &result, &why), 0);
}

static void one_that_hangs_is_gone_when_it_is_freed(void **state)
{
    (void)state;
    assert_int_equal(start_with("hang", "x"), 0);
    fetcher = fetcher_free(fetcher);
    run_until_all_have_ended();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void freeing_nothing_is_nothing(void **state)
{
    (void)state;
    assert_null(fetcher_free(NULL));
}

static void no_child_is_left_after_a_result(void **state)
{
    (void)state;
    run("token");
    fetcher = fetcher_free(fetcher);
    run_until_all_have_ended();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void junk_is_not_believed(void **state)
{
    (void)state;
    assert_ends_with("junk", "cannot be believed");
}

static void an_end_without_a_result_is_told(void **state)
{
    (void)state;
    assert_ends_with("nothing", "ended with status 0 without a result");
}

static void half_a_result_is_none(void **state)
{
    (void)state;
    assert_ends_with("half", "without a result");
}

static void its_status_is_told(void **state)
{
    (void)state;
    assert_ends_with("status", "ended with status 3 without a result");
}

static void its_signal_and_last_step_are_told(void **state)
{
    (void)state;
    assert_ends_with("killed", "killed by signal 15, resolving login.example.com");
    assert_string_equal(fetcher_step(fetcher)->name, "dns");
}

static void one_that_talks_endlessly_is_stopped(void **state)
{
    (void)state;
    assert_ends_with("endless", "it sent more than 262144 bytes");
}

static void one_that_exits_at_once_is_told(void **state)
{
    (void)state;
    close(program);
    program = fetcher_open("/bin/false");
    assert_ends_with("token", "ended with status 1 without a result");
}

static void what_is_no_program_could_not_be_started(void **state)
{
    (void)state;
    close(program);
    program = open("/dev/null", O_PATH | O_CLOEXEC);
    assert_ends_with("token", "it could not be started");
}

static void a_program_that_is_missing_is_told_at_opening(void **state)
{
    (void)state;
    assert_int_equal(fetcher_open("/nonexistent/kubetoken-fetch"), -ENOENT);
}

static void one_that_cannot_be_run_is_told_at_opening(void **state)
{
    (void)state;
    assert_int_equal(fetcher_open("/dev/null"), -EACCES);
}

static void one_that_is_missing_is_found_once_it_is_there(void **state)
{
    struct fetcher_program found = { .fd = -ENOENT, .installed = "/nonexistent/kubetoken-fetch" };

    (void)state;
    assert_int_equal(fetcher_find(&found, &why), -1);
    assert_int_equal(why.code, ERROR_FETCHER);
    assert_string_equal(why.detail, "/nonexistent/kubetoken-fetch: No such file or directory");
    snprintf(found.beside, sizeof found.beside, "/dev/null");
    assert_int_equal(fetcher_find(&found, &why), -1);
    assert_string_equal(why.detail, "/dev/null: Permission denied");
    found.installed = "/bin/false";
    int fd = fetcher_find(&found, &why);
    assert_true(fd >= 0);
    assert_string_equal(found.path, "/bin/false");
    snprintf(found.beside, sizeof found.beside,
             "/bin/true"); /* the one that is open stays the one that is run */
    assert_int_equal(fetcher_find(&found, &why), fd);
    assert_string_equal(found.path, "/bin/false");
    close(fd);
}

static void it_has_no_descriptor_no_environment_and_dies_with_us(void **state)
{
    char expected[64];
    int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

    (void)state;
    setenv("KUBETOKEN_CANARY", "hunter2", 1);
    int r = run("surroundings");
    unsetenv("KUBETOKEN_CANARY");
    close(leak);
    assert_int_equal(r, 1);
    snprintf(expected, sizeof expected, "fds 0 env clean sig %d", SIGKILL);
    assert_string_equal(result.user, expected);
}

static void a_job_of_any_size_is_told_at_once(void **state)
{
    static char password[JOB_MAX - 1024];

    (void)state;
    memset(password, 'x', sizeof password - 1);
    assert_int_equal(start_with("token", password), 0);
    assert_int_equal(read_to_the_end(), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_result_is_taken),
        TEST(steps_before_the_result_are_taken),
        TEST(a_result_in_pieces_is_taken),
        TEST(a_result_of_any_size_is_taken),
        TEST(before_the_first_step_it_is_starting),
        TEST(one_that_hangs_still_tells_where),
        TEST(reading_never_waits),
        TEST(one_that_hangs_is_gone_when_it_is_freed),
        TEST(freeing_nothing_is_nothing),
        TEST(no_child_is_left_after_a_result),
        TEST(junk_is_not_believed),
        TEST(an_end_without_a_result_is_told),
        TEST(half_a_result_is_none),
        TEST(its_status_is_told),
        TEST(its_signal_and_last_step_are_told),
        TEST(one_that_talks_endlessly_is_stopped),
        TEST(one_that_exits_at_once_is_told),
        TEST(what_is_no_program_could_not_be_started),
        TEST(a_program_that_is_missing_is_told_at_opening),
        TEST(one_that_cannot_be_run_is_told_at_opening),
        TEST(one_that_is_missing_is_found_once_it_is_there),
        TEST(it_has_no_descriptor_no_environment_and_dies_with_us),
        TEST(a_job_of_any_size_is_told_at_once),
    };

    if (argc == 1 && strcmp(argv[0], "kubetoken-fetch") == 0)
        be_the_fetcher();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
