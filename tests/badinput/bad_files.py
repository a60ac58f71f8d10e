"""Bad declarations, records, schemes and code of plug-ins, and what the line must say."""

import json

METHOD = 'kind = "method"\nclass = "X"\nlabel = "X"\nrevision = 1\n'
NETWORK = (
    'kind = "network"\nclass = "X"\nlabel = "X"\nrevision = 1\npattern = "a"\nexamples = ["a"]\n'
)
DATASET = 'kind = "dataset"\nlabel = "X"\nrevision = 1\n'
DECLARATIONS = {  # of a plug-in, mine.toml
    "": ["mine.toml, kind", "None", "one of method"],
    "kind": ["valid TOML"],
    "kind = method": ["valid TOML"],
    "\x00": ["valid TOML"],
    METHOD + "revision = 2": ["valid TOML", "overwrite"],
    METHOD + "[defaults]\na = 1\n[defaults]\nb = 1": ["valid TOML", "twice"],
    METHOD + "[defaults]\na = " + "9" * 5000: ["mine.toml", "valid TOML"],
    METHOD + "a = " + "[" * 3000: ["mine.toml", "valid TOML"],
    METHOD + "[defaults]\na = nan": ["defaults.a", "nan", "a finite number"],
    METHOD + "[defaults]\na = inf": ["defaults.a", "inf", "a finite number"],
    METHOD + "[defaults]\na = 2024-05-01": ["defaults.a", "a finite number"],
    METHOD + "[defaults]\na = 07:30:00": ["defaults.a", "a finite number"],
    METHOD + "[smoke]\na = nan": ["smoke.a", "nan", "a finite number"],
    METHOD + "[ranges]\na = [0, 1]": ["mine.toml, ranges", "'a'"],
    METHOD + "[defaults]\na = 1.0\n[ranges]\na = [0]": ["ranges.a", "[0]", "at least 2"],
    METHOD + "[defaults]\na = 1.0\n[ranges]\na = [0, 1, 2]": ["ranges.a", "at most 2"],
    METHOD + "[defaults]\na = 9.0\n[ranges]\na = [0, 1]": [
        "mine.toml, defaults.a",
        "9.0",
        "from 0 to 1",
    ],
    METHOD + '[defaults]\na = 1.0\n[ranges]\na = ["0", "1"]': ["ranges.a", "'0'"],
    METHOD + '[defaults]\na = "x"\n[choices]\na = "x"': ["choices.a", "'x'", "a list"],
    METHOD + '[defaults]\na = "x"\n[choices]\na = ["y"]': ["mine.toml, defaults.a", "'x'"],
    METHOD + '[defaults]\na = "x"\n[patterns]\na = "("': ["patterns.a", "'('", "regular"],
    METHOD + "defaults = 3": ["defaults", "3", "a mapping"],
    METHOD + "[pairs]\na = 3": ["pairs.a", "3", "a mapping"],
    METHOD + 'search = ""': ["search", "''", "a text that is not empty"],
    METHOD + 'needs_teacher = "no"': ["needs_teacher", "'no'", "true or false"],
    METHOD + 'teacher_bn = "train"': ["teacher_bn", "'train'", "batch, eval"],
    METHOD + 'module = "../x"': ["module", "'../x'", "a file's name"],
    METHOD.replace("1", "-1"): ["revision", "-1", "at least 0"],
    METHOD.replace("1", "true"): ["revision", "True", "a whole number"],
    METHOD.replace("1", '"1"'): ["revision", "'1'", "a whole number"],
    METHOD.replace('label = "X"', 'label = ""'): ["label", "''", "not empty"],
    METHOD.replace('label = "X"', "label = 3"): ["label", "3", "a text"],
    METHOD.replace('label = "X"', 'label = "{"'): ["label", "'{'", "braces"],
    METHOD.replace('class = "X"', 'clas = "X"'): ["'clas'", "mean 'class'?"],
    METHOD.replace('"method"', '["method"]'): ["kind", "['method']", "one of method"],
    METHOD.replace('"method"', "true"): ["kind", "True", "one of method"],
    NETWORK.replace('pattern = "a"', 'pattern = "["'): ["pattern", "'['", "regular expression"],
    NETWORK.replace('pattern = "a"', "pattern = 1"): ["pattern", "1", "a text"],
    NETWORK + "image = [3, 32]": ["image", "[3, 32]", "at least 3"],
    NETWORK + "image = [3, 0, 32]": ["image.1", "0", "at least 1"],
    NETWORK + 'from_stage = "no"': ["from_stage", "'no'", "true or false"],
    NETWORK + '[names]\nx = [["a"]]': ["names.x.0", "['a']", "at least 2"],
    DATASET + "classes = 0": ["classes", "0", "at least 1"],
    DATASET + "classes = 1.5": ["classes", "1.5", "a whole number"],
    DATASET + "mean = [0.5]": ["mean", "[0.5]", "at least 3"],
    DATASET + "std = [1.0, nan, 1.0]": ["std.1", "nan", "a finite number"],
    DATASET + "mean = [inf, 0.5, 0.5]": ["mean.0", "inf", "a finite number"],
    DATASET + "tolerance = 0": ["tolerance", "0", "above 0"],
    DATASET + "tolerance = inf": ["tolerance", "inf", "a finite number"],
    DATASET + "[splits]\ntrain = -1": ["splits.train", "-1", "at least 1"],
    DATASET + 'role = "standin"': ["role", "'standin'", "mean 'stand-in'?"],
    DATASET + '[archive]\nchecksum = "crc:1"': ["archive.checksum", "'crc:1'"],
    DATASET + "[archive]\nsize = 0": ["archive.size", "0", "at least 1"],
    METHOD: ["no file", "mine.py"],
}
CODE = {  # of a plug-in's method, mine.py
    "syntax": ("class X(:", ["mine.py", "SyntaxError", "code that can be imported"]),
    "import": ("import nothing_like_it", ["mine.py", "ModuleNotFoundError", "imported"]),
    "moved": ("import kdbench.run", ["mine.py", "it is now kdbench.runs.execute"]),
    "error": ("1 / 0", ["mine.py", "ZeroDivisionError", "imported"]),
    "lines": ("raise ValueError('a\\nb')", ["mine.py", "ValueError: a b"]),
    "nothing": ("", ["mine.py", "no class 'X'", "the class of the declaration"]),
    "null byte": ("a = 1\x00", ["mine.py", "imported"]),
    "exit": ("raise SystemExit(0)", ["mine.py", "SystemExit", "imported"]),
    "recursion": ("def f(): f()\nf()", ["mine.py", "RecursionError"]),
}
GOOD = {"schema": 1, "spec": {"digest": "DIGEST"}, "provenance": {"code": "c"}, "metrics": {}}


def record(**changes):
    """A record of schema 1, which has no seal, with other content; None takes a key away."""
    return json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not None})


RECORDS = {  # of the one run that status looks at first
    "": ["unreadable JSON", "a record"],
    "{": ["unreadable JSON", "a record"],
    "null": ["another layout", "schema 2"],
    "[]": ["another layout", "schema 2"],
    '"text"': ["another layout"],
    "1": ["another layout"],
    "{}": ["another layout", "schema 2"],
    '{"schema": 3}': ["another layout"],
    '{"schema": true}': ["another layout"],
    '{"schema": "2"}': ["another layout"],
    '{"schema": [2]}': ["another layout"],
    '{"schema": NaN}': ["another layout"],
    '{"schema": 1}': ["no run's record"],
    "[" * 100_000: ["unreadable JSON"],
    '{"a": ' + "9" * 5000 + "}": ["unreadable JSON"],
    record(spec=None): ["no run's record"],
    record(spec=[]): ["no run's record"],
    record(spec={"digest": "abc"}): ["the record of run abc"],
    record(spec={"digest": ["DIGEST"]}): ["record"],
    record(provenance=None): ["no run's record"],
    record(provenance={"code": 3}): ["the code 3 in the record of run"],
    "\ufeff{}": ["record"],
    "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> x": ["unreadable JSON", "delete the file"],
}
TEXT = {"format": 1, "names": ["a", "b"], "metadata": {}}
SCHEMES = {  # of scheme.json beside tensors of two pathways and three rows
    "": ["unreadable content", "run the search again"],
    "{": ["unreadable content", "run the search again"],
    "[]": ["unreadable content"],
    "null": ["unreadable content"],
    "3": ["unreadable content"],
    "[" * 100_000: ["unreadable content"],
    json.dumps({**TEXT, "format": 2}): ["format 2", "expected 1"],
    json.dumps({**TEXT, "format": None}): ["format None", "expected 1"],
    json.dumps({**TEXT, "format": "1"}): ["format 1"],
    json.dumps({**TEXT, "names": ["a"]}): ["scheme, weights", "(3, 2)", "(T, 1)"],
    json.dumps({**TEXT, "names": []}): ["scheme, weights", "(T, 0)"],
    json.dumps({**TEXT, "names": "ab"}): ["unreadable content"],
    json.dumps({**TEXT, "names": [1, 2]}): ["unreadable content"],
    json.dumps({**TEXT, "names": None}): ["unreadable content"],
    json.dumps({**TEXT, "names": {"a": 1, "b": 2}}): ["unreadable content"],
    json.dumps({**TEXT, "metadata": 3}): ["unreadable content"],
    json.dumps({"format": 1, "names": ["a", "b"]}): ["unreadable content"],
    json.dumps({"names": ["a", "b"], "metadata": {}}): ["unreadable content"],
}
NAMES = ("my loss", "a;touch b", "$(id)", "x" * 70, "-x", ".x.y", "ä", "a'b")  # of plug-ins' files
