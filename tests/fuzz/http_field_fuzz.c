/* The fields Retry-After, RateLimit-Reset, Location, Age and Date. The input is two values, a line
 * each; the first is that of the first four. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/http_field.h"

static void check_shown(const char *url)
{
    char shown[64];

    http_field_show_url(url, shown, sizeof shown);
    PROMISE(strlen(shown) < sizeof shown && fuzz_is_clean(shown));
    PROMISE(!strpbrk(shown, "#;"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *date = strchr(text, '\n');

    if (date)
        *date++ = '\0';
    int64_t then = date ? http_field_date(date) : FUZZ_DATE;
    PROMISE(then >= 0);
    PROMISE(http_field_age(text) >= 0 && http_field_age(text) <= HTTP_FIELD_AGE_MAX);
    uint64_t wait = http_field_retry_after(text, then);
    PROMISE(wait % USEC_PER_SEC == 0);
    PROMISE(wait <= HTTP_FIELD_WAIT_MAX);
    wait = http_field_reset(text, then);
    PROMISE(wait % USEC_PER_SEC == 0 && wait <= HTTP_FIELD_WAIT_MAX);
    check_shown(text);
    free(text);
    return 0;
}
