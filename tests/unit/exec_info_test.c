/* The apiVersion in KUBERNETES_EXEC_INFO, as one or another writer of JSON escapes it. */
#include "support.h"

#include "client/exec_info.h"

static void an_escaped_character_is_that_character(void **state)
{
    static const char *const v1[] = {
        "{\"apiVersion\":\"client.authentication.k8s.io/v1\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io\\/v1\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io\\u002fv1\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io\\u002Fv\\u0031\"}",
        "{\"\\u0061piVersion\":\"client.authentication.k8s.io/v1\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof v1 / sizeof *v1; i++)
        assert_int_equal(exec_info_version(v1[i]), EXEC_V1);
    assert_int_equal(
        exec_info_version("{\"apiVersion\":\"client.authentication.k8s.io\\/v1beta1\"}"),
        EXEC_V1BETA1);
}

static void any_other_escape_is_another_version(void **state)
{
    static const char *const others[] = {
        "{\"apiVersion\":\"client.authentication.k8s.io\\\\/v1\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io\\u012fv1\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io\\u00\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io/v1\\u0000\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io/v1\\n\"}",
        "{\"apiVersion\":\"client.authentication.k8s.io\\uxy2fv1\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(exec_info_version(others[i]), EXEC_OTHER);
}

/* The form that client-go writes is read without a scan, and as a scan would read it. */
static void the_form_of_client_go_is_read_as_any_other(void **state)
{
#define FORM "{\"kind\":\"ExecCredential\",\"apiVersion\":"
#define SPEC ",\"spec\":{\"interactive\":false}}\n"
    static const struct {
        const char *json;
        enum exec_version version;
        int is_client_go;
    } rows[] = {
        { FORM "\"client.authentication.k8s.io/v1\"" SPEC, EXEC_V1, 1 },
        { FORM "\"client.authentication.k8s.io/v1beta1\"" SPEC, EXEC_V1BETA1, 1 },
        { FORM "\"client.authentication.k8s.io\\/v1beta1\"" SPEC, EXEC_V1BETA1, 1 },
        { FORM " \"client.authentication.k8s.io/v1\"" SPEC, EXEC_V1, 0 },
        { FORM "\"client.authentication.k8s.io/v1beta2\"" SPEC, EXEC_OTHER, 1 },
        { FORM "\"client.authentication.k8s.io/v1\\n\"" SPEC, EXEC_OTHER, 1 },
        { FORM "\"client.authentication.k8s.io/v11\"" SPEC, EXEC_OTHER, 1 },
        { FORM "null" SPEC, EXEC_OTHER, 0 },
        { FORM, EXEC_OTHER, 0 },
        { "{\"kind\":\"ExecCredential\",\"apiVersion\"}", EXEC_NONE, 0 },
        { "{\"kind\":\"ExecCredential\"", EXEC_NONE, 0 },
        { "", EXEC_NONE, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(exec_info_version(rows[i].json), rows[i].version);
        assert_int_equal(exec_info_is_client_go(rows[i].json), rows[i].is_client_go);
    }
#undef FORM
#undef SPEC
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_escaped_character_is_that_character),
        cmocka_unit_test(any_other_escape_is_another_version),
        cmocka_unit_test(the_form_of_client_go_is_read_as_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
