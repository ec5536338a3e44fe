#include <string.h>

#include "daemon/typed_login.h"
#include "tests/unit/support.h"

static struct error why;

static int part(const char *bytes, size_t name, size_t otp, struct typed_login *ret)
{
    struct request request = { .verb = VERB_LOGIN, .username = name, .otp = otp };

    why = (struct error){ ERROR_NONE, "" };
    return typed_login_part(&request, secret_copy(bytes, strlen(bytes)), ret, &why);
}

static void assert_secret(const struct secret *secret, const char *text)
{
    if (!text) {
        assert_null(secret);
        return;
    }
    assert_non_null(secret);
    assert_int_equal(secret_length(secret), strlen(text));
    assert_memory_equal(secret_peek(secret), text, strlen(text));
}

static void what_comes_as_one_piece_is_parted(void **state)
{
    static const struct {
        const char *bytes;
        size_t name_length, otp_length;
        const char *name, *password, *otp;
    } rows[] = {
        { "hunter2", 0, 0, "", "hunter2", NULL },
        { "annahunter2", 4, 0, "anna", "hunter2", NULL },
        { "hunter2123456", 0, 6, "", "hunter2", "123456" },
        { "annahunter2123456", 4, 6, "anna", "hunter2", "123456" },
        { "123456", 0, 6, "", NULL, "123456" },
        { "anna123456", 4, 6, "anna", NULL, "123456" },
        { "anna", 4, 0, "anna", NULL, NULL },
        { "\xc3\xa4nnap\x01w", 5, 0, "\xc3\xa4nna", "p\x01w", NULL }, /* any byte in a password */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct typed_login login;
        assert_int_equal(part(rows[i].bytes, rows[i].name_length, rows[i].otp_length, &login), 0);
        assert_string_equal(login.name, rows[i].name);
        assert_secret(login.password, rows[i].password);
        assert_secret(login.otp, rows[i].otp);
        typed_login_clear(&login);
        assert_null(login.password);
        assert_null(login.otp);
    }
}

static void a_name_of_the_greatest_length_fits(void **state)
{
    char bytes[PROTOCOL_USER_MAX + 2];
    struct typed_login login;

    (void)state;
    memset(bytes, 'n', sizeof bytes - 1);
    bytes[sizeof bytes - 1] = '\0';
    assert_int_equal(part(bytes, PROTOCOL_USER_MAX, 0, &login), 0);
    assert_int_equal(strlen(login.name), PROTOCOL_USER_MAX);
    assert_secret(login.password, "n");
    typed_login_clear(&login);
}

static void what_no_person_types_is_refused_and_said_of_which(void **state)
{
    struct typed_login login;

    (void)state;
    assert_int_equal(part("an\nahunter2", 4, 0, &login), -1);
    assert_int_equal(why.code, ERROR_USAGE);
    assert_string_equal(why.detail, "the user name has control characters, or is no UTF-8");
    assert_int_equal(part("\xff\xffhunter2", 2, 0, &login), -1);
    assert_holds(why.detail, "user name");
    assert_int_equal(part("hunter212\x1b"
                          "456",
                          0, 6, &login),
                     -1);
    assert_string_equal(why.detail, "the one-time password has control characters, or is no UTF-8");
    assert_null(login.password);
    assert_null(login.otp);
}

/* ---- by configuration ------------------------------------------------------------------------ */

static char name[] = "work", from[] = "main", anna[] = "anna";

static struct profile_config config_of(enum grant grant)
{
    return (struct profile_config){
        .name = name, .from = from, .grant = grant, .use_refresh_token = true
    };
}

static void each_grant_takes_its_own(void **state)
{
    static const struct {
        enum grant grant;
        bool login, password, refresh_token;
        const char *instead;
    } rows[] = {
        { GRANT_PASSWORD, true, true, true, NULL },
        { GRANT_DEVICE, true, false, true, "kubetoken login work" },
        { GRANT_REFRESH_TOKEN, true, false, true, "kubetoken login work" },
        { GRANT_EXCHANGE, false, false, false, "kubetoken login main" },
        { GRANT_COMMAND, false, false, false, "kubetoken refresh work" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct profile_config config = config_of(rows[i].grant);
        why = (struct error){ ERROR_NONE, "" };
        assert_int_equal(typed_login_possible(&config, &why), rows[i].login);
        assert_int_equal(why.code, rows[i].login ? ERROR_NONE : ERROR_USAGE);
        assert_int_equal(typed_login_by_refresh_token(&config, &why), rows[i].refresh_token);
        why = (struct error){ ERROR_NONE, "" };
        assert_int_equal(typed_login_by_password(&config, &why), rows[i].password);
        if (rows[i].instead)
            assert_holds(why.detail, rows[i].instead);
        else
            assert_int_equal(why.code, ERROR_NONE);
    }
}

static void without_refresh_tokens_none_is_taken(void **state)
{
    struct profile_config config = config_of(GRANT_PASSWORD);

    (void)state;
    config.use_refresh_token = false;
    assert_false(typed_login_by_refresh_token(&config, &why));
    assert_int_equal(why.code, ERROR_USAGE);
    assert_holds(why.detail, "use-refresh-token = no");
    assert_true(typed_login_by_password(&config, &why));
}

static void a_password_goes_with_a_name(void **state)
{
    struct profile_config config = config_of(GRANT_PASSWORD);

    (void)state;
    assert_false(typed_login_has_user(&config, "", false, &why));
    assert_holds(why.detail, "--username");
    assert_true(typed_login_has_user(&config, "anna", false, &why));
    assert_true(typed_login_has_user(&config, "", true, &why)); /* the one before */
    config.username = anna;
    assert_true(typed_login_has_user(&config, "", false, &why));
    assert_true(typed_login_has_user(&config, "anna", false, &why));
    assert_false(typed_login_has_user(&config, "bert", true, &why));
    assert_holds(why.detail, "username = anna");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_as_one_piece_is_parted),
        cmocka_unit_test(a_name_of_the_greatest_length_fits),
        cmocka_unit_test(what_no_person_types_is_refused_and_said_of_which),
        cmocka_unit_test(each_grant_takes_its_own),
        cmocka_unit_test(without_refresh_tokens_none_is_taken),
        cmocka_unit_test(a_password_goes_with_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
