#define _GNU_SOURCE
#include "daemon/fetch/answer_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/fetch/json.h"
#include "daemon/fetch/page.h"
#include "daemon/fetch/redact.h"

bool answer_is_page(const struct http_reply *reply)
{
    const char *start = reply->body + strspn(reply->body, " \t\r\n");
    const char *end = NULL;

    if (*start == '\0' || *start == '{' || *start == '[')
        return false;
    cJSON *json = cJSON_ParseWithOpts(start, &end, true);
    cJSON_Delete(json);
    return json == NULL;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static const char *first_of(const cJSON *json, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string(json, names[i]);
        if (text && *text)
            return text;
    }
    return NULL;
}

/* Where it is not OAuth's: an object as error (Google, Microsoft Graph), Okta's errorCode, RFC
 * 9457, the message of a gateway (AWS, Kong). Two members at most: a short one, and words. */
static bool find_words(const cJSON *json, const char **short_one, const char **words)
{
    static const char *const codes[] = { "error", "errorCode", "code", "status", "title" };
    static const char *const texts[] = { "error_description", "errorSummary", "message",
                                         "Message",           "detail",       "msg" };
    const cJSON *inner = json_get(json, "error");
    const cJSON *from = cJSON_IsObject(inner) ? inner : json;

    *short_one = first_of(from, codes, sizeof codes / sizeof *codes);
    *words = first_of(from, texts, sizeof texts / sizeof *texts);
    return *short_one || *words;
}

static void describe_json(const struct job *job, const char *status, const cJSON *json,
                          struct error *why, enum error_code code)
{
    const char *short_one, *words;
    char *text = NULL;

    if (!find_words(json, &short_one, &words)) {
        error_set(why, code, "%sJSON without error", status);
        return;
    }
    if (asprintf(&text, "%s%s%s", short_one ? short_one : "", short_one && words ? ": " : "",
                 words ? words : "") < 0)
        text = NULL;
    redact_error(job, why, code, status, text ? text : "");
    free(text);
}

/* ---- pages and redirects --------------------------------------------------------------------- */

/* The way to log in that a field names: "Negotiate". */
static void put_scheme(FILE *f, const char *before, const char *challenge)
{
    if (challenge)
        fprintf(f, "%s%.*s", before, (int)strcspn(challenge, " ,\t"), challenge);
}

static void put_hint(FILE *f, const struct http_reply *reply)
{
    const struct http_fields *fields = &reply->fields;

    if (page_wants_certificate(reply->body)) {
        fputs(" (it wants a client certificate: tls-client-cert)", f);
    } else if (reply->status == 407) {
        fputs(" (a proxy that wants a log-in", f);
        put_scheme(f, ": ", fields->proxy_authenticate);
        fputc(')', f);
    } else if (reply->elsewhere || reply->status == 511 || page_is_login(reply->body)) {
        fputs(" (a log-in page: is a VPN or captive portal in between?)", f);
    } else if (fields->www_authenticate) {
        put_scheme(f, " (it wants ", fields->www_authenticate);
        fputc(')', f);
    }
}

/* A field in short; masked before it is cut. */
static void put_field(FILE *f, const struct job *job, const char *before, const char *value,
                      int most)
{
    char *text = value && *value ? strdup(value) : NULL;

    if (text) {
        redact_secrets(job, text);
        fprintf(f, "%s%.*s", before, most, text);
    }
    free(text);
}

static void put_page(FILE *f, const struct job *job, const struct http_reply *reply)
{
    const struct http_fields *fields = &reply->fields;
    char *text = page_text(reply->body);

    if (reply->host)
        fprintf(f, " of %s", reply->host);
    put_field(f, job, " by ", fields->server && *fields->server ? fields->server : fields->via, 30);
    put_field(f, job, ", ray ", fields->cf_ray, 24);
    if (text) {
        redact_secrets(job, text);
        page_shorten(text);
        fprintf(f, "%s%s", *text ? ": " : "", text);
    }
    free(text);
}

/* Of what is no JSON object. */
static void put_rest(FILE *f, const struct job *job, const struct http_reply *reply)
{
    fprintf(f, "HTTP %ld", reply->status);
    if (reply->location && *reply->location)
        fprintf(f, ", to %s", reply->location);
    else if (answer_is_page(reply))
        put_page(f, job, reply);
    else if (reply->length == 0)
        fputs(", empty body", f);
    else
        fputs(", JSON that is no object, or is cut off", f);
    put_hint(f, reply);
}

void answer_describe(const struct job *job, const struct http_reply *reply, const cJSON *json,
                     struct error *why, enum error_code code)
{
    char status[32], *text = NULL;
    size_t length;
    FILE *f = NULL;

    bool leads = reply->location && *reply->location;
    if (json && (!leads || json_string(json, "error"))) {
        snprintf(status, sizeof status, "HTTP %ld, ", reply->status);
        describe_json(job, status, json, why, code);
        return;
    }
    f = open_memstream(&text, &length);
    if (f) {
        put_rest(f, job, reply);
        fclose(f);
    }
    redact_error(job, why, code, "", text ? text : "");
    free(text);
}
