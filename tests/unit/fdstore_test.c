#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/fdstore.h"

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

static struct account some(uint64_t n)
{
    return (struct account){ .bucket_full = n,
                             .refusals = { { { n + 1, n + 2, n + 3, n + 4 }, n + 5, 1 } },
                             .accepted = { n + 6, n + 7 },
                             .troubles = { { n + 8, 1, 2, 3, { 4, 5 }, 6, 7, 8 } },
                             .silent_at = n + 9 };
}

static void assert_kept(struct fdstore *s, uint64_t id, uint64_t n)
{
    struct account a = { 0 };
    const struct account b = some(n);

    assert_true(fdstore_get_account(s, id, &a));
    assert_memory_equal(&a, &b, sizeof a);
}

static void put(struct fdstore *s, uint64_t id, uint64_t n)
{
    const struct account a = some(n);
    fdstore_put_account(s, id, &a);
}

static void accounts_and_the_key_outlive_the_daemon(void **state)
{
    struct fdstore *s = fdstore_new(-1);
    unsigned char key[DIGEST_KEY_SIZE];
    struct account a;

    (void)state;
    assert_non_null(s);
    memcpy(key, fdstore_key(s), sizeof key);
    assert_false(fdstore_get_account(s, 1, &a));
    put(s, 1, 100);
    put(s, 2, 200);
    put(s, 1, 300);
    fdstore_free(s);

    s = fdstore_new(kept());
    assert_memory_equal(fdstore_key(s), key, sizeof key);
    assert_kept(s, 1, 300);
    assert_kept(s, 2, 200);
    assert_int_equal(kept(), -1);
    fdstore_free(s);
}

/* Most clients are never refused; one that was and is no more is not told from them. */
static void an_account_of_which_nothing_is_known_takes_no_room(void **state)
{
    struct fdstore *s = fdstore_new(-1);
    const struct account nothing = { 0 };
    struct account a = some(1);

    (void)state;
    fdstore_put_account(s, 1, &nothing);
    assert_false(fdstore_get_account(s, 1, &a));
    put(s, 1, 100);
    fdstore_put_account(s, 1, &nothing);
    assert_true(fdstore_get_account(s, 1, &a));
    assert_memory_equal(&a, &nothing, sizeof a);
    fdstore_free(s);
}

static void it_is_full_at_256_accounts(void **state)
{
    struct fdstore *s = fdstore_new(-1);
    struct account a;

    (void)state;
    for (uint64_t id = 1; id <= FDSTORE_ACCOUNTS + 1; id++)
        put(s, id, id);
    assert_kept(s, FDSTORE_ACCOUNTS, FDSTORE_ACCOUNTS);
    assert_false(fdstore_get_account(s, FDSTORE_ACCOUNTS + 1, &a));
    put(s, 7, 700);
    assert_kept(s, 7, 700);
    fdstore_free(s);
}

/* Finds the bytes of a number in the memory behind the descriptor and changes them. */
static void spoil(int fd, uint64_t number)
{
    struct stat st;

    fstat(fd, &st);
    char *m = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *found = memmem(m, (size_t)st.st_size, &number, sizeof number);
    assert_non_null(found);
    found[0] ^= 1;
    munmap(m, (size_t)st.st_size);
}

static void a_write_that_was_cut_short_costs_that_write_alone(void **state)
{
    struct fdstore *s = fdstore_new(-1);

    (void)state;
    put(s, 1, 0x1111000000);
    put(s, 1, 0x2222000000);
    fdstore_free(s);
    int fd = kept();
    spoil(fd, 0x2222000000);
    s = fdstore_new(fd);
    assert_kept(s, 1, 0x1111000000);
    put(s, 1, 0x3333000000);
    assert_kept(s, 1, 0x3333000000);
    fdstore_free(s);
}

static void what_is_no_store_is_not_believed(void **state)
{
    struct account a;
    int fds[4];

    (void)state;
    fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
    fds[1] = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fds[2] = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct fdstore *s = fdstore_new(-1);
    put(s, 1, 100);
    unsigned char key[DIGEST_KEY_SIZE];
    memcpy(key, fdstore_key(s), sizeof key);
    fdstore_free(s);
    fds[3] = kept();
    struct stat st;
    fstat(fds[3], &st);
    assert_int_equal(ftruncate(fds[1], st.st_size), 0); /* not sealed */
    assert_int_equal(ftruncate(fds[2], st.st_size + 1), 0);
    fcntl(fds[2], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    uint64_t part;
    memcpy(&part, key, sizeof part);
    spoil(fds[3], part);
    for (size_t i = 0; i < COUNT(fds); i++) {
        s = fdstore_new(fds[i]);
        assert_non_null(s);
        assert_false(fdstore_get_account(s, 1, &a));
        fdstore_free(s);
        int fd = kept();
        assert_true(fd >= 0);
        close(fd);
    }
}

static void its_size_cannot_be_changed_beneath_us(void **state)
{
    struct fdstore *s = fdstore_new(-1);
    int fd = kept();

    (void)state;
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 1 << 20), -1);
    close(fd);
    fdstore_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accounts_and_the_key_outlive_the_daemon),
        TEST(an_account_of_which_nothing_is_known_takes_no_room),
        TEST(it_is_full_at_256_accounts),
        TEST(a_write_that_was_cut_short_costs_that_write_alone),
        TEST(what_is_no_store_is_not_believed),
        TEST(its_size_cannot_be_changed_beneath_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
