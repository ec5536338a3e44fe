#include "daemon/config_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_change_note(struct config_change *c, const char *profile, enum config_change_kind kind)
{
    struct config_change_entry *list = reallocarray(c->list, c->n + 1, sizeof *list);

    if (!list)
        return -ENOMEM;
    c->list = list;
    list[c->n] = (struct config_change_entry){ strdup(profile), kind };
    if (!list[c->n].profile)
        return -ENOMEM;
    c->n++;
    return 0;
}

void config_change_taken(struct config_change *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].kind == CONFIG_NEW)
            free(c->list[i].profile);
        else
            c->list[kept++] = c->list[i];
    c->n = kept;
}

void config_change_clear(struct config_change *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->list[i].profile);
    free(c->list);
    *c = (struct config_change){ 0 };
}

bool config_change_any(const struct config_change *c)
{
    return c->broken || c->gone || c->default_profile || c->n > 0;
}

bool config_change_waits(const struct config_change *c)
{
    bool waits = c->default_profile;

    for (size_t i = 0; i < c->n; i++)
        waits |= c->list[i].kind != CONFIG_NEW;
    return waits;
}

const char *config_change_word(enum config_change_kind kind)
{
    return kind == CONFIG_NEW ? "new" : kind == CONFIG_GONE ? "gone" : "changed";
}

const char *config_change_notice(const struct config_change *c)
{
    if (c->gone)
        return "kubetoken.conf is gone since; what stood in it stays in force";
    if (c->broken)
        return "the configuration has changed since and has errors: kubetokend --check-config";
    return config_change_any(c) ? "the configuration has changed since: kubetoken reload" : "";
}

void config_change_describe(const struct config_change *c, char *out, size_t size)
{
    enum { NAMED = 8 };
    size_t n = c->n < NAMED ? c->n : NAMED;
    FILE *f = fmemopen(out, size, "w");

    out[0] = '\0';
    if (!f)
        return;
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s%s %s", i ? ", " : "", c->list[i].profile,
                config_change_word(c->list[i].kind));
    if (c->n > n)
        fprintf(f, ", %zu more", c->n - n);
    if (c->default_profile)
        fprintf(f, "%sdefault-profile", n ? ", " : "");
    fclose(f);
}
