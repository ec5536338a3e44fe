/*
 * How fast does a daemon answer on a Unix socket, and how fast could anything: a load generator,
 * and a bare epoll server to compare with (the floor).
 *
 *   sockload serve SOCKET FILE                answers each request with FILE's bytes
 *   sockload load [OPTION]... SOCKET          asks, and prints as JSON what it saw
 *
 *   -r TEXT    the request; \n and \xHH are understood
 *   -c N       clients at once, a thread each (1)
 *   -t SECONDS for so long (1), or -n N: so many answers
 *   -k         a connection is kept; else each request has a new one
 *   -P PID     the server, where it is not who called listen()
 *
 * How long an answer is, a request says beforehand: all that comes within 300 ms. One that is
 * shorter, and a connection that fails, count as failed. "cpu" is what the server spent on a CPU
 * for an answer, in microseconds (/proc/PID/schedstat): unlike the rate it hardly depends on what
 * else the machine does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MOST = 64 * 1024, EVENTS = 64, STACK = 256 * 1024, LEARN_MS = 300, WAIT_MS = 5000 };

struct client {
    pthread_t thread;
    size_t answers, failed;
};

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static char request[4096];
static size_t request_length, answer_length;
static bool keep;
static double end;            /* of the time; 0: the number decides */
static atomic_long remaining; /* answers */
static pthread_barrier_t gate;
static pid_t server;

static void die(const char *what)
{
    fprintf(stderr, "sockload: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the floor ------------------------------------------------------------------------------- */

/* One that was just accepted often brings its request along. Returns whether it goes on. */
static bool answer(int fd, const char *bytes, size_t length)
{
    char buffer[4096];
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(fd);
        return false;
    }
    if (n > 0)
        send(fd, bytes, length, MSG_NOSIGNAL);
    return true;
}

static void accept_all(int listener, int epoll, const char *bytes, size_t length)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
        if (answer(fd, bytes, length))
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static _Noreturn void serve(const char *file)
{
    static char bytes[ANSWER_MOST];
    struct epoll_event events[EVENTS];
    FILE *f = fopen(file, "re");

    if (!f)
        die(file);
    size_t length = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, SOMAXCONN) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        die(address.sun_path);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                accept_all(listener, epoll, bytes, length);
            else
                answer(events[i].data.fd, bytes, length);
    }
}

/* ---- the load -------------------------------------------------------------------------------- */

static double server_cpu(void)
{
    char path[64];
    unsigned long long ns = 0;

    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)server);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%llu", &ns) != 1)
        ns = 0;
    if (f)
        fclose(f);
    return (double)ns / 1e3;
}

static int dial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool ask(int fd)
{
    char buffer[ANSWER_MOST];
    size_t got = 0;

    if (send(fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        return false;
    while (got < answer_length) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* Who the server is, and how long its answers are. */
static void learn(void)
{
    char buffer[ANSWER_MOST];
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = dial();

    if (fd < 0 || send(fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        die("the first request");
    if (!server && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        server = peer.pid;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (poll(&p, 1, answer_length ? LEARN_MS : WAIT_MS) == 1) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            break;
        answer_length += (size_t)n;
    }
    close(fd);
    errno = ENODATA;
    if (!answer_length)
        die("no answer");
}

static bool goes_on(void)
{
    return end > 0 ? now() < end : atomic_fetch_sub(&remaining, 1) > 0;
}

static void *run(void *of)
{
    struct client *c = of;
    int fd = -1;

    pthread_barrier_wait(&gate);
    while (goes_on()) {
        if (fd < 0)
            fd = dial();
        bool good = fd >= 0 && ask(fd);
        c->answers += good;
        c->failed += !good;
        if (fd >= 0 && (!keep || !good)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static int load(size_t number, double seconds)
{
    struct client *clients = calloc(number, sizeof *clients);
    pthread_attr_t attributes;
    size_t answers = 0, failed = 0;

    learn();
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_barrier_init(&gate, NULL, (unsigned)number + 1);
    for (size_t i = 0; i < number; i++)
        if (!clients || pthread_create(&clients[i].thread, &attributes, run, &clients[i]) != 0)
            die("threads");
    double cpu = server_cpu(), begin = now();
    end = seconds > 0 ? begin + seconds : 0;
    pthread_barrier_wait(&gate);
    for (size_t i = 0; i < number; i++) {
        pthread_join(clients[i].thread, NULL);
        answers += clients[i].answers;
        failed += clients[i].failed;
    }
    double took = now() - begin;
    cpu = server_cpu() - cpu;
    printf("{\"answers\":%zu,\"failed\":%zu,\"seconds\":%.4f,\"cpu\":%.4f,\"bytes\":%zu}\n",
           answers, failed, took, answers ? cpu / (double)answers : 0, answer_length);
    free(clients);
    return 0;
}

/* ---- the command line ------------------------------------------------------------------------ */

static void take_request(const char *text)
{
    unsigned byte;

    while (*text && request_length < sizeof request) {
        if (text[0] == '\\' && text[1] == 'n') {
            byte = '\n';
            text += 2;
        } else if (text[0] == '\\' && text[1] == 'x' && sscanf(text + 2, "%2x", &byte) == 1) {
            text += 4;
        } else {
            byte = (unsigned char)*text++;
        }
        request[request_length++] = (char)byte;
    }
}

static void take_address(const char *path)
{
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
}

static int usage(void)
{
    fputs("usage: sockload serve SOCKET FILE\n"
          "       sockload load -r REQUEST [-c N] [-t SECONDS | -n N] [-k] [-P PID] SOCKET\n",
          stderr);
    return 2;
}

static int load_as_told(int argc, char **argv)
{
    size_t number = 1;
    double seconds = 1;
    int option;

    while ((option = getopt(argc, argv, "r:c:t:n:kP:")) != -1)
        if (option == 'r') {
            take_request(optarg);
        } else if (option == 'c') {
            number = strtoul(optarg, NULL, 10);
        } else if (option == 't') {
            seconds = strtod(optarg, NULL);
        } else if (option == 'n') {
            seconds = 0;
            remaining = strtol(optarg, NULL, 10);
        } else if (option == 'k') {
            keep = true;
        } else if (option == 'P') {
            server = (pid_t)strtol(optarg, NULL, 10);
        } else {
            return usage();
        }
    if (optind + 1 != argc || request_length == 0 || number == 0)
        return usage();
    take_address(argv[optind]);
    return load(number, seconds);
}

int main(int argc, char **argv)
{
    struct rlimit files;

    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        take_address(argv[2]);
        serve(argv[3]);
    }
    if (argc > 2 && strcmp(argv[1], "load") == 0)
        return load_as_told(argc - 1, argv + 1);
    return usage();
}
