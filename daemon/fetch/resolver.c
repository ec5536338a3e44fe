#define _GNU_SOURCE
#include "daemon/fetch/resolver.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/fetch/sandbox.h"

enum { NAME_SIZE = 256, ADDRESSES_MAX = 32 };

/* Between the two processes, each in one piece (less than PIPE_BUF), by pipes: a socket could hand
 * over descriptors, and so a Unix socket to who has the network. */
struct question {
    int32_t family; /* AF_UNSPEC: both */
    char name[NAME_SIZE];
};

struct address {
    int32_t family;
    uint32_t scope; /* of IPv6 */
    unsigned char bytes[sizeof(struct in6_addr)];
};

struct answer {
    uint32_t n; /* 0: nobody knows the name */
    struct address addresses[ADDRESSES_MAX];
};

/* Of the process that asks. */
static struct {
    enum resolver_need need;
    int to, from; /* -1: nobody can be asked */
    pthread_mutex_t lock;
} resolver = { .to = -1, .from = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- who is asked ---------------------------------------------------------------------------- */

static bool is_word(const char *word, size_t length, const char *what)
{
    return length == strlen(what) && memcmp(word, what, length) == 0;
}

/* mdns4_minimal and its like leave all names alone but those of .local. */
static bool is_mdns_minimal(const char *word, size_t length)
{
    return length >= 12 && strncmp(word, "mdns", 4) == 0 &&
           strncmp(word + length - 8, "_minimal", 8) == 0;
}

/* Behind "hosts:", to the end of the line. */
static enum resolver_need need_of_sources(const char *p, bool stub)
{
    bool dns = false, resolve = false, local = false;
    size_t length;

    for (p += strspn(p, " \t"); *p && *p != '\n' && *p != '#'; p += strspn(p, " \t")) {
        if (*p == '[') { /* what to do after the source before */
            p += strcspn(p, "]\n");
            p += *p == ']';
            continue;
        }
        length = strcspn(p, " \t\n[#");
        dns |= is_word(p, length, "dns");
        if (is_word(p, length, "resolve"))
            resolve = true;
        else if (is_mdns_minimal(p, length))
            local = true;
        else if (!is_word(p, length, "dns") && !is_word(p, length, "files") &&
                 !is_word(p, length, "myhostname"))
            return RESOLVER_ALL; /* one we do not know */
        p += length;
    }
    if (resolve && !(dns && stub))
        return RESOLVER_ALL;
    return local ? RESOLVER_LOCAL : RESOLVER_NONE;
}

enum resolver_need resolver_need_of(const char *nsswitch, bool stub)
{
    for (const char *line = nsswitch; line; line = strchr(line, '\n')) {
        line += strspn(line, " \t\n");
        if (strncmp(line, "hosts:", 6) == 0)
            return need_of_sources(line + 6, stub);
    }
    return RESOLVER_NONE; /* the default is files and dns */
}

enum resolver_need resolver_need(void)
{
    char text[16 * 1024], path[PATH_MAX];
    FILE *file = fopen("/etc/nsswitch.conf", "re");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;

    text[length] = '\0';
    if (file)
        fclose(file);
    bool stub = realpath("/etc/resolv.conf", path) &&
                strcmp(path, "/run/systemd/resolve/stub-resolv.conf") == 0;
    return resolver_need_of(text, stub);
}

bool resolver_is_asked(enum resolver_need need, const char *name)
{
    static const char local[] = ".local";
    const size_t tail = sizeof local - 1;
    size_t length = strlen(name);

    if (need != RESOLVER_LOCAL)
        return need == RESOLVER_ALL;
    length -= length > 0 && name[length - 1] == '.';
    return length > tail && strncasecmp(name + length - tail, local, tail) == 0;
}

/* ---- the process that asks the services ------------------------------------------------------ */

static bool take_address(const struct addrinfo *from, struct address *ret)
{
    const struct sockaddr_in6 *six = (const void *)from->ai_addr;
    const struct sockaddr_in *four = (const void *)from->ai_addr;

    *ret = (struct address){ .family = from->ai_family };
    if (from->ai_family == AF_INET6) {
        memcpy(ret->bytes, &six->sin6_addr, sizeof six->sin6_addr);
        ret->scope = six->sin6_scope_id;
    } else if (from->ai_family == AF_INET) {
        memcpy(ret->bytes, &four->sin_addr, sizeof four->sin_addr);
    }
    return from->ai_family == AF_INET6 || from->ai_family == AF_INET;
}

static void look_up(const struct question *question, struct answer *ret)
{
    const struct addrinfo hints = { .ai_family = question->family, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;

    *ret = (struct answer){ .n = 0 };
    if (getaddrinfo(question->name, NULL, &hints, &found) != 0)
        return;
    for (const struct addrinfo *one = found; one && ret->n < ADDRESSES_MAX; one = one->ai_next)
        ret->n += take_address(one, &ret->addresses[ret->n]);
    freeaddrinfo(found);
}

/* The walls go up before the first byte is read, and not sooner: most jobs ask for nothing here
 * when their provider is named by an address, or is on this machine. */
static _Noreturn void answer_questions(int from, int to)
{
    struct pollfd asked = { .fd = from, .events = POLLIN };
    struct question question;
    struct answer answer;

    while (poll(&asked, 1, -1) < 0 && errno == EINTR)
        ;
    if (sandbox_files(NULL) < 0 || sandbox_calls(SANDBOX_NAMES) < 0)
        _exit(3);
    while (read(from, &question, sizeof question) == (ssize_t)sizeof question) {
        question.name[NAME_SIZE - 1] = '\0';
        look_up(&question, &answer);
        if (write(to, &answer, sizeof answer) < 0)
            break;
    }
    _exit(0);
}

static _Noreturn void become_resolver(int from, int to, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before we asked to be told */
        _exit(0);
    prctl(PR_SET_NAME, "kubetoken-names", 0, 0, 0);
    /* in place of the job's socket, which is not for this process */
    if (dup2(from, 0) < 0 || dup2(to, 1) < 0)
        _exit(3);
    syscall(SYS_close_range, 3U, ~0U, 0U);
    answer_questions(0, 1);
}

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

void resolver_start(enum resolver_need need)
{
    int questions[2], answers[2];

    if (need == RESOLVER_NONE || pipe2(questions, O_CLOEXEC) < 0)
        return;
    if (pipe2(answers, O_CLOEXEC) < 0) {
        close_pair(questions);
        return;
    }
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        become_resolver(questions[0], answers[1], parent);
    if (child < 0) {
        close_pair(questions);
        close_pair(answers);
        return;
    }
    close(questions[0]);
    close(answers[1]);
    signal(SIGPIPE, SIG_IGN); /* where it ends early */
    resolver.need = need;
    resolver.to = questions[1];
    resolver.from = answers[0];
}

/* ---- who asks -------------------------------------------------------------------------------- */

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static getaddrinfo_fn *libc_getaddrinfo(void)
{
    getaddrinfo_fn *function;

    *(void **)&function = dlsym(RTLD_NEXT, "getaddrinfo");
    return function;
}

/* One question after the other: a thread of libcurl's that was given up may still wait for its
 * answer. What came is believed within limits. */
static int ask(const char *name, int family, struct answer *ret)
{
    struct question question = { .family = family };
    ssize_t n = -1;

    if (strlen(name) >= sizeof question.name)
        return -1;
    memcpy(question.name, name, strlen(name));
    pthread_mutex_lock(&resolver.lock);
    if (write(resolver.to, &question, sizeof question) == (ssize_t)sizeof question)
        while ((n = read(resolver.from, ret, sizeof *ret)) < 0 && errno == EINTR)
            ;
    pthread_mutex_unlock(&resolver.lock);
    return n == (ssize_t)sizeof *ret && ret->n > 0 && ret->n <= ADDRESSES_MAX ? 0 : -1;
}

/* As libc makes it of the address in figures, so that freeaddrinfo() can free it. */
static int convert(const struct address *address, const char *service, const struct addrinfo *hints,
                   struct addrinfo **ret)
{
    struct addrinfo numeric = hints ? *hints : (struct addrinfo){ .ai_socktype = 0 };
    char text[INET6_ADDRSTRLEN + 16];

    if (!inet_ntop(address->family, address->bytes, text, INET6_ADDRSTRLEN))
        return -1;
    if (address->scope > 0) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%%%u", address->scope);
    }
    numeric.ai_flags = (numeric.ai_flags & ~AI_CANONNAME) | AI_NUMERICHOST;
    return libc_getaddrinfo()(text, service, &numeric, ret);
}

/* Returns NULL where there is none. */
static struct addrinfo *convert_all(const struct answer *answer, const char *service,
                                    const struct addrinfo *hints)
{
    struct addrinfo *list = NULL, **end = &list;

    for (uint32_t i = 0; i < answer->n; i++) {
        if (convert(&answer->addresses[i], service, hints, end) != 0)
            *end = NULL;
        while (*end)
            end = &(*end)->ai_next;
    }
    return list;
}

/* libcurl calls this one. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict ret)
{
    bool figures = hints && (hints->ai_flags & AI_NUMERICHOST);
    struct answer answer;

    if (resolver.to >= 0 && name && !figures && resolver_is_asked(resolver.need, name) &&
        ask(name, hints ? hints->ai_family : AF_UNSPEC, &answer) == 0) {
        struct addrinfo *list = convert_all(&answer, service, hints);
        if (list) {
            *ret = list;
            return 0;
        }
    }
    return libc_getaddrinfo()(name, service, hints, ret);
}
