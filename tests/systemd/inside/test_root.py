"""Root looks after the user's daemon, as systemd keeps it: who asks wakes nobody, and the service
that collects the metrics gets to the socket with what its unit leaves it."""
import contextlib

import machine
import service as kubetoken

EXAMPLES = f"{machine.SOURCE}/examples"
FILE = "/var/lib/prometheus/node-exporter/kubetoken.prom"
STATUS = f"{kubetoken.CLIENT} status --uid {machine.UID} 2>&1; echo exit code $?"


def test_root_asks_and_none_is_started(service, fake):
    service.configure(fake.profile())
    service.start_socket()
    said = kubetoken.as_root(STATUS)
    assert "/socket is systemd's, which has not started it yet" in said and "exit code 3" in said
    assert service.show("ActiveState") == "inactive"
    assert service.run("get", "p").returncode == 0
    said = kubetoken.as_root(STATUS)
    assert said.startswith("PROFILE") and "exit code 0" in said
    service.systemctl("stop", service.name)
    assert "has not started it yet" in kubetoken.as_root(STATUS)
    assert service.show("ActiveState") == "inactive"
    service.harden()
    assert service.run("get", "p").returncode == 0
    said = kubetoken.as_root(STATUS)
    assert "(PrivateUsers=yes)" in said and "exit code 3" in said


@contextlib.contextmanager
def collector():
    kubetoken.as_root(f"""
        install -m 755 {EXAMPLES}/kubetoken-metrics /usr/local/sbin/
        install -m 644 {EXAMPLES}/kubetoken-metrics.service {EXAMPLES}/kubetoken-metrics.timer \\
            /etc/systemd/system/
        mkdir -p {FILE.rpartition("/")[0]} && systemctl daemon-reload""")
    try:
        yield
    finally:
        kubetoken.as_root(f"""
            systemctl stop kubetoken-metrics.timer kubetoken-metrics.service
            rm -f /usr/local/sbin/kubetoken-metrics /etc/systemd/system/kubetoken-metrics.* {FILE}
            systemctl daemon-reload""")


def test_the_timer_collects_the_metrics_of_all(service, fake):
    service.configure(fake.profile())
    service.get("p")
    mine = f'uid="{machine.UID}"'
    with collector():
        said = kubetoken.as_root("systemctl start kubetoken-metrics.service && "
                                 f"stat -c 'mode %a' {FILE} && cat {FILE}")
        assert "mode 644\n" in said and f"kubetoken_up{{{mine}}} 1\n" in said
        assert f'kubetoken_profile_has_token{{{mine},profile="p"}} 1\n' in said
        service.systemctl("stop", service.name)
        said = kubetoken.as_root("systemctl start kubetoken-metrics.service && cat " + FILE)
        assert f"kubetoken_up{{{mine}}} 0\n" in said and "has_token" not in said
        assert service.show("ActiveState") == "inactive"
        said = kubetoken.as_root("systemctl start kubetoken-metrics.timer && "
                                 "systemctl show -P NextElapseUSecRealtime kubetoken-metrics.timer")
        assert said.strip() and "n/a" not in said
