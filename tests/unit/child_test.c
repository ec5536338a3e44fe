/* child: what a program printed, whole and ended by a NUL. */
#include "client/admin/child.h"

#include <stdio.h>
#include <string.h>

#include "common/time.h"
#include "tests/unit/support.h"

static void check_output_of(size_t length)
{
    char bytes[32];
    const char *const argv[] = { "head", "-c", bytes, "/dev/zero", NULL };
    const char *const text[] = { "sh", "-c", "head -c $0 /dev/zero | tr '\\0' x", bytes, NULL };
    struct child child;

    snprintf(bytes, sizeof bytes, "%zu", length);
    assert_int_equal(child_run(argv, 60 * USEC_PER_SEC, &child), 0);
    child_clear(&child);
    assert_int_equal(child_run(text, 60 * USEC_PER_SEC, &child), 0);
    assert_int_equal(strlen(child.out), length);
    child_clear(&child);
}

/* AddressSanitizer sees a NUL behind the block. */
static void an_output_of_any_length_has_room_for_its_end(void **state)
{
    static const size_t lengths[] = { 1, 4095, 4096, 4097, 8192, 12288, 12289, 65536, 65537 };

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_output_of(lengths[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_of_any_length_has_room_for_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
