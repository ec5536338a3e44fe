#define _GNU_SOURCE
#include "client/admin/import_draft.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/draft.h"
#include "common/printable.h"
#include "common/text.h"
#include "common/url.h"

enum { PEM_MAX = 256 * 1024 };

/* ---- certificates ---------------------------------------------------------------------------- */

static int letter_value(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789+/";
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? (int)(at - letters) : -1;
}

/* Base64 as Go decodes it: ends of lines do not count. Returns bytes on the heap, or NULL. */
static char *decode(const char *text, size_t *ret_length)
{
    char *out = malloc(strlen(text) + 1);
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    if (!out)
        return NULL;
    for (; *text && *text != '='; text++) {
        int value = letter_value(*text);
        if (*text == '\n' || *text == '\r')
            continue;
        if (value < 0)
            break;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8)
            out[n++] = (char)(bits >> (have -= 8) & 0xff);
    }
    out[n] = '\0';
    *ret_length = n;
    if (text[strspn(text, "=\r\n")] == '\0' && n > 0)
        return out;
    free(out);
    return NULL;
}

/* Certificates one behind the other, each with an end of its line. */
struct pem {
    char *text;
    size_t length;
};

static int add_pem(struct pem *pem, const char *bytes, size_t length, const char *what,
                   struct error *why)
{
    bool is_pem = memmem(bytes, length, "-----BEGIN ", strlen("-----BEGIN "));

    if (!is_pem || pem->length + length > PEM_MAX) {
        error_set(why, ERROR_NOT_IMPORTED, "%s is %s", what,
                  is_pem ? "too long" : "no PEM of a certificate; correct it in the kubeconfig");
        return -1;
    }
    char *text = realloc(pem->text, pem->length + length + 2);
    if (!text) {
        error_set(why, ERROR_INTERNAL, "no memory");
        return -1;
    }
    pem->text = text;
    memcpy(pem->text + pem->length, bytes, length);
    pem->length += length;
    if (pem->text[pem->length - 1] != '\n')
        pem->text[pem->length++] = '\n';
    return 0;
}

static int add_data(struct pem *pem, const char *base64, struct error *why)
{
    size_t length;
    char *bytes = decode(base64, &length);

    if (!bytes) {
        error_set(why, ERROR_NOT_IMPORTED,
                  "its certificate-authority-data are no base64; correct them in the kubeconfig");
        return -1;
    }
    int r = add_pem(pem, bytes, length, "its certificate-authority-data", why);
    free(bytes);
    return r;
}

static int add_file(struct pem *pem, const char *path, struct error *why)
{
    size_t length;
    char *bytes;

    int r = draft_read_file(path, PEM_MAX, &bytes, &length);
    if (r < 0) {
        error_set(why, ERROR_NOT_IMPORTED, "its certificate authority, %s: %s", path, strerror(-r));
        return -1;
    }
    r = add_pem(pem, bytes, length, path, why);
    free(bytes);
    return r;
}

/* client-go leaves a relative path to the folder where kubectl is run; where it is not there, that
 * of the kubeconfig may be what was meant. */
static void find_file(const char *path, const char *kubeconfig, char out[PATH_MAX])
{
    char *here = realpath(path, NULL);
    const char *slash = strrchr(kubeconfig, '/');

    if (*path == '/' || (here && strlen(here) >= PATH_MAX))
        snprintf(out, PATH_MAX, "%s", path);
    else if (here)
        snprintf(out, PATH_MAX, "%s", here);
    else if (!slash || snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - kubeconfig), kubeconfig,
                                path) >= PATH_MAX)
        snprintf(out, PATH_MAX, "%s", path);
    free(here);
}

/* One file is named where it is; more, and data, become one of our own. */
static int take_certificates(struct profile_draft *draft, const struct import_plan *plan,
                             const char *kubeconfig, struct error *why)
{
    struct pem pem = { NULL, 0 };
    char path[PATH_MAX];
    int r = 0;

    for (unsigned i = 0; r == 0 && i < plan->n_ca_files; i++) {
        find_file(plan->ca_file[i], kubeconfig, path);
        r = add_file(&pem, path, why);
    }
    for (unsigned i = 0; r == 0 && i < plan->n_ca_data; i++)
        r = add_data(&pem, plan->ca_data[i], why);
    if (r == 0 && plan->n_ca_files == 1 && plan->n_ca_data == 0)
        profile_draft_set_literal(draft, "ca-file", path);
    else if (r == 0 && pem.length > 0)
        profile_draft_add_file(draft, "ca-file", "ca.pem", pem.text, pem.length);
    free(pem.text);
    return r;
}

/* ---- the draft ------------------------------------------------------------------------------- */

static void take_secret(struct profile_draft *draft, const char *key, const char *suffix,
                        const char *secret)
{
    if (secret)
        profile_draft_add_file(draft, key, suffix, secret, strlen(secret));
}

int import_draft_fill(struct profile_draft *draft, const struct import_plan *plan,
                      const char *kubeconfig, struct error *why)
{
    const char *issuer = plan->part[IMPORT_ISSUER];

    profile_draft_set(draft, "issuer", issuer);
    if (issuer && url_is_loopback_http(issuer))
        profile_draft_set(draft, "allow-http-loopback", "yes");
    profile_draft_set(draft, "client-id", plan->part[IMPORT_CLIENT_ID]);
    profile_draft_set(draft, "scope", plan->part[IMPORT_SCOPE]);
    profile_draft_set(draft, "proxy", plan->part[IMPORT_PROXY]);
    take_secret(draft, "client-secret-file", "secret", plan->part[IMPORT_CLIENT_SECRET]);
    take_secret(draft, "password-file", "password", plan->part[IMPORT_PASSWORD]);
    return take_certificates(draft, plan, kubeconfig, why);
}

/* A user in the URL of a proxy is a secret. */
static bool is_secret(const char *key, const char *value)
{
    return text_equal(key, "proxy") && strchr(value, '@');
}

void import_draft_print(const struct profile_draft *draft, const char *name, FILE *out)
{
    fprintf(out, "[profile %s]\n", name);
    for (size_t i = 0; i < draft->settings.n; i++) {
        const char *key = draft->settings.list[i].key, *value = draft->settings.list[i].value;
        char *shown = strdup(is_secret(key, value) ? "(set)" : value);
        if (shown)
            printable_hide(shown, "\t");
        fprintf(out, "%s = %s\n", key, shown ? shown : "");
        free(shown);
    }
    for (unsigned i = 0; i < draft->n_files; i++)
        fprintf(out, "# %s: a file of its own (0600), not shown\n", draft->files[i].name);
}
