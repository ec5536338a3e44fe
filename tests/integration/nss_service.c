/*
 * A module of NSS that stands in for those which ask a service over a Unix socket: the socket
 * SERVICE is told a name in a line and answers with addresses, one a line. Where it is loaded by
 * the process that meets the network it does what code of an attacker's would: it knocks at each
 * socket of HOSTILE.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 4 };

struct found {
    int n, family[ADDRESSES_MAX];
    unsigned char bytes[ADDRESSES_MAX][16];
};

static int knock(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void attack(void)
{
    static const char *const hostile[] = { HOSTILE };
    int network = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (network < 0)
        return;
    close(network);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        knock(hostile[i]);
}

static void take(struct found *found, int family, const char *line)
{
    for (int i = 0; found->n < ADDRESSES_MAX && i < 2; i++) {
        int other = i == 0 ? AF_INET : AF_INET6;
        if ((family == AF_UNSPEC || family == other) &&
            inet_pton(other, line, found->bytes[found->n]) == 1)
            found->family[found->n++] = other;
    }
}

static enum nss_status ask(const char *name, int family, struct found *found)
{
    char line[1024];

    *found = (struct found){ .n = 0 };
    attack();
    int fd = knock(SERVICE);
    FILE *service = fd < 0 ? NULL : fdopen(fd, "r+");
    if (!service)
        return NSS_STATUS_UNAVAIL;
    fprintf(service, "%s\n", name);
    fflush(service);
    while (fgets(line, sizeof line, service)) {
        line[strcspn(line, "\n")] = '\0';
        take(found, family, line);
    }
    fclose(service);
    return found->n > 0 ? NSS_STATUS_SUCCESS : NSS_STATUS_NOTFOUND;
}

enum nss_status _nss_compat_gethostbyname4_r(const char *name, struct gaih_addrtuple **ret,
                                             char *buffer, size_t size, int *error, int *h_error,
                                             int32_t *ttl)
{
    struct found found;
    enum nss_status status = ask(name, AF_UNSPEC, &found);
    struct gaih_addrtuple *tuple = (void *)buffer, **end = ret;
    (void)ttl;

    *error = ENOENT;
    *h_error = HOST_NOT_FOUND;
    if (status != NSS_STATUS_SUCCESS || size < (size_t)found.n * sizeof *tuple)
        return status == NSS_STATUS_SUCCESS ? NSS_STATUS_UNAVAIL : status;
    for (int i = 0; i < found.n; i++) {
        if (i > 0 || !*ret)
            *end = &tuple[i];
        **end = (struct gaih_addrtuple){ .name = (char *)(uintptr_t)name,
                                         .family = found.family[i] };
        memcpy((*end)->addr, found.bytes[i], sizeof found.bytes[i]);
        end = &(*end)->next;
    }
    return NSS_STATUS_SUCCESS;
}

/* Where the machine has no IPv6. */
enum nss_status _nss_compat_gethostbyname2_r(const char *name, int family, struct hostent *ret,
                                             char *buffer, size_t size, int *error, int *h_error)
{
    struct found found;
    enum nss_status status = ask(name, family, &found);
    char **list = (void *)buffer;
    char *bytes = buffer + (ADDRESSES_MAX + 2) * sizeof *list;

    *error = ENOENT;
    *h_error = HOST_NOT_FOUND;
    if (status != NSS_STATUS_SUCCESS || size < 256)
        return status == NSS_STATUS_SUCCESS ? NSS_STATUS_UNAVAIL : status;
    for (int i = 0; i < found.n; i++)
        list[i] = memcpy(bytes + 16 * i, found.bytes[i], 16);
    list[found.n] = list[ADDRESSES_MAX + 1] = NULL;
    *ret = (struct hostent){ .h_name = (char *)(uintptr_t)name,
                             .h_aliases = &list[ADDRESSES_MAX + 1],
                             .h_addrtype = family,
                             .h_length = family == AF_INET ? 4 : 16,
                             .h_addr_list = list };
    return NSS_STATUS_SUCCESS;
}
