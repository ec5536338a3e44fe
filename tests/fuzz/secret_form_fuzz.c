/* The form of a secret. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/secret_form.h"

/* What is taken is a beginning of what was given, on one line, and stays what it is. */
static void check_good(const char *bytes, size_t size, const struct secret_form *form)
{
    struct secret_form again = secret_form_judge(bytes, form->length);

    PROMISE(form->length > 0 && form->length <= size && form->length <= SECRET_FORM_MAX);
    PROMISE(!memchr(bytes, '\n', form->length) && !memchr(bytes, '\0', form->length));
    PROMISE(!memchr(bytes, '\x1b', form->length) && !memchr(bytes, '\r', form->length));
    PROMISE(again.fault == SECRET_FORM_GOOD && again.length == form->length);
    PROMISE(size - form->length < 3 || memchr(bytes + form->length, '\0', size - form->length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_bytes(data, size), words[SECRET_FORM_WORDS];
    struct secret_form form = secret_form_judge(bytes, size);

    if (form.fault == SECRET_FORM_GOOD)
        check_good(bytes, size, &form);
    memset(words, 'x', sizeof words);
    secret_form_words(&form, words);
    PROMISE(memchr(words, '\0', sizeof words) && *words);
    memset(words, 'x', sizeof words);
    secret_form_oddities(bytes, size, words);
    PROMISE(memchr(words, '\0', sizeof words));
    free(bytes);
    return 0;
}
