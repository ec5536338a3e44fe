/* What a peer sent is nowhere in this process once it was dealt with: the memory is looked through
 * for it. And what the listener does when there are no descriptors. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/server.h"

/* As it is nowhere else, unless it was sent. */
static const unsigned char canary[] = { 0x9c, 0x9e, 0x91, 0x9e, 0x8d, 0x86, 0xd2, 0x90,
                                        0x99, 0xd2, 0x9e, 0xd2, 0x8f, 0x9a, 0x9a, 0x8d };
enum { KEY = 0xff, REGION_MAX = 64 * 1024 * 1024 /* larger ones are a sanitizer's */ };

static struct context shared;
static struct profiles *profiles;
static struct server *server;
static int peer;
static struct sockaddr_un address;

static unsigned char plain(size_t i)
{
    return (unsigned char)(canary[i] ^ KEY);
}

static int make_listener(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", test_folder);
    peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8) < 0 ||
        connect(peer, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return fd;
}

static int setup(void **state)
{
    static char path[128];
    static const char *paths[] = { path };

    if (folder_setup(state) < 0)
        return -1;
    snprintf(path, sizeof path, "%s",
             write_file("conf",
                        "[profile p]\nissuer = https://login.example.com\nclient-id = c\n"
                        "username = u\n[profile slow]\nissuer = https://login.example.com\n"
                        "client-id = c\nusername = u\npassword-command = sleep 1000\n",
                        0600));
    shared = (struct context){ .fetcher.fd = -1,
                               .program = -1,
                               .accounts = account_table_new(NULL) };
    fetch_queue_init(&shared.fetch_queue);
    TAILQ_INIT(&shared.turns);
    if (!shared.accounts || sd_event_new(&shared.event) < 0)
        return -1;
    shared.children = children_new(shared.event, NULL, NULL);
    profiles = profiles_new(&shared, paths, 1);
    if (!profiles || !profiles_reload(profiles))
        return -1;
    server = server_new(shared.event, make_listener(), profiles);
    return server ? 0 : -1;
}

static int teardown(void **state)
{
    if (peer >= 0)
        close(peer);
    server_free(server);
    profiles_free(profiles);
    children_free(shared.children);
    sd_event_unref(shared.event);
    account_table_free(shared.accounts);
    return folder_teardown(state);
}

/* Sends the text with the canary for each '@'. */
static void tell(const char *text)
{
    unsigned char bytes[256];
    size_t n = 0;

    for (; *text; text++) {
        if (*text != '@')
            bytes[n++] = (unsigned char)*text;
        for (size_t i = 0; *text == '@' && i < sizeof canary; i++)
            bytes[n++] = plain(i);
    }
    assert_int_equal(send(peer, bytes, n, MSG_NOSIGNAL), n);
    explicit_bzero(bytes, sizeof bytes);
}

/* Until so many answers have begun. */
static void read_answers(const char *head, unsigned wanted)
{
    char answer[4096] = "";
    size_t used = 0;

    for (unsigned n = 0; n < wanted;) {
        assert_true(sd_event_run(shared.event, 0) >= 0);
        ssize_t got = recv(peer, answer + used, sizeof answer - 1 - used, MSG_DONTWAIT);
        used += got > 0 ? (size_t)got : 0;
        answer[used] = '\0';
        n = 0;
        for (const char *p = answer; (p = strstr(p, head)); p++)
            n++;
    }
}

static void run_once_idle(void)
{
    while (sd_event_run(shared.event, 0) > 0)
        ;
}

__attribute__((no_sanitize("address"))) static bool holds_canary(const volatile unsigned char *at,
                                                                 const volatile unsigned char *end)
{
    for (; at + sizeof canary <= end; at++) {
        size_t i = 0;
        while (i < sizeof canary && at[i] == plain(i))
            i++;
        if (i == sizeof canary)
            return true;
    }
    return false;
}

static bool is_in_memory(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[512], rights[8];
    unsigned long from, to;
    bool found = false;

    assert_non_null(f);
    while (!found && fgets(line, sizeof line, f))
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && rights[0] == 'r' &&
            rights[1] == 'w' && to - from < REGION_MAX)
            found = holds_canary((void *)from, (void *)to); // NOLINT(performance-no-int-to-ptr)
    fclose(f);
    return found;
}

static void what_is_sent_would_be_found(void **state)
{
    char *copy = malloc(sizeof canary);

    (void)state;
    for (size_t i = 0; i < sizeof canary; i++)
        copy[i] = (char)plain(i);
    assert_true(is_in_memory());
    explicit_bzero(copy, sizeof canary);
    free(copy);
    assert_false(is_in_memory());
}

static void a_password_that_came_with_the_connection_is_wiped(void **state)
{
    (void)state;
    tell("login text nobody secret=16\n@");
    read_answers("error no-profile", 1);
    assert_false(is_in_memory());
}

static void a_password_behind_another_request_is_wiped(void **state)
{
    (void)state;
    tell("version\nlogin text nobody secret=16\n@");
    read_answers("error no-profile", 1);
    assert_false(is_in_memory()); /* though the peer is still there */
}

static void a_password_that_came_later_is_wiped(void **state)
{
    (void)state;
    tell("version\n");
    read_answers("ok ", 1);
    tell("login text nobody secret=16\n@");
    read_answers("error no-profile", 1);
    assert_false(is_in_memory());
}

static void what_nobody_finished_is_wiped_when_the_peer_goes(void **state)
{
    (void)state;
    tell("version\n");
    read_answers("ok ", 1);
    tell("login text @");
    run_once_idle();
    assert_true(is_in_memory()); /* the rest may come */
    close(peer);
    peer = -1;
    run_once_idle();
    assert_false(is_in_memory());
}

static void half_a_password_is_wiped_when_the_peer_goes(void **state)
{
    (void)state;
    tell("login text p secret=999\n@");
    run_once_idle();
    assert_true(is_in_memory());
    close(peer);
    peer = -1;
    run_once_idle();
    assert_false(is_in_memory());
}

/* None from now on; returns the limit of before. */
static struct rlimit take_all_descriptors(void)
{
    struct rlimit before, none;
    int lowest = dup(0);

    close(lowest);
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){ (rlim_t)lowest, before.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    return before;
}

/* How often it woke until there was nothing to do; some hundred times: it never rests. */
static unsigned count_turns(void)
{
    unsigned n = 0;

    while (n < 500 && sd_event_run(shared.event, 0) > 0)
        n++;
    return n;
}

static void without_descriptors_the_listener_rests_until_somebody_goes(void **state)
{
    int second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;
    ssize_t waits;

    (void)state;
    tell("get token slow timeout=1000 tell once\n");
    read_answers("wait ", 1);
    count_turns(); /* its command runs */
    assert_int_equal(connect(second, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(second, "version\n", 8, MSG_NOSIGNAL), 8);
    const struct rlimit before = take_all_descriptors();
    unsigned turns = count_turns();
    while ((waits = recv(peer, &byte, 1, MSG_DONTWAIT)) > 0)
        ;
    ssize_t early = recv(second, &byte, 1, MSG_DONTWAIT);
    shutdown(peer, SHUT_RDWR);
    count_turns();
    ssize_t late = recv(second, &byte, 1, MSG_DONTWAIT); /* without any time going by */
    setrlimit(RLIMIT_NOFILE, &before);
    close(second);
    assert_in_range(turns, 1, 100);
    assert_int_equal(waits, -1); /* it is not closed */
    assert_int_equal(early, -1);
    assert_int_equal(late, 1);
}

static void without_descriptors_who_is_silent_goes(void **state)
{
    int second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;

    (void)state;
    run_once_idle();
    assert_int_equal(connect(second, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(second, "version\n", 8, MSG_NOSIGNAL), 8);
    const struct rlimit before = take_all_descriptors();
    count_turns();
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(recv(second, &byte, 1, MSG_DONTWAIT), 1);
    assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), 0);
    close(second);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_would_be_found),
        TEST(a_password_that_came_with_the_connection_is_wiped),
        TEST(a_password_behind_another_request_is_wiped),
        TEST(a_password_that_came_later_is_wiped),
        TEST(what_nobody_finished_is_wiped_when_the_peer_goes),
        TEST(half_a_password_is_wiped_when_the_peer_goes),
        TEST(without_descriptors_the_listener_rests_until_somebody_goes),
        TEST(without_descriptors_who_is_silent_goes),
    };
    alarm(120); /* or one that is not answered would be waited for without end */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
