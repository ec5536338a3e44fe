#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/import_plan.h"
#include "common/protocol.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define V1BETA1 "\"apiVersion\":\"client.authentication.k8s.io/v1beta1\","
#define GET_TOKEN "\"get-token\",\"--oidc-issuer-url=https://i/\",\"--oidc-client-id=k8s\""
#define KUBELOGIN(args)                                                                            \
    "{\"exec\":{" V1BETA1 "\"command\":\"kubelogin\",\"args\":[" GET_TOKEN args "]}}"
#define RUN(command, args) "{\"exec\":{" V1BETA1 "\"command\":\"" command "\",\"args\":[" args "]}}"
#define PROVIDER(config) "{\"auth-provider\":{\"name\":\"oidc\",\"config\":{" config "}}}"
#define HERE "\"idp-issuer-url\":\"https://i/\",\"client-id\":\"k8s\""
#define PLAIN "issuer=https://i/ client-id=k8s scope=openid"

/* All that a plan has, in one line: its parts, "browser", its files, why, its notes. */
static void render(const struct import_plan *plan, char *out, size_t size)
{
    static const char *const names[IMPORT_PARTS] = { "issuer", "client-id", "secret",
                                                     "scope",  "user",      "password",
                                                     "proxy",  "refresh",   "profile" };
    FILE *f = fmemopen(out, size, "w");

    assert_non_null(f);
    for (unsigned i = 0; i < IMPORT_PARTS; i++)
        if (plan->part[i])
            fprintf(f, "%s=%s ", names[i], plan->part[i]);
    for (unsigned i = 0; i < plan->n_ca_files; i++)
        fprintf(f, "ca=%s ", plan->ca_file[i]);
    for (unsigned i = 0; i < plan->n_ca_data; i++)
        fprintf(f, "data=%s ", plan->ca_data[i]);
    if (plan->by_browser)
        fputs("browser ", f);
    if (plan->by_device)
        fputs("device ", f);
    if (plan->guessed_name)
        fputs("guessed ", f);
    if (plan->ended_at)
        fprintf(f, "ended=%lld ", (long long)plan->ended_at);
    if (*plan->why)
        fprintf(f, "WHY %s ", plan->why);
    for (unsigned i = 0; i < plan->n_notes; i++)
        fprintf(f, "NOTE %s ", plan->notes[i]);
    assert_int_equal(fputc('\0', f), 0);
    assert_int_equal(fclose(f), 0);
    size_t length = strlen(out);
    if (length > 0 && out[length - 1] == ' ')
        out[length - 1] = '\0';
}

struct row {
    const char *user;
    enum import_kind kind;
    const char *is;
};

static void check(const struct row *rows, size_t n)
{
    char is[4096];

    for (size_t i = 0; i < n; i++) {
        struct import_plan plan;
        cJSON *user = cJSON_Parse(rows[i].user);
        if (!user)
            fail_msg("no JSON: %s", rows[i].user);
        import_plan_read(user, "/home/me", &plan);
        render(&plan, is, sizeof is);
        if (strcmp(is, rows[i].is) != 0 || plan.kind != rows[i].kind)
            fail_msg("%s\n  is  %d %s\n  not %d %s", rows[i].user, (int)plan.kind, is,
                     (int)rows[i].kind, rows[i].is);
        import_plan_clear(&plan);
        cJSON_Delete(user);
    }
}

static void an_auth_provider_is_taken_part_by_part(void **state)
{
    static const struct row rows[] = {
        { PROVIDER(HERE), IMPORT_AUTH_PROVIDER, "issuer=https://i/ client-id=k8s" },
        { PROVIDER("\"idp-issuer-url\":\" https://i/ \",\"client-id\":\"k8s \""),
          IMPORT_AUTH_PROVIDER, "issuer=https://i/ client-id=k8s" },
        { PROVIDER(HERE ",\"client-secret\":\" s \",\"refresh-token\":\"r\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s secret= s  refresh=r" },
        { PROVIDER(HERE ",\"extra-scopes\":\"groups,email\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s scope=openid email profile groups" },
        { PROVIDER(HERE ",\"idp-certificate-authority\":\"ca.pem\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s ca=ca.pem" },
        { PROVIDER(HERE ",\"idp-certificate-authority-data\":\"LS0=\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s data=LS0=" },
        { PROVIDER(HERE ",\"idp-certificate-authority\":\"ca.pem\","
                        "\"idp-certificate-authority-data\":\"LS0=\""),
          IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s data=LS0= NOTE ca.pem is left out: kubectl lets "
          "idp-certificate-authority-data go before it" },
        /* {"email":"me@example.com","exp":1620971862}; the signature is of no interest */
        { PROVIDER(HERE ",\"id-token\":\"eyJhbGciOiJub25lIn0."
                        "eyJlbWFpbCI6Im1lQGV4YW1wbGUuY29tIiwiZXhwIjoxNjIwOTcxODYyfQ.x\""),
          IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s user=me@example.com guessed ended=1620971862" },
        /* {"preferred_username":"me"} */
        { PROVIDER(HERE ",\"id-token\":\".eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiJtZSJ9\""),
          IMPORT_AUTH_PROVIDER, "issuer=https://i/ client-id=k8s user=me guessed" },
        /* cut off, empty, no JSON, {"email":"a\nb"}, {"email":1,"exp":"x"} */
        { PROVIDER(HERE ",\"id-token\":\"eyJhbGciOiJub25lIn0.eyJlbWFpbCI6Im1l\""),
          IMPORT_AUTH_PROVIDER, "issuer=https://i/ client-id=k8s" },
        { PROVIDER(HERE ",\"id-token\":\"\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s" },
        { PROVIDER(HERE ",\"id-token\":\"a.!!!.c\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s" },
        { PROVIDER(HERE ",\"id-token\":\"a.eyJlbWFpbCI6ImFcbmIifQ.c\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s" },
        { PROVIDER(HERE ",\"id-token\":\"a.eyJlbWFpbCI6MSwiZXhwIjoieCJ9.c\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s" },
        { PROVIDER(HERE ",\"x\":\"y\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ client-id=k8s NOTE x is left out: no kubectl has read it" },
        { PROVIDER("\"idp-issuer-url\":\"https://i/\""), IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ WHY it names no client id; kubetoken init asks for what is missing" },
        { PROVIDER("\"client-id\":\"k8s\""), IMPORT_AUTH_PROVIDER,
          "client-id=k8s WHY it names no issuer; kubetoken init asks for what is missing" },
        { PROVIDER("\"idp-issuer-url\":\"https://i/\",\"client-id\":\"a\\nb\""),
          IMPORT_AUTH_PROVIDER,
          "issuer=https://i/ WHY its client id has a control character; correct it in the "
          "kubeconfig" },
        { "{\"auth-provider\":{\"name\":\"gcp\"}}", IMPORT_NOTHING,
          "WHY its auth-provider is gcp; oidc alone is a login by OpenID Connect" },
    };

    (void)state;
    check(rows, COUNT(rows));
}

static void kubelogin_is_known_by_all_its_names(void **state)
{
    static const struct row rows[] = {
        { KUBELOGIN(), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("/opt/bin/kubelogin", GET_TOKEN), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("C:\\\\bin\\\\kubelogin.EXE", GET_TOKEN), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("kubelogin_linux_amd64", GET_TOKEN), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("kubectl-oidc_login", GET_TOKEN), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("/home/me/.krew/bin/kubectl-oidc_login", GET_TOKEN), IMPORT_KUBELOGIN,
          PLAIN " browser" },
        { RUN("kubectl", "\"oidc-login\"," GET_TOKEN), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("kubectl.exe", "\"oidc-login\"," GET_TOKEN), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("kubelogin", "\"-v1\"," GET_TOKEN), IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("kubelogin", GET_TOKEN ",\"--username=me\",\"--password=a\\nb\""), IMPORT_KUBELOGIN,
          PLAIN " user=me WHY its password has a control character; correct it in the kubeconfig" },
        { RUN("env", "\"HTTPS_PROXY=http://p:1\",\"kubelogin\"," GET_TOKEN), IMPORT_KUBELOGIN,
          "issuer=https://i/ client-id=k8s scope=openid proxy=http://p:1 browser" },
        { RUN("docker",
              "\"run\",\"--rm\",\"-v\",\"/tmp/c:/c\",\"ghcr.io/int128/kubelogin\"," GET_TOKEN),
          IMPORT_KUBELOGIN, PLAIN " browser" },
        { RUN("podman",
              "\"run\",\"--env=https_proxy=p:1\",\"ghcr.io/int128/kubelogin:v1.32.0\"," GET_TOKEN
              ",\"--username=me\""),
          IMPORT_KUBELOGIN,
          "issuer=https://i/ client-id=k8s scope=openid user=me proxy=http://p:1" },
        { RUN("docker",
              "\"run\",\"-v\",\"/home/me/certs:/certs:ro\",\"int128/kubelogin\"," GET_TOKEN
              ",\"--certificate-authority=/certs/ca.pem\""),
          IMPORT_KUBELOGIN, PLAIN " ca=/home/me/certs/ca.pem browser" },
        { RUN("docker", "\"run\",\"int128/kubelogin\"," GET_TOKEN
                        ",\"--certificate-authority=/certs/ca.pem\""),
          IMPORT_KUBELOGIN,
          PLAIN " browser WHY --certificate-authority /certs/ca.pem is a file in the container; "
                "mount it, or name it in a profile by kubetoken init" },
        { RUN("docker", "\"run\",\"alpine\",\"get-token\""), IMPORT_NOTHING,
          "WHY it runs docker; kubetoken imports auth-provider oidc and kubelogin. If that "
          "prints an id_token, token-command in a profile can run it" },
        { RUN("kubectl", "\"get\",\"pods\""), IMPORT_NOTHING,
          "WHY it runs kubectl; kubetoken imports auth-provider oidc and kubelogin. If that "
          "prints an id_token, token-command in a profile can run it" },
        { RUN("aws", "\"eks\",\"get-token\""), IMPORT_NOTHING,
          "WHY it runs aws, which prints a signed request to AWS and no id_token: that cluster "
          "does "
          "not take what kubetoken gets" },
        { RUN("kubelogin", "\"setup\""), IMPORT_KUBELOGIN,
          "WHY it runs kubelogin without get-token; only that gives kubectl a token" },
        { RUN("kubelogin", "\"get-token\",\"--login\",\"azurecli\",\"--server-id\",\"x\""),
          IMPORT_KUBELOGIN,
          "scope=openid browser WHY it runs the kubelogin of Azure (--login), whose logins are "
          "others; only that of int128 can be imported" },
        { "{\"exec\":{\"args\":[]}}", IMPORT_NOTHING, "WHY its exec stanza names no command" },
        { RUN("kubelogin", "1"), IMPORT_KUBELOGIN, "WHY an argument of it is no text" },
        { "{}", IMPORT_NOTHING, "WHY it logs in with nothing" },
        { "{\"client-certificate\":\"c\",\"client-key\":\"k\"}", IMPORT_NOTHING,
          "WHY it logs in with a client certificate" },
    };

    (void)state;
    check(rows, COUNT(rows));
}

static void its_flags_are_read_as_it_reads_them(void **state)
{
    static const struct row rows[] = {
        { RUN("kubelogin", "\"get-token\",\"--oidc-issuer-url\",\"https://i/\","
                           "\"--oidc-client-id\",\"k8s\",\"--username\",\"me\""),
          IMPORT_KUBELOGIN, PLAIN " user=me" },
        { KUBELOGIN(",\"--oidc-client-secret=s=t\",\"--username=me\",\"--password= p \""),
          IMPORT_KUBELOGIN,
          "issuer=https://i/ client-id=k8s secret=s=t scope=openid user=me password= p " },
        { KUBELOGIN(",\"--grant-type=password\""), IMPORT_KUBELOGIN, PLAIN },
        { KUBELOGIN(",\"--grant-type\",\"auto\",\"--username\",\"me\""), IMPORT_KUBELOGIN,
          PLAIN " user=me" },
        { KUBELOGIN(",\"--grant-type=authcode\",\"--username=me\""), IMPORT_KUBELOGIN,
          PLAIN " user=me browser" },
        { KUBELOGIN(",\"--grant-type=authcode-keyboard\""), IMPORT_KUBELOGIN, PLAIN " browser" },
        { KUBELOGIN(",\"--grant-type=device-code\""), IMPORT_KUBELOGIN, PLAIN " device" },
        { KUBELOGIN(",\"--grant-type=client-credentials\""), IMPORT_KUBELOGIN,
          PLAIN " browser WHY its --grant-type client-credentials logs in no person; "
                "token-command in a profile can run what prints such an id_token "
                "(kubetoken.conf(5))" },
        { KUBELOGIN(",\"--username=me\",\"--oidc-extra-scope=email,groups\",\"--oidc-extra-scope\","
                    "\"groups\",\"--oidc-extra-scope=openid\""),
          IMPORT_KUBELOGIN, "issuer=https://i/ client-id=k8s scope=openid email groups user=me" },
        { KUBELOGIN(",\"--username=me\",\"--certificate-authority=~/a b.pem\","
                    "\"--certificate-authority\",\"/b.pem\",\"--certificate-authority-data=LS0=\""),
          IMPORT_KUBELOGIN, PLAIN " user=me ca=/home/me/a b.pem ca=/b.pem data=LS0=" },
        { KUBELOGIN(",\"-v1\",\"-v\",\"1\",\"--v=1\",\"--skip-open-browser\",\"--username=me\","
                    "\"--listen-address\",\"127.0.0.1:1\",\"--token-cache-dir=~/x\","
                    "\"--oidc-use-pkce\",\"--force-refresh=false\",\"--oidc-pkce-method=S256\","
                    "\"--oidc-redirect-url-hostname=x\""),
          IMPORT_KUBELOGIN, PLAIN " user=me" },
        { KUBELOGIN(",\"--username=me\",\"--insecure-skip-tls-verify\""), IMPORT_KUBELOGIN,
          PLAIN " user=me WHY it has --insecure-skip-tls-verify; kubetoken always checks who the "
                "provider is; name the provider's certificate with --certificate-authority there "
                "instead, and import again" },
        { KUBELOGIN(",\"--username=me\",\"--insecure-skip-tls-verify=false\""), IMPORT_KUBELOGIN,
          PLAIN " user=me" },
        { KUBELOGIN(",\"--username=me\",\"--oidc-use-access-token=true\""), IMPORT_KUBELOGIN,
          PLAIN " user=me WHY it has --oidc-use-access-token; kubetoken hands out the id_token "
                "alone; see whether the API server takes that (its --oidc-client-id), take the "
                "flag out, and import again" },
        { KUBELOGIN(",\"--username=me\",\"--oidc-request-header=a=b\",\"--tls-renegotiation-once\","
                    "\"--oidc-auth-request-extra-params=ttl=1\""),
          IMPORT_KUBELOGIN,
          PLAIN " user=me NOTE --oidc-request-header is left out: kubetoken sends no headers of "
                "one's own NOTE --tls-renegotiation-once is left out: kubetoken's TLS has no "
                "renegotiation NOTE --oidc-auth-request-extra-params is left out: it is sent with "
                "a browser's login alone" },
        { KUBELOGIN(",\"--new=1\",\"--newer\",\"2\",\"--newest\",\"--username=me\",\"-x\""),
          IMPORT_KUBELOGIN,
          PLAIN " user=me NOTE --new is left out: it is not known NOTE --newer is left out: it is "
                "not known NOTE --newest is left out: it is not known NOTE -x is left out: it is "
                "not known" },
        { KUBELOGIN(",\"--username\""), IMPORT_KUBELOGIN,
          PLAIN " browser WHY --username has no value" },
        { KUBELOGIN(",\"--username=me\",\"more\""), IMPORT_KUBELOGIN,
          PLAIN " user=me WHY its argument 4 is none that kubelogin takes" },
        { KUBELOGIN(",\"--username=me\",\"--\",\"more\""), IMPORT_KUBELOGIN, PLAIN " user=me" },
    };

    (void)state;
    check(rows, COUNT(rows));
}

#define WITH_ENV(issuer, env)                                                                      \
    "{\"exec\":{\"command\":\"kubelogin\",\"args\":[\"get-token\",\"--username=me\","              \
    "\"--oidc-client-id=k8s\",\"--oidc-issuer-url=" issuer "\"],\"env\":[" env "]}}"
#define PROXY(no_proxy)                                                                            \
    "{\"name\":\"HTTPS_PROXY\",\"value\":\"http://"                                                \
    "p:1\"},{\"name\":\"NO_PROXY\",\"value\":\"" no_proxy "\"}"

static void its_environment_names_proxy_and_certificates(void **state)
{
    static const char via[] = "issuer=https://a.example.com:8/x client-id=k8s scope=openid user=me "
                              "proxy=http://p:1",
                      direct[] = "issuer=https://a.example.com:8/x client-id=k8s scope=openid "
                                 "user=me proxy=none";
    static const struct row rows[] = {
        { WITH_ENV("https://a.example.com:8/x", PROXY("")), IMPORT_KUBELOGIN, via },
        { WITH_ENV("https://a.example.com:8/x", PROXY("b.example.com, .corp,xample.com")),
          IMPORT_KUBELOGIN, via },
        { WITH_ENV("https://a.example.com:8/x", PROXY("b, a.example.com")), IMPORT_KUBELOGIN,
          direct },
        { WITH_ENV("https://a.example.com:8/x", PROXY("example.com")), IMPORT_KUBELOGIN, direct },
        { WITH_ENV("https://a.example.com:8/x", PROXY(".EXAMPLE.com")), IMPORT_KUBELOGIN, direct },
        { WITH_ENV("https://a.example.com:8/x", PROXY("*.example.com")), IMPORT_KUBELOGIN, direct },
        { WITH_ENV("https://a.example.com:8/x", PROXY(".a.example.com")), IMPORT_KUBELOGIN, via },
        { WITH_ENV("https://a.example.com:8/x", PROXY("*")), IMPORT_KUBELOGIN, direct },
        { WITH_ENV("https://i/", "{\"name\":\"HTTP_PROXY\",\"value\":\"http://p:1\"}"),
          IMPORT_KUBELOGIN, PLAIN " user=me" },
        { WITH_ENV("http://i/", "{\"name\":\"http_proxy\",\"value\":\"p:1\"}"), IMPORT_KUBELOGIN,
          "issuer=http://i/ client-id=k8s scope=openid user=me proxy=http://p:1" },
        { WITH_ENV("https://i/", "{\"name\":\"SSL_CERT_FILE\",\"value\":\"/ca.pem\"},"
                                 "{\"name\":\"TMPDIR\",\"value\":\"/x\"},{\"name\":\"Y\"},1"),
          IMPORT_KUBELOGIN, PLAIN " user=me ca=/ca.pem" },
        { "{\"exec\":{\"command\":\"kubelogin\",\"args\":[" GET_TOKEN ",\"--username=me\"],"
          "\"env\":null}}",
          IMPORT_KUBELOGIN, PLAIN " user=me" },
    };

    (void)state;
    check(rows, COUNT(rows));
}

static void what_runs_kubetoken_is_renewed_or_left_alone(void **state)
{
    static const struct row rows[] = {
        { RUN("kubetoken", "\"get\",\"-o\",\"exec/v1\",\"p\""), IMPORT_DONE,
          "profile=p WHY it runs kubetoken already" },
        { RUN("/opt/k/bin/kubetoken", "\"get\",\"p\""), IMPORT_DONE,
          "profile=p WHY it runs kubetoken already" },
        { RUN("/usr/bin/kubectl-kubetoken", "\"get\""), IMPORT_DONE,
          "WHY it runs kubetoken already" },
        { "{\"exec\":{\"apiVersion\":\"client.authentication.k8s.io/v1alpha1\","
          "\"command\":\"kubetoken\",\"args\":[\"get\",\"--timeout\",\"5\",\"p\"]}}",
          IMPORT_RENEW, "profile=p" },
        { "{\"exec\":{\"apiVersion\":\"client.authentication.k8s.io/v1alpha1\","
          "\"command\":\"kubetoken\",\"args\":[\"get\"]}}",
          IMPORT_RENEW, "" },
    };

    (void)state;
    check(rows, COUNT(rows));
}

static void a_profile_is_named_after_the_user(void **state)
{
    static const char *const rows[][2] = {
        { "nuculabs-kube@nuculabs.dev", "nuculabs-kube@nuculabs.dev" },
        { "oidc:robot@example.com#team", "oidc-robot@example.com-team" },
        { "--x / y--", "x-y" },
        { "J\303\266rg", "J-rg" },
        { "", "imported" },
        { "\303\266", "imported" },
        { "0123456789012345678901234567890123456789012345678901234567890123456789",
          "0123456789012345678901234567890123456789012345678901234567890123" },
    };
    char name[PROTOCOL_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        import_plan_name(rows[i][0], name);
        assert_string_equal(name, rows[i][1]);
        assert_true(protocol_name_valid(name, strlen(name)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_auth_provider_is_taken_part_by_part),
        cmocka_unit_test(kubelogin_is_known_by_all_its_names),
        cmocka_unit_test(its_flags_are_read_as_it_reads_them),
        cmocka_unit_test(its_environment_names_proxy_and_certificates),
        cmocka_unit_test(what_runs_kubetoken_is_renewed_or_left_alone),
        cmocka_unit_test(a_profile_is_named_after_the_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
