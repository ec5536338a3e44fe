/* CEL expressions: what does not compile, what they read, what can be foreseen. */
#define _GNU_SOURCE
#include "support.h"

#include <string.h>

#include "client/admin/cel.h"

static const char claims_text[] =
    "{\"sub\":\"s-1\",\"email\":\"a@example.com\",\"email_verified\":true,\"groups\":[\"devs\","
    "\"ops\"],\"roles\":\"a,b\",\"num\":5,\"exp\":8200,\"nbf\":1000,\"nested\":{\"a\":\"v\"},"
    "\"a.b\":\"dot\",\"flag\":false,\"none\":null}";

struct expected {
    const char *text;
    unsigned may;
    const char *reason; /* or its value, where it is one */
};

static void assert_compiles(const char *text, enum cel_variable variable, bool does)
{
    char why[256] = "";
    struct cel *cel = cel_compile(text, variable, why, sizeof why);

    if (!cel == does)
        fail_msg("%s: %s", text, does ? why : "it compiles");
    if (!does && !*why)
        fail_msg("%s: no reason is given", text);
    cel_free(cel);
}

static void what_does_not_compile_is_refused(void **state)
{
    static const char *const broken[] = {
        "claims.sub +",
        "claims.sub == 'x",
        "claims.sub == (1",
        "claims.groups[0",
        "claims..sub",
        "",
        "1 +",
        "claims.sub = 'x'",
        "claims.sub and true",
        "!-claims.num",
        "-!claims.flag",
        "'\\q' == 'q'",
        "claims.a ? claims.b ? 1 : 2 : 3",
        "claims.if && claims.in",
        "if == 1",
        "f(claims.sub)",
        "claims.sub.toLowerCase()",
        "tokens.sub",
        "user.username == 'x'",
        "'a' + 1",
        "'a' == 1",
        "1 && true",
        "!'a'",
        "claims.sub in 'abc'",
        "['a', 1]",
        "[claims.sub, 'x']",
        "claims.groups.all(g, g == 'x')",
        "claims.sub.startsWith(1)",
        "has(claims['sub'])",
        "has(claims)",
        "size(claims.sub) + 'a'",
        "99999999999999999999 == 1",
        "claims.sub ? 1 : 2 : 3",
        "'a' ? 1 : 2",
        "claims[1] == 'x'",
        "claims.`a` == 1",
        "a b",
    };

    for (size_t i = 0; i < COUNT(broken); i++)
        assert_compiles(broken[i], CEL_CLAIMS, false);
    (void)state;
}

static void what_compiles_is_taken(void **state)
{
    static const char *const good[] = {
        "claims.sub",
        "claims['https://x/roles']",
        "claims.?scp.orValue([])",
        "claims[?'a'].value()",
        "dyn(claims.groups).all(g, g == 'x')",
        "claims.roles.split(',').map(r, 'oidc:' + r)",
        "claims.exp - claims.nbf <= 3600",
        "!!claims.flag",
        "--1 == 1",
        "-1 < 2.0",
        "claims.email_verified ? claims.email : claims.sub",
        "\"\"\"a\n'b\"\"\" == r'\\x'",
        "0x1F == 31 && 1u == 1u && .5 < 1e3",
        "[] == [1, 2,]",
        "{'a': claims.sub,} != {}",
        "claims.a.b.c.d // a comment",
        "type(claims.sub) == string",
        "optional.of(1).hasValue()",
        "sets.contains(['a'], ['a'])",
        "claims.a ? (claims.b ? 1 : 2) : 3",
        "b'x' == b'x'",
        "dyn(claims.groups).exists(i, g, g == 'x')",
        "claims.if == 'reserved only as a name'",
        "timestamp('2026-01-01T00:00:00Z') < timestamp(claims.t)",
        "claims.?a.optMap(v, v + 'x')",
    };

    for (size_t i = 0; i < COUNT(good); i++)
        assert_compiles(good[i], CEL_CLAIMS, true);
    (void)state;
}

static void a_user_has_four_fields(void **state)
{
    static const char *const good[] = { "user.username == 'a'", "user.uid == ''",
                                        "user.groups.all(g, !g.startsWith('system:'))",
                                        "'a/b' in user.extra" };
    static const char *const broken[] = { "user.name == 'a'",   "user.username.x == 'a'",
                                          "claims.sub == 'a'",  "has(user.email)",
                                          "user.groups == 'a'", "user.username + 1 == 'a'" };

    for (size_t i = 0; i < COUNT(good); i++)
        assert_compiles(good[i], CEL_USER, true);
    for (size_t i = 0; i < COUNT(broken); i++)
        assert_compiles(broken[i], CEL_USER, false);
    (void)state;
}

static void assert_outcome(const struct expected *x)
{
    char why[256] = "";
    cJSON *claims = cJSON_Parse(claims_text);
    struct cel *cel = cel_compile(x->text, CEL_CLAIMS, why, sizeof why);

    if (!cel)
        fail_msg("%s: %s", x->text, why);
    struct cel_outcome o = cel_foresee(cel, claims);
    char *value = o.value ? cJSON_PrintUnformatted(o.value) : NULL;
    if (o.may != x->may)
        fail_msg("%s: %x, not %x", x->text, o.may, x->may);
    if (x->reason && strcmp(o.may & CEL_FAILS ? o.reason : value ? value : "?", x->reason) != 0)
        fail_msg("%s: %s, not %s", x->text, o.may & CEL_FAILS ? o.reason : value, x->reason);
    cJSON_free(value);
    cel_free(cel);
    cJSON_Delete(claims);
}

static void a_missing_claim_that_nothing_guards_fails(void **state)
{
    static const struct expected all[] = {
        { "claims.scp", CEL_FAILS, "no such key: scp" },
        { "claims['scp']", CEL_FAILS, "no such key: scp" },
        { "dyn(claims).scp", CEL_FAILS, "no such key: scp" },
        { "claims.nested.b.c", CEL_FAILS, "no such key: b" },
        { "claims.exp - claims.iat <= 3600", CEL_FAILS, "no such key: iat" },
        { "claims.scp.startsWith('a')", CEL_FAILS, "no such key: scp" },
        { "claims.sub == claims.scp", CEL_FAILS, "no such key: scp" },
        { "['x'].all(i, claims.scp == i)", CEL_FAILS, "no such key: scp" },
        { "claims.?scp.value()", CEL_FAILS, "optional.none() dereference" },
        { "has(claims.missing.x)", CEL_FAILS, "no such key: missing" },
    };

    for (size_t i = 0; i < COUNT(all); i++)
        assert_outcome(&all[i]);
    (void)state;
}

static void a_guard_keeps_it_from_failing(void **state)
{
    static const struct expected all[] = {
        { "has(claims.scp) && claims.scp == 'x'", CEL_FALSE, NULL },
        { "!has(claims.scp) || claims.scp == 'x'", CEL_TRUE, NULL },
        { "has(claims.scp) ? claims.scp : 'none'", CEL_OTHER, "\"none\"" },
        { "claims.?scp.orValue('none')", CEL_OTHER, "\"none\"" },
        { "claims.?nested.?b.orValue('none')", CEL_OTHER, "\"none\"" },
        { "claims[?'scp'].hasValue()", CEL_FALSE, NULL },
        { "'b' in claims.nested && claims.nested.b == 'x'", CEL_FALSE, NULL },
        { "claims.flag && claims.scp == 'x'", CEL_FALSE, NULL },
        { "claims.scp == 'x' && claims.flag", CEL_FALSE, NULL },
        { "claims.scp == 'x' || claims.email_verified", CEL_TRUE, NULL },
    };

    for (size_t i = 0; i < COUNT(all); i++)
        assert_outcome(&all[i]);
    (void)state;
}

static void where_it_depends_both_are_possible(void **state)
{
    static const struct expected all[] = {
        { "claims.sub.matches('x') || claims.scp == 'x'", CEL_TRUE | CEL_FAILS,
          "no such key: scp" },
        { "claims.sub.matches('x') ? claims.scp : 'a'", CEL_OTHER | CEL_FAILS, "no such key: scp" },
    };

    for (size_t i = 0; i < COUNT(all); i++)
        assert_outcome(&all[i]);
    (void)state;
}

static void a_wrong_type_fails(void **state)
{
    static const struct expected all[] = {
        { "claims.num + 1", CEL_FAILS, "no such overload" },
        { "claims.num + '@corp'", CEL_FAILS, "no such overload" },
        { "claims.groups.split(',')", CEL_FAILS, "no such overload" },
        { "claims.sub.x", CEL_FAILS, "no such overload" },
        { "claims.num.startsWith('5')", CEL_FAILS, "no such overload" },
        { "claims.sub < 5", CEL_FAILS, "no such overload" },
        { "claims.sub && true", CEL_FAILS, "no such overload" },
        { "'sub' in claims", CEL_FAILS, "no such overload" },
        { "'a' in claims.sub", CEL_FAILS, "no such overload" },
    };

    for (size_t i = 0; i < COUNT(all); i++)
        assert_outcome(&all[i]);
    (void)state;
}

static void what_is_known_of_a_value_is_told(void **state)
{
    static const struct expected all[] = {
        { "claims.sub + '@corp'", CEL_OTHER, "\"s-1@corp\"" },
        { "claims.a__dot__b", CEL_OTHER, "\"dot\"" },
        { "claims.roles.split(',').map(r, 'oidc:' + r)", CEL_OTHER, "[\"oidc:a\",\"oidc:b\"]" },
        { "dyn(claims.groups).filter(g, g != 'ops')", CEL_OTHER, "[\"devs\"]" },
        { "claims.exp - claims.nbf <= 3600", CEL_FALSE, NULL },
        { "claims.sub in ['s-1', 's-2']", CEL_TRUE, NULL },
        { "claims.num == 5", CEL_TRUE, NULL },
        { "claims.num == '5'", CEL_FALSE, NULL },
        { "claims.none == null", CEL_TRUE, NULL },
        { "dyn(claims.groups).all(g, !g.startsWith('system:'))", CEL_TRUE, NULL },
        { "size(claims.groups) == 2 && claims.email.endsWith('.com')", CEL_TRUE, NULL },
        { "claims.email_verified ? claims.email : claims.sub", CEL_OTHER, "\"a@example.com\"" },
    };

    for (size_t i = 0; i < COUNT(all); i++)
        assert_outcome(&all[i]);
    (void)state;
}

static void what_it_reads_is_named_with_its_values(void **state)
{
    static const char *const all[][2] = {
        { "claims.sub == 'x' && claims.scp != claims.sub",
          "claims.sub \"s-1\", claims.scp missing" },
        { "claims['a.b'] + claims.nested.a", "claims['a.b'] \"dot\", claims.nested.a \"v\"" },
        { "claims.?scp.orValue(claims.nested.b)", "claims.scp missing, claims.nested.b missing" },
        { "dyn(claims.groups).all(claims, claims == 'x')", "claims.groups [\"devs\",\"ops\"]" },
        { "has(claims.email)", "claims.email \"a@example.com\"" },
        { "'scp' in claims", "claims.scp missing" },
        { "dyn(claims).email", "claims.email \"a@example.com\"" },
        { "1 == 1", "" },
    };
    cJSON *claims = cJSON_Parse(claims_text);
    char why[256], out[300];

    for (size_t i = 0; i < COUNT(all); i++) {
        struct cel *cel = cel_compile(all[i][0], CEL_CLAIMS, why, sizeof why);
        assert_non_null(cel);
        cel_describe(cel, claims, out, sizeof out);
        assert_string_equal(out, all[i][1]);
        cel_free(cel);
    }
    cJSON_Delete(claims);
    (void)state;
}

/* claims['email'] and dyn(claims).email escape the rule of email and email_verified. */
static void only_some_ways_to_name_a_field_count(void **state)
{
    static const struct {
        const char *text;
        bool counts;
    } all[] = {
        { "claims.email", true },         { "claims.?email.orValue('')", true },
        { "has(claims.email)", true },    { "dyn(claims.groups).map(g, g + claims.email)", true },
        { "claims['email']", false },     { "dyn(claims).email", false },
        { "claims.nested.email", false }, { "'claims.email'", false }
    };
    char why[256];

    for (size_t i = 0; i < COUNT(all); i++) {
        struct cel *cel = cel_compile(all[i].text, CEL_CLAIMS, why, sizeof why);
        assert_non_null(cel);
        if (cel_selects(cel, "email") != all[i].counts)
            fail_msg("%s", all[i].text);
        cel_free(cel);
    }
    (void)state;
}

static void what_is_too_large_is_not_judged(void **state)
{
    char text[1000], why[256];

    memset(text, '(', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct cel *cel = cel_compile(text, CEL_CLAIMS, why, sizeof why);
    assert_non_null(cel);
    assert_true(cel_is_beyond(cel));
    assert_int_equal(cel_type(cel), CEL_UNKNOWN_TYPE);
    assert_int_equal(cel_foresee(cel, NULL).may, CEL_TRUE | CEL_FALSE | CEL_OTHER | CEL_FAILS);
    cel_free(cel);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_compile_is_refused),
        cmocka_unit_test(what_compiles_is_taken),
        cmocka_unit_test(a_user_has_four_fields),
        cmocka_unit_test(a_missing_claim_that_nothing_guards_fails),
        cmocka_unit_test(a_guard_keeps_it_from_failing),
        cmocka_unit_test(where_it_depends_both_are_possible),
        cmocka_unit_test(a_wrong_type_fails),
        cmocka_unit_test(what_is_known_of_a_value_is_told),
        cmocka_unit_test(what_it_reads_is_named_with_its_values),
        cmocka_unit_test(only_some_ways_to_name_a_field_count),
        cmocka_unit_test(what_is_too_large_is_not_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
