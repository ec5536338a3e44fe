/* The header of an answer, as the client reads it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/protocol.h"

static bool same(const struct answer *a, const struct answer *b)
{
    return a->code == b->code && a->out == b->out && a->err == b->err;
}

static void check_answer(const char *bytes, long length, const struct answer *answer)
{
    char header[PROTOCOL_HEADER_MAX], *part;
    struct answer again;

    PROMISE(length <= PROTOCOL_HEADER_MAX && bytes[length - 1] == '\n');
    PROMISE(answer->out <= PROTOCOL_BLOCK_MAX && answer->err <= PROTOCOL_BLOCK_MAX);
    for (long n = 1; n <= length; n++) { /* byte by byte it is the same answer */
        part = fuzz_bytes((const uint8_t *)bytes, (size_t)n);
        PROMISE(answer_parse(part, (size_t)n, &again) == (n < length ? 0 : length));
        free(part);
    }
    PROMISE(same(answer, &again));
    size_t n = answer_header(header, answer);
    PROMISE(n < sizeof header && answer_parse(header, n, &again) == (long)n);
    PROMISE(same(answer, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_bytes(data, size);
    struct answer answer;
    long length = answer_parse(bytes, size, &answer);

    PROMISE(length <= (long)size);
    if (length > 0)
        check_answer(bytes, length, &answer);
    if (size >= PROTOCOL_HEADER_MAX)
        PROMISE(length != 0);
    free(bytes);
    return 0;
}
