/*
 * support - what several unit tests need: cmocka in its order, a folder of their own, a job,
 * keys and tokens made by OpenSSL alone.
 */
#ifndef KUBETOKEN_TESTS_SUPPORT_H
#define KUBETOKEN_TESTS_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/job.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A new folder (0700), made and removed by the fixtures of a test. */
extern char test_folder[64];

/* The fixtures. */
int folder_setup(void **state);
int folder_teardown(void **state);

/* Writes a file below the folder and returns its path, which lives until the next test. */
const char *write_file(const char *name, const char *text, unsigned mode);

/* Bytes of the heap in use; 0 where nothing tells. */
size_t heap_in_use(void);
const char *write_bytes(const char *name, const void *bytes, size_t length, unsigned mode);

/* Fails unless text holds part. */
void assert_holds(const char *text, const char *part);
void assert_holds_not(const char *text, const char *part);

/* Has a debugger hold them: one that was killed cannot be collected before that one lets go. They
 * have to allow any, by PR_SET_PTRACER_ANY. False: this machine allows none. */
bool debugger_hold(const pid_t *pids, size_t n);
void debugger_let_go(void);

/* A job as the fetcher sees it: encoded and decoded. The caller clears it. */
struct job plain_job(void);
struct job through_the_wire(const struct job *job);

/* base64url without padding; the caller frees it. */
char *base64url(const void *bytes, size_t length);

/* The public half as a JWK: {"kty":...}, with the further members given ("" or ",\"kid\":\"a\"").
 * The caller frees it. */
char *jwk_of(EVP_PKEY *key, const char *further);

/* header and payload signed by the key as alg says (RS256, ES256, PS256, EdDSA, ...), or with an
 * empty signature part replaced by "AAAA" where key is NULL. The caller frees it. */
char *signed_token(EVP_PKEY *key, const char *alg, const char *header, const char *payload);

/* As above with the HMAC-SHA-256 of a secret. */
char *hmac_token(const char *secret, const char *header, const char *payload);

#endif
