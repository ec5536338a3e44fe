/* The id_token in what another program has printed. */
#include "support.h"

#include <string.h>

#include "daemon/fetch/printed_token.h"

#define TOKEN "eyJh.eyJp.c2ln"

static void assert_found(const char *printed)
{
    struct error why = { ERROR_NONE, "" };
    _secret_ struct secret *token = printed_token_find(printed, strlen(printed), &why);

    assert_non_null(token);
    assert_string_equal(secret_peek(token), TOKEN);
}

static void assert_none(const char *printed, const char *says)
{
    struct error why = { ERROR_NONE, "" };

    assert_null(printed_token_find(printed, strlen(printed), &why));
    assert_int_equal(why.code, ERROR_COMMAND_TOKEN);
    assert_non_null(strstr(why.detail, says));
}

static void a_token_alone_is_taken_with_blanks_around_it(void **state)
{
    (void)state;
    assert_found(TOKEN);
    assert_found(TOKEN "\n");
    assert_found("\n  " TOKEN " \r\n\n");
}

static void an_object_is_searched_in_the_order_of_its_names_value(void **state)
{
    (void)state;
    assert_found("{\"id_token\":\"" TOKEN "\"}");
    assert_found("{\"value\":\"a.b.c\",\"token\":\"d.e.f\",\"id_token\":\"" TOKEN "\"}\n");
    assert_found("{\"value\":\"a.b.c\",\"token\":\"" TOKEN "\",\"id_token\":null}");
    assert_found(" {\"value\": \"" TOKEN "\", \"count\": 1000}");
}

static void of_an_exec_credential_the_status_alone_counts(void **state)
{
    (void)state;
    assert_found("{\"kind\":\"ExecCredential\",\"token\":\"a.b.c\",\"status\":{\"token\":\"" TOKEN
                 "\"}}");
    assert_none("{\"kind\":\"ExecCredential\",\"id_token\":\"a.b.c\"}", "without status.token");
    assert_none("{\"kind\":\"ExecCredential\",\"status\":\"a.b.c\"}", "without status.token");
    assert_none("{\"kind\":\"ExecCredential\",\"status\":{\"token\":7}}", "without status.token");
}

static void what_is_no_token_is_told_by_its_form(void **state)
{
    (void)state;
    assert_none("", "nothing");
    assert_none(" \n\t\r\n", "nothing");
    assert_none(TOKEN "\n" TOKEN "\n", "2 lines");
    assert_none("not logged in", "has blanks in it");
    assert_none("{\"token\":\"a.b c.d\"}", "has blanks in it");
    assert_none("{\"token\":\"\"}", "is empty");
    assert_none("ya29", "4 bytes that are no JWT");
    assert_none("one.dot", "no JWT");
    assert_none("{\"access_token\":\"a.b.c\"}", "without id_token, token or value");
    assert_none("{\"token\":\"a.b.c\"", "begins as JSON");
    assert_none("{\"token\":\"a.b.c\"} more", "begins as JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_alone_is_taken_with_blanks_around_it),
        cmocka_unit_test(an_object_is_searched_in_the_order_of_its_names_value),
        cmocka_unit_test(of_an_exec_credential_the_status_alone_counts),
        cmocka_unit_test(what_is_no_token_is_told_by_its_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
