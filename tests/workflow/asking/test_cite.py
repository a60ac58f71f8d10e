"""`kdbench cite`: every component has its source, and every exhibit its entries."""

import re

import pytest
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.errors import UnknownName
from kdbench.papers import bibtex_keys, catalogue
from kdbench.plan.bibliography import SHIPPED, entries_of, read_entries
from kdbench.plan.components import find_components
from kdbench.plan.graph import make_graph, needed_by
from kdbench.plan.params import Params
from kdbench.workflow.asking.cite import cite, plan_to_cite, used_by

WITHOUT = {"none"}  # trains on labels alone: what is cited is the network
COMPONENTS = [
    pytest.param(kind, name, id=f"{kind} {name}")
    for kind in ("dataset", "method", "network", "search")
    for name in find_components().names(kind)
]
FIELDS = {"author": r"author = \{(\w[^,{]*)", "year": r"year = \{(\d{4})\}"}


def key_of(lines):
    """Keys of the printed entries, in order."""
    return re.findall(r"^@\w+\{(\S+),", "\n".join(lines), re.M)


def answer(*exhibits, **params):
    """What the command prints for exhibits."""
    graph = make_graph(Params(**{"exhibits": [*exhibits], **params}))
    return list(cite(graph, graph.exhibits))


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_component_names_its_source_and_the_entry_agrees_with_its_citation(kind, name):
    """Each first author and year stands in the citation, and the citation has no other year."""
    component = find_components().get(kind, name, where="test")
    entries = entries_of(component)
    if name in WITHOUT:
        assert entries == {}
        return
    assert entries
    citation = component.declaration.citation
    years = set()
    for text in entries.values():
        author, year = (re.search(pattern, text)[1] for pattern in FIELDS.values())
        assert author in citation and year in citation, citation
        years.add(year)
    assert {*re.findall(r"\b(?:19|20)\d\d\b(?!\.)", citation.replace("CS 231N", ""))} == years


def test_every_entry_is_used_and_has_author_title_and_year():
    """By a component or by a paper; nothing in the file is left over."""
    components = find_components()
    papers = {exhibit.id.partition("/")[0] for exhibit in catalogue()}
    used = {key for paper in papers for key in bibtex_keys(paper)}
    for kind, names in ((k, components.names(k)) for k in components.declarations):
        for name in names:
            used |= {*components.get(kind, name, where="test").declaration.bibtex}

    entries = read_entries(SHIPPED)
    assert {*entries} == used
    assert SHIPPED.read_text().count("\n@") == len(entries)
    for key, text in entries.items():
        assert all(f"  {field} = {{" in text for field in ("author", "title", "year")), key
        assert text.count("{") == text.count("}"), key


@pytest.mark.parametrize("paper", ["crd", "dfa", "distpro", "sbs"])
def test_every_paper_has_an_entry(paper):
    """Our own studies have none."""
    assert len(bibtex_keys(paper)) == 1
    assert bibtex_keys("ours") == ()


def test_an_exhibit_cites_paper_data_networks_methods_and_searches_each_once():
    """DistPro's Table 1 at scale paper: the paper first, then what its runs use."""
    lines = answer("distpro/table1", scale="paper", pairs=["wrn-40-2:wrn-16-2"])
    keys = key_of(lines)

    assert keys[:2] == ["deng2022distpro", "krizhevsky2009cifar"]
    assert len(set(keys)) == len(keys)
    assert {"zagoruyko2016wrn", "hinton2015kd", "chen2021review", "jang2019l2t"} <= {*keys}
    heads = [line for line in lines if line.startswith("% ")]
    assert "% networks: wrn-16-2, wrn-40-2" in heads
    assert "% searches: distpro (above)" in heads


def test_a_stand_in_is_cited_beside_what_it_stands_for():
    """At scale smoke digits are what runs saw; the exhibit is of CIFAR-100."""
    lines = answer("distpro/table1", scale="smoke")

    assert {"alpaydin1998digits", "krizhevsky2009cifar"} <= {*key_of(lines)}
    assert "% data sets: cifar100, digits" in lines
    assert "alpaydin1998digits" not in key_of(answer("distpro/table1", scale="paper"))


def test_every_component_of_the_whole_plan_is_found():
    """Exhibits of all papers: every method but those that no exhibit has."""
    graph = make_graph(Params(exhibits=["all", "crd", "dfa", "distpro", "sbs", "ours"]))
    used = used_by(graph, graph.exhibits)

    assert all(used.values())
    assert {*used["search"]} <= {*find_components().names("search")}


def test_a_plugin_cites_its_own_file(plugin):
    """Its sources.bib lies beside its declaration; without entries the citation is a comment."""
    folder = plugin("own")
    own = {"exhibits": ["distpro/table1"], "plugins": [str(folder)], "methods_only": ["halves"]}
    graph = make_graph(Params(**own))
    assert "% halves: ours" in list(cite(graph, graph.exhibits))

    cited = plugin(
        "cited",
        declaration=plugin.declaration.replace("revision = 1", 'revision = 1\nbibtex = ["me2026"]'),
    )
    (cited / "sources.bib").write_text("@misc{me2026,\n  title = {Halves}\n}\n")
    graph = make_graph(Params(**{**own, "plugins": [str(cited)]}))
    assert "me2026" in key_of(cite(graph, graph.exhibits))

    (cited / "sources.bib").write_text("@misc{me2025,\n  title = {Halves}\n}\n")
    read_entries.cache_clear()
    with pytest.raises(UnknownName, match="did you mean 'me2025'"):
        list(cite(graph, graph.exhibits))


@pytest.mark.parametrize("name", [exhibit.id for exhibit in catalogue()])
def test_every_exhibit_is_cited_whatever_data_sets_are_asked_for(name):
    """As in a plan that has its own, with those of its searches."""
    (exhibit,) = (one for one in catalogue() if one.id == name)
    graph = plan_to_cite(Params(exhibits=[name], datasets=["cifar100"]))
    lines = list(cite(graph, graph.exhibits))

    assert lines == answer(name, datasets=sorted(needed_by(exhibit)))
    assert key_of(lines) and {*used_by(graph, graph.exhibits)["dataset"]} >= needed_by(exhibit)


def test_the_command_cites_an_exhibit_of_other_data_sets(tmp_path, monkeypatch):
    """It is made on request, and `datasets` has none of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("datasets: [cifar100]\n")
    result = CliRunner().invoke(app, ["cite", "distpro/tiny-imagenet", "--scale", "lite"])

    assert result.exit_code == 0
    assert "% data sets: cifar100-64, tinyimagenet_fifth\n" in result.output


def test_a_claim_is_cited_as_its_exhibits(tmp_path, monkeypatch):
    """By the command; both names print the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("scale: smoke\n")
    claim, table = (
        CliRunner().invoke(app, ["cite", name]).output
        for name in ("distpro/advantage", "distpro/table1")
    )

    assert claim == table and "@" in claim
