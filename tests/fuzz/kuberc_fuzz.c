/* kubectl's file of preferences: what is read of it lies within the text, and what is said of it is
 * one of our own sentences. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/kuberc.h"

static unsigned lines_of(const char *text)
{
    unsigned n = 1;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void check(const struct kuberc *rc)
{
    const char *fatal = kuberc_fatal(rc);

    PROMISE(rc->n <= KUBERC_ENTRIES_MAX);
    PROMISE(rc->n == 0 || rc->has_list);
    PROMISE(rc->counts || (!*rc->policy && !rc->has_list && !fatal));
    PROMISE(strnlen(rc->policy, KUBERC_TEXT_MAX) < KUBERC_TEXT_MAX);
    for (unsigned i = 0; i < rc->n; i++) {
        PROMISE(strnlen(rc->entries[i], KUBERC_TEXT_MAX) < KUBERC_TEXT_MAX);
        PROMISE(*rc->entries[i] || fatal || !rc->counts);
    }
    PROMISE(!fatal || fuzz_is_clean(fatal));
    if (rc->counts && !fatal && strcmp(rc->policy, "Allowlist") == 0)
        PROMISE(rc->n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct kuberc rc, again;
    unsigned line;

    int r = kuberc_parse(text, &rc, &line);
    PROMISE(r == 0 || r == -EBADMSG);
    PROMISE(line <= lines_of(text));
    PROMISE(r == 0 || (rc.n == 0 && !rc.counts));
    check(&rc);
    PROMISE(kuberc_parse(text, &again, &line) == r && memcmp(&rc, &again, sizeof rc) == 0);
    free(text);
    return 0;
}
