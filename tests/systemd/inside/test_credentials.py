"""A password that systemd hands over, or that is root's: what a change of it needs, and what its
user can do."""
import pytest

from scripted import json_answer
from service import as_root

RESTART = "systemctl --user restart kubetoken.service"


def answer_by_password(fake, good):
    def answer(request):
        if request.form["grant_type"] != "password" or request.form["password"] == good:
            return json_answer(fake.token())
        return json_answer({"error": "invalid_grant"}, 400)
    fake.answers["/oauth/token"] = answer


def test_a_changed_credential_counts_after_the_restart_that_is_named(service, fake, tmp_path):
    source = tmp_path / "password"
    source.write_text("canary-old\n")
    service.drop_in("credentials", f"[Service]\nLoadCredential=pw:{source}\n")
    service.configure(fake.profile(password="password-credential = pw"))
    answer_by_password(fake, "canary-new")
    r = service.run("get", "p")
    assert r.returncode == 6, r.stderr
    assert f"(a changed password-credential counts after: {RESTART})" in r.stderr
    source.write_text("canary-new\n")
    for words in (["reload"], ["get", "p"]):
        service.run(*words)
    assert [g.form["password"] for g in fake.grants()] == ["canary-old"]
    service.systemctl(*RESTART.split()[2:])
    token = service.get("p")
    assert [g.form["password"] for g in fake.grants()] == ["canary-old", "canary-new"]
    source.write_text("canary-newer\n")
    service.systemctl(*RESTART.split()[2:])
    assert service.get("p") == token, "which loses no token"


@pytest.mark.parametrize("hardened", [False, True], ids=["shipped", "hardened"])
def test_a_file_of_root_for_a_group_of_ours(service, fake, tmp_path, hardened):
    """Is taken; in a user namespace its remedy is one that works there."""
    if hardened:
        service.harden()
    path = tmp_path / "of-root"
    as_root(f"umask 077; echo canary-pw > {path}; chown root:$(id -g kt) {path}; chmod 440 {path}")
    service.configure(fake.profile(password=f"password-file = {path}"))
    r = service.run("get", "p")
    if hardened:
        way = f"set password-command = cat {path}"
        assert r.returncode == 9 and way in r.stderr, r.stderr
        service.configure(fake.profile(password=way.partition(" ")[2]))
        service.run("reload")
        r = service.run("get", "p")
    assert r.returncode == 0, r.stderr
    assert fake.grants()[-1].form["password"] == "canary-pw"
