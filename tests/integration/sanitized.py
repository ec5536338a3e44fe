"""What of these tests a program under AddressSanitizer and UBSan cannot hold, and where to look for
what those two found. `make check-asan` sets KUBETOKEN_SANITIZED."""
import os

ON = bool(os.environ.get("KUBETOKEN_SANITIZED"))

# By the beginning of a test's name in its file; and why.
NOT_RUN = {
    "test_client_program.py::test_the_program_is_a_static_pie": "it is linked with the sanitizers",
    "test_client_program.py::test_the_program_is_small": "it is linked with the sanitizers",
    "test_client_program.py::test_each_program_links": "it is linked with the sanitizers",
    "test_catalogue.py::test_it_happens[no-process]": "LeakSanitizer needs a process of its own",
    "test_desks.py::test_each_cause_has_its_own_sentence_and_remedy[no_process":
        "LeakSanitizer needs a process of its own",
    "test_desks.py::test_limits_and_a_nice_value": "a shadow of terabytes goes over ulimit -v",
    "test_faults.py::test_a_thousand_faults": "what is freed stays in quarantine: it grows",
    "test_failing_calls.py::test_a_get_of_a_token_in_hand": "it counts the sanitizers' calls too",
}


def reason(nodeid):
    """Why that test is not run, or None."""
    name = nodeid.rsplit("/", 1)[-1]
    return next((why for start, why in NOT_RUN.items() if ON and name.startswith(start)), None)


def environment(folder):
    """Has the sanitizers write what they find into files there."""
    where = f"log_path={folder}/sanitizer"
    return {"ASAN_OPTIONS": where, "UBSAN_OPTIONS": where, "LSAN_OPTIONS": where} if ON else {}


def findings(folder, log):
    """What they found; a fetcher, which has no environment, writes to the daemon's log."""
    files = [*folder.glob("sanitizer.*"), *([log] if log.exists() else [])]
    texts = [f.read_text(encoding="utf-8", errors="replace") for f in files]
    return [t for t in texts if "Sanitizer" in t or "runtime error" in t]
