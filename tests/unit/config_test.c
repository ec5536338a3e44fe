/* The configuration file: what is accepted, and what is said about the rest. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/paths.h"
#include "common/time.h"
#include "daemon/config.h"
#include "daemon/config_keys.h"
#include "daemon/config_print.h"
#include "daemon/private_file.h"

static struct config *config;
static struct config_report report;

static int setup(void **state)
{
    config = NULL;
    report = (struct config_report){ 0 };
    return folder_setup(state);
}

static int teardown(void **state)
{
    config = config_free(config);
    config_report_clear(&report);
    return folder_teardown(state);
}

static void load_file(const char *path)
{
    config = config_free(config); /* of the load before */
    config_report_clear(&report);
    report = (struct config_report){ 0 };
    config = config_load(&path, 1, &report);
}

static void load(const char *text)
{
    load_file(write_file("kubetoken.conf", text, 0600));
}

#define COMPLETE "issuer = https://login.example.com/\nclient-id = kube\nusername = anna\n"

/* One profile with the three keys that it needs; further lines follow from line 5 on. */
static const struct profile_config *load_profile(const char *further)
{
    char text[8192];

    snprintf(text, sizeof text, "[profile a]\n" COMPLETE "%s", further);
    load(text);
    if (report.text)
        print_message("%s", report.text);
    assert_non_null(config);
    return config_find(config, "a");
}

/* The same with lines that are wrong: the report has one error, in line 5. */
static void assert_refused(const char *further, const char *said)
{
    char text[16384];

    snprintf(text, sizeof text, "[profile a]\n" COMPLETE "%s\n", further);
    load(text);
    assert_null(config);
    assert_int_equal(report.code, ERROR_CONFIG);
    assert_holds(report.text, "kubetoken.conf:5: ");
    assert_holds(report.text, said);
    assert_int_equal(report.count, 1);
}

static unsigned lines_in(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* ---- what is accepted ------------------------------------------------------------------------ */

static void a_complete_profile_is_read(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile("");
    assert_string_equal(p->issuer, "https://login.example.com/");
    assert_string_equal(p->client_id, "kube");
    assert_string_equal(p->username, "anna");
    assert_int_equal(report.code, ERROR_NONE);
    assert_null(report.text);
}

static void what_is_not_set_has_the_built_in_default(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile("");
    assert_string_equal(p->client_auth, "auto");
    assert_string_equal(p->proxy, "auto");
    assert_string_equal(p->scope, "openid email profile");
    assert_string_equal(p->signing_algs, "RS256");
    assert_int_equal(p->timeout, 15 * USEC_PER_SEC);
    assert_int_equal(p->keep_fresh, 12 * 3600 * USEC_PER_SEC);
    assert_true(p->use_refresh_token);
    assert_false(p->allow_http_loopback);
    assert_int_equal(p->password.kind, SOURCE_NONE);
    assert_int_equal(p->client_secret.kind, SOURCE_NONE);
}

static void every_key_goes_to_its_place(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile(
        "token-endpoint = https://t.example.com/token\njwks-uri = https://k.example.com/keys\n"
        "ca-file = /etc/ca.pem\ntls-client-cert = /etc/cert.pem\ntls-client-key = /etc/key.pem\n"
        "proxy = http://proxy:3128\ntimeout = 20s\nallow-http-loopback = yes\n"
        "client-auth = post\nclient-secret = shh\npassword-command = pass show kube\n"
        "scope = openid groups\naudience = aud\nresource = res\nrealm = employees\n"
        "use-refresh-token = no\nkeep-fresh = 1h\nsigning-algs = ES256 RS512\n");
    assert_string_equal(p->token_endpoint, "https://t.example.com/token");
    assert_string_equal(p->jwks_uri, "https://k.example.com/keys");
    assert_string_equal(p->ca_file, "/etc/ca.pem");
    assert_string_equal(p->tls_client_cert, "/etc/cert.pem");
    assert_string_equal(p->tls_client_key, "/etc/key.pem");
    assert_string_equal(p->proxy, "http://proxy:3128");
    assert_int_equal(p->timeout, 20 * USEC_PER_SEC);
    assert_true(p->allow_http_loopback);
    assert_string_equal(p->client_auth, "post");
    assert_string_equal(secret_peek(p->client_secret.value), "shh");
    assert_int_equal(p->password.kind, SOURCE_COMMAND);
    assert_string_equal(p->password.text, "pass show kube");
    assert_string_equal(p->scope, "openid groups");
    assert_string_equal(p->audience, "aud");
    assert_string_equal(p->resource, "res");
    assert_string_equal(p->realm, "employees");
    assert_false(p->use_refresh_token);
    assert_int_equal(p->keep_fresh, 3600 * USEC_PER_SEC);
    assert_string_equal(p->signing_algs, "ES256 RS512");
}

/* Nobody who says how long a request may take is to find one that takes longer. */
static void patience_is_two_minutes_but_where_a_timeout_is_configured(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE);
    assert_int_equal(config_find(config, "a")->patience, 120 * USEC_PER_SEC);
    load("[profile a]\n" COMPLETE "timeout = 20s\n");
    assert_int_equal(config_find(config, "a")->patience, 20 * USEC_PER_SEC);
    load("[defaults]\ntimeout = 15s\n[profile a]\n" COMPLETE);
    assert_int_equal(config_find(config, "a")->patience, 15 * USEC_PER_SEC);
    load("[defaults]\ntimeout = 15s\n[profile a]\n" COMPLETE "timeout = 4m\n");
    assert_int_equal(config_find(config, "a")->patience, 240 * USEC_PER_SEC);
}

static void comments_and_empty_lines_are_passed_over(void **state)
{
    (void)state;
    assert_non_null(load_profile("\n   \n# a comment = 1\n  ; another\n"));
}

static void equals_signs_in_a_value_are_kept(void **state)
{
    (void)state;
    assert_string_equal(load_profile("audience = a=b==\n")->audience, "a=b==");
}

static void number_signs_in_a_value_are_kept(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile("password = a #b;c\n");
    assert_string_equal(secret_peek(p->password.value), "a #b;c");
}

static void quotes_and_backslashes_in_a_value_are_kept(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile("password = \"a\\b'\n");
    assert_string_equal(secret_peek(p->password.value), "\"a\\b'");
}

static void blanks_inside_a_value_are_kept_and_those_around_it_cut(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile(" \tpassword \t= \t a  b\tc \t \n");
    assert_string_equal(secret_peek(p->password.value), "a  b\tc");
}

static void characters_beyond_ascii_are_kept(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile("password = grün €\xf0\x9f\x94\x91\n");
    assert_string_equal(secret_peek(p->password.value), "grün €\xf0\x9f\x94\x91");
}

static void a_line_without_a_newline_at_the_end_of_the_file_counts(void **state)
{
    (void)state;
    assert_string_equal(load_profile("audience = last")->audience, "last");
}

static void a_byte_order_mark_is_passed_over(void **state)
{
    (void)state;
    load("\xef\xbb\xbf[profile a]\n" COMPLETE);
    assert_non_null(config);
}

static void a_line_of_4095_bytes_is_read(void **state)
{
    char line[4097];

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "audience = ", 11);
    memcpy(line + 4095, "\n", 2);
    assert_int_equal(strlen(load_profile(line)->audience), 4095 - 11);
}

static void parameters_may_come_more_than_once(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile(
        "token-parameter = a=1\ntoken-parameter = b=x=y\n");
    assert_string_equal(p->parameters[0], "a=1");
    assert_string_equal(p->parameters[1], "b=x=y");
    assert_null(p->parameters[2]);
}

static void a_profiles_parameter_replaces_the_one_of_that_name_in_defaults(void **state)
{
    (void)state;
    load("[defaults]\ntoken-parameter = a=1\ntoken-parameter = b=2\n"
         "[profile p]\n" COMPLETE "token-parameter = a=3\ntoken-parameter = a=4\n");
    assert_non_null(config);
    char **list = config->profiles[0].parameters;
    assert_string_equal(list[0], "b=2");
    assert_string_equal(list[1], "a=3");
    assert_string_equal(list[2], "a=4");
    assert_null(list[3]);
}

static void what_is_sent_anyway_is_no_parameter(void **state)
{
    static const char *const names[] = { "grant_type", "username",      "password",
                                         "scope",      "client_id",     "client_secret",
                                         "audience",   "refresh_token", "realm" };

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        char text[256];
        snprintf(text, sizeof text, "[profile p]\n" COMPLETE "token-parameter = %s=x\n", names[i]);
        load(text);
        assert_null(config);
        assert_holds(report.text, "token-parameter");
        config_report_clear(&report);
    }
}

static void refresh_before_may_be_a_percentage(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile("refresh-before = 30%\n");
    assert_int_equal(p->refresh_before_percent, 30);
    assert_int_equal(p->refresh_before, 0);
}

static void refresh_before_may_be_a_duration(void **state)
{
    (void)state;
    const struct profile_config *p = load_profile("refresh-before = 2m\n");
    assert_int_equal(p->refresh_before_percent, 0);
    assert_int_equal(p->refresh_before, 120 * USEC_PER_SEC);
}

static void keep_fresh_may_be_always(void **state)
{
    (void)state;
    assert_true(load_profile("keep-fresh = always\n")->keep_fresh == USEC_INFINITY);
}

static void a_relative_path_counts_from_the_folder_of_the_file(void **state)
{
    char expected[128];

    (void)state;
    const struct profile_config *p = load_profile("password-file = secrets/a\n");
    snprintf(expected, sizeof expected, "%s/secrets/a", test_folder);
    assert_string_equal(p->password.text, expected);
}

static void a_tilde_in_a_path_is_the_home(void **state)
{
    (void)state;
    setenv("HOME", "/home/anna", 1);
    assert_string_equal(load_profile("ca-file = ~/ca.pem\n")->ca_file, "/home/anna/ca.pem");
}

static void http_to_loopback_is_accepted_when_it_is_allowed(void **state)
{
    (void)state;
    load("[profile a]\nissuer = http://127.0.0.1:8080/\nclient-id = k\nusername = u\n"
         "allow-http-loopback = yes\n");
    assert_non_null(config);
}

/* ---- defaults, profiles, files --------------------------------------------------------------- */

static void defaults_hold_for_every_profile(void **state)
{
    (void)state;
    load("[defaults]\n" COMPLETE "[profile a]\n[profile b]\nusername = ben\n");
    assert_string_equal(config_find(config, "a")->username, "anna");
    assert_string_equal(config_find(config, "b")->username, "ben");
    assert_string_equal(config_find(config, "b")->client_id, "kube");
}

static void defaults_may_stand_below_the_profiles(void **state)
{
    (void)state;
    load("[profile a]\n[defaults]\n" COMPLETE);
    assert_string_equal(config_find(config, "a")->client_id, "kube");
}

static void a_profiles_source_replaces_one_of_another_kind_in_defaults(void **state)
{
    (void)state;
    load("[defaults]\n" COMPLETE "password = hunter2\n[profile a]\npassword-file = /p\n");
    const struct source *s = &config_find(config, "a")->password;
    assert_int_equal(s->kind, SOURCE_FILE);
    assert_string_equal(s->text, "/p");
    assert_null(s->value);
}

static void a_duration_in_a_profile_replaces_a_percentage_in_defaults(void **state)
{
    (void)state;
    load("[defaults]\n" COMPLETE "refresh-before = 50%\n[profile a]\nrefresh-before = 1m\n");
    assert_int_equal(config_find(config, "a")->refresh_before_percent, 0);
    assert_int_equal(config_find(config, "a")->refresh_before, 60 * USEC_PER_SEC);
}

static void profiles_are_sorted_and_found_by_name(void **state)
{
    (void)state;
    load("[defaults]\n" COMPLETE "[profile c]\n[profile a]\n[profile b]\n");
    assert_int_equal(config->n_profiles, 3);
    assert_string_equal(config->profiles[0].name, "a");
    assert_string_equal(config->profiles[2].name, "c");
    assert_string_equal(config_find(config, "b")->name, "b");
    assert_null(config_find(config, "d"));
}

static void the_default_profile_is_taken(void **state)
{
    (void)state;
    load("[defaults]\ndefault-profile = b\n" COMPLETE "[profile a]\n[profile b]\n");
    assert_string_equal(config->default_profile, "b");
}

static void without_default_profile_there_is_none_set(void **state)
{
    (void)state;
    load_profile("");
    assert_null(config->default_profile);
}

static void load_two(const char *first, const char *second)
{
    const char *paths[] = { write_file("system.conf", first, 0600),
                            write_file("user.conf", second, 0600) };
    config = config_load(paths, 2, &report);
}

static void a_later_file_wins_key_by_key(void **state)
{
    (void)state;
    load_two("[defaults]\n" COMPLETE "scope = openid\n",
             "[defaults]\nusername = ben\n[profile a]\n");
    const struct profile_config *p = config_find(config, "a");
    assert_string_equal(p->username, "ben");
    assert_string_equal(p->scope, "openid");
}

static void a_profile_may_stand_in_both_files(void **state)
{
    (void)state;
    load_two("[profile a]\n" COMPLETE, "[profile a]\nusername = ben\n");
    assert_int_equal(config->n_profiles, 1);
    assert_string_equal(config_find(config, "a")->username, "ben");
    assert_string_equal(config_find(config, "a")->client_id, "kube");
}

static void a_source_of_the_later_file_wins_over_one_of_another_kind(void **state)
{
    (void)state;
    load_two("[profile a]\n" COMPLETE "password-file = /p\n",
             "[profile a]\npassword-command = x\n");
    assert_int_equal(config_find(config, "a")->password.kind, SOURCE_COMMAND);
}

static void the_last_of_three_files_decides_the_source(void **state)
{
    (void)state;
    const char *paths[] = {
        write_file("1.conf", "[profile a]\n" COMPLETE "password-file = /first\n", 0600),
        write_file("2.conf", "[profile a]\npassword-command = second\n", 0600),
        write_file("3.conf", "[profile a]\npassword-file = /third\n", 0600),
    };
    config = config_load(paths, 3, &report);
    assert_int_equal(config_find(config, "a")->password.kind, SOURCE_FILE);
    assert_string_equal(config_find(config, "a")->password.text, "/third");
}

static void a_missing_file_is_passed_over(void **state)
{
    (void)state;
    const char *paths[] = { "/nonexistent/kubetoken.conf",
                            write_file("user.conf", "[profile a]\n" COMPLETE, 0600) };
    config = config_load(paths, 2, &report);
    assert_non_null(config);
}

static void no_file_at_all_is_no_config(void **state)
{
    (void)state;
    load_file("/nonexistent/kubetoken.conf");
    assert_null(config);
    assert_int_equal(report.code, ERROR_NO_CONFIG);
    assert_null(report.text);
}

static void an_error_names_the_file_that_it_is_in(void **state)
{
    (void)state;
    load_two("[defaults]\ntimeout = never\n", "[profile a]\n" COMPLETE);
    assert_null(config);
    assert_holds(report.text, "system.conf:2: timeout: ");
    assert_holds_not(report.text, "user.conf");
}

/* ---- what is refused, where and why ---------------------------------------------------------- */

struct refusal {
    const char *line, *said;
};

static void values_that_are_not_accepted_are_named_with_what_is(void **state)
{
    static const struct refusal rows[] = {
        { "timeout = never", "timeout: \"never\" is not accepted; accepted: a duration" },
        { "timeout = 0s", "timeout: \"0s\" is not accepted" },
        { "timeout = 301s", "timeout: \"301s\" is not accepted" },
        { "token-endpoint = ftp://x/", "token-endpoint: \"ftp://x/\" is not accepted" },
        { "token-endpoint = https://u@x/", "token-endpoint: " },
        { "jwks-uri = x", "jwks-uri: \"x\" is not accepted; accepted: an https:// URL" },
        { "proxy = sometimes", "accepted: auto, none, or the proxy's URL" },
        { "proxy = http://", "proxy: " },
        { "allow-http-loopback = maybe", "accepted: yes or no" },
        { "use-refresh-token = 2", "accepted: yes or no" },
        { "client-auth = digest", "accepted: auto, basic, basic-raw, post or none" },
        { "client-auth = basic post", "client-auth: " },
        { "token-parameter = noequals", "accepted: name=value" },
        { "token-parameter = =v", "accepted: name=value" },
        { "refresh-before = 0%", "refresh-before: \"0%\" is not accepted" },
        { "refresh-before = 91%", "refresh-before: " },
        { "refresh-before = -1%", "refresh-before: " },
        { "refresh-before = 5x%", "refresh-before: " },
        { "refresh-before = 18446744073709551620%", "refresh-before: " },
        { "refresh-before = 2d", "refresh-before: " },
        { "keep-fresh = never", "keep-fresh: " },
        { "signing-algs = HS256", "accepted: one or more of RS256" },
        { "signing-algs = RS256 HS256", "(no API server can check HS256 or none)" },
        { "signing-algs = RS256 none", "signing-algs: " },
        { "signing-algs = eddsa", "ES512 PS256 PS384 PS512 EdDSA" },
        { "password-credential = ../x", "password-credential: " },
        { "password-credential = a/b", "password-credential: " },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_refused(rows[i].line, rows[i].said);
        config_report_clear(&report);
    }
    (void)state;
}

static void every_algorithm_that_is_verified_may_be_allowed(void **state)
{
    static const char all[] = "RS256 RS384 RS512 ES256 ES384 ES512 PS256 PS384 PS512 EdDSA";

    (void)state;
    assert_string_equal(
        load_profile("signing-algs = RS256 RS384 RS512 ES256 ES384 ES512 PS256 PS384 PS512 EdDSA\n")
            ->signing_algs,
        all);
}

static void a_list_of_algorithms_without_one_is_refused(void **state)
{
    (void)state;
    assert_refused("signing-algs = ,", "signing-algs: ");
}

static void an_unknown_key_is_refused_with_the_nearest_one(void **state)
{
    (void)state;
    assert_refused("pasword-file = /x",
                   "unknown key \"pasword-file\"; did you mean \"password-file\"?");
}

static void a_key_in_capitals_is_unknown(void **state)
{
    (void)state;
    assert_refused("Realm = x", "unknown key \"Realm\"; did you mean \"realm\"?");
    assert_refused("colour = x", "unknown key \"colour\"; see kubetoken.conf(5)");
    assert_refused("password aGVsbG8=", "what stands before \"=\" is no key: those have letters "
                                        "and hyphens; see kubetoken.conf(5)");
    assert_refused("client id = x", "what stands before \"=\" is no key: those have letters and "
                                    "hyphens; did you mean \"client-id\"?");
}

static void a_key_without_a_value_is_refused(void **state)
{
    (void)state;
    assert_refused("realm =", "realm: has no value; accepted: a realm");
}

static void a_line_that_is_nothing_is_refused(void **state)
{
    (void)state;
    assert_refused("just words", "neither \"key = value\" nor \"[section]\" nor a comment");
}

static void an_indented_line_is_no_continuation(void **state)
{
    (void)state;
    assert_refused("  more", "neither \"key = value\"");
}

static void a_key_set_twice_is_refused_with_the_first_line(void **state)
{
    (void)state;
    assert_refused("client-id = other", "client-id: set already, at line 3");
}

static void two_sources_of_one_secret_are_refused(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE "password = x\npassword-file = /p\n");
    assert_holds(report.text, ":6: password-file: password is set already, at line 5");
    assert_int_equal(report.count, 1);
}

static void a_section_twice_in_a_file_is_refused(void **state)
{
    (void)state;
    assert_refused("[profile a]", "the section is there already, at line 1");
}

static void an_unknown_section_is_refused(void **state)
{
    (void)state;
    assert_refused("[Profile b]",
                   "unknown section [Profile b]; accepted: [defaults], [profile NAME]");
    /* it may be a secret in the wrong place */
    assert_refused("[hunter2]", "unknown section; accepted: [defaults], [profile NAME]");
}

static void keys_below_an_unknown_section_are_not_reported_as_well(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE "[other]\nrealm = x\n");
    assert_int_equal(report.count, 1);
}

static void a_section_that_is_not_closed_is_refused(void **state)
{
    (void)state;
    assert_refused("[profile b", "a section ends with \"]\"");
}

static void a_lone_bracket_is_refused(void **state)
{
    (void)state;
    assert_refused("[", "a section ends with \"]\"");
}

static void a_name_that_no_profile_can_have_is_refused(void **state)
{
    (void)state;
    assert_refused("[profile a/b]", "\"a/b\" cannot be a profile's name; accepted: 1 to 64 of");
}

static void a_key_before_the_first_section_is_refused(void **state)
{
    (void)state;
    load("realm = x\n[profile a]\n" COMPLETE);
    assert_holds(report.text, ":1: realm: stands before the first section");
    assert_int_equal(report.count, 1);
}

static void default_profile_inside_a_profile_is_refused(void **state)
{
    (void)state;
    assert_refused("default-profile = a", "default-profile: belongs into [defaults]");
}

static void a_default_profile_that_is_not_there_is_refused(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE "[defaults]\ndefault-profile = b\n");
    assert_holds(report.text, ":6: default-profile: there is no [profile b]");
    assert_int_equal(report.count, 1);
}

static void crlf_line_ends_are_named(void **state)
{
    (void)state;
    assert_refused("realm = x\r", "the line ends with CR; save the file with Unix line ends");
}

static void a_control_character_is_refused(void **state)
{
    (void)state;
    assert_refused("realm = a\x1b[31m", "a control character is not allowed");
}

static void a_nul_byte_is_refused(void **state)
{
    static const char text[] = "[profile a]\n" COMPLETE "realm = a\0b\n";

    (void)state;
    load_file(write_bytes("kubetoken.conf", text, sizeof text - 1, 0600));
    assert_holds(report.text, ":5: a control character is not allowed");
}

static void broken_utf8_is_refused(void **state)
{
    static const char *const broken[] = { "realm = a\xff", "realm = \xc3", "realm = \xc0\xaf x",
                                          "realm = \xed\xa0\x80", "realm = a \x80 b" };

    for (size_t i = 0; i < COUNT(broken); i++) {
        assert_refused(broken[i], "not valid UTF-8");
        config_report_clear(&report);
    }
    (void)state;
}

static void utf16_is_said_once(void **state)
{
    static const char le[] = "\xff\xfe[\0d\0]\0\n\0x\0", be[] = "\xfe\xff\0[\0d\0]\0\n";

    (void)state;
    load_file(write_bytes("kubetoken.conf", le, sizeof le - 1, 0600));
    assert_holds(report.text, "kubetoken.conf:1: it is UTF-16; save the file as UTF-8");
    assert_int_equal(report.count, 1);
    config_report_clear(&report);
    load_file(write_bytes("kubetoken.conf", be, sizeof be - 1, 0600));
    assert_holds(report.text, ":1: it is UTF-16; save the file as UTF-8");
}

static void a_line_of_4096_bytes_is_refused(void **state)
{
    char line[4097];

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "audience = ", 11);
    line[4096] = '\0';
    assert_refused(line, "longer than 4095 bytes");
}

static void a_missing_key_is_named_at_the_profile(void **state)
{
    (void)state;
    load("[defaults]\nissuer = https://x/\n[profile a]\nusername = u\n");
    assert_holds(report.text, ":3: profile a: client-id is missing");
    assert_int_equal(report.count, 1);
}

static void a_file_without_a_profile_is_refused(void **state)
{
    (void)state;
    load("[defaults]\n" COMPLETE);
    assert_null(config);
    assert_int_equal(report.code, ERROR_CONFIG);
    assert_holds(report.text, "there is no [profile NAME]");
}

static void an_empty_file_is_refused(void **state)
{
    (void)state;
    load("");
    assert_int_equal(report.code, ERROR_CONFIG);
}

static void http_to_another_host_is_refused(void **state)
{
    (void)state;
    load("[profile a]\nissuer = http://login.example.com/\nclient-id = k\nusername = u\n"
         "allow-http-loopback = yes\n");
    assert_holds(report.text, "profile a: issuer: http:// would send the password in clear");
}

static void http_to_loopback_needs_its_permission(void **state)
{
    (void)state;
    load("[profile a]\nissuer = http://localhost:80/\nclient-id = k\nusername = u\n");
    assert_holds(report.text, "needs allow-http-loopback = yes");
}

static void an_issuer_with_a_query_is_refused(void **state)
{
    (void)state;
    load("[profile a]\nissuer = https://x/?a=b\nclient-id = k\nusername = u\n");
    assert_holds(report.text, "issuer: has a query");
}

static void an_issuer_that_is_a_template_is_refused(void **state)
{
    (void)state;
    load("[profile a]\nissuer = https://login.example.com/{tenantid}/v2.0\nclient-id = k\nusername "
         "= u\n");
    assert_holds(report.text, "issuer: is a template");
}

static void client_auth_none_with_a_secret_is_refused(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE "client-auth = none\nclient-secret = x\n");
    assert_holds(report.text, "client-auth = none does not go with a client secret");
}

static void client_auth_without_a_secret_is_refused(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE "client-auth = basic\n");
    assert_holds(report.text, "client-auth = basic needs a client secret");
}

static void a_tls_key_without_a_certificate_is_refused(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE "tls-client-key = /k\n");
    assert_holds(report.text, "tls-client-key needs tls-client-cert");
}

static void assert_only_complaint(const char *text, unsigned line, const char *rest)
{
    char expected[512];

    load(text);
    snprintf(expected, sizeof expected, "/kubetoken.conf:%u: %s\n", line, rest);
    assert_int_equal(report.count, 1);
    assert_holds(report.text, expected);
    config_report_clear(&report);
}

#define NEEDS_USERNAME                                                                             \
    "username-prefix needs username-claim; write username-claim = sub, or what "                   \
    "--oidc-username-claim of the API server names"
#define NEEDS_GROUPS                                                                               \
    "groups-prefix needs groups-claim; write groups-claim = what --oidc-groups-claim of the API "  \
    "server names"

static void a_prefix_without_its_claim_is_refused_where_it_stands(void **state)
{
    (void)state;
    assert_only_complaint("[profile a]\n" COMPLETE "username-prefix = x:\n", 5,
                          "profile a: " NEEDS_USERNAME);
    assert_only_complaint("[profile a]\n" COMPLETE "username-prefix = -\n", 5,
                          "profile a: " NEEDS_USERNAME);
    assert_only_complaint("[profile a]\n" COMPLETE "username-claim = sub\ngroups-prefix = x:\n", 6,
                          "profile a: " NEEDS_GROUPS);
    /* of a profile as it is merged */
    assert_only_complaint("[defaults]\nusername-prefix = x:\n[profile a]\n" COMPLETE
                          "username-claim = sub\n[profile b]\n" COMPLETE,
                          2, "profile b: " NEEDS_USERNAME);
    assert_only_complaint("[defaults]\nusername-prefix = x:\n[profile a]\n" COMPLETE
                          "username-prefix = y:\n",
                          7, "profile a: " NEEDS_USERNAME);
    load("[defaults]\nusername-claim = sub\ngroups-claim = groups\n[profile a]\n" COMPLETE
         "username-prefix = x:\ngroups-prefix = y:\n");
    assert_non_null(config);
    assert_string_equal(config->profiles[0].groups_prefix, "y:");
}

/* Loads a profile with so many parameters and so many more in [defaults]. */
static void load_parameters(unsigned of_defaults, unsigned of_profile)
{
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof text, "[defaults]\n" COMPLETE);

    for (unsigned i = 0; i < of_defaults; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "token-parameter = d%u=x\n", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "[profile a]\n");
    for (unsigned i = 0; i < of_profile; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "token-parameter = p%u=x\n", i);
    snprintf(text + n, sizeof text - n, "[profile b]\n");
    load(text);
}

static void sixty_four_parameters_are_taken(void **state)
{
    (void)state;
    load_parameters(60, 4);
    assert_non_null(config);
    const struct profile_config *p = config_find(config, "a");
    assert_string_equal(p->parameters[63], "p3=x");
    assert_null(p->parameters[64]);
}

static void a_parameter_too_many_is_refused(void **state)
{
    (void)state;
    load_parameters(60, 5);
    assert_null(config);
    assert_int_equal(report.count, 1);
    assert_holds(report.text, ":70: profile a: token-parameter: more than 64");
    config_report_clear(&report);
    load_parameters(66, 0); /* each line once, however many profiles there are */
    assert_int_equal(report.count, 2);
    assert_holds(report.text, ":69: profile a: token-parameter: more than 64");
    assert_holds(report.text, ":70: ");
}

static void all_errors_are_found_in_one_go(void **state)
{
    (void)state;
    load("realm = x\n"
         "[profile a]\n" COMPLETE "timeout = never\n"
         "colour = blue\n"
         "[profile b\n"
         "[profile c]\n"
         "proxy = sometimes\n"
         "words\n"
         "[defaults]\n"
         "default-profile = z\n");
    static const char *const said[] = {
        ":1: realm",  ":6: timeout",  ":7: unknown key \"colour\"", ":8: a section",
        ":10: proxy", ":11: neither", ":13: default-profile"
    };
    for (size_t i = 0; i < COUNT(said); i++)
        assert_holds(report.text, said[i]);
}

static void a_bad_value_does_not_hide_a_missing_key(void **state)
{
    (void)state;
    load("[profile a]\nissuer = https://x/\nusername = u\ntimeout = never\n");
    assert_holds(report.text, ":4: timeout");
    assert_holds(report.text, "client-id is missing");
}

static void a_bad_value_in_defaults_does_not_hide_what_profiles_miss(void **state)
{
    (void)state;
    load("[defaults]\ntimeout = never\n[profile a]\nissuer = https://x/\nusername = u\n");
    assert_holds(report.text, ":2: timeout");
    assert_holds(report.text, "client-id is missing");
}

static void a_key_with_a_bad_value_is_not_called_missing(void **state)
{
    (void)state;
    load("[profile a]\nissuer = nonsense\nclient-id = k\nusername = u\n");
    assert_holds_not(report.text, "missing");
    assert_int_equal(report.count, 1);
}

static void an_error_in_defaults_is_reported_once(void **state)
{
    (void)state;
    load("[defaults]\n" COMPLETE "timeout = never\n[profile a]\n[profile b]\n");
    assert_int_equal(report.count, 1);
}

static void more_than_fifty_errors_are_counted_only(void **state)
{
    char text[4096];
    size_t n = 0;

    (void)state;
    for (int i = 0; i < 60; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "nonsense\n");
    load(text);
    assert_int_equal(report.count, 60);
    assert_holds(report.text, "... and 10 more\n");
    assert_int_equal(lines_in(report.text), 51);
    assert_int_equal(report.length, strlen(report.text));
}

static void a_secret_never_stands_in_the_report(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE
         "password = hunter2\npassword = hunter2\nclient-secret = hunter2\n"
         "client-secret-file = /x\nclient-auth = none\n");
    assert_true(report.count > 0);
    assert_holds_not(report.text, "hunter2");
}

static void control_characters_of_the_file_do_not_reach_the_report(void **state)
{
    (void)state;
    load("[profile a]\n" COMPLETE "timeout = a\tb\n");
    assert_holds_not(report.text, "\t");
    assert_int_equal(lines_in(report.text), 1);
}

/* ---- the file itself ------------------------------------------------------------------------- */

static void load_mode(const char *further, unsigned mode)
{
    char text[1024];

    snprintf(text, sizeof text, "[profile a]\n" COMPLETE "%s\n", further);
    load_file(write_file("kubetoken.conf", text, mode));
}

static void an_inline_secret_that_others_can_read_is_refused_with_the_chmod(void **state)
{
    char expected[128];

    (void)state;
    load_mode("password = x", 0644);
    assert_null(config);
    assert_holds(report.text, "it holds a secret");
    snprintf(expected, sizeof expected, "chmod 600 %s/kubetoken.conf", test_folder);
    assert_holds(report.text, expected);
}

static void a_proxy_with_a_password_is_a_secret_and_one_without_is_none(void **state)
{
    (void)state;
    load_mode("proxy = http://me:pw@h:1", 0644);
    assert_holds(report.text, "it holds a secret");
    config_report_clear(&report);
    load_mode("proxy = http://h:1\ntoken-endpoint = https://h/@x", 0644);
    assert_non_null(config);
}

static void a_password_in_a_url_that_is_not_accepted_is_not_told(void **state)
{
    (void)state;
    load("[profile p]\n" COMPLETE "proxy = htp://me:canary@h\njwks-uri = https://me:canary@h/\n");
    assert_holds(report.text, "proxy: not accepted; accepted: auto");
    assert_holds(report.text, "jwks-uri: not accepted; accepted: ");
    assert_holds_not(report.text, "canary");
}

static void an_inline_secret_of_the_owner_alone_is_accepted(void **state)
{
    (void)state;
    load_mode("password = x", 0600);
    assert_non_null(config);
}

static void an_inline_secret_that_the_group_can_read_is_refused(void **state)
{
    (void)state;
    load_mode("client-secret = x", 0640);
    assert_holds(report.text, "chmod 600");
}

static void a_command_that_others_can_write_is_refused_with_the_chmod(void **state)
{
    (void)state;
    load_mode("password-command = x", 0666);
    assert_holds(report.text, "kubetoken.conf: can be written by others (mode 666); chmod go-w ");
}

static void a_command_that_others_can_read_is_accepted(void **state)
{
    (void)state;
    load_mode("password-command = x", 0644);
    assert_non_null(config);
}

static void a_file_without_secret_or_command_may_be_open(void **state)
{
    (void)state;
    load_mode("password-file = /p", 0644);
    assert_non_null(config);
}

static void who_can_write_the_file_could_have_the_password_sent_elsewhere(void **state)
{
    (void)state;
    load_mode("", 0646);
    assert_null(config);
    assert_holds(report.text, "can be written by others (mode 646); chmod o-w ");
}

static void each_file_is_held_to_its_own_content(void **state)
{
    (void)state;
    const char *paths[] = { write_file("system.conf", "[defaults]\n" COMPLETE, 0644),
                            write_file("user.conf", "[profile a]\npassword = x\n", 0600) };
    config = config_load(paths, 2, &report);
    assert_non_null(config);
}

static void a_secret_that_a_later_file_replaces_still_has_to_be_private(void **state)
{
    (void)state;
    const char *paths[] = {
        write_file("system.conf", "[defaults]\n" COMPLETE "password = x\n", 0644),
        write_file("user.conf", "[defaults]\npassword = y\n[profile a]\n", 0600)
    };
    config = config_load(paths, 2, &report);
    assert_holds(report.text, "system.conf: it holds a secret");
}

static void the_chmod_is_whole_also_for_a_long_path(void **state)
{
    char name[160], expected[256];

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    load_file(write_file(name, "[profile a]\n" COMPLETE "password = x\n", 0644));
    snprintf(expected, sizeof expected, "chmod 600 %s/%s\n", test_folder, name);
    assert_holds(report.text, expected);
}

static void a_folder_instead_of_a_file_is_refused(void **state)
{
    (void)state;
    load_file(test_folder);
    assert_int_equal(report.code, ERROR_CONFIG);
    assert_holds(report.text, "is not a regular file");
}

static void a_file_larger_than_a_mebibyte_is_refused(void **state)
{
    (void)state;
    const char *path = write_file("kubetoken.conf", "#", 0600);
    assert_int_equal(truncate(path, 1024 * 1024 + 1), 0);
    load_file(path);
    assert_holds(report.text, "is larger than 1 MiB");
}

static void the_stamp_changes_with_the_file(void **state)
{
    (void)state;
    const char *path = write_file("kubetoken.conf", "[profile a]\n", 0600);
    uint64_t before = private_file_stamp(&path, 1).hash;
    assert_true(private_file_stamp(&path, 1).hash == before);
    write_file("kubetoken.conf", "[profile ab]\n", 0600);
    assert_true(private_file_stamp(&path, 1).hash != before);
}

static void the_stamp_changes_when_a_file_appears(void **state)
{
    char path[128];
    const char *paths[] = { path };

    (void)state;
    snprintf(path, sizeof path, "%s/kubetoken.conf", test_folder);
    uint64_t before = private_file_stamp(paths, 1).hash;
    write_file("kubetoken.conf", "", 0600);
    assert_true(private_file_stamp(paths, 1).hash != before);
}

/* ---- identity -------------------------------------------------------------------------------- */

static bool same_identity(const char *a, const char *b)
{
    char text[1024];

    snprintf(text, sizeof text, "[defaults]\n" COMPLETE "[profile a]\n%s\n[profile b]\n%s\n", a, b);
    load(text);
    assert_non_null(config);
    bool same = config_keys_same_identity(config_find(config, "a"), config_find(config, "b"));
    config = config_free(config);
    return same;
}

static void another_password_is_the_same_identity(void **state)
{
    (void)state;
    assert_true(same_identity("password = x", "password = y"));
}

static void another_policy_is_the_same_identity(void **state)
{
    (void)state;
    assert_true(same_identity("refresh-before = 10%", "keep-fresh = always"));
}

static void whatever_shapes_the_token_is_another_identity(void **state)
{
    static const char *const lines[] = {
        "issuer = https://login.example.com",
        "client-id = other",
        "username = ben",
        "scope = openid",
        "audience = a",
        "resource = r",
        "realm = r",
        "token-parameter = a=b",
        "token-endpoint = https://t/",
        "signing-algs = ES256",
    };

    for (size_t i = 0; i < COUNT(lines); i++)
        assert_false(same_identity("", lines[i]));
    (void)state;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* config_print.h: what is said to be built in is what a profile has that says nothing. */
static void what_is_built_in_can_be_said(void **state)
{
    char text[2048] = "";

    (void)state;
    uint64_t silent = config_keys_digest(load_profile(""));
    config = config_free(config);
    for (size_t i = 0; i < config_builtins_count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s = %s\n",
                 config_builtins[i].key, config_builtins[i].value);
    assert_true(config_keys_digest(load_profile(text)) == silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_complete_profile_is_read),
        TEST(what_is_not_set_has_the_built_in_default),
        TEST(every_key_goes_to_its_place),
        TEST(patience_is_two_minutes_but_where_a_timeout_is_configured),
        TEST(comments_and_empty_lines_are_passed_over),
        TEST(equals_signs_in_a_value_are_kept),
        TEST(number_signs_in_a_value_are_kept),
        TEST(quotes_and_backslashes_in_a_value_are_kept),
        TEST(blanks_inside_a_value_are_kept_and_those_around_it_cut),
        TEST(characters_beyond_ascii_are_kept),
        TEST(a_line_without_a_newline_at_the_end_of_the_file_counts),
        TEST(a_byte_order_mark_is_passed_over),
        TEST(a_line_of_4095_bytes_is_read),
        TEST(parameters_may_come_more_than_once),
        TEST(a_profiles_parameter_replaces_the_one_of_that_name_in_defaults),
        TEST(what_is_sent_anyway_is_no_parameter),
        TEST(refresh_before_may_be_a_percentage),
        TEST(refresh_before_may_be_a_duration),
        TEST(keep_fresh_may_be_always),
        TEST(a_relative_path_counts_from_the_folder_of_the_file),
        TEST(a_tilde_in_a_path_is_the_home),
        TEST(http_to_loopback_is_accepted_when_it_is_allowed),
        TEST(defaults_hold_for_every_profile),
        TEST(defaults_may_stand_below_the_profiles),
        TEST(a_profiles_source_replaces_one_of_another_kind_in_defaults),
        TEST(a_duration_in_a_profile_replaces_a_percentage_in_defaults),
        TEST(profiles_are_sorted_and_found_by_name),
        TEST(the_default_profile_is_taken),
        TEST(without_default_profile_there_is_none_set),
        TEST(a_later_file_wins_key_by_key),
        TEST(a_profile_may_stand_in_both_files),
        TEST(a_source_of_the_later_file_wins_over_one_of_another_kind),
        TEST(the_last_of_three_files_decides_the_source),
        TEST(a_missing_file_is_passed_over),
        TEST(no_file_at_all_is_no_config),
        TEST(an_error_names_the_file_that_it_is_in),
        TEST(values_that_are_not_accepted_are_named_with_what_is),
        TEST(every_algorithm_that_is_verified_may_be_allowed),
        TEST(a_list_of_algorithms_without_one_is_refused),
        TEST(an_unknown_key_is_refused_with_the_nearest_one),
        TEST(a_key_in_capitals_is_unknown),
        TEST(a_key_without_a_value_is_refused),
        TEST(a_line_that_is_nothing_is_refused),
        TEST(an_indented_line_is_no_continuation),
        TEST(a_key_set_twice_is_refused_with_the_first_line),
        TEST(two_sources_of_one_secret_are_refused),
        TEST(a_section_twice_in_a_file_is_refused),
        TEST(an_unknown_section_is_refused),
        TEST(keys_below_an_unknown_section_are_not_reported_as_well),
        TEST(a_section_that_is_not_closed_is_refused),
        TEST(a_lone_bracket_is_refused),
        TEST(a_name_that_no_profile_can_have_is_refused),
        TEST(a_key_before_the_first_section_is_refused),
        TEST(default_profile_inside_a_profile_is_refused),
        TEST(a_default_profile_that_is_not_there_is_refused),
        TEST(crlf_line_ends_are_named),
        TEST(a_control_character_is_refused),
        TEST(a_nul_byte_is_refused),
        TEST(broken_utf8_is_refused),
        TEST(utf16_is_said_once),
        TEST(a_line_of_4096_bytes_is_refused),
        TEST(a_missing_key_is_named_at_the_profile),
        TEST(a_file_without_a_profile_is_refused),
        TEST(an_empty_file_is_refused),
        TEST(http_to_another_host_is_refused),
        TEST(http_to_loopback_needs_its_permission),
        TEST(an_issuer_with_a_query_is_refused),
        TEST(an_issuer_that_is_a_template_is_refused),
        TEST(client_auth_none_with_a_secret_is_refused),
        TEST(client_auth_without_a_secret_is_refused),
        TEST(a_tls_key_without_a_certificate_is_refused),
        TEST(a_prefix_without_its_claim_is_refused_where_it_stands),
        TEST(sixty_four_parameters_are_taken),
        TEST(a_parameter_too_many_is_refused),
        TEST(all_errors_are_found_in_one_go),
        TEST(a_bad_value_does_not_hide_a_missing_key),
        TEST(a_bad_value_in_defaults_does_not_hide_what_profiles_miss),
        TEST(a_key_with_a_bad_value_is_not_called_missing),
        TEST(an_error_in_defaults_is_reported_once),
        TEST(more_than_fifty_errors_are_counted_only),
        TEST(a_secret_never_stands_in_the_report),
        TEST(control_characters_of_the_file_do_not_reach_the_report),
        TEST(an_inline_secret_that_others_can_read_is_refused_with_the_chmod),
        TEST(a_proxy_with_a_password_is_a_secret_and_one_without_is_none),
        TEST(a_password_in_a_url_that_is_not_accepted_is_not_told),
        TEST(an_inline_secret_of_the_owner_alone_is_accepted),
        TEST(an_inline_secret_that_the_group_can_read_is_refused),
        TEST(a_command_that_others_can_write_is_refused_with_the_chmod),
        TEST(a_command_that_others_can_read_is_accepted),
        TEST(a_file_without_secret_or_command_may_be_open),
        TEST(who_can_write_the_file_could_have_the_password_sent_elsewhere),
        TEST(each_file_is_held_to_its_own_content),
        TEST(a_secret_that_a_later_file_replaces_still_has_to_be_private),
        TEST(the_chmod_is_whole_also_for_a_long_path),
        TEST(a_folder_instead_of_a_file_is_refused),
        TEST(a_file_larger_than_a_mebibyte_is_refused),
        TEST(the_stamp_changes_with_the_file),
        TEST(the_stamp_changes_when_a_file_appears),
        TEST(another_password_is_the_same_identity),
        TEST(another_policy_is_the_same_identity),
        TEST(whatever_shapes_the_token_is_another_identity),
        TEST(what_is_built_in_can_be_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
