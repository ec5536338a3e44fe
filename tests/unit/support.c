#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char test_folder[64];

int folder_setup(void **state)
{
    (void)state;
    snprintf(test_folder, sizeof test_folder, "/tmp/kubetoken-test-XXXXXX");
    return mkdtemp(test_folder) ? 0 : -1;
}

/* Files and folders below it, one level of folders deep and more. */
static void remove_tree(const char *path)
{
    DIR *folder = opendir(path);
    char entry[4096];

    for (struct dirent *e; folder && (e = readdir(folder));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(entry, sizeof entry, "%s/%s", path, e->d_name);
        if (unlink(entry) < 0)
            remove_tree(entry);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

int folder_teardown(void **state)
{
    (void)state;
    remove_tree(test_folder);
    return 0;
}

const char *write_bytes(const char *name, const void *bytes, size_t length, unsigned mode)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % COUNT(paths)];

    snprintf(path, sizeof paths[0], "%s/%s", test_folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

/* glibc alone tells, and not below AddressSanitizer, which brings a heap of its own. */
size_t heap_in_use(void)
{
#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
    return 0;
#else
    return mallinfo2().uordblks;
#endif
}

const char *write_file(const char *name, const char *text, unsigned mode)
{
    return write_bytes(name, text, strlen(text), mode);
}

void assert_holds(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text ? text : "(null)");
}

void assert_holds_not(const char *text, const char *part)
{
    if (text && strstr(text, part))
        fail_msg("\"%s\" is in \"%s\"", part, text);
}

/* ---- a debugger ------------------------------------------------------------------------------ */

static pid_t debugger;
static int orders; /* closed: it ends */

static _Noreturn void be_the_debugger(const pid_t *pids, size_t n, int ready, int until)
{
    char byte;

    for (size_t i = 0; i < n; i++)
        if (ptrace(PTRACE_SEIZE, pids[i], NULL, NULL) < 0)
            _exit(1);
    if (write(ready, "y", 1) == 1)
        (void)!read(until, &byte, 1);
    _exit(0);
}

bool debugger_hold(const pid_t *pids, size_t n)
{
    int ready[2], until[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(until, O_CLOEXEC), 0);
    debugger = fork();
    if (debugger == 0) {
        close(until[1]);
        be_the_debugger(pids, n, ready[1], until[0]);
    }
    close(ready[1]);
    close(until[0]);
    orders = until[1];
    bool held = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    return held;
}

void debugger_let_go(void)
{
    if (debugger == 0)
        return;
    close(orders);
    waitpid(debugger, NULL, 0);
    debugger = 0;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

struct job plain_job(void)
{
    return (struct job){
        .kind = JOB_PASSWORD,
        .deadline = 1000,
        .issuer = "https://login.example.com/",
        .client_id = "kube",
        .client_auth = "auto",
        .username = "anna",
        .password = "hunter22",
        .scope = "openid email",
        .signing_algs = "RS256 ES256",
    };
}

struct job through_the_wire(const struct job *job)
{
    struct secret *bytes = job_encode(job);
    struct job decoded;

    assert_non_null(bytes);
    assert_int_equal(job_decode(secret_peek(bytes), secret_length(bytes), &decoded), 0);
    secret_free(bytes);
    return decoded;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

char *base64url(const void *bytes, size_t length)
{
    char *out = malloc(4 * (length / 3 + 1) + 1);

    assert_non_null(out);
    int n = EVP_EncodeBlock((unsigned char *)out, bytes, (int)length);
    while (n > 0 && out[n - 1] == '=')
        n--;
    out[n] = '\0';
    for (char *p = out; *p; p++)
        *p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
    return out;
}

static char *number_member(EVP_PKEY *key, const char *parameter, int size)
{
    BIGNUM *number = NULL;
    unsigned char bytes[1024];

    assert_int_equal(EVP_PKEY_get_bn_param(key, parameter, &number), 1);
    if (size == 0)
        size = BN_num_bytes(number);
    assert_int_equal(BN_bn2binpad(number, bytes, size), size);
    BN_free(number);
    return base64url(bytes, (size_t)size);
}

char *jwk_of(EVP_PKEY *key, const char *further)
{
    char *jwk, *first, *second;
    unsigned char raw[64];
    size_t size = sizeof raw;
    int r;

    if (EVP_PKEY_get_raw_public_key(key, raw, &size) == 1) { /* Ed25519, Ed448 */
        first = base64url(raw, size);
        second = strdup("");
        r = asprintf(&jwk, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"%s\"%s}",
                     EVP_PKEY_is_a(key, "ED448") ? "Ed448" : "Ed25519", first, further);
    } else if (EVP_PKEY_is_a(key, "RSA")) {
        first = number_member(key, OSSL_PKEY_PARAM_RSA_N, 0);
        second = number_member(key, OSSL_PKEY_PARAM_RSA_E, 0);
        r = asprintf(&jwk, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}", first, second, further);
    } else {
        int bits = EVP_PKEY_get_bits(key);
        first = number_member(key, OSSL_PKEY_PARAM_EC_PUB_X, (bits + 7) / 8);
        second = number_member(key, OSSL_PKEY_PARAM_EC_PUB_Y, (bits + 7) / 8);
        r = asprintf(&jwk, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"%s}", bits,
                     first, second, further);
    }
    assert_true(r > 0);
    free(first);
    free(second);
    return jwk;
}

static char *join(const char *first, char *second)
{
    char *joined;

    assert_true(asprintf(&joined, "%s.%s", first, second) > 0);
    free(second);
    return joined;
}

static char *signing_input(const char *header, const char *payload)
{
    char *first = base64url(header, strlen(header));
    char *input = join(first, base64url(payload, strlen(payload)));

    free(first);
    return input;
}

/* ECDSA in JWS is r and s side by side (RFC 7518 §3.4), not DER. */
static size_t raw_signature(unsigned char *der, size_t length, int coordinate)
{
    const unsigned char *p = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &p, (long)length);

    assert_non_null(signature);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), der, coordinate);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), der + coordinate, coordinate);
    ECDSA_SIG_free(signature);
    return (size_t)(2 * coordinate);
}

static const EVP_MD *hash_of(const char *alg)
{
    const char *bits = alg + 2;

    if (strcmp(alg, "EdDSA") == 0)
        return NULL;
    return strcmp(bits, "512") == 0   ? EVP_sha512()
           : strcmp(bits, "384") == 0 ? EVP_sha384()
                                      : EVP_sha256();
}

char *signed_token(EVP_PKEY *key, const char *alg, const char *header, const char *payload)
{
    char *input = signing_input(header, payload), *whole;
    unsigned char signature[1024];
    size_t length = sizeof signature;
    EVP_PKEY_CTX *parameters;

    if (!key) {
        whole = join(input, strdup("AAAA"));
        free(input);
        return whole;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, &parameters, hash_of(alg), NULL, key), 1);
    if (alg[0] == 'P') {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(
        EVP_DigestSign(context, signature, &length, (unsigned char *)input, strlen(input)), 1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_is_a(key, "EC"))
        length = raw_signature(signature, length, (EVP_PKEY_get_bits(key) + 7) / 8);
    whole = join(input, base64url(signature, length));
    free(input);
    return whole;
}

char *hmac_token(const char *secret, const char *header, const char *payload)
{
    char *input = signing_input(header, payload);
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned length;

    assert_non_null(HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)input,
                         strlen(input), signature, &length));
    char *whole = join(input, base64url(signature, length));
    free(input);
    return whole;
}
