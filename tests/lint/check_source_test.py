#!/usr/bin/python3
"""Each rule of check-source: it speaks about a bad sample and is silent about a good one.

Run by /usr/bin/python3 -m pytest, or by itself.
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

CHECKER = pathlib.Path(__file__).resolve().parent / "check-source"

# Parts of words that check-source must not find in this file either.
WORK = "/" + "work"
ROOT = "/" + "root/"
PYPI = "pypi" + ".org"
DEB = "deb.debian" + ".org"

HEADER = """\
/* what it is for */
#ifndef KUBETOKEN_%s_H
#define KUBETOKEN_%s_H

%s
#endif
"""


def header(name, body="/* Does it. */\nint %s_do(void);\n"):
    """A good header, or one that is good but for its body."""
    if "%s" in body:
        body = body % name
    return HEADER % (name.upper(), name.upper(), body)


def function(lines, head="int f(void)"):
    """A function of so many lines, from its head to its last brace."""
    return head + "\n{\n" + "    g();\n" * (lines - 3) + "}\n"


class CheckSource(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)

    def write(self, files):
        for path, text in files.items():
            path = self.top / path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)

    def run_in(self, *arguments):
        """Runs the checker in the folder. Returns its exit code and its lines."""
        environment = dict(os.environ, GIT_CEILING_DIRECTORIES=str(self.top.parent))
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            environment.pop(name, None)  # set in a hook of git
        r = subprocess.run([CHECKER, *arguments], cwd=self.top, text=True, env=environment,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(r.stderr, "")
        return r.returncode, r.stdout.splitlines()

    def check(self, path, text, others=None):
        """What is said about a file. A .c has its header, unless that is among the others."""
        files = {path: text}
        if path.endswith(".c") and not path.startswith("tests/"):
            name = os.path.basename(path)[:-2]
            files[path[:-1] + "h"] = header(name)
        files.update(others or {})
        self.write({p: t for p, t in files.items() if t is not None})
        status, lines = self.run_in(path)
        self.assertEqual(status, 1 if lines else 0)
        return lines

    def bad(self, path, text, line, message, others=None):
        """The file has exactly this fault."""
        lines = self.check(path, text, others)
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(f"{path}:{line}: "), lines[0])
        self.assertIn(message, lines[0])

    def good(self, path, text, others=None):
        self.assertEqual(self.check(path, text, others), [])


class Includes(CheckSource):
    DIRECTIONS = [
        # file, what it includes, whether it may
        ("common/a.c", "common/b.h", True),
        ("common/a.c", "daemon/b.h", False),
        ("common/a.c", "client/b.h", False),
        ("client/a.c", "client/b.h", True),
        ("client/a.c", "common/b.h", True),
        ("client/a.c", "daemon/b.h", False),
        ("client/a.c", "client/admin/b.h", False),
        ("client/admin/a.c", "client/admin/b.h", True),
        ("client/admin/a.c", "common/b.h", True),
        ("client/admin/a.c", "client/b.h", True),
        ("client/admin/a.c", "daemon/b.h", False),
        ("daemon/a.c", "daemon/b.h", True),
        ("daemon/a.c", "common/b.h", True),
        ("daemon/a.c", "daemon/fetch/b.h", False),
        ("daemon/a.c", "client/b.h", False),
        ("daemon/fetch/a.c", "daemon/fetch/b.h", True),
        ("daemon/fetch/a.c", "common/b.h", True),
        ("daemon/fetch/a.c", "daemon/b.h", False),
        ("daemon/fetch/a.c", "client/b.h", False),
        ("daemon/fetch/main.c", "daemon/b.h", False),
        ("tests/unit/a.c", "daemon/fetch/b.h", True),
    ]

    def test_point_downwards_only(self):
        for path, name, allowed in self.DIRECTIONS:
            text = f'\n#include "{name}"\n'
            with self.subTest(path=path, name=name):
                if allowed:
                    self.good(path, text)
                else:
                    self.bad(path, text, 2, "must not include")

    def test_of_the_project_in_angle_brackets_count_too(self):
        self.bad("common/a.c", "#include <daemon/b.h>\n", 1, "must not include")

    def test_of_the_project_name_their_folder(self):
        self.bad("daemon/a.c", '#include "b.h"\n', 1, "must not include")

    def test_in_headers_count_too(self):
        text = header("a", '#include "daemon/b.h"\n')
        self.bad("common/a.h", text, 5, "must not include")

    def test_in_comments_do_not_count(self):
        self.good("common/a.c", '/*\n#include "daemon/b.h"\n*/\n// #include <curl/curl.h>\n')


class Libraries(CheckSource):
    PLACES = [
        ("jwt.h", ["daemon/fetch/jws.c"], ["daemon/fetch/a.c", "daemon/a.c", "common/a.c"]),
        ("curl/curl.h", ["daemon/fetch/a.c"], ["daemon/a.c", "common/a.c", "client/a.c"]),
        ("openssl/evp.h", ["daemon/fetch/a.c"], ["daemon/a.c", "common/a.c", "client/admin/a.c"]),
        ("cjson/cJSON.h",
         ["daemon/config_print.c", "daemon/render_json.c", "daemon/fetch/a.c", "client/admin/a.c"],
         ["common/a.c", "daemon/a.c", "client/a.c"]),
        ("systemd/sd-event.h", ["daemon/a.c"], ["daemon/fetch/a.c", "common/a.c", "client/a.c"]),
    ]

    def test_are_included_in_their_places_only(self):
        for name, allowed, refused in self.PLACES:
            for path in allowed:
                with self.subTest(name=name, path=path):
                    self.good(path, f"#include <{name}>\n")
            for path in refused:
                with self.subTest(name=name, path=path):
                    self.bad(path, f"#include <{name}>\n", 1, f"<{name}> is for")

    def test_the_reader_of_json_may_show_that_of_the_library(self):
        self.good("daemon/fetch/json.h", header("json", "#include <cjson/cJSON.h>\n"))

    def test_tests_include_what_they_like(self):
        self.good("tests/unit/a.c", "#include <jwt.h>\n#include <systemd/sd-event.h>\n")

    def test_names_that_only_begin_alike_are_others(self):
        self.good("common/a.c", "#include <systemd.h>\n#include <jwt.hpp>\n")


class Functions(CheckSource):
    BANNED = ("strcpy strcat sprintf vsprintf gets system popen strtok atoi alloca tmpnam "
              "mktemp").split()

    def test_banned_are_found(self):
        for name in self.BANNED:
            for path in ("common/a.c", "client/main.c", "tests/unit/a.c"):
                with self.subTest(name=name, path=path):
                    self.bad(path, f"void f(void)\n{{\n    {name} (x);\n}}\n", 3,
                             f"{name}() is banned")

    def test_banned_are_found_in_macros(self):
        self.bad("common/a.c", "#define X(a, b) \\\n    strcpy(a, b)\n", 2, "strcpy() is banned")

    def test_with_similar_names_are_not_banned(self):
        self.good("common/a.c", "void f(void)\n{\n    my_strcpy(a, b);\n    snprintf(a, 1, b);\n"
                  "    mkstemp(a);\n    p->system(x);\n    o.gets(x);\n    fgets(a, 1, b);\n}\n")

    def test_in_comments_and_strings_are_not_calls(self):
        self.good("common/a.c", "/* strcpy(a, b) */\n// gets(x)\nconst char *s = "
                  "\"\\\"system(x)\";\nint c = '\"'; /* exit(1) */\n")

    def test_exit_is_for_main_files(self):
        text = "void f(void)\n{\n    exit(1);\n}\n"
        for path in ("common/a.c", "client/a.c", "daemon/a.c", "daemon/fetch/a.c"):
            with self.subTest(path=path):
                self.bad(path, text, 3, "exit() is for main.c")
        for path in ("client/main.c", "daemon/main.c", "daemon/fetch/main.c", "tests/unit/a.c"):
            with self.subTest(path=path):
                self.good(path, text)

    def test_underscore_exit_is_for_children(self):
        self.good("common/a.c", "void f(void)\n{\n    _exit(1);\n}\n")


class Secrets(CheckSource):
    def sample(self, call):
        return f"void f(void)\n{{\n    {call};\n}}\n"

    def test_are_never_printed(self):
        for name in ("printf", "fprintf", "snprintf", "dprintf", "asprintf", "vprintf", "syslog",
                     "sd_journal_print", "sd_journal_send"):
            for secret in ("secret_peek", "secret_bytes"):
                with self.subTest(name=name, secret=secret):
                    self.bad("daemon/a.c", self.sample(f'{name}("%s", {secret}(p))'), 3,
                             f"{secret}() in {name}()")

    def test_are_found_in_arguments_on_later_lines(self):
        self.bad("daemon/a.c", self.sample('printf("%d %s", g(1),\n        secret_peek(p))'), 4,
                 "secret_peek() in printf()")

    def test_do_not_reach_functions_with_a_format_of_their_own(self):
        text = ("static void say(const char *format, ...)\n"
                "    __attribute__((format(printf, 1, 2)));\n\n")
        self.bad("daemon/a.c", text + self.sample('say("%s", secret_peek(p))'), 6, "in say()")
        text = ("__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)\n"
                "{\n}\n\n")
        self.bad("daemon/a.c", text + self.sample('say("%s", secret_peek(p))'), 7, "in say()")

    def test_do_not_reach_such_functions_of_other_modules(self):
        others = {"daemon/log.h": header("log", "/* Logs. */\nvoid log_it(const char *f, ...)\n"
                                         "    __attribute__((format(printf, 1, 2)));\n")}
        text = '#include "daemon/log.h"\n\n' + self.sample('log_it("%s", secret_bytes(p))')
        self.bad("daemon/a.c", text, 5, "in log_it()", others)

    def test_go_to_other_functions(self):
        self.good("daemon/a.c", self.sample(
            'send(fd, secret_peek(p), 1, 0), printf("%zu", secret_length(p))'))


class FunctionLength(CheckSource):
    def test_of_seventy_lines_is_right(self):
        self.good("common/a.c", function(70))

    def test_of_more_is_too_much(self):
        self.bad("common/a.c", "int x;\n\n" + function(71), 3, "f() has 71 lines")

    def test_counts_from_the_beginning_of_the_head(self):
        text = function(71, "static const char *g(int a,\n                     int b)")
        self.bad("common/a.c", text, 1, "g() has 72 lines")

    def test_is_of_each_function(self):
        self.good("common/a.c", function(60) + "\n" + function(60, "int g(void)"))

    def test_is_found_with_attributes_and_before_others(self):
        text = function(71, "__attribute__((format(printf, 1, 2))) static int f(char *s, ...)")
        self.bad("tests/unit/a.c", text + "\n" + function(10), 1, "f() has 71 lines")

    def test_is_found_behind_branches_of_the_preprocessor(self):
        text = ("int g(void)\n{\n#if A\n    if (a) {\n#else\n    if (b) {\n#endif\n"
                "        h();\n    }\n}\n\n")
        self.bad("common/a.c", text + function(71), 12, "f() has 71 lines")

    def test_is_not_that_of_tables_and_types(self):
        self.good("common/a.c", "static const int t[] = {\n" + "    1,\n" * 80 + "};\n\n"
                  "struct s {\n" + "    int x;\n" * 80 + "};\n\n"
                  "static struct s all = (struct s){\n" + "    .x = 1,\n" * 80 + "};\n")

    def test_is_not_confused_by_braces_in_strings_and_macros(self):
        self.good("common/a.c", "#define BEGIN if (x) {\n"
                  'void a(void)\n{\n    b("{", \'{\'); /* { */\n}\n\n' + function(69))


class Headers(CheckSource):
    def test_have_a_guard(self):
        for path, name in (("common/a.h", "A"), ("daemon/fetch/a_b.h", "FETCH_A_B")):
            with self.subTest(path=path):
                self.good(path, f"#ifndef KUBETOKEN_{name}_H\n#define KUBETOKEN_{name}_H\n\n"
                          "struct s;\n\n#endif\n")

    def test_without_a_guard_are_wrong(self):
        message = "a header begins with"
        for text in ("struct s;\n",
                     "#pragma once\nstruct s;\n",
                     "#ifndef KUBETOKEN_A_H\n#define KUBETOKEN_B_H\nstruct s;\n#endif\n",
                     "#ifndef KUBETOKEN_A_H\nstruct s;\n#define KUBETOKEN_A_H\n#endif\n",
                     "struct s;\n#ifndef KUBETOKEN_A_H\n#define KUBETOKEN_A_H\n#endif\n",
                     "#ifndef KUBETOKEN_A_H\n#define KUBETOKEN_A_H\n#endif\nstruct s;\n"):
            with self.subTest(text=text):
                self.bad("common/a.h", text, 1, message)

    def test_have_a_guard_that_names_them(self):
        for guard in ("A_H", "KUBETOKEN_A", "KUBETOKEN_B_H", "KUBETOKEN_BA_H"):
            with self.subTest(guard=guard):
                self.bad("common/a.h", f"#ifndef {guard}\n#define {guard}\nstruct s;\n#endif\n",
                         1, f"the guard {guard} should be")

    def test_have_guards_that_differ(self):
        self.write({"common/a.h": header("a"), "daemon/a.h": header("a"),
                    "client/b.h": header("b")})
        status, lines = self.run_in()
        self.assertEqual(status, 1)
        self.assertEqual(lines, ["daemon/a.h:1: common/a.h has the same guard KUBETOKEN_A_H"])

    def test_explain_their_functions(self):
        for body in ("/* Does. */\nint a_do(void);\n",
                     "// Does.\nint a_do(void);\n",
                     "/* Does\n * a lot. */\nconst char *a_do(int a,\n    int b);\n",
                     "/* Both. */\nint a_do(void);\nint a_undo(void (*f)(int));\n",
                     "/* Does. */\n__attribute__((noreturn)) void a_do(void);\n",
                     "/* Does. */\nvoid a_do(const char *f, ...)\n"
                     "    __attribute__((format(printf, 1, 2)));\nint a_undo(void);\n",
                     "/* Does. */\nenum { A_SIZE = 21 };\nvoid a_do(char out[A_SIZE]);\n",
                     "/* All. */\nextern int a_all;\nint a_do(void);\nint a_undo(void);\n",
                     "/* Does. */\n#ifdef X\nint a_do(void);\n#endif\n",
                     "/* Does. */\nint a_do(void);\n/* Undoes. */\nint a_undo(void);\n"
                     "#define X __attribute__((cleanup(a_undo)))\n"):
            with self.subTest(body=body):
                self.good("common/a.h", header("a", body))

    def test_with_functions_without_a_comment_are_wrong(self):
        message = "needs a comment above it"
        for body, line, name in (
                ("int a_do(void);\n", 5, "a_do"),
                ("struct s {\n    int x;\n};\nint a_do(void);\n", 8, "a_do"),
                ("/* It. */\nstruct s {\n    int x; /* x */\n};\nint a_do(void);\n", 9, "a_do"),
                ("/* Does. */\n\nint a_do(void);\n", 7, "a_do"),
                ("/* Does. */\nint a_do(void);\n\nint a_undo(int a,\n    int b);\n", 8, "a_undo"),
                ("int a_do(void); /* Does. */\n", 5, "a_do"),
                ("enum { A };\nextern struct s *a_do(void);\n", 6, "a_do"),
                ("static inline int a_do(void)\n{\n    return 1;\n}\n", 5, "a_do")):
            with self.subTest(body=body):
                self.bad("common/a.h", header("a", body), line, f"{name}() {message}")

    def test_need_no_comment_for_what_is_no_function(self):
        self.good("common/a.h", header("a", (
            "typedef void (*a_fn)(int x);\nstruct s {\n    int (*f)(int x);\n};\n"
            "extern const struct s a_all;\n_Static_assert(sizeof(int) == 4, \"int\");\n"
            "TAILQ_HEAD(a_list, s);\n#define F(x) g(x);\nenum { N = (1) };\n")))

    def test_exist_for_each_module(self):
        for path in ("common/a.c", "daemon/a.c", "daemon/fetch/a.c"):
            with self.subTest(path=path):
                self.bad(path, "int x;\n", 1, f"there is no {path[:-1]}h", {path[:-1] + "h": None})

    def test_need_not_exist_for_main_commands_and_tests(self):
        for path in ("daemon/main.c", "daemon/fetch/main.c", "client/get.c", "tests/unit/a.c"):
            with self.subTest(path=path):
                self.good(path, "int x;\n", {path[:-1] + "h": None})


class WhiteSpace(CheckSource):
    FILES = ("client/a.c", "a.py", "a.sh", "README.md", "systemd/a.service", ".github/ci.yml")

    def test_that_is_right_is_right(self):
        for path in self.FILES:
            with self.subTest(path=path):
                self.good(path, "x\n\n    y\n")

    def test_faults_are_found(self):
        for path in self.FILES:
            for text, line, message in (("x\n\ty\n", 2, "tab"),
                                        ("x \ny\n", 1, "trailing blank"),
                                        ("x\n  \ny\n", 2, "trailing blank"),
                                        ("x\r\ny\n", 1, "carriage return"),
                                        ("x\ny", 2, "no newline at the end")):
                with self.subTest(path=path, text=text):
                    self.bad(path, text, line, message)

    def test_scripts_without_an_ending_are_code(self):
        for first in ("#!/bin/sh", "#!/usr/bin/env bash", "#!/usr/bin/python3"):
            with self.subTest(first=first):
                self.bad("packaging/a", first + "\n\tx\n", 2, "tab")
                self.bad("packaging/a", first + "\n" + "x" * 101 + "\n", 2, "101 columns")

    def test_lines_of_code_have_a_hundred_columns_at_most(self):
        for path in ("client/a.c", "a.py", "a.sh"):
            with self.subTest(path=path):
                self.good(path, "// " + "ü" * 97 + "\n")
                self.bad(path, "\n// " + "ü" * 98 + "\n", 2, "101 columns")

    def test_lines_of_prose_may_be_long(self):
        self.good("README.md", "| " + "x" * 200 + " |\n")

    def test_makefiles_and_manuals_have_tabs(self):
        for path in ("Makefile", "tests/GNUmakefile", "build.mk", "man/kubetoken.1"):
            with self.subTest(path=path):
                self.good(path, "a: b\n\tc\n")
                self.bad(path, "a: b\n\tc \n", 2, "trailing blank")
                self.bad(path, "a: b\n\tc", 2, "no newline")

    def test_samples_and_what_is_not_text_are_left_alone(self):
        self.good("tests/fuzz/corpus/a.conf", "x\t\r\n y ")
        self.good("tests/data/a.bin", b"\0 \t\r")
        self.good("tests/data/a.c", b"\0 \t\r")
        self.good("empty.c", "")

    def test_source_is_utf_8(self):
        self.bad("client/a.c", b"/* \xfc */\n", 1, "not UTF-8")


class Traces(CheckSource):
    def test_of_a_machine_are_found(self):
        for path in ("client/a.c", "a.py", "a.sh", "README.md", "Makefile", "systemd/a.socket"):
            for name in (WORK, WORK + "/main", ROOT + "x", ROOT):
                with self.subTest(path=path, name=name):
                    self.bad(path, f"\n// see {name}\n", 2, "absolute path")

    def test_are_not_other_paths(self):
        self.good("a.sh", f"a{WORK}/b ~{'/network'} {WORK}ers {WORK}-x ${{HOME}}{WORK}\n"
                  f"https://example.com{WORK}/ a{ROOT} {ROOT[:-1]}\n"
                  f"{'/tmp'}{WORK} /etc{ROOT}x .{WORK}\n")

    def test_of_registries_are_found(self):
        for name in (PYPI, "files.pythonhosted" + ".org", DEB, "security.debian" + ".org",
                     "registry.npmjs" + ".org", "static.crates" + ".io",
                     "proxy.golang" + ".org", "archive.ubuntu" + ".com"):
            with self.subTest(name=name):
                self.bad("README.md", f"\nhttps://{name}/simple\n", 2, f"registry: {name}")

    def test_of_registries_are_not_other_hosts(self):
        self.good("README.md", "https://www.debian.org https://login.example.com packages\n"
                  f"https://my{PYPI}anization.example\n")


class Usage(CheckSource):
    def git(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        subprocess.run(["git", *arguments], cwd=self.top, check=True, env=environment,
                       stdout=subprocess.DEVNULL)

    def test_checks_all_that_git_knows(self):
        self.git("init", "-q")
        self.write({"a.py": "x \n", "b.py": "x \n", "c.py": "x\n"})
        self.git("add", "a.py", "c.py")
        self.assertEqual(self.run_in(), (1, ["a.py:1: trailing blank"]))

    def test_passes_over_what_git_knows_but_is_gone(self):
        self.git("init", "-q")
        self.write({"a.py": "x\n", "b.py": "x\n"})
        self.git("add", "a.py", "b.py")
        (self.top / "a.py").unlink()
        self.assertEqual(self.run_in(), (0, []))

    def test_checks_all_there_is_without_git(self):
        self.write({"a.py": "x \n", "sub/b.py": "x \n", "build/c.py": "x \n",
                    ".cache/d.py": "x \n"})
        self.assertEqual(self.run_in(), (1, ["a.py:1: trailing blank",
                                             "sub/b.py:1: trailing blank"]))

    def test_checks_all_there_is_in_a_copy_that_git_does_not_track(self):
        self.git("init", "-q")
        self.write({"a.py": "x \n"})
        self.assertEqual(self.run_in(), (1, ["a.py:1: trailing blank"]))

    def test_checks_what_it_is_told_in_order(self):
        self.write({"a.py": "x\n\ty\n\nz \n", "b.py": "x \n", "c.py": "x \n"})
        self.assertEqual(self.run_in("./b.py", "a.py"),
                         (1, ["a.py:2: tab", "a.py:4: trailing blank",
                              "b.py:1: trailing blank"]))

    def test_complains_of_a_file_that_is_not_there(self):
        self.assertEqual(self.run_in("nothing.c"), (1, ["nothing.c:1: no such file"]))

    def test_is_silent_when_all_is_well(self):
        self.write({"common/a.c": '#include "common/a.h"\n', "common/a.h": header("a")})
        self.assertEqual(self.run_in(), (0, []))

    def test_finds_nothing_in_itself(self):
        for path in (CHECKER, pathlib.Path(__file__).resolve()):
            self.write({path.name: path.read_text()})
            with self.subTest(path=path.name):
                self.assertEqual(self.run_in(path.name), (0, []))


if __name__ == "__main__":
    unittest.main()
