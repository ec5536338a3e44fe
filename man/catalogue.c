/* Writes the catalogue for `journalctl -x`: what each line in the journal means, and what to do.
 * The codes have it from the table of errors. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/explain_text.h"
#include "common/error.h"
#include "common/message_id.h"

enum { COLUMNS = 80 };

/* The events that are no errors. */
static const struct {
    const char *name, *subject, *text;
} events[] = {
    { "token", "A token was fetched",
      "The provider gave an id_token, or a newer one. Tokens in use are renewed before they "
      "expire; `kubetoken status` shows until when this one lives." },
    { "recovered", "What was wrong is over",
      "After a line that said what failed, a token was fetched, or a configuration was read, as "
      "it should be. Nothing is left to do." },
    { "configuration", "New profiles were taken",
      "The configuration's file was changed, and a request came that looked at it. The profiles "
      "that are new in it are in force now. What else is different there waits for `kubetoken "
      "reload`, and `kubetoken status` says so." },
    { "locked", "A line of the user's configuration does not count",
      "The administrator has locked that key: the line of theirs that is named says so. Theirs "
      "holds. Take the user's line out, or ask the administrator." },
    { "changed", "The claims of the token are others than before",
      "The provider put something else into the token at this renewal: other groups, another "
      "e-mail address. What the user may do in the cluster may have changed with it." },
    { "rejected", "The API server seems to reject the token",
      "kubectl, or another client of its kind, asked again for a token long before the one that "
      "it has expires, as it does when the API server said 401. Another one is fetched. If that "
      "goes on, `kubetoken doctor` compares what the token says with what the API server wants." },
    { "warning", "The token is handed out, but something about it is odd",
      "`kubetoken status` says it too, `kubetoken explain` what it means." },
    { "logout", "Somebody said logout",
      "Token, refresh token and typed password of this profile are forgotten. The next request "
      "fetches a token anew, or needs `kubetoken login` where the password is typed." },
    { "login-shown", "A login waits to be confirmed",
      "Somebody said kubetoken login, and was shown a code and the page where it is confirmed. "
      "When "
      "that is done the daemon fetches a token; when the code's time is over, or who asked has "
      "gone, it asks no more." },
    { "revoked", "The provider has revoked the refresh token",
      "Somebody said logout, and the provider was told that nobody needs the refresh token any "
      "more (RFC 7009)." },
    { "share", "A share was opened, or prolonged",
      "Whoever reaches its socket (`kubetoken status` shows where it is) gets the profile's token "
      "until then, and can do nothing else. `kubetoken unshare` ends it; `kubetoken log` shows who "
      "got a token by it." },
    { "unshare", "A share has ended",
      "Its time was over, somebody said unshare, or it lost its profile, as the line says. Socket "
      "and folder are gone, and whoever was connected is left." },
    { "stop", "Somebody said stop, or restart",
      "`kubetoken stop` and `kubetoken restart` end a daemon that kubetoken started by itself; "
      "tokens and typed passwords are forgotten." },
    { "command", "Credential commands run inside the service",
      "A password-command or client-secret-command has a unit of its own where the user's systemd "
      "can be asked for one. Here it cannot, for the reason that the line gives, so the service's "
      "restrictions hold for the command too, and an agent that it leaves behind ends with the "
      "service." },
    { "socket", "The path of the socket leads to another one",
      "A daemon that was started by hand, or by kubetoken itself, ends when its socket's path is "
      "no longer its own: nobody could reach it." },
    { "store", "What an earlier daemon left is not taken up, or not all of it",
      "systemd keeps tokens and what is known of refused passwords over a restart. What is "
      "broken, of another boot or of a version that is not known is dropped; a token is fetched "
      "anew, and a refused password may be sent once more." },
    { "ended", "A process that could not be killed has ended",
      "It was reported as stuck before: a file system had not answered it. Nothing is to be "
      "done." },
    { "fetcher-asks", "A kubetoken-fetch asked for something and was turned away",
      "What meets the network has no business with the daemon but its one result, and no socket "
      "to come by. That one came all the same says that somebody runs in its place: a provider, "
      "or who answers for it, that has used a fault of a library. It got nothing. Update libcurl "
      "and OpenSSL, see what was asked last (`kubetoken log`), and report it." },
    { "descriptor", "systemd handed over a descriptor that is not known",
      "It is closed. It may be of another version of kubetokend, or of a drop-in of the unit." },
};

static void print_text(const char *text)
{
    while (*text) {
        size_t end = strlen(text);
        if (end > COLUMNS)
            for (end = COLUMNS; end > 0 && text[end] != ' ';)
                end--;
        if (end == 0)
            end = strlen(text);
        printf("%.*s\n", (int)end, text);
        text += end;
        text += *text == ' ';
    }
}

static void print_head(const char *event, const char *subject)
{
    char id[MESSAGE_ID_SIZE];

    message_id(event, id);
    printf("\n-- %s\nSubject: %s\nDefined-By: kubetoken\n"
           "Documentation: man:kubetoken-codes(7) man:kubetokend(8)\n\n",
           id, subject);
}

static void print_event(const char *name, const char *subject, const char *text)
{
    print_head(name, subject);
    print_text(text);
}

static void print_code(enum error_code code)
{
    char remedy[512];

    print_head(error_name(code), error_sentence(code));
    print_text(explain_text(code));
    if (!*error_remedy(code))
        return;
    snprintf(remedy, sizeof remedy, "What to do: %s.", error_remedy(code));
    putchar('\n');
    print_text(remedy);
}

int main(void)
{
    printf("# What the lines of kubetokend in the journal mean: `journalctl -x` shows it.\n"
           "# Written by `make man` from the table of errors.\n");
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        print_event(events[i].name, events[i].subject, events[i].text);
    for (int i = ERROR_NONE + 1; i < ERROR_MAX; i++)
        print_code((enum error_code)i);
    return fflush(stdout) != 0;
}
