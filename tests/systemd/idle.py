#!/usr/bin/python3
"""What a daemon costs that nobody asks (P12): context switches, CPU and memory, in a machine of its
own (machine.py).

usage: tests/systemd/idle.py [--seconds 60] [--profiles 100] [--hardened] [--root FOLDER]
                             [--build FOLDER]

Each profile has a token. The watchdog's ping, one in two and a half minutes, is counted too.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "inside"), str(HERE.parent / "integration")]

import machine


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--profiles", type=int, default=100)
    parser.add_argument("--hardened", action="store_true")
    parser.add_argument("--root")
    parser.add_argument("--build", default=machine.TOP / "build")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---- in the machine --------------------------------------------------------------------------

def numbers(text):
    return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", text, re.M)}


def look(pid):
    """Its switches so far, by choice and by force, and its nanoseconds on a CPU."""
    status = numbers(pathlib.Path(f"/proc/{pid}/status").read_text())
    on_cpu = int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"], on_cpu


def measure(service, fake, options):
    import service as kubetoken
    if options.hardened:
        service.harden()
    names = [f"p{i}" for i in range(options.profiles)]
    # each a user of its own: an account has six logins at once
    service.configure("".join(fake.profile(name, user=f"user-{name}") for name in names))
    for name in names:
        service.get(name)
    pid = service.pid()
    before = look(pid)
    time.sleep(options.seconds)  # what is measured
    by_choice, by_force, on_cpu = (b - a for a, b in zip(before, look(pid)))
    # as root, since the daemon cannot be looked into
    memory = numbers(kubetoken.as_root(f"cat /proc/{pid}/smaps_rollup /proc/{pid}/status"))
    private = memory["Private_Clean"] + memory["Private_Dirty"]
    print(f"{options.profiles} profiles, {options.seconds} s: {by_choice}+{by_force} context "
          f"switches, {on_cpu / 1e6:.3f} ms on a CPU, {private} KiB private, "
          f"{memory['Pss']} KiB with its share of what is shared, {memory['VmLck']} KiB locked")


def main_inside(options):
    import scripted
    import service as kubetoken
    with tempfile.TemporaryDirectory(dir=pathlib.Path.home()) as folder:
        service, fake = kubetoken.Service(), scripted.Provider(folder)
        try:
            service.start_socket()
            measure(service, fake, options)
        finally:
            fake.stop()
            service.clear()


# ---- outside ---------------------------------------------------------------------------------

def main():
    options = parse()
    if options.inside:
        main_inside(options)
        return 0
    words = [f"--seconds {options.seconds} --profiles {options.profiles} --inside",
             "--hardened" if options.hardened else ""]
    try:
        with machine.Machine("idle", options.root, options.build) as there:
            print(there.run("systemctl --version | head -n1; /usr/bin/python3 "
                            f"{machine.SOURCE}/tests/systemd/idle.py {' '.join(words)} 2>&1"),
                  end="")
    except machine.Missing as error:
        print(f"idle.py: {error}", file=sys.stderr)
        return 77
    except subprocess.CalledProcessError as error:
        print(error.output, end="", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
