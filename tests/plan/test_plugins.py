"""A method of one's own, from a folder named in params.yaml."""

import importlib

import pytest

from kdbench.errors import UserError
from kdbench.store.plugin_sources import sources_of


def own(graph):
    """The student runs of the plug-in's method."""
    runs = graph.runs.values()
    return [r for r in runs if r.phase == "student" and r.method.name == "halves"]


def test_a_plug_in_s_method_is_the_last_row_of_a_table(planned, plugin):
    """All runs of the other rows keep their digests."""
    graph, plain = planned(plugins=[str(plugin("here"))]), planned()
    (table,) = graph.tables()

    assert table.rows[-1].label == "Halves"
    assert len(own(graph)) == 3 + 5  # of smoke: three seeds of the first pair
    assert plain.runs.keys() < graph.runs.keys()
    assert own(graph)[0].method.parameters == {"weight": 0.5, "task_weight": 1.0}


def test_params_yaml_can_override_and_filter_a_plug_in_s_method(planned, plugin):
    """A misspelt parameter is refused with the nearest name."""
    folder = str(plugin("here"))
    graph = planned(plugins=[folder], methods={"halves": {"weight": 2}}, methods_only=["halves"])

    assert {run.method.parameters["weight"] for run in own(graph)} == {2.0}
    assert {run.phase for run in graph.runs.values()} >= {"teacher", "student"}
    with pytest.raises(UserError, match="did you mean 'weight'"):
        planned(plugins=[folder], methods={"halves": {"wieght": 2}})


def test_a_plug_in_s_code_is_in_the_digest_and_its_comments_are_not(planned, plugin):
    """Neither are its docstrings, nor the folder in which it lies."""
    cases = {
        "here": plugin.code,
        "elsewhere": plugin.code,
        "comment": plugin.code.replace("# of the term", "# factor of the term"),
        "docstring": plugin.code.replace("One term.", "A single term."),
        "edited": plugin.code.replace("square()", "abs()"),
    }
    runs = {k: own(planned(plugins=[str(plugin(k, code))])) for k, code in cases.items()}
    digests = {name: [run.digest for run in students] for name, students in runs.items()}

    assert digests["elsewhere"] == digests["here"]
    assert digests["comment"] == digests["here"]
    assert digests["docstring"] == digests["here"]
    assert not set(digests["edited"]) & set(digests["here"])


def test_a_plug_in_s_revision_is_in_the_digest(planned, plugin):
    """With the same code, no run of revision 2 is one of revision 1."""
    raised = plugin.declaration.replace("revision = 1", "revision = 2")
    first, second = (
        own(planned(plugins=[str(plugin(name, declaration=text))]))
        for name, text in (("first", plugin.declaration), ("second", raised))
    )

    assert not {run.digest for run in first} & {run.digest for run in second}


@pytest.mark.parametrize("name", ["kd", "halves"])
def test_a_plug_in_with_the_name_of_another_method_is_refused(planned, plugin, name):
    """Of the package's or a plug-in's; one folder named twice is one plug-in."""
    first, second = plugin("first"), plugin("second")
    for file in (second / "halves.py", second / "halves.toml"):
        file.rename(file.with_stem(name))
    with pytest.raises(UserError, match="rename the plug-in's two files") as caught:
        planned(plugins=[str(first), str(second)])

    assert str(caught.value).count(f"{name}.toml") == 2
    assert "\n" not in str(caught.value)
    assert planned(plugins=[str(first), str(first)]).components.plugin_methods() == ["halves"]


def test_a_plug_in_s_method_may_have_the_name_of_a_network_family(planned, plugin):
    """Names must differ within a kind alone."""
    folder = plugin("here")
    (folder / "resnet.py").write_text(plugin.code)
    (folder / "resnet.toml").write_text(plugin.declaration)

    assert planned(plugins=[str(folder)]).components.plugin_methods() == ["halves", "resnet"]


def test_a_data_set_that_no_exhibit_uses_is_refused(planned, plugin):
    """The line names those that the exhibits use."""
    folder = plugin("here", declaration=plugin.declaration.replace('"method"', '"dataset"'))
    with pytest.raises(UserError, match=r"datasets: found \['halves'\], expected .*: cifar100$"):
        planned(plugins=[str(folder)], datasets=["halves"])


def test_a_plug_in_that_is_no_python_is_refused_with_file_and_line(planned, plugin):
    """Planning is what refuses it."""
    folder = plugin("broken", code="def broken(:\n")

    with pytest.raises(UserError, match=r"halves.py, line 1: found .*, expected Python code$"):
        planned(plugins=[str(folder)])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('[pairs."wrn-40-2:wrn16-2"]\nweight = 2.0', r"wrn16-2\".*no network.*'wrn-16-2'"),
        ('[pairs."wrn-40-2"]\nweight = 2.0', "pairs: found 'wrn-40-2', expected teacher:student"),
        ("[smoke]\nwieght = 2.0", "toml, smoke: no parameter is called 'wieght'; .*'weight'"),
        ('[pairs."a:b"]\nwieght = 2.0', 'toml, pairs."a:b": no parameter is called'),
        ("[lite]\nweight = 2.0\n[ranges]\nweight = [0.0, 1.0]", "toml, lite.weight: found 2.0"),
    ],
)
def test_a_section_that_no_run_would_take_is_refused(planned, plugin, section, message):
    """Misspelt pairs and parameters, with file and section."""
    folder = plugin("here", declaration=f"{plugin.declaration}{section}\n")

    with pytest.raises(UserError, match=message):
        planned(plugins=[str(folder)])


@pytest.mark.parametrize(
    "statement", ["from .shared import K", "import shared", "from here.shared import K",
                  "from here import shared"]
)  # fmt: skip
def test_a_plug_in_that_imports_a_file_beside_it_is_refused(planned, plugin, statement):
    """A change there would be in no digest; Python's own modules are not meant."""
    folder = plugin("here", code=f"import random\n{statement}\n{plugin.code}")
    (folder / "shared.py").write_text("K = 1\n")
    (folder / "random.py").write_text("")

    with pytest.raises(UserError, match=r"halves.py, line 2: found 'import of .*as module$"):
        planned(plugins=[str(folder)])
    (folder / "halves.py").write_text(f"import random\n{plugin.code}")
    assert planned(plugins=[str(folder)]).components.plugin_methods() == ["halves"]


def test_modules_of_an_installed_plug_in_count_as_its_code(tmp_path, monkeypatch):
    """Those that it imports by the package's name, and those that these import."""
    folder = tmp_path / "my_losses"
    (folder / "deep").mkdir(parents=True)
    code = folder / "halves.py"
    code.write_text("from my_losses.shared import K\n")
    (folder / "shared.py").write_text("import my_losses.deep.deeper\nK = 1\n")
    (folder / "deep/deeper.py").write_text("from . import beside\nfrom ..above import Z\n")
    (folder / "deep/beside.py").write_text("from my_losses import shared\n")
    (folder / "above.py").write_text("Z = 1\n")
    (folder / "other.py").write_text("Y = 1\n")
    with pytest.raises(UserError, match=r"halves.py, line 1: found 'import of my_losses.shared.K'"):
        sources_of(code)

    monkeypatch.syspath_prepend(tmp_path)
    names = [str(path.relative_to(folder)) for path in sources_of(code)]
    assert names == ["halves.py", "above.py", "deep/beside.py", "deep/deeper.py", "shared.py"]
    (folder / "__init__.py").write_text("")
    importlib.invalidate_caches()
    assert folder / "__init__.py" in sources_of(code)


def test_a_record_keeps_its_name_when_a_tuned_value_goes_into_params_yaml(planned, plugin):
    """Names tell a grid's rows from the declared values, digests too."""
    table = {"id": "t", "pairs": ["resnet56:resnet20"], "methods": ["halves"],
             "grid": {"weight": [0.5, 2.0]}}  # fmt: skip
    folder = plugin("here")
    before, after = (
        {(run.cell, run.digest) for run in own(planned(exhibits=["own"], tables=[table],
         plugins=[str(folder)], methods=methods))}
        for methods in ({}, {"halves": {"weight": 2.0}})
    )  # fmt: skip

    assert before == after and len(before) == 2


def test_a_declaration_without_a_class_is_refused_while_planning(planned, plugin):
    """The error names the file and the key."""
    folder = plugin("classless", declaration=plugin.declaration.replace('class = "Halves"', ""))

    with pytest.raises(UserError, match=r"halves.toml: found .no key .*class"):
        planned(plugins=[str(folder)])
