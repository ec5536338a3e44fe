#include "common/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/printable.h"

/* Arrays, not pointers: a table of pointers would have to be relocated page by page at
 * every start of the static client, for rows that it almost never reads. */
struct row {
    char name[20];
    unsigned char exit_code, class, link;
    char sentence[72];
    char remedy[140];
};

static const struct row table[ERROR_MAX] = {
    [ERROR_NONE] = { "none", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE, "no error", "" },
    [ERROR_USAGE] = { "usage", 2, ERROR_CLASS_NONE, ERROR_LINK_DAEMON, "wrong usage",
                      "see kubetoken --help" },
    [ERROR_BAD_REQUEST] = { "bad-request", 2, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "kubetokend does not understand the request",
                            "see kubetoken-protocol(7)" },
    [ERROR_BUSY] = { "busy", 1, ERROR_CLASS_NONE, ERROR_LINK_FETCHER,
                     "kubetokend has too much to do", "try again in a moment" },
    [ERROR_RUNNING] = { "running", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                        "a kubetokend is running already", "use that one, or stop it first" },
    [ERROR_NO_DAEMON] = { "no-daemon", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                          "no kubetokend answers",
                          "start it with: systemctl --user enable --now kubetoken.socket" },
    [ERROR_DAEMON_SILENT] = { "daemon-silent", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                              "kubetokend does not answer in time",
                              "see: systemctl --user status kubetoken.service" },
    [ERROR_START_FAILED] = { "start-failed", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                             "kubetokend does not start",
                             "see: journalctl --user -u kubetoken -n 20" },
    [ERROR_BAD_ANSWER] = { "bad-answer", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                           "the answer of kubetokend cannot be understood",
                           "client and daemon may be of different versions; restart it with: "
                           "systemctl --user restart kubetoken.service" },
    [ERROR_FOREIGN_SOCKET] = { "foreign-socket", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                               "the socket's place is closed to this user",
                               "su and sudo may keep another user's XDG_RUNTIME_DIR: unset it, or "
                               "set KUBETOKEN_SOCKET to a path of your own" },
    [ERROR_OPEN_FOLDER] = { "open-folder", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                            "others can write to the socket's folder",
                            "close it with chmod go-w, or set KUBETOKEN_SOCKET to a path in a "
                            "folder "
                            "of your own" },
    [ERROR_SQUATTED] = { "squatted", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                         "the folder for the socket belongs to somebody else",
                         "have its owner or root remove it, or set KUBETOKEN_SOCKET to a path in a "
                         "folder of your own" },
    [ERROR_OTHER_UID] = { "other-uid", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                          "the socket is another user's",
                          "sudo -E keeps XDG_RUNTIME_DIR: unset it; in a container run as that "
                          "uid, "
                          "or set KUBETOKEN_SOCKET to a path of its own" },
    [ERROR_OTHER_DAEMON] = { "other-daemon", 3, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                             "no kubetokend of that user answers",
                             "ask as that user; one that does not run starts once it is asked for "
                             "a "
                             "token" },
    [ERROR_NOT_A_SOCKET] = { "not-a-socket", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                             "something else is in the socket's place",
                             "remove it if nobody needs it, or set KUBETOKEN_SOCKET to another "
                             "path" },
    [ERROR_DEAD_SOCKET] = { "dead-socket", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                            "the daemon of a socket that cannot be replaced is gone",
                            "start it where the socket comes from, and mount the socket's folder "
                            "instead of the socket, which is made anew" },
    [ERROR_READ_ONLY] = { "read-only", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                          "the place for the socket can only be read",
                          "set KUBETOKEN_SOCKET to a path that can be written, or mount a tmpfs "
                          "there" },
    [ERROR_NO_ROOM] = { "no-room", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                        "there is no room for the socket",
                        "make room (df shows blocks, df -i inodes, quota a quota), or set "
                        "KUBETOKEN_SOCKET to a path elsewhere" },
    [ERROR_NO_FOLDER] = { "no-folder", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                          "the socket's folder cannot be made",
                          "make the folder above it, or set KUBETOKEN_SOCKET to a path in a folder "
                          "that is there" },
    [ERROR_LONG_PATH] = { "long-path", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                          "the socket's path is longer than a socket's may be",
                          "set KUBETOKEN_SOCKET to a path of at most 107 bytes" },
    [ERROR_LOGGED_OUT] = { "logged-out", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                           "there is no runtime directory, as after a logout",
                           "systemd removes it with the last session: loginctl enable-linger keeps "
                           "it, and user services" },
    [ERROR_NO_PROGRAM] = { "no-program", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                           "kubetokend cannot be run",
                           "install kubetoken whole (its package, or make install), or put "
                           "kubetokend on the PATH" },
    [ERROR_NO_PROCESS] = { "no-process", 3, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                           "no process can be made for kubetokend",
                           "a limit is reached: see ulimit -u, and the container's limits of pids "
                           "and memory" },
    [ERROR_BY_SYSTEMD] = { "by-systemd", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                           "systemd starts and stops this kubetokend",
                           "systemctl --user restart kubetoken.service; or, to end it: systemctl "
                           "--user stop kubetoken.socket kubetoken.service" },
    [ERROR_FORGOTTEN] = { "forgotten", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                          "the typed password is forgotten with the daemon",
                          "say kubetoken login" },
    [ERROR_NO_PROFILE] = { "no-profile", 4, ERROR_CLASS_NONE, ERROR_LINK_PROFILE, "no such profile",
                           "kubetoken status lists the profiles" },
    [ERROR_NO_DEFAULT] = { "no-default", 4, ERROR_CLASS_NONE, ERROR_LINK_PROFILE, "which profile?",
                           "name one, or set default-profile in [defaults]" },
    [ERROR_NOT_SHARED] = { "not-shared", 1, ERROR_CLASS_NONE, ERROR_LINK_DAEMON,
                           "a share gives the token of its profile and nothing else",
                           "say it where the share was opened, without this KUBETOKEN_SOCKET" },
    [ERROR_SHARE_EMPTY] = { "share-empty", 1, ERROR_CLASS_NONE, ERROR_LINK_TOKEN,
                            "the share has no token to give",
                            "where it was opened, say kubetoken get, which tells what is missing" },
    [ERROR_SHARE_TAKEN] = { "share-taken", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "a share of that name is open",
                            "take another name, end it with kubetoken unshare, or prolong it with "
                            "kubetoken share --renew" },
    [ERROR_SHARE_FAILED] = { "share-failed", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                             "the share cannot be opened",
                             "its place is kubetoken-share in XDG_RUNTIME_DIR, in a folder that "
                             "has its name" },
    [ERROR_NO_SHARE] = { "no-share", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                         "no share of that name is open", "kubetoken status shows those that are" },
    [ERROR_INTERRUPTED] = { "interrupted", 1, ERROR_CLASS_LOST, ERROR_LINK_FETCHER,
                            "the request was given up", "try again" },
    [ERROR_OUTPUT] = { "output", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                       "the output cannot be written",
                       "see where stdout goes, and whether there "
                       "is room" },
    [ERROR_NOT_STARTED] = { "not-started", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "the command cannot be started",
                            "see whether it is on the PATH, and may be executed" },
    [ERROR_CONFIG] = { "config", 9, ERROR_CLASS_LOCAL, ERROR_LINK_PROFILE,
                       "the configuration has errors", "correct it, then: kubetoken reload" },
    [ERROR_NO_CONFIG] = { "no-config", 9, ERROR_CLASS_LOCAL, ERROR_LINK_PROFILE,
                          "there is no configuration yet",
                          "kubetoken init makes one; or write it as kubetoken.conf(5) shows" },
    [ERROR_CREDENTIAL] = { "credential", 9, ERROR_CLASS_LOCAL, ERROR_LINK_CREDENTIALS,
                           "a credential cannot be read", "" },
    [ERROR_NO_COMMAND] = { "no-command", 9, ERROR_CLASS_LOCAL, ERROR_LINK_CREDENTIALS,
                           "the command for a credential is not found",
                           "write its full path, or: systemctl --user import-environment PATH, "
                           "then "
                           "systemctl --user restart kubetoken.service" },
    [ERROR_COMMAND_TOKEN] = { "command-token", 9, ERROR_CLASS_LOCAL, ERROR_LINK_CREDENTIALS,
                              "token-command printed no id_token",
                              "have it print an id_token alone, an ExecCredential, or JSON with "
                              "id_token, token or value" },
    [ERROR_LOGIN_NEEDED] = { "login-needed", 5, ERROR_CLASS_LOCAL, ERROR_LINK_CREDENTIALS,
                             "no password is known",
                             "say kubetoken login, or set password-file or another source" },
    [ERROR_NOT_LOGGED_IN] = { "not-logged-in", 5, ERROR_CLASS_LOCAL, ERROR_LINK_CREDENTIALS,
                              "nobody is logged in", "" },
    [ERROR_NO_TOKEN] = { "no-token", 1, ERROR_CLASS_NONE, ERROR_LINK_TOKEN, "there is no token yet",
                         "say kubetoken get first" },
    [ERROR_REFUSED] = { "refused", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                        "the provider refused the user name or password",
                        "correct the password at its source, or say kubetoken login; it is not "
                        "sent again until it changes" },
    [ERROR_DOUBTED] = { "doubted", 6, ERROR_CLASS_THROTTLED, ERROR_LINK_GRANT,
                        "the provider refused a password that it took before",
                        "it is sent once more in some seconds, since many refuse one of two logins "
                        "at the same time; kubetoken login takes another" },
    [ERROR_REFUSED_SILENTLY] = { "refused-silently", 6, ERROR_CLASS_REFUSED_EITHER,
                                 ERROR_LINK_GRANT, "the provider refused and gave no reason",
                                 "check the password first, then the client's secret and whether "
                                 "it may use this grant; kubetoken refresh tries again" },
    [ERROR_ACCESS_DENIED] = { "access-denied", 6, ERROR_CLASS_REFUSED_EITHER, ERROR_LINK_GRANT,
                              "the provider denied access, to the user or to the client",
                              "check the password and the client's secret (Auth0 means the "
                              "secret, Dex the password); kubetoken refresh tries again" },
    [ERROR_DENIED] = { "denied", 6, ERROR_CLASS_THROTTLED, ERROR_LINK_GRANT,
                       "no login came through, three times in a day",
                       "check the password, VPN, proxy and tls-client-cert; kubetoken refresh "
                       "tries "
                       "again, and it is not tried otherwise" },
    [ERROR_ACCOUNT] = { "account", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                        "the provider does not let this account in by password",
                        "it may want a second factor, a consent or a new password, or a rule or "
                        "lock denies it; once that is mended: kubetoken refresh" },
    [ERROR_OTP_REQUIRED] = { "otp-required", 5, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                             "a one-time password is wanted beside the password",
                             "say kubetoken login --otp" },
    [ERROR_OTP_REFUSED] = { "otp-refused", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                            "the provider refused the one-time password, or the password",
                            "say kubetoken login --otp with a new one, or kubetoken login for "
                            "both; "
                            "the password is not held to be wrong" },
    [ERROR_SECOND_FACTOR] = { "second-factor", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                              "the provider wants a second factor, which no code here can be",
                              "set grant = device, say kubetoken reload, then kubetoken login: "
                              "the second factor is shown in a browser" },
    [ERROR_NEW_PASSWORD] = { "new-password", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                             "the provider wants a new password", "" },
    [ERROR_ACCOUNT_SETUP] = { "account-setup", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                              "the provider wants something done in a browser first", "" },
    [ERROR_CLIENT_REFUSED] = { "client-refused", 6, ERROR_CLASS_REFUSED_CLIENT, ERROR_LINK_GRANT,
                               "the provider refused the client",
                               "check client-id, the client secret and client-auth, then: "
                               "kubetoken refresh" },
    [ERROR_GRANT_REFUSED] = { "grant-refused", 6, ERROR_CLASS_REFUSED_CLIENT, ERROR_LINK_GRANT,
                              "the provider does not allow this grant",
                              "have the password grant enabled for the client, then: "
                              "kubetoken refresh" },
    [ERROR_NO_ID_TOKEN] = { "no-id-token", 6, ERROR_CLASS_ACCEPTED, ERROR_LINK_GRANT,
                            "the provider answered without an id_token",
                            "check scope, and whether the provider asks for a second factor; "
                            "then: kubetoken refresh" },
    [ERROR_SOURCE_LOGIN] = { "source-login", 5, ERROR_CLASS_LOCAL, ERROR_LINK_SOURCE,
                             "its tokens come from a profile that needs a login",
                             "log in there, and this one goes on by itself" },
    [ERROR_SOURCE_REFUSED] = { "source-refused", 6, ERROR_CLASS_LOCAL, ERROR_LINK_SOURCE,
                               "its tokens come from a profile that was refused",
                               "mend that one (kubetoken status shows it), and this one goes on by "
                               "itself" },
    [ERROR_SUBJECT_REFUSED] = { "subject-refused", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                                "the provider refused the token that was to be exchanged",
                                "check subject-token-type, audience and scope, then: kubetoken "
                                "refresh" },
    [ERROR_EXCHANGE_REFUSED] = { "exchange-refused", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                                 "the provider does not exchange the token",
                                 "have the client allowed to exchange tokens for that audience, "
                                 "then: kubetoken refresh" },
    [ERROR_EXCHANGE_TYPE] = { "exchange-type", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_GRANT,
                              "the exchange brought no id_token",
                              "have the provider issue an id_token or a JWT for that audience, "
                              "then: kubetoken refresh" },
    [ERROR_LOGIN_DENIED] = { "login-denied", 6, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                             "the login was denied",
                             "somebody said no on the provider's page, or a rule of the provider "
                             "did; kubetoken login begins another" },
    [ERROR_CODE_EXPIRED] = { "code-expired", 5, ERROR_CLASS_REFUSED_USER, ERROR_LINK_GRANT,
                             "the code of this login is not good any more",
                             "say kubetoken login again, and confirm it while its code lives" },
    [ERROR_DNS] = { "dns", 7, ERROR_CLASS_UNSENT, ERROR_LINK_DNS,
                    "the provider's name cannot be resolved", "check the network and issuer" },
    [ERROR_CONNECT] = { "connect", 7, ERROR_CLASS_UNSENT, ERROR_LINK_CONNECT,
                        "the provider cannot be reached", "check the network, issuer and proxy" },
    [ERROR_TLS] = { "tls", 7, ERROR_CLASS_UNSENT, ERROR_LINK_TLS,
                    "no trusted TLS connection to the provider",
                    "check ca-file, the provider's certificate and the clock" },
    [ERROR_TLS_FILE] = { "tls-file", 9, ERROR_CLASS_LOCAL, ERROR_LINK_CREDENTIALS,
                         "a certificate or key file cannot be used",
                         "check ca-file, tls-client-cert and tls-client-key" },
    [ERROR_TIMEOUT] = { "timeout", 7, ERROR_CLASS_LOST, ERROR_LINK_STEP, "the provider is too slow",
                        "it is asked again; timeout sets the limit" },
    [ERROR_TRANSFER] = { "transfer", 7, ERROR_CLASS_LOST, ERROR_LINK_STEP,
                         "the transfer from the provider failed", "it is tried again" },
    [ERROR_PROVIDER_FAULT] = { "provider-fault", 7, ERROR_CLASS_TRANSIENT, ERROR_LINK_STEP,
                               "the provider has a fault", "it is asked again" },
    [ERROR_RATE_LIMITED] = { "rate-limited", 7, ERROR_CLASS_TRANSIENT, ERROR_LINK_STEP,
                             "the provider asks to slow down", "it is asked again when it allows" },
    [ERROR_THROTTLED] = { "throttled", 7, ERROR_CLASS_THROTTLED, ERROR_LINK_GRANT,
                          "too many logins of one account in a short time",
                          "it goes on by itself" },
    [ERROR_SILENCE] = { "silence", 7, ERROR_CLASS_THROTTLED, ERROR_LINK_GRANT,
                        "the provider has not answered this password",
                        "it is sent again by itself, more and more seldom: answers that were lost "
                        "may be refusals that count; kubetoken refresh sends it now" },
    [ERROR_PROXY_LOGIN] = { "proxy-login", 7, ERROR_CLASS_SOFT, ERROR_LINK_CONNECT,
                            "the proxy wants a log-in",
                            "put user and password into the proxy's URL (proxy in kubetoken.conf, "
                            "or https_proxy of the daemon)" },
    [ERROR_PROXY_REFUSED] = { "proxy-refused", 6, ERROR_CLASS_PROXY, ERROR_LINK_CONNECT,
                              "the proxy refused its user name or password",
                              "correct them in the proxy's URL (proxy in kubetoken.conf, or "
                              "https_proxy of the daemon); they are not sent again until then" },
    [ERROR_GATEWAY] = { "gateway", 7, ERROR_CLASS_SOFT, ERROR_LINK_STEP,
                        "something between here and the provider answered",
                        "see to VPN, proxy and tls-client-cert; it is tried again by itself, "
                        "kubetoken refresh does it now" },
    [ERROR_PROVIDER_ERROR] = { "provider-error", 8, ERROR_CLASS_SOFT, ERROR_LINK_GRANT,
                               "the provider rejected the request",
                               "check scope, audience, realm and the other keys of this profile in "
                               "kubetoken.conf" },
    [ERROR_REALM] = { "realm", 8, ERROR_CLASS_SOFT, ERROR_LINK_GRANT,
                      "the provider does not know where to look for the user",
                      "set realm in kubetoken.conf to the name of Auth0's connection, or the "
                      "Default "
                      "Directory in Auth0's tenant settings" },
    [ERROR_ANSWER_INVALID] = { "answer-invalid", 8, ERROR_CLASS_SOFT, ERROR_LINK_STEP,
                               "the provider's answer is not valid",
                               "check issuer, token-endpoint and proxy" },
    [ERROR_DISCOVERY_INVALID] = { "discovery-invalid", 8, ERROR_CLASS_UNSENT, ERROR_LINK_DISCOVERY,
                                  "the provider's discovery document is not valid",
                                  "check issuer, or set token-endpoint and jwks-uri" },
    [ERROR_NO_DEVICE_LOGIN] = { "no-device-login", 8, ERROR_CLASS_UNSENT, ERROR_LINK_DISCOVERY,
                                "the provider publishes no device_authorization_endpoint",
                                "have the device grant enabled there, set "
                                "device-authorization-endpoint, or take another grant" },
    [ERROR_ISSUER_MISMATCH] = { "issuer-mismatch", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_STEP,
                                "the issuer is not the one configured",
                                "set issuer to the provider's own, byte for byte (a final slash "
                                "counts)" },
    [ERROR_ISSUER_TEMPLATE] = { "issuer-template", 8, ERROR_CLASS_UNSENT, ERROR_LINK_DISCOVERY,
                                "issuer is an address for many tenants, and names none of them",
                                "name your tenant by its ID: issuer = "
                                "https://login.microsoftonline.com/TENANT-ID/v2.0" },
    [ERROR_KEYS_INVALID] = { "keys-invalid", 8, ERROR_CLASS_UNSENT, ERROR_LINK_KEYS,
                             "the provider's keys are not valid", "check jwks-uri" },
    [ERROR_TOKEN_INVALID] = { "token-invalid", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                              "the id_token is not valid", "the API server would reject it too" },
    [ERROR_TOKEN_TOO_LONG] = { "token-too-long", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                               "the id_token is longer than kubetoken takes",
                               "have the provider leave out groups or claims that the cluster "
                               "does not need" },
    [ERROR_TOKEN_ENCRYPTED] = { "token-encrypted", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                                "the provider encrypts the id_token: no API server can read it",
                                "turn it off for this client (id_token_encrypted_response_alg; "
                                "Keycloak: "
                                "ID token encryption key management algorithm)" },
    [ERROR_TOKEN_UNVERIFIABLE] = { "token-unverifiable", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                                   "the id_token is signed in a way that no API server can check",
                                   "have the provider sign with RS256 (Auth0: the application's "
                                   "Advanced Settings, OAuth, JsonWebToken Signature Algorithm)" },
    [ERROR_TOKEN_ALGORITHM] = { "token-algorithm", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                                "the id_token is signed by an algorithm that is not allowed",
                                "allow it in signing-algs, if the API server takes it too "
                                "(--oidc-signing-algs)" },
    [ERROR_TOKEN_SIGNATURE] = { "token-signature", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                                "the id_token's signature is not valid",
                                "check issuer and jwks-uri" },
    [ERROR_KEY_UNSAFE] = { "key-unsafe", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                           "the provider's key proves nothing: others can sign with it",
                           "have the provider sign with a new key, and publish its public part "
                           "alone" },
    [ERROR_TOKEN_AUDIENCE] = { "token-audience", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                               "the id_token is for another audience", "check client-id" },
    [ERROR_TOKEN_EXPIRED] = { "token-expired", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_TOKEN,
                              "the id_token came expired", "check the provider's clock" },
    [ERROR_TOKEN_STALE] = { "token-stale", 8, ERROR_CLASS_ACCEPTED, ERROR_LINK_GRANT,
                            "the refresh token brought no newer id_token",
                            "say kubetoken login before the token in hand dies, or set "
                            "password-file or another source" },
    [ERROR_COMMAND_STALE] = { "command-stale", 8, ERROR_CLASS_LOCAL, ERROR_LINK_GRANT,
                              "token-command printed no newer id_token",
                              "run it by hand: it may want a login of its own, or an option to get "
                              "a new token" },
    [ERROR_TOO_SHORT_LIVED] = { "too-short-lived", 8, ERROR_CLASS_NONE, ERROR_LINK_TOKEN,
                                "the provider's tokens do not live as long as asked for",
                                "ask for a lower --min-validity" },
    [ERROR_NOT_VERIFIED] = { "not-verified", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                             "the token's signature could not be checked",
                             "check jwks-uri; the token came straight from the provider" },
    [ERROR_EMAIL_NOT_VERIFIED] = { "email-not-verified", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                   "the e-mail address is not verified",
                                   "have the address verified at the provider; where the API "
                                   "server's username claim is another, set username-claim" },
    [ERROR_EMAIL_CLAIM] = { "email-claim", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "the token's e-mail address is of no use as a user name",
                            "set username-claim as the API server has it (sub unless it is told); "
                            "if that is email, have the provider put it in" },
    [ERROR_USERNAME_CLAIM] = { "username-claim", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                               "the token has no usable username claim",
                               "have the provider put the claim in, or check username-claim and "
                               "scope" },
    [ERROR_GROUPS_CLAIM] = { "groups-claim", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                             "the token's groups claim is no list of texts",
                             "the API server rejects it; have the provider send a text or a list "
                             "of "
                             "texts" },
    [ERROR_GROUPS_ELSEWHERE] = { "groups-elsewhere", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                 "the token only says where its groups are",
                                 "the API server has to fetch them there, or rejects the token; "
                                 "have the provider put them in, or fewer of them" },
    [ERROR_REQUIRED_CLAIM] = { "required-claim", 8, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                               "the token lacks a claim that the API server requires",
                               "have the provider put it in, or correct --oidc-required-claim of "
                               "the API server" },
    [ERROR_CLAIM_RULE] = { "claim-rule", 8, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                           "the token and an expression of the API server do not fit",
                           "have the provider send what the expression reads, or correct it in the "
                           "API server's AuthenticationConfiguration" },
    [ERROR_CLAIM_TWICE] = { "claim-twice", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "a claim of the id_token is given twice",
                            "the last one counts; have the provider send it once" },
    [ERROR_KEYS_UNREADABLE] = { "keys-unreadable", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                "the API server cannot use the provider's keys",
                                "it answers 401 to the token until the provider corrects its key "
                                "set (jwks_uri); tell the provider's administrators" },
    [ERROR_DISCOVERY_UNREADABLE] = { "discovery-unreadable", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                     "the API server cannot read the discovery document",
                                     "it answers 401 to each token until the provider corrects "
                                     "that document; tell the provider's administrators" },
    [ERROR_ABOUT_TO_EXPIRE] = { "about-to-expire", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                "the token is about to expire and no newer "
                                "one can be had",
                                "see kubetoken status" },
    [ERROR_CLOCK] = { "clock", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                      "the clocks of this machine and of the provider differ",
                      "set the clock that is wrong, usually ours: timedatectl set-ntp true" },
    [ERROR_TOKEN_LONG] = { "token-long", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                           "the token is longer than many proxies let pass",
                           "have the provider leave out groups or claims, or raise what proxies "
                           "take (nginx: large_client_header_buffers, HAProxy: tune.bufsize)" },
    [ERROR_OUTDATED] = { "outdated", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                         "the daemon is not the one that is installed",
                         "restart it with: systemctl --user restart kubetoken.service" },
    [ERROR_CONFIG_CHANGED] = { "config-changed", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                               "the configuration has changed since",
                               "kubetoken reload puts it in force" },
    [ERROR_NOT_LOCKED] = { "not-locked", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                           "not all secrets could be locked in memory",
                           "raise the limit: LimitMEMLOCK= in kubetoken.service, or ulimit -l" },
    [ERROR_UNPROTECTED] = { "unprotected", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "a protection of your secrets is missing",
                            "what it is and what helps is said by: kubetoken doctor" },
    [ERROR_NOT_REVOKED] = { "not-revoked", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "logged out here, but the refresh token was not revoked",
                            "end the session at the provider, or it stays good there until it "
                            "expires" },
    [ERROR_OTHER_USER] = { "other-user", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                           "the cluster sees another user, or other groups, than the token's",
                           "see whether the kubeconfig's user has other credentials; else set "
                           "username-claim, groups-claim and prefixes as the API server has them" },
    [ERROR_ODD_CREDENTIAL] = { "odd-credential", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                               "a credential has a form that is seldom meant",
                               "it is sent as it is; if it is not meant so, correct it at its "
                               "source" },
    [ERROR_KUBECTL] = { "kubectl", 0, ERROR_CLASS_NONE, ERROR_LINK_NONE, "kubectl cannot be run",
                        "install it, or see that it is on the PATH" },
    [ERROR_KUBECTL_FAILS] = { "kubectl-fails", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                              "kubectl runs and fails, whatever it is asked",
                              "kubectl version --client shows it; if the program is broken, "
                              "install it anew" },
    [ERROR_KUBECONFIG] = { "kubeconfig", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                           "the kubeconfig cannot be used as it is",
                           "correct it; kubectl config view shows it" },
    [ERROR_NOT_WRITTEN] = { "not-written", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "the kubeconfig stays as it is",
                            "kubetoken kubeconfig prints what to put into it by hand" },
    [ERROR_NOT_USED] = { "not-used", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                         "kubectl does not ask kubetoken for this profile",
                         "merge what kubetoken kubeconfig prints, and have the context name that "
                         "user" },
    [ERROR_BYPASSED] = { "bypassed", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                         "the kubeconfig's user has other credentials too",
                         "remove them from the user: kubectl lets them go before, or refuses "
                         "both" },
    [ERROR_PLUGIN_COMMAND] = { "plugin-command", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                               "kubectl gets nothing from its exec plugin",
                               "write the full path of kubetoken as command, or put it on the "
                               "PATH; if it ran, see the links before" },
    [ERROR_PLUGIN_VERSION] = { "plugin-version", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                               "kubectl does not take the exec plugin's apiVersion",
                               "write client.authentication.k8s.io/v1, or /v1beta1 for kubectl "
                               "older than 1.22" },
    [ERROR_PLUGIN_STANZA] = { "plugin-stanza", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                              "the kubeconfig's exec stanza is not right",
                              "write it as kubetoken kubeconfig prints it" },
    [ERROR_PLUGIN_POLICY] = { "plugin-policy", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                              "kubectl's policy does not allow the plugin",
                              "name kubetoken in credentialPluginAllowlist of the kuberc" },
    [ERROR_NOT_IMPORTED] = { "not-imported", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                             "this user of the kubeconfig cannot be imported",
                             "kubetoken init makes a profile without it" },
    [ERROR_CLUSTER_DNS] = { "cluster-dns", 7, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "the API server's name cannot be resolved",
                            "check the network and VPN, and server of the kubeconfig's cluster" },
    [ERROR_CLUSTER_CONNECT] = { "cluster-connect", 7, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                "the API server cannot be reached",
                                "see that the cluster runs, then check network, VPN, and server "
                                "of the kubeconfig's cluster" },
    [ERROR_CLUSTER_PROXY] = { "cluster-proxy", 7, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                              "the proxy does not lead to the API server",
                              "check proxy-url of the kubeconfig's cluster, HTTPS_PROXY and "
                              "NO_PROXY" },
    [ERROR_CLUSTER_TIMEOUT] = { "cluster-timeout", 7, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                "the API server gives no answer in time",
                                "check network, VPN and firewall; a larger --timeout waits "
                                "longer" },
    [ERROR_CLUSTER_HTTP] = { "cluster-http", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                             "one side speaks http, the other https",
                             "correct server of the kubeconfig's cluster: an API server is "
                             "https://HOST:PORT, usually of port 6443 or 443" },
    [ERROR_CLUSTER_TLS] = { "cluster-tls", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                            "kubectl does not trust the API server's certificate",
                            "the cluster may have been made anew: fetch its kubeconfig again, or "
                            "correct certificate-authority" },
    [ERROR_SERVER_CONFIG] = { "server-config", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                              "the API server would not load its AuthenticationConfiguration",
                              "correct the file that is given by --authentication-config" },
    [ERROR_CLUSTER_OTHER] = { "cluster-other", 9, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                              "what answers there is no API server",
                              "correct server of the kubeconfig's cluster: host, port and path; a "
                              "VPN's or hotel's log-in page answers so too" },
    [ERROR_CLUSTER_FAULT] = { "cluster-fault", 7, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                              "the API server, or a proxy before it, has a fault",
                              "try again in a minute; its administrator sees why in its log" },
    [ERROR_CLUSTER_UNKNOWN] = { "cluster-unknown", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                                "kubectl brings no answer of the API server",
                                "kubectl get --raw /apis -v=6 shows more of it" },
    [ERROR_UNAUTHORIZED] = { "unauthorized", 8, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                             "the API server rejects the token (401)",
                             "its log says why (oidc): see --oidc-issuer-url, --oidc-client-id and "
                             "--oidc-signing-algs, or --authentication-config" },
    [ERROR_FORBIDDEN] = { "forbidden", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                          "the API server allows this user nothing (403)",
                          "bind a role to the user or a group (ClusterRoleBinding); upper and "
                          "lower case count" },
    [ERROR_NO_RIGHTS] = { "no-rights", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                          "no role is bound to this user",
                          "have a role bound to the user or to a group; upper and lower case and "
                          "prefixes count" },
    [ERROR_FETCHER] = { "fetcher", 1, ERROR_CLASS_LOCAL, ERROR_LINK_FETCHER,
                        "kubetoken-fetch failed",
                        "see: journalctl --user -u "
                        "kubetoken.service" },
    [ERROR_STUCK] = { "stuck", 1, ERROR_CLASS_LOCAL, ERROR_LINK_FETCHER,
                      "a process was killed and does not end",
                      "a disk, a mount or a debugger holds it: see what it has open; once that "
                      "lets "
                      "go it ends by itself" },
    [ERROR_DESCRIPTORS] = { "descriptors", 1, ERROR_CLASS_LOCAL, ERROR_LINK_FETCHER,
                            "kubetokend cannot open what it needs",
                            "see who has so many connections; raise LimitNOFILE= in "
                            "kubetoken.service, then: systemctl --user restart kubetoken.service" },
    [ERROR_INCOMPLETE] = { "incomplete", 1, ERROR_CLASS_NONE, ERROR_LINK_NONE,
                           "a program of kubetoken is missing",
                           "install kubetoken whole: its package, or make install" },
    [ERROR_INTERNAL] = { "internal", 1, ERROR_CLASS_LOCAL, ERROR_LINK_DAEMON, "internal error",
                         "see: journalctl --user -u kubetoken.service" },
};

/* The remedies that are others where no systemd keeps the daemon. */
static const struct {
    unsigned char code;
    bool names_log; /* which follows */
    char remedy[80];
} by_hand[] = {
    { ERROR_NO_DAEMON, false, "start it with: kubetoken restart" },
    { ERROR_DAEMON_SILENT, true, "end it and start another with: kubetoken restart" },
    { ERROR_BAD_ANSWER, false,
      "client and daemon may be of different versions; say: kubetoken restart" },
    { ERROR_NO_COMMAND, false,
      "write its full path, or have your PATH taken by: kubetoken restart" },
    { ERROR_OUTDATED, false, "restart it with: kubetoken restart" },
    { ERROR_NOT_LOCKED, false, "raise the limit (ulimit -l), then: kubetoken restart" },
    { ERROR_DESCRIPTORS, false,
      "see who has so many connections; raise ulimit -n, then: kubetoken restart" },
    { ERROR_FETCHER, true, "see the log of kubetokend" },
    { ERROR_INTERNAL, true, "see the log of kubetokend" },
};

enum { LOG_NAME_MAX = 200 }; /* a remedy has to end somewhere */

static enum error_keeper keeper_of_daemon;
static char log_name[LOG_NAME_MAX + 1];

void error_set_keeper(enum error_keeper keeper, const char *log)
{
    size_t length = log ? strlen(log) : 0;

    keeper_of_daemon = keeper;
    if (length > LOG_NAME_MAX)
        length = 0;
    error_clean(log_name, sizeof log_name, log ? log : "", length);
}

static const struct row *row_of(enum error_code code)
{
    return &table[(unsigned)code < ERROR_MAX ? code : ERROR_INTERNAL];
}

const char *error_name(enum error_code code)
{
    return row_of(code)->name;
}

const char *error_sentence(enum error_code code)
{
    return row_of(code)->sentence;
}

const char *error_sentence_of_refresh(enum error_code code)
{
    return code == ERROR_REFUSED ? "the provider refused the refresh token" : error_sentence(code);
}

/* Its place in by_hand, or -1. */
static int place_by_hand(const struct row *row, enum error_keeper keeper)
{
    for (size_t i = 0; keeper == ERROR_KEEPER_NONE && i < sizeof by_hand / sizeof *by_hand; i++)
        if (&table[by_hand[i].code] == row)
            return (int)i;
    return -1;
}

const char *error_remedy_for(enum error_code code, enum error_keeper keeper)
{
    int i = place_by_hand(row_of(code), keeper);

    return i < 0 ? row_of(code)->remedy : by_hand[i].remedy;
}

const char *error_remedy(enum error_code code)
{
    static char text[sizeof by_hand->remedy + sizeof log_name + 8];
    int i = place_by_hand(row_of(code), keeper_of_daemon);

    if (i < 0 || !by_hand[i].names_log || !*log_name)
        return error_remedy_for(code, keeper_of_daemon);
    snprintf(text, sizeof text, "%s; log: %s", by_hand[i].remedy, log_name);
    return text;
}

int error_exit_code(enum error_code code)
{
    return row_of(code)->exit_code;
}

enum error_class error_class(enum error_code code)
{
    return (enum error_class)row_of(code)->class;
}

enum error_link error_link(enum error_code code)
{
    return (enum error_link)row_of(code)->link;
}

enum error_code error_from_name(const char *name, size_t length)
{
    for (int i = ERROR_NONE + 1; i < ERROR_MAX; i++)
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0)
            return (enum error_code)i;
    return ERROR_INTERNAL;
}

size_t error_character(const void *text, size_t length)
{
    const unsigned char *p = text;
    size_t n = printable_utf8(text, length);

    if (n == 1)
        return p[0] > 0x20 && p[0] != 0x7f;
    if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
        return 0; /* C1 controls move a terminal's cursor */
    return printable_format(text, length) > 0 ? 0 : n;
}

size_t error_clean(char *out, size_t size, const void *text, size_t length)
{
    const char *p = text;
    size_t used = 0;
    bool blank = false;

    for (size_t i = 0, step; i < length; i += step) {
        size_t n = error_character(p + i, length - i);
        size_t hidden = n == 0 ? printable_format(p + i, length - i) : 0;
        const char *shown = hidden ? "?" : p + i; /* two names stay two */
        step = n ? n : hidden ? hidden : 1;
        n = hidden ? 1 : n;
        if (n == 0) {
            blank = used > 0;
            continue;
        }
        if (used + blank + n >= size)
            break;
        if (blank)
            out[used++] = ' ';
        blank = false;
        memcpy(out + used, shown, n);
        used += n;
    }
    out[used] = '\0';
    return used;
}

void error_set(struct error *e, enum error_code code, const char *format, ...)
{
    char raw[1024];
    va_list ap;

    va_start(ap, format);
    int n = vsnprintf(raw, sizeof raw, format, ap);
    va_end(ap);
    e->code = code;
    size_t length = n < 0 ? 0 : (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    error_clean(e->detail, sizeof e->detail, raw, length);
}

size_t error_stem(const char *text)
{
    size_t length = strlen(text);
    bool ends = length > 0 && text[length - 1] == '.';

    return ends && !(length > 1 && text[length - 2] == '.') ? length - 1 : length;
}

size_t error_text(char *out, size_t size, enum error_code code, const char *detail)
{
    const char *sentence = error_sentence(code), *remedy = error_remedy(code);
    bool detailed = detail && *detail, mended = *remedy;
    size_t stem = !detailed ? 0 : mended ? error_stem(detail) : strlen(detail);

    int n = snprintf(out, size, "%s%s%.*s%s%s", sentence, detailed ? ": " : "", (int)stem,
                     detailed ? detail : "", mended ? "; " : "", remedy);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

size_t error_line(char *out, size_t size, const char *profile, enum error_code code,
                  const char *detail)
{
    bool named = profile && *profile;

    int n = snprintf(out, size, "kubetoken: %s%s", named ? profile : "", named ? ": " : "");
    size_t length = n < 0 ? 0 : (size_t)n < size - 1 ? (size_t)n : size - 2;
    length += error_text(out + length, size - length - 1, code, detail);
    out[length++] = '\n'; /* without it kubectl's own message is glued on */
    out[length] = '\0';
    return length;
}
