/* The header of an answer, and the wait lines before it, as the client reads them. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/protocol.h"

static bool same(const struct answer *a, const struct answer *b)
{
    return a->code == b->code && a->out == b->out && a->err == b->err && a->part == b->part;
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

static void check_wait(const char *bytes, long length, const char *text, size_t text_length)
{
    char line[PROTOCOL_WAIT_MAX], *part, said[PROTOCOL_WAIT_MAX];
    const char *again;
    size_t n;

    PROMISE(length <= PROTOCOL_WAIT_MAX && bytes[length - 1] == '\n');
    PROMISE(text_length > 0 && text + text_length == bytes + length - 1);
    for (size_t i = 0; i < text_length; i++) /* nothing that moves a cursor */
        PROMISE((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    for (long i = 5; i < length; i++) {
        part = fuzz_bytes((const uint8_t *)bytes, (size_t)i);
        PROMISE(wait_parse(part, (size_t)i, &again, &n) == -EAGAIN);
        free(part);
    }
    memcpy(said, text, text_length);
    said[text_length] = '\0';
    n = wait_line(line, said);
    PROMISE(n <= (size_t)length || text[0] == ' '); /* blanks are folded */
    PROMISE(wait_parse(line, n, &again, &text_length) == (long)n);
}

static void check_answers(const char *bytes, size_t size)
{
    struct answer answer;
    long length = answer_parse(bytes, size, &answer);

    PROMISE(length <= (long)size);
    if (length > 0)
        check_answer(bytes, length, &answer);
    if (size >= PROTOCOL_HEADER_MAX)
        PROMISE(length != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_bytes(data, size);
    const char *text;
    size_t text_length;
    long length = wait_parse(bytes, size, &text, &text_length);

    PROMISE(length <= (long)size);
    if (length > 0)
        check_wait(bytes, length, text, text_length);
    else if (length == -EAGAIN)
        PROMISE(size < PROTOCOL_WAIT_MAX);
    if (length == 0) /* else it begins another way */
        check_answers(bytes, size);
    else
        PROMISE(answer_parse(bytes, size, &(struct answer){ 0 }) <= 0);
    free(bytes);
    return 0;
}
