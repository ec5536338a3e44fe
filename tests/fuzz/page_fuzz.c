/* A page in a few words. The input is the page. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *body = fuzz_text(data, size), *text = page_text(body);

    PROMISE(text && strlen(text) <= size + 1);
    page_shorten(text);
    PROMISE(strlen(text) <= PAGE_WORDS_MAX);
    PROMISE(fuzz_is_clean(text));
    page_is_login(body);
    page_wants_certificate(body);
    free(text);
    free(body);
    return 0;
}
