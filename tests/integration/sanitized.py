"""The integration tests against programs under AddressSanitizer, LeakSanitizer and UBSan: what of
them cannot be held, with which options the programs run, and what those three found. `make
check-asan` sets KUBETOKEN_SANITIZED.

The fetcher ends by _exit(), at which nobody looks for leaks: it lives for one request."""
import os
import pathlib
import shutil
import tempfile

import pytest

ON = bool(os.environ.get("KUBETOKEN_SANITIZED"))

LINKED = "it is linked with the sanitizers"
CALLS = "it counts the sanitizers' calls too"
HEAP = "AddressSanitizer has a heap of its own, which is not locked, and keeps what is freed"
MLOCK = "AddressSanitizer's mlock() does nothing, and always succeeds"
HEAP_LACKS = "AddressSanitizer has a heap of its own, of which nothing says that it lacked memory"
SHADOW = "AddressSanitizer's shadow of terabytes goes over ulimit -v"
PROCESS = "LeakSanitizer needs a process of its own"

# By the beginning of a test's name in its file; and why.
NOT_RUN = {
    "test_client_program.py::test_the_program_is_a_static_pie": LINKED,
    "test_client_program.py::test_the_program_is_small": LINKED,
    "test_client_program.py::test_each_program_links": LINKED,
    "test_client_program.py::test_the_system_calls_of_a_get": CALLS,
    "test_failing_calls.py::test_a_get_of_a_token_in_hand": CALLS,
    "test_answer_cost.py::test_the_system_calls_until": CALLS,
    "test_failing_fetcher.py::": HEAP_LACKS,
    "test_fetcher_program.py::test_a_usual_job_locks_little": MLOCK,
    "test_catalogue.py::test_it_happens[no-process]": PROCESS,
    "test_desks.py::test_each_cause_has_its_own_sentence_and_remedy[no_process": PROCESS,
    "test_desks.py::test_limits_and_a_nice_value": SHADOW,
    "test_faults.py::test_a_thousand_faults": HEAP,
    "test_metrics.py::test_what_there_is_no_memory_for": SHADOW,
    "test_memory.py::test_a_program_that_keeps": HEAP,
    "test_scale.py::test_what_a_crowd_took": HEAP,
    "test_scale.py::test_who_does_not_read": HEAP,
    "test_memory.py::test_through_the_life": HEAP,
    "test_memory.py::test_500_gets": HEAP,
    "test_memory.py::test_what_is_wrong": HEAP,
    "test_memory.py::test_whatever_the_provider": HEAP,
    "test_memory.py::test_a_proxy_s_password": HEAP,
    "test_memory.py::test_the_client_keeps": HEAP,
    "test_memory.py::test_init_keeps": HEAP,
    "test_memory.py::test_import_and_doctor": HEAP,
    "test_memory.py::test_a_core_of_the_daemon": HEAP,
    "test_memory.py::test_a_leak_is_seen": HEAP,
    "test_catalogue.py::test_it_happens[not-locked]": MLOCK,
    "test_doctor.py::test_memory_that_is_not_locked": MLOCK,
    "test_long_tokens.py::test_a_hundred_of_64_kib_fit": MLOCK,
    "test_report.py::test_a_link_with_a_warning": MLOCK,
}

folder = None  # the files of this process' tests
texts = []     # of logs


def reason(nodeid):
    """Why that test is not run, or None."""
    name = nodeid.rsplit("/", 1)[-1]
    return next((why for start, why in NOT_RUN.items() if ON and name.startswith(start)), None)


def begin():
    """Each user may write there, as programs of the tests are other users too."""
    global folder
    if ON:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="kt-sanitizers-"))
        folder.chmod(0o1777)
        # what ld.so takes for itself LeakSanitizer knows, but not if it has it by failing.c
        (folder / "known").write_text("leak:ld-linux\n", encoding="ascii")
        (folder / "known").chmod(0o644)
        os.environ.update(environment())  # for programs that have all of it


def end():
    if folder:
        shutil.rmtree(folder)


def environment():
    """Has the sanitizers write what they find into files, also where what is preloaded stands
    before them."""
    if not folder:
        return {}
    where = f"log_path={folder}/found"
    return {"ASAN_OPTIONS": f"{where}:verify_asan_link_order=0", "UBSAN_OPTIONS": where,
            "LSAN_OPTIONS": f"{where}:suppressions={folder}/known:print_suppressions=0"}


def but(given, options):
    """That environment, with some of AddressSanitizer's options changed."""
    return {**given, "ASAN_OPTIONS": f"{given['ASAN_OPTIONS']}:{options}"} if folder else given


def traced(given):
    """For a program below strace: LeakSanitizer stops it by ptrace(), which only one can."""
    return but(given, "detect_leaks=0")


def read(log):
    """A daemon's log: its fetchers, which have no environment, write to that."""
    if folder and log.exists():
        texts.append(log.read_text(encoding="utf-8", errors="replace"))


def fail_if_found():
    """What has been found since this was called last."""
    if not folder:
        return
    for path in folder.glob("found.*"):
        texts.append(path.read_text(encoding="utf-8", errors="replace"))
        path.unlink()
    found = [t for t in texts if "Sanitizer" in t or "runtime error" in t]
    texts.clear()
    if found:
        pytest.fail("\n".join(found), pytrace=False)
