/* kube-apiserver's AuthenticationConfiguration: what would be refused at load, and where. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/authentication_config.h"

#define HEAD "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
#define ISSUER "- issuer: {url: 'https://i.example/a', audiences: [k]}\n"
#define NAME "  claimMappings: {username: {claim: sub, prefix: ''}}\n"
#define GOOD HEAD "jwt:\n" ISSUER NAME

/* With these lines in it the text is refused for this, at this place, and for nothing else. */
static void assert_refused(const char *text, const char *path, const char *words)
{
    struct authentication_config c;

    authentication_config_read(text, strlen(text), &c);
    if (authentication_config_loads(&c) || c.n != 1)
        fail_msg("%u problems, the last %s: %s, in\n%s", c.n, c.n ? c.problems[c.n - 1].path : "",
                 c.n ? c.problems[c.n - 1].text : "", text);
    assert_string_equal(c.problems[0].path, path);
    if (!strstr(c.problems[0].text, words))
        fail_msg("%s, not %s", c.problems[0].text, words);
    authentication_config_free(&c);
}

static void assert_loads(const char *text)
{
    struct authentication_config c;

    authentication_config_read(text, strlen(text), &c);
    if (!authentication_config_loads(&c))
        fail_msg("%s: %s in\n%s", c.problems[0].path, c.problems[0].text, text);
    authentication_config_free(&c);
}

static void what_is_right_loads(void **state)
{
    assert_loads(GOOD);
    assert_loads(HEAD);
    assert_loads(HEAD "jwt: []\n");
    assert_loads("{\"apiVersion\":\"apiserver.config.k8s.io/v1\",\"kind\":"
                 "\"AuthenticationConfiguration\",\n\t\"jwt\":null}");
    assert_loads(HEAD "jwt:\n- issuer: {url: 'HTTPS://i/?#', audiences: [a, b], "
                      "audienceMatchPolicy: MatchAny, discoveryURL: 'https://d/'}\n" NAME);
    assert_loads(GOOD "  claimValidationRules: [{claim: hd}, {expression: claims.a == 1}]\n"
                      "anonymous: {enabled: true, conditions: [{path: /livez}]}\n");
    assert_loads(GOOD "---\n[ not read");
    assert_loads(HEAD "jwt:\n" ISSUER "  claimMappings: {username: {expression: claims.email}}\n"
                      "  claimValidationRules: [{expression: '!has(claims.email_verified)'}]\n");
    assert_loads(HEAD
                 "jwt:\n" ISSUER
                 "  claimMappings: {username: {expression: claims.email}, extra: [{key: a.b/c, "
                 "valueExpression: claims.email_verified}]}\n");
    (void)state;
}

/* libyaml alone does not take it. */
static void a_word_may_end_with_a_colon(void **state)
{
    struct authentication_config c;
    const char *text = HEAD "jwt:\n" ISSUER
                            "  claimMappings: {username: {claim: sub, prefix: \xC3\xBC:}, groups: "
                            "{prefix: oidc:, claim: g}}\n";

    authentication_config_read(text, strlen(text), &c);
    assert_true(authentication_config_loads(&c));
    const cJSON *m = cJSON_GetObjectItem(authentication_config_entries(&c)->child, "claimMappings");
    assert_string_equal(authentication_config_text(cJSON_GetObjectItem(m, "username"), "prefix"),
                        "\xC3\xBC:");
    assert_string_equal(authentication_config_text(cJSON_GetObjectItem(m, "groups"), "prefix"),
                        "oidc:");
    authentication_config_free(&c);
    (void)state;
}

static void what_is_not_of_this_kind_is_refused(void **state)
{
    assert_refused("", "", "empty config data");
    assert_refused("- a\n", "", "no object");
    assert_refused("a: [", "", "yaml: line ");
    assert_refused("{a: b}", "", "json parse error, line 1");
    assert_refused("kind: AuthenticationConfiguration\n", "apiVersion", "no kind");
    assert_refused("apiVersion: apiserver.config.k8s.io/v1\n", "kind", "'Kind' is missing");
    assert_refused("apiVersion: apiserver.config.k8s.io/v2\nkind: AuthenticationConfiguration\n",
                   "apiVersion", "\"apiserver.config.k8s.io/v2\"");
    assert_refused("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n",
                   "kind", "expected AuthenticationConfiguration");
    (void)state;
}

static void fields_are_strict(void **state)
{
    assert_refused(GOOD "x: 1\n", "x", "unknown field \"x\"");
    assert_refused(GOOD "  userValidationRule: []\n", "jwt[0].userValidationRule",
                   "unknown field \"jwt[0].userValidationRule\"");
    assert_refused(HEAD "jwt:\n- issuer: {url: 'https://i/', audiences: [k], Url: x}\n" NAME,
                   "jwt[0].issuer.Url", "unknown field");
    assert_refused(GOOD "kind: AuthenticationConfiguration\n", "kind", "line 6: key \"kind\"");
    assert_refused("{\"kind\":\"a\",\"apiVersion\":\"apiserver.config.k8s.io/v1\",\"kind\":"
                   "\"AuthenticationConfiguration\"}",
                   "kind", "duplicate field \"kind\"");
    assert_refused(HEAD "jwt: {}\n", "jwt",
                   "cannot unmarshal object into a field of type []struct");
    assert_refused(HEAD "jwt:\n- issuer: {url: 5, audiences: [k]}\n" NAME, "jwt[0].issuer.url",
                   "cannot unmarshal number");
    assert_refused(HEAD "jwt:\n- issuer: {url: 'https://i/', audiences: [yes]}\n" NAME,
                   "jwt[0].issuer.audiences[0]", "cannot unmarshal bool");
    (void)state;
}

static void assert_issuer_refused(const char *members, const char *path, const char *words)
{
    char text[1024], whole[80];

    snprintf(text, sizeof text, HEAD "jwt:\n- issuer: {%s}\n" NAME, members);
    snprintf(whole, sizeof whole, "jwt[0].issuer.%s", path);
    assert_refused(text, whole, words);
}

static void an_issuer_has_its_rules(void **state)
{
    static const char *const all[][3] = {
        { "audiences: [k]", "url", "Required value" },
        { "url: 'http://i/', audiences: [k]", "url", "URL scheme must be https" },
        { "url: 'https://a:b@i/', audiences: [k]", "url", "must not contain a username" },
        { "url: 'https://i/?a=b', audiences: [k]", "url", "must not contain a query" },
        { "url: 'https://i/#a', audiences: [k]", "url", "must not contain a fragment" },
        { "url: 'https://i/%zz', audiences: [k]", "url", "invalid URL escape" },
        { "url: 'https://i:x/', audiences: [k]", "url", "invalid port" },
        { "url: 'https://i/'", "audiences", "at least one jwt[0].issuer.audiences is required" },
        { "url: 'https://i/', audiences: ['']", "audiences[0]", "Required value" },
        { "url: 'https://i/', audiences: [a, b]", "audienceMatchPolicy",
          "audienceMatchPolicy must be MatchAny for multiple audiences" },
        { "url: 'https://i/', audiences: [a], audienceMatchPolicy: All", "audienceMatchPolicy",
          "must be empty or MatchAny" },
        { "url: 'https://i/', audiences: [a, a], audienceMatchPolicy: MatchAny", "audiences[1]",
          "Duplicate value: \"a\"" },
        { "url: 'https://i/a', audiences: [k], discoveryURL: 'https://i/a//'", "discoveryURL",
          "discoveryURL must be different from URL" },
        { "url: 'https://i/a', audiences: [k], egressSelectorType: etcd", "egressSelectorType",
          "egress selector must be either controlplane or cluster" },
        { "url: 'https://i/a', audiences: [k], certificateAuthority: abc", "certificateAuthority",
          "\"<omitted>\": data does not contain any valid" },
    };

    for (size_t i = 0; i < COUNT(all); i++)
        assert_issuer_refused(all[i][0], all[i][1], all[i][2]);
    (void)state;
}

static void mappings_have_their_rules(void **state)
{
    static const char *const all[][3] = {
        { "username: {claim: sub}", "username.prefix", "prefix is required when claim is set" },
        { "username: {prefix: ''}", "username", "claim or expression is required" },
        { "username: {claim: a, prefix: '', expression: claims.a}", "username",
          "can't both be set" },
        { "username: {expression: claims.a, prefix: ''}", "username.prefix",
          "may not be specified when expression is set" },
        { "username: {expression: claims.email}", "username.expression",
          "claims.email_verified must be used" },
        { "username: {expression: claims.email}, groups: {expression: claims.email_verified}, "
          "uid: {expression: claims.email_verified}",
          "username.expression", "claims.email_verified must be used" },
        { "username: {expression: 'claims.sub +'}", "username.expression",
          "compilation failed: syntax error at character 13" },
        { "username: {claim: a, prefix: ''}, groups: {claim: g}", "groups.prefix",
          "prefix is required" },
        { "username: {claim: a, prefix: ''}, uid: {claim: a, expression: claims.a}", "uid",
          "can't both be set" },
        { "username: {claim: a, prefix: ''}, extra: [{key: a, valueExpression: claims.a}]",
          "extra[0].key", "must be a domain-prefixed path" },
        { "username: {claim: a, prefix: ''}, extra: [{key: a.b/C, valueExpression: claims.a}]",
          "extra[0].key", "must be lowercase" },
        { "username: {claim: a, prefix: ''}, extra: [{key: x.k8s.io/c, valueExpression: claims.a}]",
          "extra[0].key", "reserved for Kubernetes use" },
        { "username: {claim: a, prefix: ''}, extra: [{key: a.b/c}]", "extra[0].valueExpression",
          "Required value" },
    };
    char text[1024], path[80];

    for (size_t i = 0; i < COUNT(all); i++) {
        snprintf(text, sizeof text, HEAD "jwt:\n" ISSUER "  claimMappings: {%s}\n", all[i][0]);
        snprintf(path, sizeof path, "jwt[0].claimMappings.%s", all[i][1]);
        assert_refused(text, path, all[i][2]);
    }
    (void)state;
}

static void rules_have_their_rules(void **state)
{
    static const char *const all[][3] = {
        { "claimValidationRules: [{claim: a, expression: claims.a}]", "claimValidationRules[0]",
          "can't both be set" },
        { "claimValidationRules: [{message: m}]", "claimValidationRules[0]", "is required" },
        { "claimValidationRules: [{claim: a, message: m}]", "claimValidationRules[0].message",
          "may not be specified when claim is set" },
        { "claimValidationRules: [{claim: a}, {claim: a}]", "claimValidationRules[1].claim",
          "Duplicate value: \"a\"" },
        { "claimValidationRules: [{expression: claims.a}]", "claimValidationRules[0].expression",
          "must evaluate to bool" },
        { "claimValidationRules: [{expression: claims.a == 1, requiredValue: x}]",
          "claimValidationRules[0].requiredValue", "may not be specified" },
        { "userValidationRules: [{message: m}]", "userValidationRules[0].expression",
          "Required value" },
        { "userValidationRules: [{expression: user.x == 'a'}]", "userValidationRules[0].expression",
          "undefined field 'x'" },
        { "userValidationRules: [{expression: 'true'}, {expression: 'true'}]",
          "userValidationRules[1].expression", "Duplicate value" },
    };
    char text[1024], path[80];

    for (size_t i = 0; i < COUNT(all); i++) {
        snprintf(text, sizeof text, GOOD "  %s\n", all[i][0]);
        snprintf(path, sizeof path, "jwt[0].%s", all[i][1]);
        assert_refused(text, path, all[i][2]);
    }
    assert_refused(GOOD ISSUER NAME, "jwt[1].issuer.url", "Duplicate value");
    assert_refused(GOOD "anonymous: {conditions: [{path: /x}]}\n", "anonymous.conditions",
                   "enabled should be set to true");
    (void)state;
}

static void all_problems_are_found_at_once(void **state)
{
    struct authentication_config c;
    const char *text = HEAD "jwt:\n- issuer: {url: 'http://i/'}\n  claimMappings: {}\nx: 1\n";

    authentication_config_read(text, strlen(text), &c);
    assert_int_equal(c.n, 4);
    authentication_config_free(&c);
    (void)state;
}

static void at_most_64_issuers(void **state)
{
    char *text = malloc(32768);
    size_t used = (size_t)snprintf(text, 32768, HEAD "jwt:\n");

    for (int i = 0; i < 65; i++)
        used += (size_t)snprintf(text + used, 32768 - used,
                                 "- issuer: {url: 'https://i/%d', audiences: [k]}\n" NAME, i);
    assert_refused(text, "jwt", "Too many: 65: must have at most 64 items");
    free(text);
    (void)state;
}

/* A billion laughs, a tower of brackets: it says so, and is no error of the file. */
static void what_is_beyond_our_limits_is_not_judged(void **state)
{
    static const char laughs[] = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                                 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                                 "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
                                 "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    char tower[200];
    const char *const texts[] = { laughs, tower };
    struct authentication_config c;

    memset(tower, '[', sizeof tower - 1);
    tower[sizeof tower - 1] = '\0';
    for (size_t i = 0; i < COUNT(texts); i++) {
        authentication_config_read(texts[i], strlen(texts[i]), &c);
        assert_true(c.is_unknown);
        assert_true(authentication_config_loads(&c));
        assert_int_equal(c.problems[0].kind, AUTHENTICATION_NOTE);
        authentication_config_free(&c);
    }
    (void)state;
}

static void an_anchor_is_followed(void **state)
{
    assert_loads(HEAD "jwt:\n- issuer: &i {url: 'https://i/a', audiences: [k]}\n" NAME
                      "- issuer: {url: 'https://i/b', audiences: [k]}\n"
                      "  claimMappings: {username: &n {claim: sub, prefix: ''}, groups: *n}\n");
    assert_refused(HEAD "jwt:\n- issuer: *x\n" NAME, "", "unknown anchor 'x' referenced");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_loads),
        cmocka_unit_test(a_word_may_end_with_a_colon),
        cmocka_unit_test(what_is_not_of_this_kind_is_refused),
        cmocka_unit_test(fields_are_strict),
        cmocka_unit_test(an_issuer_has_its_rules),
        cmocka_unit_test(mappings_have_their_rules),
        cmocka_unit_test(rules_have_their_rules),
        cmocka_unit_test(all_problems_are_found_at_once),
        cmocka_unit_test(at_most_64_issuers),
        cmocka_unit_test(what_is_beyond_our_limits_is_not_judged),
        cmocka_unit_test(an_anchor_is_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
