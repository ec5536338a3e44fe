/* Locked memory: what is put in stays, what is freed is gone. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/secret.h"

static bool all_zero(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

static void a_copy_holds_the_bytes_and_a_nul(void **state)
{
    (void)state;
    struct secret *s = secret_copy("a\0b", 3);
    assert_int_equal(secret_length(s), 3);
    assert_memory_equal(secret_peek(s), "a\0b", 4);
    secret_free(s);
}

static void a_new_secret_is_empty(void **state)
{
    (void)state;
    struct secret *s = secret_new(100);
    assert_int_equal(secret_length(s), 0);
    assert_int_equal(secret_capacity(s), 100);
    assert_string_equal(secret_peek(s), "");
    secret_free(s);
}

static void an_empty_secret_has_room_for_its_nul(void **state)
{
    (void)state;
    struct secret *s = secret_copy("", 0);
    assert_int_equal(secret_length(s), 0);
    assert_string_equal(secret_peek(s), "");
    secret_free(s);
}

static void freeing_nothing_is_nothing(void **state)
{
    (void)state;
    assert_null(secret_free(NULL));
    assert_int_equal(secret_length(NULL), 0);
}

static void a_freed_secret_is_wiped(void **state)
{
    (void)state;
    struct secret *keeper = secret_copy("x", 1); /* holds the region */
    struct secret *s = secret_copy("hunter2hunter2hunter2", 21);
    const char *bytes = secret_peek(s);
    secret_free(s);
    assert_true(all_zero(bytes, 22));
    secret_free(keeper);
}

static void the_whole_room_is_wiped_not_the_length_alone(void **state)
{
    (void)state;
    struct secret *s = secret_new(1000);
    const char *bytes = secret_peek(s);
    memset(secret_bytes(s), 'x', 1000); /* written, but never said to be that long */
    secret_free(s);
    assert_true(all_zero(bytes, 1000));
}

static void a_shorter_length_wipes_the_rest(void **state)
{
    (void)state;
    struct secret *s = secret_copy("hunter2", 7);
    secret_set_length(s, 3);
    assert_int_equal(secret_length(s), 3);
    assert_memory_equal(secret_peek(s), "hun\0\0\0\0", 8);
    secret_free(s);
}

static void a_length_over_the_capacity_is_cut(void **state)
{
    (void)state;
    struct secret *s = secret_new(4);
    secret_set_length(s, 100);
    assert_int_equal(secret_length(s), 4);
    secret_free(s);
}

static void freed_room_is_used_again(void **state)
{
    (void)state;
    struct secret *a = secret_new(100), *keeper = secret_new(100);
    const void *room = a;
    secret_free(a);
    struct secret *b = secret_new(100);
    assert_ptr_equal(b, room);
    secret_free(b);
    secret_free(keeper);
}

static void freed_neighbours_make_room_together(void **state)
{
    (void)state;
    struct secret *a = secret_new(1000), *b = secret_new(1000), *keeper = secret_new(16);
    const void *room = a;
    secret_free(a);
    secret_free(b);
    struct secret *c = secret_new(1900);
    assert_ptr_equal(c, room);
    secret_free(c);
    secret_free(keeper);
}

static void many_secrets_do_not_touch_each_other(void **state)
{
    enum { N = 2000 };
    static struct secret *all[N];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        all[i] = secret_new(i % 300);
        memset(secret_bytes(all[i]), (int)(i % 251), i % 300);
        secret_set_length(all[i], i % 300);
    }
    for (size_t i = 0; i < N; i += 2)
        all[i] = secret_free(all[i]);
    for (size_t i = 1; i < N; i += 2)
        for (size_t k = 0; k < i % 300; k++)
            assert_int_equal((unsigned char)secret_peek(all[i])[k], i % 251);
    for (size_t i = 1; i < N; i += 2)
        secret_free(all[i]);
}

/* In pages, of all that is mapped. */
static long size_of_process(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pages), 1);
    fclose(f);
    return pages;
}

static void what_many_have_needed_is_given_back(void **state)
{
    enum { N = 500, ROOM = 64 * 1024 / 4096 }; /* one is kept for what comes next */
    static struct secret *all[N];

    (void)state;
    size_of_process(); /* stdio takes its own */
    struct secret *keeper = secret_copy("hunter2", 7);
    long before = size_of_process();
    for (size_t i = 0; i < N; i++)
        all[i] = secret_new(10000);
    assert_true(size_of_process() > before + 10 * ROOM);
    for (size_t i = 0; i < N; i++)
        all[i] = secret_free(all[i]);
    assert_true(size_of_process() <= before + ROOM);
    assert_string_equal(secret_peek(keeper), "hunter2");
    struct secret *next = secret_new(10000); /* in what was kept */
    assert_true(size_of_process() <= before + ROOM);
    secret_free(next);
    secret_free(keeper);
}

static void a_big_secret_is_held(void **state)
{
    (void)state;
    size_t size = 1024 * 1024;
    struct secret *s = secret_new(size);
    assert_non_null(s);
    memset(secret_bytes(s), 'x', size);
    secret_set_length(s, size);
    assert_int_equal(strlen(secret_peek(s)), size);
    secret_free(s);
}

static void a_small_secret_outlives_the_big_one_that_it_came_after(void **state)
{
    (void)state;
    struct secret *big = secret_new(128 * 1024), *small = secret_copy("token", 5);
    secret_free(big);
    assert_string_equal(secret_peek(small), "token");
    secret_free(small);
}

static void a_big_secret_outlives_the_small_one_that_came_after_it(void **state)
{
    (void)state;
    struct secret *big = secret_new(128 * 1024), *small = secret_copy("token", 5);
    memset(secret_bytes(big), 'x', 128 * 1024);
    secret_free(small);
    assert_int_equal(secret_bytes(big)[128 * 1024 - 1], 'x');
    secret_free(big);
}

static bool is_mapped(const void *address)
{
    unsigned char pages;

    return mincore((void *)((uintptr_t)address & ~4095UL), 1, &pages) == 0;
}

/* As after each renewal: the job and the result go, the token stays. */
static void a_small_secret_keeps_no_memory_of_a_big_one(void **state)
{
    struct secret *big[40], *small[40];

    (void)state;
    for (size_t i = 0; i < COUNT(big); i++) {
        big[i] = secret_new(128 * 1024);
        small[i] = secret_copy("token", 5);
        assert_true(is_mapped(big[i]));
        secret_free(big[i]);
        assert_false(is_mapped(big[i]));
    }
    for (size_t i = 0; i < COUNT(small); i++)
        secret_free(small[i]);
}

/* Bytes of this process that are locked, or would be; 0 where that cannot be told. */
static unsigned long locked_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long kib = 0;
    char line[256];

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmLck: %lu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

/* The usual RLIMIT_MEMLOCK is 8 MiB: a hundred long tokens, and what renews them, have to fit. */
static void a_hundred_long_tokens_take_hardly_more_than_their_length(void **state)
{
    static const size_t lengths[] = { 20 * 1024, 36 * 1024, 64 * 1024 };
    struct secret *all[100];

    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        unsigned long before = locked_kib(), page = 4, length = lengths[i] / 1024;
        for (size_t k = 0; k < COUNT(all); k++) { /* each is renewed once */
            all[k] = secret_new(lengths[i]);
            struct secret *newer = secret_new(lengths[i]);
            secret_free(all[k]);
            all[k] = newer;
        }
        unsigned long taken = locked_kib() - before;
        for (size_t k = 0; k < COUNT(all); k++)
            secret_free(all[k]);
        assert_true(taken <= 100 * (length + page));
        assert_int_equal(locked_kib(), before);
    }
}

static void what_is_absurdly_big_is_refused(void **state)
{
    (void)state;
    assert_null(secret_new((size_t)-1));
    assert_null(secret_new(1024 * 1024 * 1024));
}

static void equal_bytes_are_equal(void **state)
{
    (void)state;
    struct secret *a = secret_copy("abc", 3), *b = secret_new(50);
    memcpy(secret_bytes(b), "abc", 3);
    secret_set_length(b, 3);
    assert_true(secret_equal(a, b));
    secret_free(a);
    secret_free(b);
}

static void any_difference_makes_them_unequal(void **state)
{
    static const char *const others[] = { "abd", "Abc", "aBc", "ab", "abcd", "" };

    (void)state;
    struct secret *a = secret_copy("abc", 3);
    for (size_t i = 0; i < COUNT(others); i++) {
        struct secret *b = secret_copy(others[i], strlen(others[i]));
        assert_false(secret_equal(a, b));
        secret_free(b);
    }
    secret_free(a);
}

static void bytes_behind_a_nul_count(void **state)
{
    (void)state;
    struct secret *a = secret_copy("a\0b", 3), *b = secret_copy("a\0c", 3);
    assert_false(secret_equal(a, b));
    secret_free(a);
    secret_free(b);
}

static void nothing_equals_only_nothing(void **state)
{
    (void)state;
    struct secret *a = secret_copy("", 0);
    assert_true(secret_equal(NULL, NULL));
    assert_false(secret_equal(a, NULL));
    assert_false(secret_equal(NULL, a));
    secret_free(a);
}

static void a_secret_is_freed_at_the_end_of_its_scope(void **state)
{
    const char *bytes;

    (void)state;
    struct secret *keeper = secret_copy("x", 1);
    {
        _secret_ struct secret *s = secret_copy("hunter2", 7);
        bytes = secret_peek(s);
    }
    assert_true(all_zero(bytes, 7));
    secret_free(keeper);
}

static void a_forked_child_finds_nothing(void **state)
{
    int status = -1;

    (void)state;
    struct secret *s = secret_copy("hunter2", 7);
    pid_t child = fork();
    if (child == 0)
        _exit(all_zero(secret_peek(s), 7) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    secret_free(s);
}

/* AddressSanitizer makes mlock() do nothing. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* The flags of the mapping that holds the address, from /proc/self/smaps. */
static void flags_of(const void *address, char flags[256])
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long start, end;
    bool inside = false;

    *flags = '\0';
    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = (uintptr_t)address >= start && (uintptr_t)address < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(flags, 256, "%.200s", line);
    }
    if (maps)
        fclose(maps);
}

static void no_core_dump_holds_a_secret(void **state)
{
    char flags[256];

    (void)state;
    struct secret *s = secret_copy("hunter2", 7);
    flags_of(s, flags);
    secret_free(s);
    if (!*flags)
        skip(); /* a kernel without smaps */
    assert_holds(flags, " dd");
}

static void a_secret_is_locked_when_it_says_so(void **state)
{
    char flags[256];

    (void)state;
    struct secret *s = secret_copy("hunter2", 7);
    flags_of(s, flags);
    secret_free(s);
    if (!*flags || !secret_locked() || SANITIZED)
        skip();
    assert_holds(flags, " lo");
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_copy_holds_the_bytes_and_a_nul),
        TEST(a_new_secret_is_empty),
        TEST(an_empty_secret_has_room_for_its_nul),
        TEST(freeing_nothing_is_nothing),
        TEST(a_freed_secret_is_wiped),
        TEST(the_whole_room_is_wiped_not_the_length_alone),
        TEST(a_shorter_length_wipes_the_rest),
        TEST(a_length_over_the_capacity_is_cut),
        TEST(freed_room_is_used_again),
        TEST(freed_neighbours_make_room_together),
        TEST(many_secrets_do_not_touch_each_other),
        TEST(what_many_have_needed_is_given_back),
        TEST(a_big_secret_is_held),
        TEST(a_small_secret_outlives_the_big_one_that_it_came_after),
        TEST(a_big_secret_outlives_the_small_one_that_came_after_it),
        TEST(a_small_secret_keeps_no_memory_of_a_big_one),
        TEST(a_hundred_long_tokens_take_hardly_more_than_their_length),
        TEST(what_is_absurdly_big_is_refused),
        TEST(equal_bytes_are_equal),
        TEST(any_difference_makes_them_unequal),
        TEST(bytes_behind_a_nul_count),
        TEST(nothing_equals_only_nothing),
        TEST(a_secret_is_freed_at_the_end_of_its_scope),
        TEST(a_forked_child_finds_nothing),
        TEST(no_core_dump_holds_a_secret),
        TEST(a_secret_is_locked_when_it_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
