#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/digest.h"
#include "daemon/store.h"

enum {
    AT_VERSION = 8,
    AT_BOOT = 16,
    AT_KEY = 32,
    AT_CHECK = 48,
    AT_SIZE = 56,
    AT_FIRST_BLOCK = 64
};

static int systemd = -1; /* the socket that stands for it */

static int setup(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    folder_setup(state);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", test_folder);
    systemd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(systemd, (const struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return 0;
}

static int teardown(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    close(systemd);
    return folder_teardown(state);
}

/* The descriptor that was given to systemd to keep, -1: none was. */
static int kept(void)
{
    char text[256], control[CMSG_SPACE(sizeof(int))];
    struct iovec part = { text, sizeof text };
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    int fd;

    while (recvmsg(systemd, &m, MSG_CMSG_CLOEXEC) >= 0) {
        const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_type == SCM_RIGHTS) {
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
            return fd;
        }
        m.msg_controllen = sizeof control;
    }
    return -1;
}

static struct store *first(void)
{
    struct store *s = store_new(NULL, 0);

    assert_non_null(s);
    return s;
}

static struct store *again(int fd)
{
    struct store *s = store_new(&fd, 1);

    assert_non_null(s);
    return s;
}

static void put(struct store *s, enum store_kind kind, uint64_t id, const char *text,
                const char *rest)
{
    struct secret *secret = secret_copy(text, strlen(text));

    assert_non_null(store_put(s, kind, id, secret, rest, strlen(rest)));
    secret_free(secret);
}

static void assert_kept(struct store *s, enum store_kind kind, uint64_t id, const char *text,
                        const char *rest)
{
    const struct store_record *r = store_find(s, kind, id);
    size_t length;

    assert_non_null(r);
    assert_string_equal(secret_peek(store_secret(r)), text);
    assert_int_equal(secret_length(store_secret(r)), strlen(text));
    const void *there = store_rest(r, &length);
    assert_int_equal(length, strlen(rest));
    assert_memory_equal(there, rest, length);
}

static char *content(int fd, size_t *ret_length)
{
    struct stat st;

    fstat(fd, &st);
    *ret_length = (size_t)st.st_size;
    char *m = mmap(NULL, *ret_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(m != MAP_FAILED);
    return m;
}

static bool lies_in(int fd, const char *text)
{
    size_t length;
    char *m = content(fd, &length);
    bool found = memmem(m, length, text, strlen(text)) != NULL;

    munmap(m, length);
    return found;
}

static void records_and_the_key_outlive_the_daemon(void **state)
{
    struct store *s = first();
    unsigned char key[DIGEST_KEY_SIZE];

    (void)state;
    memcpy(key, store_key(s), sizeof key);
    assert_null(store_find(s, STORE_TOKEN, 1));
    put(s, STORE_TOKEN, 1, "old", "facts");
    put(s, STORE_TOKEN, 2, "two", "");
    put(s, STORE_ACCOUNT, 1, "", "digests");
    put(s, STORE_TOKEN, 1, "a newer one", "others");
    store_free(s);

    s = again(kept());
    assert_memory_equal(store_key(s), key, sizeof key);
    assert_kept(s, STORE_TOKEN, 1, "a newer one", "others");
    assert_kept(s, STORE_TOKEN, 2, "two", "");
    assert_kept(s, STORE_ACCOUNT, 1, "", "digests");
    assert_int_equal(kept(), -1);
    store_free(s);
}

static void what_is_replaced_or_removed_is_wiped(void **state)
{
    struct store *s = first();
    int fd = kept();

    (void)state;
    put(s, STORE_PASSWORD, 1, "canary-one", "");
    assert_true(lies_in(fd, "canary-one"));
    put(s, STORE_PASSWORD, 1, "canary-two", "rest-two");
    assert_false(lies_in(fd, "canary-one"));
    store_remove(s, store_find(s, STORE_PASSWORD, 1));
    assert_false(lies_in(fd, "canary-two"));
    assert_false(lies_in(fd, "rest-two"));
    assert_null(store_find(s, STORE_PASSWORD, 1));
    store_remove(s, NULL);
    store_free(s);
    close(fd);
}

static void a_secret_is_used_where_it_lies_while_the_store_grows(void **state)
{
    struct store *s = first();
    char large[100000];

    (void)state;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    put(s, STORE_TOKEN, 1, "small", "");
    const struct secret *there = store_secret(store_find(s, STORE_TOKEN, 1));
    for (uint64_t id = 2; id < 12; id++)
        put(s, STORE_TOKEN, id, large, "");
    assert_ptr_equal(store_secret(store_find(s, STORE_TOKEN, 1)), there);
    assert_string_equal(secret_peek(there), "small");
    store_free(s);

    s = again(kept());
    assert_kept(s, STORE_TOKEN, 1, "small", "");
    for (uint64_t id = 2; id < 12; id++)
        assert_kept(s, STORE_TOKEN, id, large, "");
    store_free(s);
}

/* Renewals for a year do not make it grow. */
static void room_is_used_again(void **state)
{
    struct store *s = first();
    int fd = kept();
    char text[1200];
    struct stat st;

    (void)state;
    memset(text, 'x', sizeof text);
    for (unsigned i = 0; i < 100000; i++) {
        text[400 + i * 7919 % 800] = '\0';
        put(s, STORE_TOKEN, i % 8, text, "facts");
        memset(text, 'x', sizeof text);
    }
    fstat(fd, &st);
    assert_in_range(st.st_size, 8 * 1200, 64 * 1024);
    store_free(s);
    close(fd);
}

static void its_own_secret_can_be_put_back(void **state)
{
    struct store *s = first();

    (void)state;
    put(s, STORE_REFRESH_TOKEN, 1, "r1", "");
    const struct secret *own = store_secret(store_find(s, STORE_REFRESH_TOKEN, 1));
    assert_non_null(store_put(s, STORE_REFRESH_TOKEN, 1, own, "sent", 4));
    assert_kept(s, STORE_REFRESH_TOKEN, 1, "r1", "sent");
    store_free(s);
}

/* Also kinds of a later version: nobody here would ever wipe them. */
static void what_nobody_wants_is_wiped_but_for_accounts(void **state)
{
    struct store *s = first();
    enum { LATER = 77 };

    (void)state;
    put(s, STORE_TOKEN, 1, "wanted", "");
    put(s, STORE_TOKEN, 2, "unwanted", "");
    put(s, (enum store_kind)LATER, 1, "of-a-later-one", "");
    put(s, STORE_ACCOUNT, 9, "", "account");
    store_free(s);
    int fd = kept();
    s = again(dup(fd));
    assert_non_null(store_find(s, STORE_TOKEN, 1));
    store_sweep(s);
    assert_kept(s, STORE_TOKEN, 1, "wanted", "");
    assert_kept(s, STORE_ACCOUNT, 9, "", "account");
    assert_false(lies_in(fd, "unwanted"));
    assert_false(lies_in(fd, "of-a-later-one"));
    store_free(s);
    close(fd);
}

static void the_account_written_longest_ago_makes_room(void **state)
{
    struct store *s = first();

    (void)state;
    for (uint64_t id = 1; id <= STORE_ACCOUNTS_MAX; id++)
        put(s, STORE_ACCOUNT, id, "", "a");
    put(s, STORE_ACCOUNT, 1, "", "b");
    put(s, STORE_TOKEN, 1, "t", "");
    put(s, STORE_ACCOUNT, STORE_ACCOUNTS_MAX + 1, "", "a");
    assert_kept(s, STORE_ACCOUNT, 1, "", "b");
    assert_null(store_find(s, STORE_ACCOUNT, 2));
    assert_non_null(store_find(s, STORE_ACCOUNT, 3));
    assert_non_null(store_find(s, STORE_ACCOUNT, STORE_ACCOUNTS_MAX + 1));
    assert_kept(s, STORE_TOKEN, 1, "t", "");
    store_free(s);
}

/* A life that writes and writes, and tells once how it does. */
static _Noreturn void write_for_ever(int fd, int told)
{
    struct store *s = again(fd);
    char text[4000];

    for (uint64_t n = 0;; n++) {
        uint64_t id = n % 5;
        size_t length = 100 + (size_t)(n * 2654435761U % 3800);
        memset(text, 'a' + (int)(n % 26), length);
        text[length] = '\0';
        put(s, STORE_TOKEN, id, text, "rest");
        if (n == 50 && write(told, "", 1) != 1)
            _exit(1);
    }
}

/* What is found is a whole one: all its letters are the same. */
static void assert_whole(struct store *s, uint64_t id)
{
    const struct store_record *r = store_find(s, STORE_TOKEN, id);
    size_t length;

    assert_non_null(r);
    const char *text = secret_peek(store_secret(r));
    assert_in_range(secret_length(store_secret(r)), 100, 3900);
    for (size_t i = 0; i < secret_length(store_secret(r)); i++)
        assert_int_equal(text[i], text[0]);
    assert_memory_equal(store_rest(r, &length), "rest", 4);
}

static void killed_in_the_middle_it_is_whole(void **state)
{
    store_free(first());
    int fd = kept();

    (void)state;
    for (int life = 0; life < 100; life++) {
        int told[2];
        char byte;
        assert_int_equal(pipe(told), 0);
        pid_t pid = fork();
        if (pid == 0)
            write_for_ever(dup(fd), told[1]);
        assert_int_equal(read(told[0], &byte, 1), 1);
        usleep((useconds_t)(life * 13 % 200)); /* anywhere */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(told[0]);
        close(told[1]);
        struct store *s = again(dup(fd));
        assert_int_equal(kept(), -1); /* it was believed */
        for (uint64_t id = 0; id < 5; id++)
            assert_whole(s, id);
        store_free(s);
    }
    close(fd);
}

/* Finds the bytes in the memory behind the descriptor and changes them. */
static void spoil(int fd, const void *bytes, size_t n)
{
    size_t length;
    char *m = content(fd, &length), *found = memmem(m, length, bytes, n);

    assert_non_null(found);
    found[0] ^= 1;
    munmap(m, length);
}

static void a_record_that_is_broken_is_lost_alone_and_wiped(void **state)
{
    struct store *s = first();

    (void)state;
    put(s, STORE_TOKEN, 1, "first-canary", "");
    put(s, STORE_TOKEN, 2, "other", "");
    store_free(s);
    int fd = kept();
    spoil(fd, "canary", 6);
    s = again(dup(fd));
    assert_null(store_find(s, STORE_TOKEN, 1));
    assert_kept(s, STORE_TOKEN, 2, "other", "");
    assert_false(lies_in(fd, "first-"));
    store_free(s);
    close(fd);
}

static int store_of(const char *token)
{
    struct store *s = first();

    put(s, STORE_TOKEN, 1, token, "");
    store_free(s);
    return kept();
}

/* Killed before the older one of two records was wiped. */
static void of_two_records_of_one_the_newer_is_taken(void **state)
{
    int fd = store_of("of-old");
    size_t length, end = 0;
    char *m = content(fd, &length), *before = malloc(length);

    (void)state;
    assert_non_null(before);
    memcpy(before, m, length);
    memcpy(&end, before + AT_FIRST_BLOCK, sizeof(uint32_t));
    struct store *s = again(dup(fd));
    put(s, STORE_TOKEN, 1, "newer", "");
    store_free(s);
    assert_false(lies_in(fd, "of-old"));
    memcpy(m + AT_FIRST_BLOCK, before + AT_FIRST_BLOCK, end);
    assert_true(lies_in(fd, "of-old"));
    s = again(dup(fd));
    assert_kept(s, STORE_TOKEN, 1, "newer", "");
    assert_false(lies_in(fd, "of-old"));
    store_free(s);
    munmap(m, length);
    free(before);
    close(fd);
}

static void of_two_the_one_written_last_is_taken(void **state)
{
    int old = store_of("old");
    struct store *s = first();

    (void)state;
    put(s, STORE_TOKEN, 1, "x", "");
    put(s, STORE_TOKEN, 1, "new", "");
    store_free(s);
    const int fds[] = { kept(), old };
    s = store_new(fds, 2);
    assert_kept(s, STORE_TOKEN, 1, "new", "");
    int fd = kept(); /* both names are taken back, and the better one is given again */
    assert_true(fd >= 0);
    assert_true(lies_in(fd, "new"));
    store_free(s);
    close(fd);
}

/* Sets a number of the header. */
static int with_header(size_t at, uint64_t value)
{
    int fd = store_of("token");

    assert_int_equal(pwrite(fd, &value, sizeof value, (off_t)at), sizeof value);
    return fd;
}

static int memfd_of(size_t size, int seals)
{
    int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    if (seals)
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* A sound one, of before the machine was booted. */
static int of_another_boot(void)
{
    int fd = store_of("token");
    size_t length;
    char *m = content(fd, &length);

    m[AT_BOOT] ^= 1;
    uint64_t check = digest_bytes((const unsigned char *)m + AT_KEY, m, AT_CHECK);
    memcpy(m + AT_CHECK, &check, sizeof check);
    munmap(m, length);
    return fd;
}

/* A sound one, which whoever has it could cut off. */
static int without_seals(void)
{
    int sealed = store_of("token");
    size_t length;
    char *m = content(sealed, &length);
    int fd = memfd_of(length, 0);

    assert_int_equal(pwrite(fd, m, length, 0), length);
    munmap(m, length);
    close(sealed);
    return fd;
}

static void what_is_no_store_is_not_believed(void **state)
{
    (void)state;
    const int fds[] = {
        of_another_boot(),
        without_seals(),
        open("/dev/null", O_RDWR | O_CLOEXEC),
        memfd_of(16384, 0),
        memfd_of(0, F_SEAL_SHRINK),
        memfd_of(16384, F_SEAL_SHRINK),
        memfd_of(40, F_SEAL_SHRINK),
        with_header(AT_VERSION, 1),
        with_header(AT_VERSION, 1000),
        with_header(AT_BOOT, 1),
        with_header(AT_KEY, 1),
        with_header(AT_SIZE, 16384 * 2),     /* more than there is */
        with_header(AT_SIZE, 100),           /* less than a page */
        with_header(AT_SIZE, 1ULL << 40),    /* too large */
        with_header(AT_FIRST_BLOCK, 24),     /* no block is so small, */
        with_header(AT_FIRST_BLOCK, 1 << 30) /* or as large as that */
    };

    for (size_t i = 0; i < COUNT(fds); i++) {
        struct store *s = again(fds[i]);
        assert_null(store_find(s, STORE_TOKEN, 1));
        put(s, STORE_TOKEN, 1, "of this life", "");
        store_free(s);
        s = again(kept()); /* a new one was given to systemd */
        assert_kept(s, STORE_TOKEN, 1, "of this life", "");
        store_free(s);
    }
}

/* A block that is all head, with a kind: its content, which is to be wiped, would have a length
 * below 0. */
static void a_block_without_room_for_content_is_none(void **state)
{
    enum { HEAD = 64 };
    const uint32_t head[] = { HEAD, STORE_TOKEN }, rest[] = { 16384 - AT_FIRST_BLOCK - HEAD, 0 };
    int fd = store_of("token");

    (void)state;
    assert_int_equal(pwrite(fd, head, sizeof head, AT_FIRST_BLOCK), sizeof head);
    assert_int_equal(pwrite(fd, rest, sizeof rest, AT_FIRST_BLOCK + HEAD), sizeof rest);
    struct store *s = again(fd);
    assert_null(store_find(s, STORE_TOKEN, 1));
    put(s, STORE_TOKEN, 1, "of this life", "");
    store_free(s);
    s = again(kept());
    assert_kept(s, STORE_TOKEN, 1, "of this life", "");
    store_free(s);
}

/* It can grow, which costs nothing: what is behind its end is not looked at. */
static void nobody_can_cut_it_off_beneath_us(void **state)
{
    int fd = store_of("token");

    (void)state;
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    const char other[] = "behind the end";
    assert_int_equal(pwrite(fd, other, sizeof other, 16384 + 100), sizeof other);
    struct store *s = again(dup(fd));
    assert_kept(s, STORE_TOKEN, 1, "token", "");
    char large[40000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    put(s, STORE_TOKEN, 2, large, "");
    assert_false(lies_in(fd, other));
    store_free(s);
    s = again(fd);
    assert_kept(s, STORE_TOKEN, 1, "token", "");
    assert_kept(s, STORE_TOKEN, 2, large, "");
    store_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_and_the_key_outlive_the_daemon),
        TEST(what_is_replaced_or_removed_is_wiped),
        TEST(a_secret_is_used_where_it_lies_while_the_store_grows),
        TEST(room_is_used_again),
        TEST(its_own_secret_can_be_put_back),
        TEST(what_nobody_wants_is_wiped_but_for_accounts),
        TEST(the_account_written_longest_ago_makes_room),
        TEST(killed_in_the_middle_it_is_whole),
        TEST(a_record_that_is_broken_is_lost_alone_and_wiped),
        TEST(of_two_records_of_one_the_newer_is_taken),
        TEST(of_two_the_one_written_last_is_taken),
        TEST(what_is_no_store_is_not_believed),
        TEST(a_block_without_room_for_content_is_none),
        TEST(nobody_can_cut_it_off_beneath_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
