"""Schemes: interpolation, files, and refusals in one line."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import rand, randn

from kdbench.distill.scheme import Scheme
from kdbench.errors import BadValue, DamagedData

NAMES = ("t1-s1-complex", "t1-s2-complex", "t2-s2-complex")


def scheme(rows=6, names=NAMES):
    """A random scheme."""
    return Scheme(rand(rows, len(names)), randn(rows, len(names)), names, {"search": "distpro"})


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("steps", [1, 5, 7, 23])
def test_a_scheme_is_interpolated_linearly_over_its_rows(rows, steps):
    """Weights and alphas of every step are those of numpy.interp."""
    process = scheme(rows)
    positions = [step / max(1, steps - 1) for step in range(steps)]
    for pick, table in ((0, process.weights), (1, process.alphas)):
        rows_here = torch.stack([process.at(position)[pick] for position in positions])
        for column in range(3):
            grid, values = np.linspace(0, 1, rows), table[:, column].double().numpy()
            expected = np.interp(positions, grid, values)
            np.testing.assert_allclose(rows_here[:, column].numpy(), expected, rtol=1e-12)


def test_before_its_start_and_after_its_end_a_scheme_has_its_outer_rows():
    """At the start and at the end as well."""
    process = scheme()
    for position, row in ((-1, 0), (0, 0), (1, -1), (2, -1)):
        weights, alphas = process.at(position)
        assert torch.equal(weights, process.weights[row].double())
        assert torch.equal(alphas, process.alphas[row].double())


def test_a_loaded_scheme_is_to_the_bit_the_saved_one(tmp_path):
    """The folder holds two files and nothing else."""
    before = scheme()
    before.save(tmp_path / "new" / "folder")
    after = Scheme.load(tmp_path / "new" / "folder")
    assert torch.equal(after.weights, before.weights)
    assert torch.equal(after.alphas, before.alphas)
    assert (after.names, after.metadata) == (before.names, before.metadata)
    files = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert files == {"scheme.safetensors", "scheme.json"}


@pytest.mark.parametrize(
    ("weights", "alphas", "message"),
    [
        (rand(4, 2), rand(4, 3), "scheme, weights: found (4, 2), expected (T, 3)"),
        (rand(4, 3), rand(3), "scheme, alphas: found (3,), expected (T, 3)"),
        (rand(0, 3), rand(0, 3), "scheme, weights: found (0, 3)"),
        (rand(4, 3), rand(5, 3), "scheme, alphas: found 5, expected 4 rows"),
        (rand(4, 3) / 0, rand(4, 3), "scheme, weights: found 'nan or inf'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(weights, alphas, message):
    """The error says which table, what was found and what was expected."""
    with pytest.raises(BadValue, match=re.escape(message)):
        Scheme(weights, alphas, NAMES)


def test_a_scheme_of_other_pathways_is_refused():
    """The message names one that does not fit; another order is refused too."""
    process = scheme()
    process.expect(NAMES)
    with pytest.raises(BadValue, match=r"among them t1-s2-complex.*same connections"):
        process.expect(("t1-s1-complex", "t2-s2-complex"))
    with pytest.raises(BadValue, match="scheme, names"):
        process.expect(NAMES[::-1])


def spoil_missing(folder):
    """Take one of the two files away."""
    (folder / "scheme.json").unlink()


def spoil_truncated(folder):
    """Cut the tensors short."""
    data = (folder / "scheme.safetensors").read_bytes()
    (folder / "scheme.safetensors").write_bytes(data[:-7])


def spoil_text(folder):
    """Not JSON."""
    (folder / "scheme.json").write_text("{", encoding="utf-8")


def spoil_format(folder):
    """A format of the future."""
    text = json.loads((folder / "scheme.json").read_text(encoding="utf-8"))
    (folder / "scheme.json").write_text(json.dumps({**text, "format": 99}), encoding="utf-8")


def spoil_key(folder):
    """Tensors of another name."""
    save_file({"alphas": rand(2, 3)}, folder / "scheme.safetensors")


def spoil_kind(folder):
    """JSON, but a list."""
    (folder / "scheme.json").write_text("[1]", encoding="utf-8")


SPOILERS = [spoil_missing, spoil_truncated, spoil_text, spoil_format, spoil_key, spoil_kind]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_damaged_files_are_refused_in_one_line(tmp_path, spoil):
    """It names the folder and says to run the search again."""
    scheme().save(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DamagedData, match="run the search again") as caught:
        Scheme.load(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
