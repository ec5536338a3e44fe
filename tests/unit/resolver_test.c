/*
 * The service that is asked is the machine's own /etc/hosts, which the process has to read too:
 * what is looked at here is who asks, and what comes of it. A service behind a socket is in
 * tests/integration/test_names.py.
 */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/fetch/resolver.h"
#include "daemon/fetch/sandbox.h"

/* ---- which names ----------------------------------------------------------------------------- */

static void files_and_dns_need_nobody(void **state)
{
    (void)state;
    assert_int_equal(resolver_need_of("", false), RESOLVER_NONE);
    assert_int_equal(resolver_need_of("passwd: files systemd\nhosts: files dns\n", false),
                     RESOLVER_NONE);
    assert_int_equal(resolver_need_of("hosts:\tfiles myhostname dns # resolve\n", false),
                     RESOLVER_NONE);
    assert_int_equal(resolver_need_of("hosts: files [NOTFOUND=continue SUCCESS=return] dns", false),
                     RESOLVER_NONE);
    assert_int_equal(resolver_need_of("#hosts: resolve\nhosts: dns\nnetworks: resolve\n", false),
                     RESOLVER_NONE);
    assert_int_equal(resolver_need_of("hosts: files dns [", false), RESOLVER_NONE);
}

static void services_are_asked_for_all_names(void **state)
{
    (void)state;
    assert_int_equal(resolver_need_of("hosts: files sss dns\n", true), RESOLVER_ALL);
    assert_int_equal(resolver_need_of("passwd: files\n  hosts: files wins\n", true), RESOLVER_ALL);
    assert_int_equal(resolver_need_of("hosts: mdns4 dns\n", true), RESOLVER_ALL);
    assert_int_equal(resolver_need_of("hosts: mdns4_minimal_more dns\n", true), RESOLVER_ALL);
    assert_int_equal(resolver_need_of("hosts: mdns4_minimal sss\n", true), RESOLVER_ALL);
}

static void resolved_is_asked_where_dns_would_not_ask_it(void **state)
{
    const char *usual = "hosts: files myhostname resolve [!UNAVAIL=return] dns\n";

    (void)state;
    assert_int_equal(resolver_need_of(usual, false), RESOLVER_ALL);
    assert_int_equal(resolver_need_of(usual, true), RESOLVER_NONE);
    assert_int_equal(resolver_need_of("hosts: files resolve\n", true), RESOLVER_ALL);
}

static void mdns_is_asked_for_local_names(void **state)
{
    static const char *const usual = "hosts: files mdns4_minimal [NOTFOUND=return] dns\n";

    (void)state;
    assert_int_equal(resolver_need_of(usual, false), RESOLVER_LOCAL);
    assert_int_equal(resolver_need_of("hosts: mdns_minimal dns", false), RESOLVER_LOCAL);
    assert_true(resolver_is_asked(RESOLVER_LOCAL, "keycloak.LOCAL"));
    assert_true(resolver_is_asked(RESOLVER_LOCAL, "keycloak.local."));
    assert_false(resolver_is_asked(RESOLVER_LOCAL, "keycloak.local.example.com"));
    assert_false(resolver_is_asked(RESOLVER_LOCAL, ".local"));
    assert_false(resolver_is_asked(RESOLVER_LOCAL, "keycloak.nonlocal"));
    assert_false(resolver_is_asked(RESOLVER_LOCAL, ""));
    assert_true(resolver_is_asked(RESOLVER_ALL, "login.example.com"));
    assert_false(resolver_is_asked(RESOLVER_NONE, "keycloak.local"));
}

/* ---- the process ----------------------------------------------------------------------------- */

/* What a child that has started the process returns of the deed. */
static int beside_a_resolver(enum resolver_need need, int (*deed)(void))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        sandbox_limits();
        resolver_start(need);
        _exit(deed());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int families_of(const char *name, int family, const char *service, unsigned port)
{
    const struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int r = getaddrinfo(name, service, &hints, &found), n = 0;

    if (r != 0)
        return 100;
    for (const struct addrinfo *one = found; one; one = one->ai_next, n++) {
        const struct sockaddr_in *in = (const void *)one->ai_addr;
        if (one->ai_socktype != SOCK_STREAM || ntohs(in->sin_port) != port ||
            (family && one->ai_family != family))
            return 101;
    }
    freeaddrinfo(found);
    return n > 0 ? 0 : 102;
}

/* Where a root is bare, nobody knows this name. */
static int a_name_is_told(void)
{
    int r = families_of("localhost", AF_UNSPEC, "8443", 8443);

    return r ? r : families_of("localhost", AF_INET, "443", 443);
}

static int an_address_is_told(void)
{
    return families_of("127.0.0.1", AF_INET, "443", 443);
}

static int a_name_that_is_none(void)
{
    struct addrinfo *found;
    static char name[400]; /* longer than a question may be: not asked, and no name either */

    memset(name, 'a', sizeof name - 1);
    return getaddrinfo(name, NULL, NULL, &found) != 0 ? 0 : 1;
}

/* The number of descriptors that are open. */
static int descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 64; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Pipes, by which no descriptor can be handed over. */
static int two_pipes(void)
{
    int before = descriptors();
    struct stat st;

    for (int fd = 3; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
            close(fd); /* of whoever runs the tests */
            before--;
        }
    resolver_start(RESOLVER_NONE);
    if (descriptors() != before)
        return 1;
    resolver_start(RESOLVER_ALL);
    for (int fd = 3; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
            return 3;
    return descriptors() == before + 2 ? 0 : 2;
}

static void it_tells_addresses_as_libc_does(void **state)
{
    static const enum resolver_need needs[] = { RESOLVER_NONE, RESOLVER_LOCAL, RESOLVER_ALL };

    (void)state;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        assert_int_equal(beside_a_resolver(needs[i], a_name_is_told), a_name_is_told());
        assert_int_equal(beside_a_resolver(needs[i], an_address_is_told), 0);
    }
    assert_int_equal(beside_a_resolver(RESOLVER_ALL, a_name_that_is_none), 0);
}

static void it_starts_where_it_is_needed(void **state)
{
    (void)state;
    assert_int_equal(beside_a_resolver(RESOLVER_NONE, two_pipes), 0);
}

/* The descriptors of the one that ends are those of the test: it reads to their end. */
static void it_ends_with_who_started_it(void **state)
{
    int ends[2];
    char byte;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        close(ends[0]);
        sandbox_limits();
        resolver_start(RESOLVER_ALL);
        a_name_is_told();
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* and it holds none of them open */
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_dns_need_nobody),
        cmocka_unit_test(services_are_asked_for_all_names),
        cmocka_unit_test(resolved_is_asked_where_dns_would_not_ask_it),
        cmocka_unit_test(mdns_is_asked_for_local_names),
        cmocka_unit_test(it_tells_addresses_as_libc_does),
        cmocka_unit_test(it_starts_where_it_is_needed),
        cmocka_unit_test(it_ends_with_who_started_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
