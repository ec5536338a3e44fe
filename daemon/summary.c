#define _GNU_SOURCE
#include "daemon/summary.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 5 }; /* of one kind of trouble */

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void write_report(FILE *f, const struct config_report *report, const struct profiles *all)
{
    size_t n;

    profiles_list(all, &n);
    if (report->code == ERROR_NO_CONFIG)
        fprintf(f, "%s: %s", error_sentence(report->code), profiles_path(all));
    else
        fprintf(f, "%.*s", report->text ? (int)strcspn(report->text, "\n") : 0,
                report->text ? report->text : "");
    if (report->count > 1)
        fprintf(f, " (and %u more error%s)", report->count - 1, plural(report->count - 1));
    if (n > 0)
        fprintf(f, "; the former configuration stays in force");
}

static void write_one(FILE *f, const struct profile *p)
{
    static const char *const next[] = {
        [PROFILE_REFUSED] = "; it is not tried again",
        [PROFILE_LOGIN_NEEDED] = "; say kubetoken login ",
        [PROFILE_WAITS] = "; it is tried again",
        [PROFILE_WELL] = "",
    };
    const struct error *e = profile_error(p);
    const struct profile_config *config = profile_config(p);
    const char *name = config->name;
    const char *login = config->grant == GRANT_EXCHANGE ? config->from : name;
    enum profile_trouble trouble = profile_trouble(p);
    bool says_login = trouble == PROFILE_LOGIN_NEEDED && e->code != ERROR_NOT_LOGGED_IN;

    fprintf(f, "%s: %s%s%.*s%s%s", name, error_sentence(e->code), *e->detail ? ": " : "",
            (int)error_stem(e->detail), e->detail,
            trouble != PROFILE_LOGIN_NEEDED || says_login ? next[trouble] : "",
            says_login ? login : "");
}

/* Those who are in the same trouble: "; waiting: a, b and 7 more (the provider is too slow)". */
static void write_kind(FILE *f, struct profile *const *profiles, size_t n,
                       enum profile_trouble trouble)
{
    static const char *const words[] = {
        [PROFILE_REFUSED] = "refused",
        [PROFILE_LOGIN_NEEDED] = "login needed",
        [PROFILE_WAITS] = "waiting",
        [PROFILE_WELL] = "",
    };
    enum error_code code = ERROR_NONE;
    bool same = true;
    size_t seen = 0;

    for (size_t i = 0; i < n; i++) {
        if (profile_trouble(profiles[i]) != trouble)
            continue;
        same &= seen == 0 || code == profile_error(profiles[i])->code;
        code = profile_error(profiles[i])->code;
        if (seen < NAMES_MAX)
            fprintf(f, "%s%s%s", seen == 0 ? "; " : ", ", seen == 0 ? words[trouble] : "",
                    seen == 0 ? ": " : "");
        if (seen++ < NAMES_MAX)
            fprintf(f, "%s", profile_config(profiles[i])->name);
    }
    if (seen > NAMES_MAX)
        fprintf(f, " and %zu more", seen - NAMES_MAX);
    if (seen > 0 && same)
        fprintf(f, " (%s)", error_sentence(code));
}

static void write_profiles(FILE *f, struct profile *const *profiles, size_t n)
{
    const struct profile *one = NULL;
    size_t troubled = 0;

    for (size_t i = 0; i < n; i++)
        if (profile_trouble(profiles[i]) != PROFILE_WELL) {
            one = profiles[i];
            troubled++;
        }
    if (troubled == 1) {
        write_one(f, one);
        return;
    }
    fprintf(f, "Serving %zu profile%s", n, plural(n));
    for (int t = PROFILE_REFUSED; t < PROFILE_WELL; t++)
        write_kind(f, profiles, n, (enum profile_trouble)t);
}

/* systemd drops what is no UTF-8, as a cut within a character would make it. */
static void drop_half_character(char *text)
{
    size_t length = strlen(text), lead = length;

    while (lead > 0 && (text[lead - 1] & 0xc0) == 0x80)
        lead--;
    if (lead == 0)
        return;
    unsigned char first = (unsigned char)text[lead - 1];
    size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    if (length - lead < more)
        text[lead - 1] = '\0';
}

void summary_write(const struct profiles *all, char *out, size_t size)
{
    const struct config_report *report = profiles_report(all);
    const struct fetcher_program *fetcher = &profiles_context(all)->fetcher;
    FILE *f = fmemopen(out, size, "w");
    size_t n;
    struct profile *const *profiles = profiles_list(all, &n);

    if (!f)
        return;
    if (report)
        write_report(f, report, all);
    else if (fetcher->fd < 0)
        fprintf(f, "%s: %s: %s", error_sentence(ERROR_FETCHER), fetcher->path,
                strerror(-fetcher->fd));
    else
        write_profiles(f, profiles, n);
    fclose(f);
    out[size - 1] = '\0';
    drop_half_character(out);
}
