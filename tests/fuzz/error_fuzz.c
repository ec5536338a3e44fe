/* Foreign text made printable, and the line that a person reads. The input is one letter for the
 * room, and the text. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e;

    if (size == 0)
        return 0;
    size_t room = data[0] == 'w' ? 2 * size + 2 : data[0] % 64 + 2U;
    char *text = fuzz_text(data + 1, size - 1), *out = malloc(room), *twice = malloc(room);
    PROMISE(out && twice);

    size_t length = error_clean(out, room, text, size - 1);
    PROMISE(length < room && strlen(out) == length && length <= size);
    PROMISE(fuzz_is_clean(out));
    PROMISE(error_clean(twice, room, out, length) == length && strcmp(out, twice) == 0);

    enum error_code code = error_from_name(text, size - 1);
    PROMISE(code == ERROR_INTERNAL || strcmp(error_name(code), text) == 0);
    error_set(&e, code, "%s", text);
    fuzz_check_error(&e);

    length = error_line(out, room, twice, code, e.detail);
    PROMISE(length < room && strlen(out) == length && out[length - 1] == '\n');
    free(twice);
    free(out);
    free(text);
    return 0;
}
