/* A configuration of several files: what is read, in which order, and what of it a user cannot
 * override; what stands in a file for each user, and for which version it is written. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config_files.h"
#include "daemon/config.h"
#include "daemon/config_keys.h"

static struct config *config;
static struct config_report report;
static char folder[160], system_file[160], user_file[160];

static int setup(void **state)
{
    config = NULL;
    report = (struct config_report){ 0 };
    int r = folder_setup(state);
    snprintf(folder, sizeof folder, "%s/conf.d/", test_folder);
    snprintf(system_file, sizeof system_file, "%s/system.conf", test_folder);
    snprintf(user_file, sizeof user_file, "%s/user.conf", test_folder);
    setenv("HOME", "/home/anna", 1);
    setenv("USER", "anna", 1);
    return r;
}

static int teardown(void **state)
{
    config = config_free(config);
    config_report_clear(&report);
    return folder_teardown(state);
}

static void load(void)
{
    const char *paths[] = { system_file, folder, user_file };

    config = config_free(config); /* of the load before */
    config_report_clear(&report);
    config = config_load(paths, 3, &report);
}

static void dropin(const char *name, const char *text)
{
    char path[64];

    mkdir(folder, 0755);
    snprintf(path, sizeof path, "conf.d/%s", name);
    write_file(path, text, 0600);
}

static void load_both(const char *system, const char *user)
{
    write_file("system.conf", system, 0600);
    write_file("user.conf", user, 0600);
    load();
}

#define COMPLETE "issuer = https://login.example.com/\nclient-id = kube\nusername = anna\n"

/* It stands on the file's line, and is all that is wrong. */
static void assert_refused(const char *place, const char *said)
{
    char expected[1024];

    assert_null(config);
    assert_int_equal(report.code, ERROR_CONFIG);
    snprintf(expected, sizeof expected, "%s/%s: %s\n", test_folder, place, said);
    assert_string_equal(report.text, expected);
    assert_int_equal(report.count, 1);
}

/* ---- the files ------------------------------------------------------------------------------- */

static void drop_ins_are_read_in_the_order_of_their_names_between_the_two_files(void **state)
{
    (void)state;
    write_file("system.conf", "[defaults]\n" COMPLETE "scope = s\naudience = s\nresource = s\n",
               0600);
    dropin("9.conf", "[defaults]\naudience = 9\n");
    dropin("10-b.conf", "[defaults]\nscope = 10\naudience = 10\nrealm = 10\n");
    dropin("10-B.conf", "[defaults]\nscope = B\n");
    dropin(".hidden.conf", "not read\n");
    dropin("x.conf~", "not read\n");
    dropin("x.conf.dpkg-new", "not read\n");
    dropin(".conf", "not read\n");
    write_file("user.conf", "[profile a]\nrealm = mine\n", 0600);
    load();
    const struct profile_config *p = config_find(config, "a");
    assert_string_equal(p->scope, "10"); /* capitals come before, in any locale */
    assert_string_equal(p->audience, "9");
    assert_string_equal(p->resource, "s");
    assert_string_equal(p->realm, "mine");
}

static void a_folder_that_is_missing_is_nothing(void **state)
{
    (void)state;
    write_file("user.conf", "[profile a]\n" COMPLETE, 0600);
    load();
    assert_non_null(config);
    unlink(user_file);
    load();
    assert_int_equal(report.code, ERROR_NO_CONFIG);
    dropin("a.conf", "[profile a]\n" COMPLETE);
    load();
    assert_non_null(config);
}

static void what_is_no_folder_is_an_error(void **state)
{
    (void)state;
    write_file("conf.d", "", 0600);
    write_file("user.conf", "[profile a]\n" COMPLETE, 0600);
    load();
    assert_refused("conf.d/", "cannot be read: Not a directory");
}

static void an_error_in_a_drop_in_has_its_file_and_line(void **state)
{
    (void)state;
    dropin("10.conf", "[defaults]\nscope = x\n");
    dropin("20.conf", "[defaults]\n\nisuer = x\n");
    write_file("user.conf", "[profile a]\n" COMPLETE, 0600);
    load();
    assert_refused("conf.d/20.conf:3", "unknown key \"isuer\"; did you mean \"issuer\"?");
}

static void a_drop_in_is_judged_as_the_file_is(void **state)
{
    char path[192];

    (void)state;
    dropin("10.conf", "[defaults]\npassword = x\n");
    write_file("user.conf", "[profile a]\n" COMPLETE, 0600);
    snprintf(path, sizeof path, "%s10.conf", folder);
    assert_int_equal(chmod(path, 0644), 0);
    load();
    assert_null(config);
    assert_holds(report.text,
                 "/conf.d/10.conf: it holds a secret and is open to others (mode 644)");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    load();
    assert_null(config);
    assert_holds(report.text, "can be written by others (mode 777)");
}

static void a_link_to_nothing_is_an_error(void **state)
{
    char path[192];

    (void)state;
    write_file("user.conf", "[profile a]\n" COMPLETE, 0600);
    mkdir(folder, 0755);
    snprintf(path, sizeof path, "%s10.conf", folder);
    assert_int_equal(symlink("/nonexistent/x", path), 0);
    load();
    assert_refused("conf.d/10.conf", "is a link to what is not there");
}

static void there_may_be_so_many(void **state)
{
    char name[32];

    (void)state;
    write_file("user.conf", "[profile a]\n" COMPLETE, 0600);
    for (int i = 0; i < CONFIG_FILES_MAX - 2; i++) {
        snprintf(name, sizeof name, "%d.conf", i);
        dropin(name, "");
    }
    load();
    assert_non_null(config);
    dropin("one more.conf", "");
    load();
    assert_null(config);
    assert_holds(report.text, "more than 256 files");
}

static void everybodys_files_may_be_without_a_profile(void **state)
{
    const char *paths[] = { system_file, folder };

    (void)state;
    write_file("system.conf", "[defaults]\n" COMPLETE, 0600);
    config = config_load(paths, 2, &report);
    assert_non_null(config);
    assert_int_equal(config->n_profiles, 0);
    load();
    assert_null(config);
    assert_holds(report.text, "there is no [profile NAME]");
}

/* ---- [locked] -------------------------------------------------------------------------------- */

static void what_is_locked_stays_and_is_told(void **state)
{
    char expected[1024];

    (void)state;
    dropin("10.conf", "[defaults]\n" COMPLETE "proxy = none\n[locked]\nkeys = proxy, scope\n");
    load_both("", "[defaults]\nproxy = http://mine:1\n[profile a]\nscope = mine\nrealm = mine\n");
    const struct profile_config *p = config_find(config, "a");
    assert_string_equal(p->proxy, "none");
    assert_string_equal(p->scope, "openid email profile");
    assert_string_equal(p->realm, "mine");
    assert_null(report.text);
    snprintf(expected, sizeof expected,
             "%s:2: proxy does not count: it is locked, by %s10.conf:7\n"
             "%s:4: scope does not count: it is locked, by %s10.conf:7\n",
             user_file, folder, user_file, folder);
    assert_string_equal(report.notes, expected);
}

static void files_of_the_administrator_go_on_to_win_over_each_other(void **state)
{
    (void)state;
    dropin("10.conf", "[defaults]\nscope = later\n[locked]\nkeys = realm\n");
    load_both("[defaults]\n" COMPLETE "scope = x\nrealm = x\n[locked]\nkeys = scope\n",
              "[profile a]\nscope = mine\nrealm = mine\n");
    assert_string_equal(config_find(config, "a")->scope, "later");
    assert_string_equal(config_find(config, "a")->realm, "x"); /* both name keys */
}

static void one_source_of_a_secret_locks_the_others(void **state)
{
    (void)state;
    load_both("[defaults]\n" COMPLETE "password-command = x\n[locked]\nkeys = password-command\n",
              "[profile a]\npassword = mine\nclient-secret = mine\n");
    const struct profile_config *p = config_find(config, "a");
    assert_int_equal(p->password.kind, SOURCE_COMMAND);
    assert_int_equal(p->client_secret.kind, SOURCE_INLINE);
    assert_holds(report.notes, "user.conf:2: password does not count: it is locked, by ");
}

static void parameters_and_the_default_can_be_locked(void **state)
{
    (void)state;
    load_both("[defaults]\n" COMPLETE "default-profile = a\ntoken-parameter = a=1\n"
              "[locked]\nkeys = default-profile token-parameter\n[profile a]\n",
              "[defaults]\ndefault-profile = b\n[profile b]\ntoken-parameter = b=2\n");
    assert_string_equal(config->default_profile, "a");
    assert_string_equal(config_find(config, "b")->parameters[0], "a=1");
    assert_null(config_find(config, "b")->parameters[1]);
}

static void what_is_wrong_with_locks_is_said(void **state)
{
    static const struct {
        const char *system, *user, *place, *said;
    } wrong[] = {
        { "", "[locked]\n", "user.conf:1",
          "[locked] counts in the files below /etc/kubetoken/ alone" },
        { "[locked]\nkeys = proxy isuer\n", "", "system.conf:2",
          "keys: unknown key \"isuer\"; did you mean \"issuer\"?" },
        { "[locked]\nkeys = hunter-2=\n", "", "system.conf:2", "keys: has words that are no keys" },
        { "[locked]\nscope = x\n", "", "system.conf:2",
          "[locked] has no such key; accepted: keys = names of keys, parted by blanks" },
        { "[locked]\n[locked]\n", "", "system.conf:2", "the section is there already, at line 1" },
        { "[locks]\n", "", "system.conf:1",
          "unknown section [locks]; accepted: [defaults], [profile NAME], [locked]" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char user[512];
        snprintf(user, sizeof user, "%s[profile a]\n" COMPLETE, wrong[i].user);
        load_both(wrong[i].system, user);
        assert_refused(wrong[i].place, wrong[i].said);
    }
}

/* As by --config: nobody else's could be overridden. */
static void a_file_that_is_read_alone_locks_nothing(void **state)
{
    const char *path = write_file(
        "kubetoken.conf", "[locked]\nkeys = scope\n[profile a]\n" COMPLETE "scope = x\n", 0600);

    (void)state;
    config = config_load(&path, 1, &report);
    assert_string_equal(config_find(config, "a")->scope, "x");
    assert_null(report.notes);
}

/* ---- config-version -------------------------------------------------------------------------- */

static void a_file_says_what_it_is_written_for(void **state)
{
    (void)state;
    load_both("# a comment\nconfig-version = 1\n", "config-version = 1\n[profile a]\n" COMPLETE);
    assert_non_null(config);
}

static void of_a_later_version_no_more_is_read(void **state)
{
    (void)state;
    load_both("", "config-version = 2\n{ whatever: that is }\n[profile a]\n" COMPLETE);
    assert_refused("user.conf:1",
                   "config-version: 2 is for a later kubetoken; this one, " KUBETOKEN_VERSION
                   ", reads up to 1: upgrade it, or write the file for 1");
    load_both("config-version = 2\n{ whatever\n", "[profile a]\n" COMPLETE "scope = x\nbad\n");
    assert_int_equal(report.count, 2); /* the other file is read all the same */
}

static void what_is_wrong_with_the_version_is_said(void **state)
{
    static const struct {
        const char *text, *place, *said;
    } wrong[] = {
        { "config-version = x\n", "user.conf:1",
          "config-version: \"x\" is not accepted; accepted: 1" },
        { "config-version = 0\n", "user.conf:1",
          "config-version: \"0\" is not accepted; accepted: 1" },
        { "config-version = 1\nconfig-version = 1\n", "user.conf:2",
          "config-version: set already, at line 1" },
        { "[defaults]\nconfig-version = 1\n", "user.conf:2",
          "config-version: stands before the first section of its file" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char text[512];
        snprintf(text, sizeof text, "%s[profile a]\n" COMPLETE, wrong[i].text);
        load_both("", text);
        assert_refused(wrong[i].place, wrong[i].said);
    }
}

/* ---- for each user --------------------------------------------------------------------------- */

static void name_paths_and_commands_are_the_users_own(void **state)
{
    char expected[128];

    (void)state;
    load_both("", "[profile a]\nissuer = https://login.example.com/\nclient-id = %u\n"
                  "username = x%U%%\nca-file = %h/ca.pem\nclient-secret-file = %U.secret\n"
                  "password-command = get %h '%u'\nscope = %u\ntoken-parameter = a=%q\n"
                  "tls-client-cert = ~/%U%%.pem\n");
    const struct profile_config *p = config_find(config, "a");
    snprintf(expected, sizeof expected, "x%u%%", (unsigned)geteuid());
    assert_string_equal(p->username, expected);
    assert_string_equal(p->ca_file, "/home/anna/ca.pem");
    snprintf(expected, sizeof expected, "/home/anna/%u%%.pem", (unsigned)geteuid());
    assert_string_equal(p->tls_client_cert, expected);
    snprintf(expected, sizeof expected, "%s/%u.secret", test_folder, (unsigned)geteuid());
    assert_string_equal(p->client_secret.text, expected);
    assert_string_equal(p->password.text, "get %h '%u'"); /* once it is split */
    assert_string_equal(p->client_id, "%u");
    assert_string_equal(p->scope, "%u");
    assert_string_equal(p->parameters[0], "a=%q");
}

static void what_nobody_knows_is_an_error(void **state)
{
    (void)state;
    unsetenv("HOME");
    load_both("", "[profile a]\n" COMPLETE "ca-file = %h/x\n");
    assert_refused("user.conf:5", "ca-file: %h: HOME is not set");
}

static char shown[4096];

static void on_profile(void *context, const char *name)
{
    (void)context, (void)name;
}

static void on_line(void *context, const struct config_line *line)
{
    (void)context;
    snprintf(shown + strlen(shown), sizeof shown - strlen(shown), "%s = %s\n", line->key,
             line->value);
}

static void what_is_shown_is_a_configuration_again(void **state)
{
    const char *paths[] = { user_file };
    const struct config_visitor visitor = { on_profile, on_line, on_line, on_line, NULL };

    (void)state;
    setenv("HOME", "/home/100%", 1);
    write_file("user.conf",
               "[profile a]\nissuer = https://login.example.com/\nclient-id = x\n"
               "username = a%%\nca-file = %h/x\npassword-command = get %h\n",
               0600);
    shown[0] = '\0';
    assert_int_equal(config_show(paths, 1, &visitor, &report), 0);
    assert_string_equal(shown,
                        "issuer = https://login.example.com/\nclient-id = x\nusername = a%%\n"
                        "ca-file = /home/100%%/x\npassword-command = get %h\n");
}

static void who_types_the_password_may_type_the_name(void **state)
{
#define NOBODY "issuer = https://login.example.com/\nclient-id = kube\n"
    static const char *const sources[] = { "password = x", "password-file = /x",
                                           "password-command = x", "password-credential = x" };

    (void)state;
    load_both("", "[profile a]\n" NOBODY);
    assert_null(config_find(config, "a")->username);
    for (size_t i = 0; i < COUNT(sources); i++) {
        char text[512];
        snprintf(text, sizeof text, "[profile a]\n" NOBODY "%s\n", sources[i]);
        load_both("", text);
        assert_refused("user.conf:1", "profile a: username is missing; kubetoken login asks for it "
                                      "where it asks for the password too");
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(drop_ins_are_read_in_the_order_of_their_names_between_the_two_files),
        TEST(a_folder_that_is_missing_is_nothing),
        TEST(what_is_no_folder_is_an_error),
        TEST(an_error_in_a_drop_in_has_its_file_and_line),
        TEST(a_drop_in_is_judged_as_the_file_is),
        TEST(a_link_to_nothing_is_an_error),
        TEST(there_may_be_so_many),
        TEST(everybodys_files_may_be_without_a_profile),
        TEST(what_is_locked_stays_and_is_told),
        TEST(files_of_the_administrator_go_on_to_win_over_each_other),
        TEST(one_source_of_a_secret_locks_the_others),
        TEST(parameters_and_the_default_can_be_locked),
        TEST(what_is_wrong_with_locks_is_said),
        TEST(a_file_that_is_read_alone_locks_nothing),
        TEST(a_file_says_what_it_is_written_for),
        TEST(of_a_later_version_no_more_is_read),
        TEST(what_is_wrong_with_the_version_is_said),
        TEST(name_paths_and_commands_are_the_users_own),
        TEST(what_nobody_knows_is_an_error),
        TEST(what_is_shown_is_a_configuration_again),
        TEST(who_types_the_password_may_type_the_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
