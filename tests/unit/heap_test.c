/* The heap of programs whose libraries copy secrets: what is freed is wiped. */
#define _GNU_SOURCE
#include "support.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "common/heap.h"

/* Where the heap itself writes into what is free. */
enum { LINKS = 32 };

/* So that no compiler knows where it came from. */
static char *volatile place;

static bool is_wiped(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (place[i])
            return false;
    return true;
}

static char *fill(size_t size)
{
    char *p = malloc(size);

    assert_non_null(p);
    memset(p, 'x', size);
    place = p;
    return p;
}

static void what_is_freed_is_wiped(void **state)
{
    (void)state;
#ifdef HEAP_IS_ANOTHER
    skip();
#endif
    static const size_t sizes[] = { 100, 2000, 50000 };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *after;
        free(fill(sizes[i]));
        assert_true(is_wiped(LINKS, sizes[i]));
        after = malloc(16); /* the top may have moved */
        free(after);
    }
    free(NULL);
}

static void what_moves_leaves_nothing_behind(void **state)
{
    (void)state;
#ifdef HEAP_IS_ANOTHER
    skip();
#endif
    char *p = fill(1000), *barrier = malloc(16), *moved = realloc(p, 100000);

    assert_non_null(moved);
    assert_ptr_not_equal(moved, place);
    assert_true(is_wiped(LINKS, 1000));
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(moved[i], 'x');
    free(moved);
    free(barrier);
}

static void what_shrinks_leaves_nothing_behind_its_end(void **state)
{
    (void)state;
#ifdef HEAP_IS_ANOTHER
    skip();
#endif
    char *p = realloc(fill(1000), 900);

    assert_non_null(p);
    place = p;
    assert_true(is_wiped(900, 1000));
    assert_int_equal(p[899], 'x');
    place = p;
    char *less = realloc(p, 10);
    assert_non_null(less);
    assert_memory_equal(less, "xxxxxxxxxx", 10);
    assert_true(less == place ? is_wiped(10, 900) : is_wiped(LINKS, 900));
    free(less);
}

static void it_is_that_of_the_standard_otherwise(void **state)
{
    (void)state;
    char *volatile nothing = NULL;
    char *p = realloc(nothing, 10);

    assert_non_null(p);
    memcpy(p, "123456789", 10);
    p = realloc(p, 4000000);
    assert_non_null(p);
    assert_string_equal(p, "123456789");
    free(p);
#ifndef HEAP_IS_ANOTHER
    volatile size_t none = 0;
    fill(10);
    place = realloc(place, none); /* or clang knows without asking that there is one */
    assert_null(place);
    volatile size_t much = 1024UL * 1024 * 1024 * 1024 * 1024; /* nobody has so much */
    p = malloc(10);
    assert_non_null(p);
    memcpy(p, "123456789", 10);
    place = p;
    assert_null(realloc(p, much));
    assert_string_equal(place, "123456789"); /* it is as it was */
    free(place);
#endif
}

/* The flags of that address, as smaps has them (proc(5)). */
static void flags_at(const void *address, char out[256])
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    unsigned long begin, end;
    bool here = false;
    char line[256];

    *out = '\0';
    assert_non_null(smaps);
    while (fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            here = (uintptr_t)address >= begin && (uintptr_t)address < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            memcpy(out, line, sizeof line);
    }
    fclose(smaps);
}

static void what_comes_after_the_lock_is_locked_and_left_out_of_dumps(void **state)
{
    (void)state;
#ifdef HEAP_IS_ANOTHER
    skip();
#endif
    struct rlimit limit;
    char flags[256];

    heap_lock();
    char *small = malloc(100), *large = malloc(1000000);
    assert_true(small && large);
    getrlimit(RLIMIT_MEMLOCK, &limit);
    for (int i = 0; i < 2; i++) {
        flags_at(i ? large : small, flags);
        assert_non_null(strstr(flags, " dd"));
        if (limit.rlim_cur >= 8 * 1024 * 1024)
            assert_non_null(strstr(flags, " lo"));
    }
    free(small);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_freed_is_wiped),
        cmocka_unit_test(what_moves_leaves_nothing_behind),
        cmocka_unit_test(what_shrinks_leaves_nothing_behind_its_end),
        cmocka_unit_test(it_is_that_of_the_standard_otherwise),
        cmocka_unit_test(what_comes_after_the_lock_is_locked_and_left_out_of_dumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
