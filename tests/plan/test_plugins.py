"""A method of one's own, from a folder named in params.yaml."""

import pytest

from kdbench.errors import UserError


def own(graph):
    """The student runs of the plug-in's method."""
    runs = graph.runs.values()
    return [r for r in runs if r.phase == "student" and r.method.name == "halves"]


def test_it_is_a_row_of_every_table(planned, plugin):
    """One row more; the other rows' runs stay what they are."""
    graph, plain = planned(plugins=[str(plugin("here"))]), planned()
    (table,) = graph.tables()

    assert table.rows[-1].label == "Halves"
    assert len(own(graph)) == 3 + 5  # of smoke: three seeds of the first pair
    assert plain.runs.keys() < graph.runs.keys()
    assert own(graph)[0].method.parameters == {"weight": 0.5, "task_weight": 1.0}


def test_params_yaml_can_override_and_filter_it(planned, plugin):
    """Like any other method."""
    folder = str(plugin("here"))
    graph = planned(plugins=[folder], methods={"halves": {"weight": 2}}, methods_only=["halves"])

    assert {run.method.parameters["weight"] for run in own(graph)} == {2.0}
    assert {run.phase for run in graph.runs.values()} >= {"teacher", "student"}
    with pytest.raises(UserError, match="did you mean 'weight'"):
        planned(plugins=[folder], methods={"halves": {"wieght": 2}})


def test_its_code_is_in_the_digest_and_its_comments_are_not(planned, plugin):
    """Nobody raises a revision at home: an edit of the arithmetic makes new runs by itself."""
    cases = {
        "here": plugin.code,
        "elsewhere": plugin.code,
        "comment": plugin.code.replace("# of the term", "# factor of the term"),
        "docstring": plugin.code.replace("One term.", "A single term."),
        "edited": plugin.code.replace("square()", "abs()"),
    }
    runs = {k: own(planned(plugins=[str(plugin(k, code))])) for k, code in cases.items()}
    digests = {name: [run.digest for run in found] for name, found in runs.items()}

    assert digests["elsewhere"] == digests["here"]
    assert digests["comment"] == digests["here"]
    assert digests["docstring"] == digests["here"]
    assert not set(digests["edited"]) & set(digests["here"])


def test_its_revision_counts_as_well(planned, plugin):
    """For a change that the code does not show."""
    raised = plugin.declaration.replace("revision = 1", "revision = 2")
    first, second = (
        own(planned(plugins=[str(plugin(name, declaration=text))]))
        for name, text in (("first", plugin.declaration), ("second", raised))
    )

    assert not {run.digest for run in first} & {run.digest for run in second}


@pytest.mark.parametrize("name", ["kd", "halves"])
def test_a_name_that_is_taken_is_refused(planned, plugin, name):
    """By the package, or by another plug-in; one folder named twice is one plug-in."""
    here, there = plugin("here"), plugin("there")
    for file in (there / "halves.py", there / "halves.toml"):
        file.rename(file.with_stem(name))
    with pytest.raises(UserError, match="rename the plug-in's two files") as caught:
        planned(plugins=[str(here), str(there)])

    assert str(caught.value).count(f"{name}.toml") == 2
    assert "\n" not in str(caught.value)
    assert planned(plugins=[str(here), str(here)]).components.plugin_methods() == ["halves"]


def test_the_same_name_in_another_kind_is_free(planned, plugin):
    """A method may be called as a search is; only two of one kind are one too many."""
    folder = plugin("here")
    (folder / "resnet.py").write_text(plugin.code)
    (folder / "resnet.toml").write_text(plugin.declaration)

    assert planned(plugins=[str(folder)]).components.plugin_methods() == ["halves", "resnet"]


def test_a_data_set_that_no_exhibit_uses_leaves_nothing(planned, plugin):
    """One line that names those of the exhibits."""
    folder = plugin("here", declaration=plugin.declaration.replace('"method"', '"dataset"'))
    with pytest.raises(UserError, match=r"datasets: found \['halves'\], expected .*: cifar100$"):
        planned(plugins=[str(folder)], datasets=["halves"])


def test_code_that_is_no_python_is_one_line(planned, plugin):
    """The file and the line, whatever asks for the plan first."""
    folder = plugin("broken", code="def broken(:\n")

    with pytest.raises(UserError, match=r"halves.py, line 1: found .*, expected Python code$"):
        planned(plugins=[str(folder)])


def test_a_declaration_without_its_class_is_one_line(planned, plugin):
    """It would be missed hours later."""
    folder = plugin("classless", declaration=plugin.declaration.replace('class = "Halves"', ""))

    with pytest.raises(UserError, match=r"halves.toml: found .no key .*class"):
        planned(plugins=[str(folder)])
