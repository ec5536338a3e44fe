"""A store that has slept: the daemon's next life comes later by the clock that counts sleep. No
time passes; the daemon is in a time namespace, as it would see the clock after a suspend."""
import service as kubetoken

LIFE = 3600  # seconds, of a token


def sleep(service, seconds):
    """From the next start on the daemon's CLOCK_BOOTTIME is ahead by that."""
    service.drop_in("aged", f"""[Service]
ExecStart=
ExecStart=/usr/bin/unshare --user --map-current-user --time --boottime {seconds} {kubetoken.DAEMON}
RestrictNamespaces=no
SystemCallFilter=
""")
    service.systemctl("restart", service.name)


def profile(service, fake):
    fake.lifetime = LIFE
    service.configure(fake.profile())
    return service.get("p")


def test_what_still_lives_after_a_suspend_is_served(service, fake):
    token = profile(service, fake)
    sleep(service, LIFE // 4)
    assert service.get("p") == token
    assert len(fake.grants()) == 1


def test_a_token_that_died_in_a_suspend_is_not_served(service, fake):
    token = profile(service, fake)
    sleep(service, LIFE + 1)
    assert service.get("p") != token
    assert len(fake.grants()) == 2


def test_a_token_that_died_in_a_suspend_is_not_served_while_the_provider_is_down(service, fake):
    profile(service, fake)
    fake.refuse()
    sleep(service, LIFE + 1)
    r = service.run("get", "p", "--timeout", "3")
    assert (r.returncode, r.stdout) == (7, "")


def test_a_refusal_outlives_a_suspend(service, fake):
    fake.answers["/oauth/token"] = 403, {"Content-Type": "application/json"}, \
        b'{"error": "invalid_grant"}'
    service.configure(fake.profile())
    assert service.run("get", "p").returncode == 6
    refused = len(fake.grants())
    sleep(service, 24 * 3600)
    assert service.run("get", "p").returncode == 6
    assert len(fake.grants()) == refused
