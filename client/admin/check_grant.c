/* By what the profile logs in where that is no password, what the provider says of it, and what it
 * takes to go on; of a password grant that was refused, what else there is. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "client/admin/doctor.h"
#include "client/admin/provider_offers.h"
#include "common/text.h"

static const char link_name[] = "login";

/* ---- what the provider says ------------------------------------------------------------------ */

/* Its document; what is wrong with the way there is said where no other link has tried it. */
static bool ask_provider(struct doctor *d, struct provider_offers *ret)
{
    struct error why;

    enum error_code code = provider_offers_ask(d->name, d->timeout, d->answer, DOCTOR_ANSWER_MAX,
                                               ret, &why);
    const char *last = doctor_text(cJSON_GetObjectItemCaseSensitive(d->state, "error"), "code");
    bool untried = !d->has_token &&
                   error_link(error_from_name(last, strlen(last))) == ERROR_LINK_CREDENTIALS;
    if (code != ERROR_NONE && untried)
        report_add(&d->report, LEVEL_ERROR, link_name, code, "%s", why.detail);
    return code == ERROR_NONE && ret->known;
}

/* A list without the grant proves nothing. */
static void note_unlisted(struct doctor *d, const struct provider_offers *offers, bool listed,
                          const char *grant)
{
    if (offers->listed && !listed)
        report_add(&d->report, LEVEL_NOTE, link_name, ERROR_NONE,
                   "%s is not in the provider's grant_types_supported; some have it all the same",
                   grant);
}

/* ---- each grant ------------------------------------------------------------------------------ */

static bool holds_refresh_token(const struct doctor *d)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(d->state, "refreshTokenHeld"));
}

/* Who has to confirm each token, and how that could be less. */
static void check_device_renewal(struct doctor *d, const struct provider_offers *offers)
{
    if (!d->has_token || holds_refresh_token(d))
        return;
    report_add(&d->report, LEVEL_NOTE, link_name, ERROR_NONE,
               "no refresh token came with the token: when it ends, somebody has to log in again; "
               "%s",
               offers->offline_access
                   ? "with the provider's offline_access in scope one may come"
                   : "the scope offline_access, or a setting of the client, may bring one");
}

static void check_device(struct doctor *d)
{
    struct provider_offers offers;

    bool known = ask_provider(d, &offers);
    if (known && !offers.device_endpoint && !d->has_token) {
        report_add(&d->report, LEVEL_WARNING, link_name, ERROR_NO_DEVICE_LOGIN, "grant = device");
    } else if (known) {
        report_add(&d->report, LEVEL_OK, link_name, ERROR_NONE,
                   "grant = device: %s; kubetoken login %s shows a code to be confirmed",
                   offers.device_endpoint ? "the provider has a device_authorization_endpoint"
                                          : "it has worked",
                   d->name);
        note_unlisted(d, &offers, offers.device, "the device grant");
    }
    check_device_renewal(d, &offers);
}

static void check_refresh_token(struct doctor *d)
{
    struct provider_offers offers;
    const char *since = doctor_text(d->state, "refreshTokenTimestamp");

    bool known = ask_provider(d, &offers);
    if (!holds_refresh_token(d))
        report_add(&d->report, LEVEL_NOTE, link_name, ERROR_NONE,
                   "grant = refresh-token, and none is held: kubetoken login %s reads one",
                   d->name);
    else
        report_add(&d->report, LEVEL_OK, link_name, ERROR_NONE,
                   "grant = refresh-token: one is held, %s%s; where the provider gives another at "
                   "each renewal, the one before is void",
                   *since ? "since " : "from before the daemon's last restart", since);
    if (known)
        note_unlisted(d, &offers, offers.refresh_token, "refresh_token");
}

/* How it stands with that profile, of whose login this one lives. */
static void check_source(struct doctor *d, const char *from)
{
    struct error why;

    enum error_code code = doctor_ask(d, "status json", from, &why);
    cJSON *status = code == ERROR_NONE ? cJSON_Parse(d->answer) : NULL;
    const cJSON *state = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(status, "profiles"),
                                            0);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(state, "error");
    const char *end = doctor_text(state, "expirationTimestamp"), *name = doctor_text(error, "code");
    if (!state)
        report_add(&d->report, LEVEL_ERROR, link_name, code, "%s", why.detail);
    else if (error)
        report_add(&d->report, *end ? LEVEL_WARNING : LEVEL_ERROR, link_name,
                   error_from_name(name, strlen(name)), "%s, from which its tokens come: %s", from,
                   doctor_text(error, "detail"));
    else
        report_add(&d->report, LEVEL_OK, link_name, ERROR_NONE,
                   "its tokens are got for those of %s, which %s%s", from,
                   *end ? "has one until " : "has none yet", end);
    if (error)
        report_remedy(&d->report, "kubetoken doctor %s says more; kubetoken login %s", from, from);
    cJSON_Delete(status);
}

static void check_exchange(struct doctor *d)
{
    const char *from = doctor_text(d->state, "from");
    struct provider_offers offers;

    if (*from)
        check_source(d, from);
    if (ask_provider(d, &offers))
        note_unlisted(d, &offers, offers.exchange, "token exchange");
}

static void check_command(struct doctor *d)
{
    if (d->has_token)
        report_add(&d->report, LEVEL_OK, link_name, ERROR_NONE,
                   "token-command printed an id_token that holds");
    else
        report_add(&d->report, LEVEL_NOTE, link_name, ERROR_NONE,
                   "its tokens are what token-command prints: an id_token of this issuer, for "
                   "client-id");
}

/* Where it is the grant that is refused, what the provider has instead. */
static void check_password(struct doctor *d)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(d->state, "error");
    const char *name = doctor_text(error, "code");
    enum error_code code = *name ? error_from_name(name, strlen(name)) : ERROR_NONE;
    struct provider_offers offers;

    if ((code != ERROR_GRANT_REFUSED && code != ERROR_ACCOUNT) || !ask_provider(d, &offers))
        return;
    note_unlisted(d, &offers, offers.password, "the password grant");
    if (offers.device_endpoint)
        report_add(&d->report, LEVEL_NOTE, link_name, ERROR_NONE,
                   "the provider has the device grant, which asks for no password here: grant = "
                   "device in the profile, in place of the keys of the user");
}

void doctor_grant(struct doctor *d)
{
    const char *grant = doctor_text(d->state, "grant");

    if (!d->state)
        return;
    if (!*grant)
        check_password(d);
    else if (text_equal(grant, "device"))
        check_device(d);
    else if (text_equal(grant, "refresh-token"))
        check_refresh_token(d);
    else if (text_equal(grant, "exchange"))
        check_exchange(d);
    else if (text_equal(grant, "token-command"))
        check_command(d);
}
