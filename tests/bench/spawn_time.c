/*
 * Times whole short-lived programs against each other: one process at a time, each command once a
 * round, in an order that is shuffled anew for each, so that a machine whose speed drifts does so
 * for all, and none always runs in the caches that its heaviest neighbour has left.
 *
 *   spawn_time [-n ROUNDS] [-w WARM-UPS] [-s SEED] [-m] @NAME [VAR=VALUE...] [<FILE] PROGRAM
 * [WORD...]
 *
 * In a word %n stands for the number of the round. Prints JSON: for each command what each run took
 * (from posix_spawn() to wait4(), stdout read to its end as kubectl reads a plugin's), its time on
 * a CPU, its page faults; how many runs failed; with -m what is resident when it exits.
 *
 * Each program has a parent of its own, made before the clock starts: kubetokend takes a second
 * `get` of one client-go process for the word that the API server has rejected its token.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 32, WORDS = 32, WORD = 4096, VARIABLES = 256 };

struct sample {
    double wall, cpu; /* microseconds */
    long faults;
    int status;
};

struct command {
    const char *name;
    char **words;
    size_t own; /* variables */
    char *environment[VARIABLES];
    const char *in; /* stdin; NULL: nothing */
    struct sample *samples;
    long resident; /* KB at the exit; -1: unknown */
};

static struct command commands[COMMANDS];
static size_t number;
static unsigned long rounds = 200, warm_ups = 5;
static uint64_t seed = 88172645463325252U;
static bool memory;
static int null;
static struct sample *result; /* shared with the parents */

static void die(const char *what)
{
    fprintf(stderr, "spawn_time: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* xorshift64 */
static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* The words of a round. */
static void fill(const struct command *c, unsigned long round, char *argv[WORDS],
                 char text[WORDS][WORD])
{
    size_t n = 0;

    for (; c->words[n] && n < WORDS - 1; n++) {
        const char *mark = strstr(c->words[n], "%n");
        argv[n] = c->words[n];
        if (mark) {
            snprintf(text[n], WORD, "%.*s%lu%s", (int)(mark - c->words[n]), c->words[n], round,
                     mark + 2);
            argv[n] = text[n];
        }
    }
    argv[n] = NULL;
}

static pid_t start(const struct command *c, char **argv, int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    if (c->in)
        posix_spawn_file_actions_addopen(&actions, 0, c->in, O_RDONLY, 0);
    else
        posix_spawn_file_actions_adddup2(&actions, null, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, (char **)c->environment);
    if (errno)
        die(argv[0]);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void drain(int fd)
{
    char buffer[65536];

    while (read(fd, buffer, sizeof buffer) > 0)
        ;
}

static double cpu_of(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e6 +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

/* In a parent of its own. */
static void time_one(const struct command *c, char **argv)
{
    struct rusage usage;
    int ends[2], status;

    if (pipe2(ends, O_CLOEXEC) < 0)
        die("pipe");
    double begin = now();
    pid_t pid = start(c, argv, ends[1]);
    close(ends[1]);
    drain(ends[0]);
    if (wait4(pid, &status, 0, &usage) != pid)
        die("wait4");
    *result = (struct sample){ now() - begin, cpu_of(&usage), usage.ru_minflt, status };
}

static struct sample run(const struct command *c, unsigned long round)
{
    static char text[WORDS][WORD];
    char *argv[WORDS];
    int status;

    fill(c, round, argv, text);
    pid_t parent = fork();
    if (parent < 0)
        die("fork");
    if (parent == 0) {
        time_one(c, argv);
        _exit(0);
    }
    if (waitpid(parent, &status, 0) != parent || status != 0)
        die("the parent of a command");
    return *result;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static long resident_of(pid_t pid)
{
    char path[64], line[256];
    long kb = -1;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && kb < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "Rss: %ld kB", &kb) != 1)
            kb = -1;
    if (f)
        fclose(f);
    return kb;
}

static void become_traced(const struct command *c, char **argv)
{
    dup2(null, 0);
    dup2(null, 1);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execvpe(argv[0], argv, (char **)c->environment);
    _exit(127);
}

/* What is resident at the moment of the exit; a run that is not timed, since it is traced. */
static void look_into(const struct command *c)
{
    static char text[WORDS][WORD];
    char *argv[WORDS];
    int status;

    fill(c, 0, argv, text);
    pid_t pid = fork();
    if (pid == 0)
        become_traced(c, argv);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return;
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
    ptrace(PTRACE_CONT, pid, 0, 0);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        int stop = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_EXIT)
            result->faults = resident_of(pid);
        ptrace(PTRACE_CONT, pid, 0, event || stop == SIGTRAP ? 0 : stop);
    }
}

static long resident(const struct command *c)
{
    int status;

    result->faults = -1;
    pid_t parent = fork();
    if (parent == 0) {
        look_into(c);
        _exit(0);
    }
    if (parent < 0 || waitpid(parent, &status, 0) != parent)
        die("the parent of a command");
    return result->faults;
}

/* ---- the rounds ------------------------------------------------------------------------------ */

static void shuffle(size_t order[COMMANDS])
{
    for (size_t i = number - 1; i > 0; i--) {
        size_t other = (size_t)(draw() % (i + 1)), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

static void run_all(void)
{
    size_t order[COMMANDS];

    for (size_t i = 0; i < number; i++) {
        order[i] = i;
        commands[i].samples = calloc(rounds, sizeof *commands[i].samples);
        if (!commands[i].samples)
            die("memory");
    }
    for (unsigned long round = 0; round < rounds + warm_ups; round++) {
        shuffle(order);
        for (size_t i = 0; i < number; i++) {
            struct command *c = &commands[order[i]];
            struct sample s = run(c, round);
            if (round >= warm_ups)
                c->samples[round - warm_ups] = s;
        }
    }
}

static void print_column(const struct command *c, const char *name, int which)
{
    printf("\"%s\":[", name);
    for (unsigned long i = 0; i < rounds; i++) {
        const struct sample *s = &c->samples[i];
        double value = which == 0 ? s->wall : which == 1 ? s->cpu : (double)s->faults;
        printf("%s%.1f", i ? "," : "", value);
    }
    printf("],");
}

static void print_all(void)
{
    printf("{");
    for (size_t i = 0; i < number; i++) {
        const struct command *c = &commands[i];
        unsigned long failed = 0;
        for (unsigned long k = 0; k < rounds; k++)
            failed += c->samples[k].status != 0;
        printf("%s\"%s\":{", i ? "," : "", c->name);
        print_column(c, "wall", 0);
        print_column(c, "cpu", 1);
        print_column(c, "faults", 2);
        printf("\"resident\":%ld,\"failed\":%lu}", c->resident, failed);
    }
    printf("}\n");
}

/* ---- the command line ------------------------------------------------------------------------ */

static bool is_variable(const char *word)
{
    size_t n = strcspn(word, "=/ ");

    return n > 0 && word[n] == '=';
}

/* Ours, with those of the command in place of what has their name. */
static void make_environment(struct command *c, char **own)
{
    size_t n = 0;

    for (char **v = environ; *v && n < VARIABLES - 1 - c->own; v++) {
        bool replaced = false;
        for (size_t i = 0; i < c->own; i++)
            replaced |= strncmp(*v, own[i], strcspn(own[i], "=") + 1) == 0;
        if (!replaced)
            c->environment[n++] = *v;
    }
    for (size_t i = 0; i < c->own; i++)
        c->environment[n++] = own[i];
}

static char **take_command(char **word)
{
    struct command *c = &commands[number++];

    c->name = *word++ + 1;
    while (word[c->own] && is_variable(word[c->own]))
        c->own++;
    make_environment(c, word);
    word += c->own;
    if (*word && **word == '<')
        c->in = *word++ + 1;
    c->words = word;
    while (*word && **word != '@')
        word++;
    return word;
}

static void take_commands(char **word)
{
    while (*word && **word == '@' && number < COMMANDS) {
        char **next = take_command(word);
        if (next == commands[number - 1].words) /* no program */
            break;
        word = next;
    }
    errno = EINVAL;
    if (*word || number == 0)
        die("usage: spawn_time [-n ROUNDS] [-w WARM-UPS] [-s SEED] [-m] @NAME PROGRAM ...");
    for (size_t i = 1; i < number; i++) /* the words of one end where the next begins */
        commands[i].words[-1 - (long)commands[i].own - (commands[i].in != NULL)] = NULL;
}

int main(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "+n:w:s:m")) != -1)
        switch (option) {
        case 'n':
            rounds = strtoul(optarg, NULL, 10);
            break;
        case 'w':
            warm_ups = strtoul(optarg, NULL, 10);
            break;
        case 's':
            seed ^= strtoull(optarg, NULL, 10);
            break;
        case 'm':
            memory = true;
            break;
        default:
            return 2;
        }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (null < 0 || result == MAP_FAILED)
        die("/dev/null, or memory");
    take_commands(argv + optind);
    for (size_t i = 0; i < number; i++)
        commands[i].resident = memory ? resident(&commands[i]) : -1;
    run_all();
    print_all();
    return 0;
}
