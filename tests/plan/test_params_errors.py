"""Every mistake in params.yaml is one line: the key, what was found, and what to write."""

import pytest
import yaml

from kdbench.errors import UserError
from kdbench.plan.graph import load_graph
from kdbench.plan.params import load_params

MISTAKES = {  # content: what the line must say
    "sclae: smoke": ["'sclae'", "did you mean 'scale'?"],
    "scale: papre": ["scale", "'papre'", "did you mean 'paper'?"],
    "scale: 3": ["scale", "'3'", "lite, paper, smoke"],
    "seeds: two": ["seeds", "found 'two'", "a whole number"],
    "seeds: true": ["seeds", "found True", "a whole number"],
    "seeds: 0": ["seeds", "found 0", "at least 1"],
    "seeds: 101": ["seeds", "found 101", "at most 100"],
    "datasets: []": ["datasets", "found []"],
    "exhibits: []": ["exhibits", "found []", "at least one entry"],
    "methods: {equal: {transforms: []}}": ["methods.equal.transforms", "found []", "at least one"],
    "methods: {equal: {transforms: [2conv, 2conv]}}": ["transforms", "each once"],
    "teachers: {cifar100/vgg8: abc}": ["teachers.cifar100/vgg8", "found 'abc'", "64 hex digits"],
    "tables: [{id: a, pairs: [b], methods: [kd]}]": ["tables, a", "found 'b'", "teacher:student"],
    "tables: [{id: a, pairs: [vgg13:vgg8], methods: [dk]}]": ["tables, a", "mean 'dkd'?"],
    "tables: [{id: a, pairs: [vgg13:vgg8], methods: [kd+dk]}]": ["tables, a", "mean 'dkd'?"],
    "tables: [{id: A, pairs: [vgg13:vgg8], methods: [kd]}]": ["tables.0.id", "found 'A'"],
    "tables: [{id: a, pairs: [], methods: [kd]}]": ["tables.0.pairs", "at least one entry"],
    "tables: [{id: a, pair: [], methods: [kd], pairs: [x]}]": ["mean 'pairs'?"],
    "tables: [{id: a, pairs: [vgg13:vgg8], methods: [kd], protocol: crb}]": ["mean 'crd'?"],
    "tables: [{id: a, pairs: [vgg13:vgg8], methods: [kd], pruned_by: dfa}]": [
        "a search that prunes"
    ],
    "datasets: [cifar1000]": ["datasets", "'cifar1000'", "did you mean 'cifar100'?"],
    "datasets: [digits]": ["datasets", "'digits'", "stand-in"],
    "datasets: [cifar100, digits]": ["datasets", "'digits'", "stand-in"],
    "{exhibits: [distpro/tiny-imagenet], datasets: [cifar100-64]}": [  # is only searched on that
        "datasets",
        "found ['cifar100-64']",
        "those of the exhibits: tinyimagenet_fifth; and of their searches: cifar100-64",
    ],
    "ranks: {'imagenet/resnet34:resnet18': {stud: 2}}": [
        "params.yaml, ranks.imagenet/resnet34:resnet18: no key is called 'stud'; did you mean 'stu"
    ],
    "ranks: {'imagenet/resnet34:resnet18': {3: 2}}": ["resnet34:resnet18: no key is called '3'"],
    "exhibits: all": ["exhibits", "found 'all'", "list"],
    "exhibits: [distpro/tabel1]": ["exhibits", "did you mean 'distpro/table1'?"],
    "pairs: ['wrn-40-2:wrn-16-3']": ["pairs", "did you mean 'wrn-40-2:wrn-16-2'?"],
    "methods_only: [review]": ["methods_only", "did you mean 'reviewkd'?"],
    "methods: {reviewdk: {}}": ["methods", "did you mean 'reviewkd'?"],
    "methods: {kd: 3}": ["methods.kd", "found 3", "mapping"],
    "methods: {kd: {temprature: 8}}": ["methods.kd", "did you mean 'temperature'?"],
    "methods: {kd: {temperature: hot}}": ["methods.kd.temperature", "found 'hot'", "like 4.0"],
    "methods: {kd: {temperature: .nan}}": ["methods.kd.temperature", "found nan"],
    "methods: {kd: {temperature: null}}": ["methods.kd.temperature", "found None"],
    "methods: {kd: {temperature: true}}": ["methods.kd.temperature", "found True"],
    "methods: {equal: {stem: 1}}": ["methods.equal.stem", "found 1", "like False"],
    "methods: {equal: {transforms: complex}}": ["methods.equal.transforms", "found 'complex'"],
    "methods: {equal: {transforms: [1]}}": ["methods.equal.transforms", "found 1"],
    "methods: {kd: {teacher_bn: train}}": ["methods.kd.teacher_bn", "'train'", "'eval' or"],
    "methods: {kd: {teacher_bn: 3}}": ["methods.kd.teacher_bn", "found 3", "'eval' or 'batch'"],
    "methods: {none: {teacher_bn: batch}}": ["methods.none", "'teacher_bn'"],
    "searches: {distpro: {teacher_bn: [eval]}}": ["searches.distpro.teacher_bn", "['eval']"],
    "searches: {dist: {}}": ["searches", "did you mean 'distpro'?"],
    "searches: {distpro: {alpha_rl: 0.1}}": ["searches.distpro", "did you mean 'alpha_lr'?"],
    "scales: {papers: {}}": ["scales", "did you mean 'paper'?"],
    "scales: {smoke: {student_epoch: 3}}": ["scales.smoke", "did you mean 'student_epochs'?"],
    "scales: {smoke: {notice: none}}": ["scales.smoke", "'notice'"],
    "scales: {smoke: {batch: 0}}": ["scales.smoke.batch", "found 0"],
    "scales: {paper: {batch: many}}": ["scales.paper.batch", "found 'many'", "a whole number"],
    "scales: {lite: {train_share: 1.5}}": ["scales.lite.train_share", "found 1.5"],
    "scales: {smoke: {precision: bf61}}": ["scales.smoke.precision", "did you mean 'bf16'?"],
    "scales: {smoke: {threads: null}}": ["scales.smoke.threads", "found None", "a whole number"],
    "plugins: [nowhere]": ["plugins", "'nowhere'", "folder"],
    "methods: {kd: [": ["params.yaml", "valid YAML"],
    "- scale": ["params.yaml", "mapping"],
    "a: \ud800": ["params.yaml", "byte 0xed at place 3", "UTF-8"],
}


def refused(folder, content):
    """What is said about a params.yaml with this content."""
    raw = content.encode("utf-8", errors="surrogatepass")
    (folder / "params.yaml").write_bytes(raw)
    with pytest.raises(UserError) as caught:
        load_graph(folder)
    return str(caught.value)


@pytest.mark.parametrize("content", MISTAKES, ids=ascii)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path, content):
    """It says what was found, and the nearest name or what was expected."""
    line = refused(tmp_path, content)

    assert "params.yaml" in line
    assert "\n" not in line
    assert all(part in line for part in MISTAKES[content]), line


@pytest.mark.parametrize("text", ["1e9", "1E+9", "1.e9", "+1e9", "1000000000.0"])
def test_a_number_may_have_an_exponent_and_no_point(tmp_path, text):
    """It is read as a float, as in YAML 1.2, in TOML, and by DVC."""
    (tmp_path / "params.yaml").write_text(f"methods: {{kd: {{weight: {text}}}}}")
    weight = load_graph(tmp_path).params.methods["kd"]["weight"]

    assert weight == 1e9 and isinstance(weight, float)


def test_parameters_of_a_method_that_is_filtered_out_are_checked(tmp_path):
    """A misspelt one is refused with the nearest name."""
    line = refused(tmp_path, "methods_only: [none]\nmethods: {kd: {temprature: 8}}")

    assert "did you mean 'temperature'?" in line


def test_scales_that_are_not_in_force_are_checked(tmp_path):
    """A wrong value of scale paper is refused at scale smoke."""
    assert "scales.paper.threads" in refused(
        tmp_path, "scale: smoke\nscales: {paper: {threads: 0}}"
    )


def test_a_folder_without_params_yaml_is_refused_with_what_to_do(tmp_path):
    """The line names the file."""
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run kdbench in a project"):
        load_graph(tmp_path)


def test_the_shipped_params_yaml_states_every_default(tmp_path):
    """An empty file gives the same parameters, but for the scale, and no key is left out."""
    from pathlib import Path

    (tmp_path / "params.yaml").write_text("")
    shipped = load_graph(Path(__file__).parents[2])
    defaults = shipped.params.model_copy(update={"scale": "smoke"})

    assert load_graph(tmp_path).params == defaults
    content = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    assert content.keys() == type(shipped.params).model_fields.keys()


def test_an_override_of_the_command_line_replaces_the_key_of_the_file(tmp_path):
    """Other keys stay as the file has them, and a wrong override is refused."""
    (tmp_path / "params.yaml").write_text("scale: smoke\nseeds: 2\n")

    graph = load_graph(tmp_path, {"scale": "lite"})
    assert (graph.params.scale, graph.params.seeds) == ("lite", 2)
    with pytest.raises(UserError, match="did you mean 'lite'"):
        load_graph(tmp_path, {"scale": "lit"})


def test_a_wrong_value_of_the_call_is_not_laid_on_the_file(tmp_path):
    """What --override or --config gave is named as such; the file's own mistakes as the file's."""
    (tmp_path / "params.yaml").write_text("scale: lite\n")
    with pytest.raises(UserError, match=r"^options of this call, exhibits: found 'own'"):
        load_params(tmp_path / "params.yaml", {"exhibits": "own"})
    (tmp_path / "params.yaml").write_text("exhibits: own\n")
    with pytest.raises(UserError, match=r"^params\.yaml, exhibits: found 'own'"):
        load_params(tmp_path / "params.yaml", {"scale": "lite"})
    (tmp_path / "params.yaml").write_text("sclae: lite\n")
    with pytest.raises(UserError, match=r"^params\.yaml: no key is called 'sclae'"):
        load_params(tmp_path / "params.yaml", {"exhibits": "own"})


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"scales": {"lite": {"precision": "bf17"}}}, "scales.lite.precision"),
        ({"scales": {"lite": {"images_at_once": 3}}}, "scales.lite.images_at_once"),
        ({"exhibits": ["distpro/tabel1"]}, "exhibits"),
        ({"datasets": ["cifar1000"]}, "datasets"),
        ({"datasets": ["camvid"], "exhibits": ["distpro/table1"]}, "datasets"),
        ({"pairs": ["a:b"]}, "pairs"),
        ({"methods_only": ["review"]}, "methods_only"),
        ({"methods": {"kd": {"temprature": 8}}}, "methods.kd"),
        ({"ranks": {"cifar100/vgg13:vgg8": {"stud": 2}}}, "ranks.cifar100/vgg13:vgg8"),
        ({"ranks": {"cifar100/vgg": {"teacher": 2}}}, "ranks"),
    ],
    ids=str,
)
def test_what_the_plan_refuses_is_laid_on_the_file_or_the_call_that_says_it(
    tmp_path, content, place
):
    """The same line but for its beginning; other keys of the call change nothing."""
    file = tmp_path / "params.yaml"
    lines = []
    for written, given in ((content, {"scale": "lite"}), ({}, {**content, "scale": "lite"})):
        file.write_text(yaml.safe_dump(written))
        with pytest.raises(UserError) as caught:
            load_graph(tmp_path, given)
        lines.append(str(caught.value))

    assert lines[0].startswith(f"params.yaml, {place}: ")
    assert lines[1] == lines[0].replace("params.yaml", "options of this call", 1)


@pytest.mark.parametrize(
    ("given", "blamed"),
    [
        ({"ranks": {"cifar100/wrn-40-2": {"teacher": 3}}}, "params.yaml or options of this call"),
        ({"ranks": {}, "scales": {"lite": {"ranks": 3}}}, "options of this call"),
    ],
    ids=str,
)
def test_ranks_that_either_of_two_keys_may_say_are_laid_on_where_both_stand(
    tmp_path, given, blamed
):
    """Their number is of `scales` or of `ranks`; the call may replace one of them."""
    (tmp_path / "params.yaml").write_text("scale: lite\nexhibits: [distpro/table1]\n")
    with pytest.raises(UserError, match=rf"^{blamed}, scales\.lite\.ranks or ranks: found 3"):
        load_graph(tmp_path, given)
