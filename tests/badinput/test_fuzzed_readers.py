"""Whatever text people write, a reader gives values or one line: properties, on drawn texts.

Hypothesis draws nearly the same texts in every run (`derandomize`): it also draws constants from
the modules that are imported by then. A failure prints the text that made it.
"""

import json
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdbench.cli.overrides import overrides_of
from kdbench.console import fail
from kdbench.distill.scheme import TEXT, Scheme
from kdbench.errors import UserError
from kdbench.plan.components import _toml, _validated
from kdbench.plan.declarations import KINDS
from kdbench.plan.params import Params, load_params
from kdbench.store.record import read_record, seal_of
from kdbench.workflow.snakemake import read_words

drawn = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
KEYS = [
    *Params.model_fields,
    "id",
    "title",
    "pairs",
    "grid",
    "kd",
    "smoke",
    "lr_factor",
    "held_out",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["smoke", "all", "kd", "vgg13:vgg8", "cifar100", "1e400", "0x", "=", "<<"]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)
mappings = st.dictionaries(st.sampled_from([*Params.model_fields]), values, max_size=4)
yaml_like = st.text(alphabet="ab01:-[]{}&*!|>'\"#%@`,?\n \t~.<=é\x00\u2028", max_size=60)
FIRST_KEYS = st.sampled_from(["kind", "class", "label", "revision", "pattern", "defaults", "mean"])


@pytest.fixture(scope="module")
def folder():
    """A folder that all examples share."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def one_line_or_none(call):
    """What a call returns; asserts that an error is one that is told in one line."""
    try:
        return call()
    except UserError as error:
        line = str(error)
        assert "Traceback" not in line and len(line) < 3000
        assert fail(error) not in (0, 1)
        return None


@drawn
@given(text=yaml_like | st.text(max_size=80))
def test_params_yaml_of_any_text_is_read_or_refused(folder, text):
    """Text near YAML, and text of any characters."""
    file = folder / "params.yaml"
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))

    one_line_or_none(lambda: load_params(file))


@drawn
@given(content=mappings)
def test_params_yaml_of_any_values_is_read_or_refused_as_by_override(folder, content):
    """JSON is YAML; finite values give the same parameters by both ways."""
    file, text = folder / "values.yaml", json.dumps(content)
    (folder / "empty.yaml").write_text("")
    file.write_text(text)

    by_file = one_line_or_none(lambda: load_params(file))
    by_option = one_line_or_none(
        lambda: load_params(folder / "empty.yaml", overrides_of(None, text))
    )

    assert by_option is None or by_file is None or by_option == by_file


@drawn
@given(text=yaml_like | st.text(max_size=80) | values.map(json.dumps))
def test_an_override_of_any_text_is_read_or_refused(text):
    """An object, or one line."""
    assert isinstance(one_line_or_none(lambda: overrides_of(None, text)), dict | None)


@drawn
@given(word=st.sampled_from([*Params.model_fields, "x"]), text=yaml_like | st.text(max_size=40))
def test_a_word_of_config_of_any_text_is_read_or_refused(word, text):
    """A mapping of that key, or one line."""
    read = one_line_or_none(lambda: read_words([f"{word}={text}"]))

    assert read is None or read.keys() == {word}


@drawn
@given(kind=st.sampled_from([*KINDS]), text=st.text(max_size=60))
def test_a_declaration_of_any_text_is_read_or_refused(folder, kind, text):
    """Read as TOML, then as one kind of component."""
    file = folder / "mine.toml"
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))

    one_line_or_none(lambda: _validated(file, _toml(file), KINDS[kind]))


@drawn
@given(kind=st.sampled_from([*KINDS]), content=st.dictionaries(FIRST_KEYS, values, max_size=6))
def test_a_declaration_of_any_values_is_read_or_refused(folder, kind, content):
    """Values of every kind under keys that exist."""
    one_line_or_none(lambda: _validated(folder / "mine.toml", content, KINDS[kind]))


@drawn
@given(text=st.text(max_size=60) | values.map(json.dumps), schema=st.sampled_from([1, 2, 3, None]))
def test_a_record_of_any_text_is_read_or_refused(folder, text, schema):
    """What is read is a mapping, and a seal that nobody set is not taken for intact."""
    file = folder / "record.json"
    whole = {"schema": schema, "metrics": text, "seal": text}
    for content in (text, json.dumps(whole)):
        file.write_bytes(content.encode("utf-8", errors="surrogatepass"))
        record = one_line_or_none(lambda: read_record(file))
        assert record is None or seal_of(record).name != "INTACT"


@drawn
@given(
    text=st.text(max_size=60)
    | values.map(json.dumps)
    | st.dictionaries(
        st.sampled_from(["format", "names", "metadata"]), values | st.just(1), max_size=3
    ).map(json.dumps)
)
def test_a_scheme_of_any_text_is_read_or_refused(folder, text):
    """The text lies beside tensors that are whole."""
    Scheme(torch.rand(3, 2), torch.rand(3, 2), ("a", "b")).save(folder)
    (folder / TEXT).write_bytes(text.encode("utf-8", errors="surrogatepass"))

    one_line_or_none(lambda: Scheme.load(folder))
