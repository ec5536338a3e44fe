"""Kubeconfigs in all the styles that people and programs write, made by chance from a seed."""
import base64
import json
import random


class Writer:
    """Writes one configuration in one style. Everything is chosen by random.Random(seed)."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        r = self.r
        self.newline = "\r\n" if r.random() < .15 else "\n"
        self.unit = r.choice([2, 2, 2, 2, 4, 3, 1, 8])
        self.offset = r.choice([0, 0, 0, self.unit])
        self.step = r.choice([2, 2, 2, 2, 4])
        self.flow = r.choice([0, 0, .15, .5])
        self.comments = r.choice([0, 0, .1, .3])
        self.root = r.choice(["block"] * 7 + ["json", "compact", "indented", "tabs", "flow"])
        self.anchors = []
        self.used = False

    # ---- what it says

    def secret(self):
        return "s3cret" + "".join(self.r.choice("abcdef0123456789+/=") for _ in range(12))

    def user(self):
        r = self.r
        kind = r.choice(["oidc", "kubelogin", "kubelogin", "certificate", "token", "empty", "null",
                         "kubetoken"])
        if kind == "oidc":
            return {"auth-provider": {"name": "oidc", "config": {
                "client-id": "k8s", "client-secret": self.secret(),
                "idp-issuer-url": "https://login.example.com/realms/a",
                "refresh-token": self.secret()}}}
        if kind == "kubelogin":
            return {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1",
                             "command": "kubectl", "env": r.choice([None, [
                                 {"name": "HTTPS_PROXY",
                                  "value": "http://u:" + self.secret() + "@p"}]]),
                             "args": ["oidc-login", "get-token", "--oidc-issuer-url=https://i/",
                                      "--oidc-client-secret=" + self.secret(), "--password",
                                      self.secret()],
                             "installHint": r.choice(["one line", "two\nlines\n", "a\n\n  b\n"]),
                             "provideClusterInfo": False}}
        if kind == "certificate":
            return {"client-certificate": "/c.crt",
                    "client-key-data": base64.b64encode(self.secret().encode()).decode()}
        if kind == "token":
            return {"token": self.secret()}
        if kind == "kubetoken":
            return {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1",
                             "command": "kubetoken", "args": ["get", "old"]}}
        return {} if kind == "empty" else None

    def name(self):
        return self.r.choice(["minikube", "someone@example.com", "oidc:robot#team", "arn:aws:eks/x",
                              "ä ö", "12", "yes", "a b", "it's", "x" * 40])

    def config(self):
        r = self.r
        names = list(dict.fromkeys(self.name() for _ in range(r.randint(0, 4))))
        config = {"apiVersion": "v1", "kind": "Config"}
        if r.random() < .9:
            config["clusters"] = [{"name": "k", "cluster": {
                "server": "https://127.0.0.1:6443", "certificate-authority": "/ca.pem"}}]
        if r.random() < .9:
            config["contexts"] = r.choice([None, [], [
                {"name": n, "context": {"cluster": "k", "user": n}} for n in names or ["c"]]])
        if r.random() < .85:
            entries = []
            for n in names:
                entry = {"name": n}
                if r.random() < .95:
                    entry["user"] = self.user()
                entries.append(entry)
            config["users"] = entries or r.choice([None, []])
        if r.random() < .5:
            config["preferences"] = {}
        if r.random() < .7:
            config["current-context"] = names[0] if names else ""
        items = list(config.items())
        if r.random() < .4:
            r.shuffle(items)
        config = dict(items)
        if r.random() < .03:
            return None
        return config

    # ---- how it says it

    def scalar(self, value, flow):
        r = self.r
        if value is None:
            return r.choice(["null", "~", "" if not flow else "null", "Null"])
        if isinstance(value, bool):
            return str(value).lower()
        plain = (value and value[0].isalpha() and value not in ("yes", "null") and
                 all(c not in ":#'\"{}[],\n" for c in value) and not value.endswith(" "))
        if value.startswith("--") and not flow and ": " not in value and " #" not in value:
            plain = True
        if value.startswith("https://") and not flow:
            plain = True
        style = r.choice(["plain", "plain", "single", "double"])
        if plain and style == "plain":
            return value
        if style == "single" and "\n" not in value:
            return "'" + value.replace("'", "''") + "'"
        return json.dumps(value, ensure_ascii=r.random() < .5)

    def key(self, key):
        x = self.r.random()
        return f'"{key}"' if x < .04 else f"'{key}'" if x < .06 else key

    def comment(self):
        """Behind a line."""
        return self.r.choice(["   # mine", " #"]) if self.r.random() < self.comments / 2 else ""

    def lines_between(self, column):
        out = []
        while self.r.random() < self.comments:
            out.append(self.r.choice(["", " " * column + "# note", "# at the left",
                                      " " * (column + 3) + "# right: token: x"]))
        return out

    def in_brackets(self, value):
        r = self.r
        if isinstance(value, dict):
            inner = [f"{self.key(k)}: {self.in_brackets(v)}" for k, v in value.items()]
            return "{" + self.joined(inner) + "}"
        if isinstance(value, list):
            return "[" + self.joined([self.in_brackets(v) for v in value]) + "]"
        return self.scalar(value, True)

    def joined(self, inner):
        r = self.r
        space = r.choice(["", " "])
        comma = "," if inner and r.random() < .1 else ""
        return space + ", ".join(inner) + comma + space

    def literal(self, value, column):
        mark = "|" if value.endswith("\n") else "|-"
        return [mark] + [" " * (column + self.unit) + line if line else ""
                         for line in value.rstrip("\n").split("\n")]

    def member(self, key, value, column):
        """The lines of a member, the first without its indentation."""
        r = self.r
        head = f"{self.key(key)}:"
        anchor = ""
        if isinstance(value, (dict, list)) and r.random() < .04:
            name = f"a{len(self.anchors)}"
            self.anchors.append(name)
            anchor = f" &{name}"
        if isinstance(value, (dict, list)) and value and r.random() >= self.flow:
            inner = column + (self.unit if isinstance(value, dict) else self.offset)
            return ([head + anchor + self.comment()] + self.lines_between(inner) +
                    self.block(value, inner, True))
        if isinstance(value, str) and value.endswith("\n") and r.random() < .8:
            lines = self.literal(value, column)
            return [f"{head} {lines[0]}"] + lines[1:]
        if isinstance(value, (dict, list)):
            return [f"{head}{anchor} {self.in_brackets(value)}{self.comment()}"]
        text = self.scalar(value, False)
        return [f"{head}{' ' if text else ''}{text}{self.comment()}"]

    def block(self, value, column, indented):
        """All lines of a map or list; the first is indented if it has to be."""
        out = []
        if isinstance(value, dict):
            for k, v in value.items():
                lines = self.member(k, v, column)
                out += ([] if not out else self.lines_between(column))
                out += [(" " * column if out or indented else "") + lines[0]] + lines[1:]
            return out
        for item in value:
            out += ([] if not out else self.lines_between(column))
            prefix = " " * column if out or indented else ""
            if isinstance(item, dict) and item and self.r.random() >= self.flow:
                lines = self.block(item, column + self.step, False)
                out += [prefix + "-" + " " * (self.step - 1) + lines[0]] + lines[1:]
            else:
                out.append(prefix + "- " + self.in_brackets(item) + self.comment())
        return out

    def document(self, config):
        r = self.r
        if config is None:
            return r.choice(["", "# nothing yet\n", "---\n", "{}\n", "null\n", "\n\n", "# no end",
                             "---\n# x\n", "--- # x\n"])
        if self.root == "json":
            return json.dumps(config, indent=r.choice([2, 4])) + r.choice(["", "\n"])
        if self.root == "tabs":
            return json.dumps(config, indent="\t") + "\n"
        if self.root == "compact":
            return json.dumps(config, separators=r.choice([(",", ":"), (", ", ": ")]))
        if self.root == "flow":
            return self.in_brackets(config) + "\n"
        lines = self.lines_between(0)
        if r.random() < .2:
            lines.append("---" + self.comment())
        lines += self.block(config, 2 if self.root == "indented" else 0, True)
        lines += self.lines_between(0)
        text = "\n".join(lines) + ("\n" if r.random() < .85 else "")
        if text.endswith("\n") and r.random() < .1:
            text += r.choice(["...\n", "---\nusers: second\n", "\n\n", "--- {a: b}\n", "# end"])
        return text

    def text(self):
        """The file, as bytes."""
        text = self.document(self.config()).replace("\n", self.newline)
        mark = b"\xef\xbb\xbf" if self.r.random() < .05 else b""
        return mark + text.encode()
