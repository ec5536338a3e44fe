/* The fields Retry-After and Date. The input is two values, one line each. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *date = strchr(text, '\n');

    if (date)
        *date++ = '\0';
    int64_t then = date ? http_date(date) : FUZZ_DATE;
    PROMISE(then >= 0);
    uint64_t wait = http_retry_after(text, then);
    PROMISE(wait % USEC_PER_SEC == 0);
    PROMISE(wait <= HTTP_RETRY_AFTER_MAX);
    free(text);
    return 0;
}
