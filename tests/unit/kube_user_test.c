#include "support.h"

#include "common/kube_user.h"

/* As kube-apiserver 1.20 and the code of 1.36 were seen to do. */
static void the_name_is_what_the_flags_make_of_the_claim(void **state)
{
    static const struct {
        const char *claim, *prefix, *name;
    } rows[] = {
        { "sub", NULL, "https://issuer/#7" },
        { "preferred_username", NULL, "https://issuer/#7" },
        { "email", NULL, "7" },
        { "Email", NULL, "https://issuer/#7" },
        { "sub", "-", "7" },
        { "email", "-", "7" },
        { "sub", "x:", "x:7" },
        { "email", "x:", "x:7" },
        { "sub", "--", "--7" },
        { "sub", "-x", "-x7" },
        { "sub", "", "https://issuer/#7" }, /* an empty flag is one that is not given */
        { "email", "", "7" },
    };
    char name[64];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        kube_user_name(name, sizeof name, rows[i].claim, rows[i].prefix, "https://issuer/", "7");
        assert_string_equal(name, rows[i].name);
    }
}

static void a_name_is_cut_where_there_is_no_room(void **state)
{
    char name[6];

    (void)state;
    kube_user_name(name, sizeof name, "sub", "x:", "https://issuer/", "12345");
    assert_string_equal(name, "x:123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_what_the_flags_make_of_the_claim),
        cmocka_unit_test(a_name_is_cut_where_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
