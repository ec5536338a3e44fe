#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "client/admin/redaction.h"

static struct redaction *r;

static int set_up(void **state)
{
    (void)state;
    r = redaction_new();
    return r ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    r = redaction_free(r);
    return 0;
}

static void expect(const char *text, bool foreign, const char *expected)
{
    char out[600];

    redaction_apply(r, text, foreign, out, sizeof out);
    assert_string_equal(out, expected);
}

static void what_was_registered_is_hidden_wherever_it_stands(void **state)
{
    (void)state;
    redaction_hide(r, "user", "jane");
    redaction_hide(r, "user", "Jane Doe");
    redaction_hide(r, "context", "prod");
    expect("jane, JANE and Jane Doe", false, "<user-1>, <user-1> and <user-2>");
    expect("oidc:jane is janet in prod-eu", false, "<user-3> is janet in <context-1>");
    expect("context prod: jane.", false, "context <context-2>: <user-1>.");
    expect("/home/jane/x", false, "<path-1>");
}

static void a_program_in_the_root_is_a_path_too(void **state)
{
    (void)state;
    expect("/kubectl is at /kubectl", false, "<path-1> is at <path-1>");
    expect("/opt/kubectl", false, "<path-2>/kubectl");
}

static void equal_values_have_equal_numbers_in_the_order_of_the_text(void **state)
{
    (void)state;
    redaction_hide_url(r, "https://b.example/");
    expect("https://a.example/ and https://b.example/", false, "<url-1> and <url-2>");
    expect("https://b.example/, b.example:8443, a.example", false,
           "<url-2>, <host-1>:8443, <host-2>");
}

static void what_looks_like_a_name_is_hidden(void **state)
{
    static const char *const rows[][2] = {
        { "at https://u@login.corp.example:8443/a?b", "at <url-1>" },
        { "mail jane.doe@corp.example.", "mail <email-1>." },
        { "of 192.168.1.17:443 or [fe80::1%eth0]:443", "of <address-1>:443 or [<address-2>]:443" },
        { "dial tcp: lookup a.b.corp on 10.0.0.2:53: no such host",
          "dial tcp: lookup <host-1> on <address-3>:53: no such host" },
        { "*.corp.example", "<host-2>" },
        { "/srv/corp/x.pem: No such file", "<path-1>: No such file" },
        { "~/secrets/x:3: what", "<path-2>:3: what" },
        { "(./bin/kubetoken)", "(<path-3>/kubetoken)" },
        { "no user \"jane\"", "no user \"<value-1>\"" },
        { "groups [\"devs\",\"ops\"]", "groups [\"<value-2>\",\"<value-3>\"]" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i][0], false, rows[i][1]);
}

static void what_others_wrote_is_read_more_strictly(void **state)
{
    static const char *const rows[][2] = {
        { "x509: certificate is valid for master, corp-1, not api",
          "x509: certificate is valid for <name-1>, <name-2>, not api" },
        { "dial tcp: lookup master on [::1]:53", "dial tcp: lookup <name-1> on [<address-1>]:53" },
        { "unable to reach node01 of team_a", "unable to reach <name-3> of <name-4>" },
        { "profile alpha: issuer is missing", "profile <name-5>: issuer is missing" },
        { "alpha: it belongs to jane; chown it", "<name-5>: it belongs to <name-6>; chown it" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i][0], true, rows[i][1]);
}

static void words_of_our_own_stay(void **state)
{
    static const char *const rows[] = {
        "kubetokend 0.1.0 protocol 1",
        "kubetoken.conf(5), /etc/kubetoken/kubetoken.conf:3: unknown",
        "alg RS256, kid x",
        "client.authentication.k8s.io/v1beta1",
        "-o exec/v1 and --oidc-issuer-url, --oidc-username-claim=sub",
        "plugin \"kubetoken\" not allowed: policy set to \"DenyAll\"",
        "expires in 59 min, +2 s from 2026-11-24T14:05:12Z, v1.32.3-gke.9",
        "/usr/bin/kubetoken and /dev/null",
        "client-secret-file: refused, login-needed",
        "jwt[0].issuer.url and claims.email; tune.bufsize",
    };

    (void)state;
    redaction_hide(r, "user", "kubetoken");
    redaction_hide(r, "profile", "default");
    redaction_hide(r, "user", "x");
    redaction_hide(r, "user", NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i], true, rows[i]);
}

static void a_text_that_does_not_fit_is_cut(void **state)
{
    char out[8];

    (void)state;
    redaction_hide(r, "user", "jane");
    redaction_apply(r, "jane is here", false, out, sizeof out);
    assert_string_equal(out, "<user-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_registered_is_hidden_wherever_it_stands, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(equal_values_have_equal_numbers_in_the_order_of_the_text,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_program_in_the_root_is_a_path_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_looks_like_a_name_is_hidden, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_wrote_is_read_more_strictly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_of_our_own_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_that_does_not_fit_is_cut, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
