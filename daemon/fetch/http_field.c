#include "daemon/fetch/http_field.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

int64_t http_field_date(const char *value)
{
    int64_t date = curl_getdate(value, NULL);

    return date > 0 ? date : 0;
}

int64_t http_field_age(const char *value)
{
    int64_t seconds = 0;

    if (*value < '0' || *value > '9' || strspn(value, "0123456789") != strlen(value))
        return 0;
    for (const char *v = value; *v && seconds < HTTP_FIELD_AGE_MAX; v++)
        seconds = seconds * 10 + (*v - '0');
    return seconds < HTTP_FIELD_AGE_MAX ? seconds : HTTP_FIELD_AGE_MAX;
}

uint64_t http_field_retry_after(const char *value, int64_t date)
{
    static const uint64_t most = HTTP_FIELD_WAIT_MAX / USEC_PER_SEC;
    uint64_t seconds = 0;

    if (*value >= '0' && *value <= '9' && strspn(value, "0123456789") == strlen(value)) {
        for (const char *v = value; *v && seconds < most; v++)
            seconds = seconds * 10 + (uint64_t)(*v - '0');
    } else { /* libcurl reads years that are more usec than there are */
        int64_t then = http_field_date(value);
        int64_t now = date > 0 ? date : time_realtime() / (int64_t)USEC_PER_SEC;
        seconds = then > now ? (uint64_t)(then - now) : 0;
    }
    return (seconds < most ? seconds : most) * USEC_PER_SEC;
}

uint64_t http_field_reset(const char *value, int64_t date)
{
    static const int64_t least_date = 1000000000, most_date = 1000000000000; /* else milliseconds */
    char *end;

    if (*value < '0' || *value > '9')
        return 0;
    errno = 0;
    int64_t n = strtoll(value, &end, 10);
    if (*end != '\0' || errno != 0 || n >= most_date || (n >= least_date && date <= 0))
        return 0;
    if (n >= least_date)
        n = n > date ? n - date : 0;
    uint64_t wait = (uint64_t)n * USEC_PER_SEC;
    return wait < HTTP_FIELD_WAIT_MAX ? wait : HTTP_FIELD_WAIT_MAX;
}

void http_field_show_url(const char *url, char *out, size_t size)
{
    static const CURLUPart hidden[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS,
                                        CURLUPART_QUERY, CURLUPART_FRAGMENT };
    CURLU *parsed = curl_url();
    char *text = NULL;

    *out = '\0';
    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
        for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
            curl_url_set(parsed, hidden[i], NULL, 0);
        if (curl_url_get(parsed, CURLUPART_URL, &text, 0) == CURLUE_OK)
            error_clean(out, size, text, strcspn(text, ";")); /* ;jsessionid= and the like */
    }
    curl_free(text);
    curl_url_cleanup(parsed);
}
