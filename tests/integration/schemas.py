"""The form of what kubetoken prints as JSON: docs/*.schema.json, and what they leave unsaid.

rig.Home.run() holds each output against them. A schema lets members be added; here none may be that
it does not name: then it, and the manual, would be behind.
"""
import copy
import json
import pathlib
import re

import jsonschema

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
SCHEMAS = {path.name.split(".")[0]: json.loads(path.read_text(encoding="utf-8"))
           for path in DOCS.glob("*.schema.json")}
FOREIGN = {"header", "claims"}  # the provider's own words
ROWS = 8  # of a document with a thousand profiles: the others are no different


def merged(schema, definitions):
    """A schema that adds members to another: both in one, so that it can be closed."""
    if "$ref" in schema and "properties" in schema:
        base = copy.deepcopy(definitions[schema["$ref"].rsplit("/", 1)[1]])
        base["properties"].update(schema["properties"])
        base["required"] = base["required"] + schema.get("required", [])
        return base
    return schema


def closed(schema, definitions):
    """The same, with no member that it does not name."""
    if isinstance(schema, list):
        return [closed(s, definitions) for s in schema]
    if not isinstance(schema, dict):
        return schema
    schema = merged(schema, definitions)
    is_object = schema.get("type") == "object" and "properties" in schema
    schema = {k: closed(v, definitions) for k, v in schema.items()}
    return {**schema, "additionalProperties": False} if is_object else schema


def validator(kind):
    """By the name of a schema; "change" is a line of status --watch."""
    whole = SCHEMAS["status" if kind == "change" else kind]
    if kind == "change":
        whole = {"$ref": "#/$defs/change", "$defs": whole["$defs"]}
    return jsonschema.Draft202012Validator(closed(whole, whole.get("$defs", {})))


VALIDATORS = {kind: validator(kind) for kind in [*SCHEMAS, "change"]}


def no_nulls(value, where="the document"):
    if isinstance(value, dict):
        for name, member in value.items():
            assert re.fullmatch("[a-z][a-zA-Z]*", name), f"{name} in {where}"
            if name not in FOREIGN:
                no_nulls(member, name)
    elif isinstance(value, list):
        for member in value:
            no_nulls(member, where)
    else:
        assert value is not None, where


def check(kind, text):
    """The document that the text is, which has to be of that form, and one line."""
    assert text.count("\n") == 1 and text.endswith("\n"), text
    document = json.loads(text)
    looked_at = document
    if len(document.get("profiles", [])) > ROWS:
        looked_at = {**document, "profiles": document["profiles"][:ROWS]}
    VALIDATORS[kind].validate(looked_at)
    no_nulls(looked_at)
    return document


def is_json(arguments):
    """Whether a command is asked for JSON, by the last option that says how."""
    words = " ".join(["", *map(str, arguments)])
    said = re.findall(r"(?= (--json|(?:-o ?|--output[= ])\S+))", words)
    return bool(said) and said[-1].endswith("json")


def hold(arguments, stdout):
    """Against its schema what a command has printed, if it is one that has JSON."""
    if stdout and arguments and arguments[0] in SCHEMAS and is_json(arguments):
        for line in stdout.splitlines(keepends=True):
            check("change" if "--watch" in arguments else arguments[0], line)
