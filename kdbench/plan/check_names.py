"""Names in params.yaml exist, those too that no exhibit asks for today."""

from kdbench.errors import BadValue
from kdbench.exhibits.requests import JOIN
from kdbench.plan.components import Components
from kdbench.plan.pair_names import parse_pair
from kdbench.plan.params import FILE, Params


def check_names(params: Params, components: Components) -> None:
    """Refuse what params.yaml names and nobody declares, in one line with the nearest name.

    Raises:
        UnknownName: no such data set, method, search, network or parameter.
        BadValue: it exists, and cannot be what the key is for.
    """
    _check_datasets(params, components)
    _check_methods(params, components)
    _check_files(params, components)
    _check_ranks(params, components)
    _check_declared_pairs(components)


def _check_datasets(params: Params, components: Components) -> None:
    for name in params.datasets:
        where = f"{FILE}, datasets"
        if components.get("dataset", name, where=where).declaration.role == "stand-in":
            advice = "it takes other data sets' places at scale smoke by itself"
            raise BadValue(where, name, "a data set, not a stand-in", advice)


def _check_methods(params: Params, components: Components) -> None:
    for name in params.methods_only:
        for part in name.split(JOIN):
            components.get("method", part, where=f"{FILE}, methods_only")
    for kind, asked in (("method", params.methods), ("search", params.searches)):
        where = f"{FILE}, {'methods' if kind == 'method' else 'searches'}"
        for name, overrides in asked.items():
            component = components.get(kind, name, where=where)
            component.parameters(scale=params.scale, pair=None, overrides=overrides, where=where)


def _check_files(params: Params, components: Components) -> None:
    """What imported teachers and encoders belong to."""
    for key in params.teachers:
        where, (dataset, _, network) = f"{FILE}, teachers", key.partition("/")
        components.get("dataset", dataset, where=where)
        components.get("network", network, where=where)
    for network in params.encoders:
        component = components.get("network", network, where=f"{FILE}, encoders")
        if "encoder" not in component.arguments:
            advice = "only encoders of networks for segmentation start from imported weights"
            raise BadValue(f"{FILE}, encoders", network, "a network with an encoder", advice)


def _check_ranks(params: Params, components: Components) -> None:
    """What several processes share: searches have a pair, teachers have none."""
    where = f"{FILE}, ranks"
    for key, phases in params.ranks.items():
        dataset, _, trained = key.partition("/")
        components.get("dataset", dataset, where=where)
        if ":" in trained:
            teacher = parse_pair(trained, components, where).teacher
            wrong, expected, other = "teacher", "search or student", f"{dataset}/{teacher}"
        else:
            components.get("network", trained, where=where)
            wrong, expected, other = "search", "teacher or student", f"{dataset}/TEACHER:{trained}"
        if wrong in phases:
            raise BadValue(f"{where}.{key}", wrong, expected, f"the key of a {wrong} is {other}")


def _check_declared_pairs(components: Components) -> None:
    """Pairs for which methods and searches declare parameters: no run would take those of others.

    Here, because a plug-in's networks may be found after its methods.
    """
    for path, declaration in (*components.methods.values(), *components.searches.values()):
        for key in declaration.pairs:
            teacher, colon, student = key.partition(":")
            if not colon:
                raise BadValue(f"{path}, pairs", key, "teacher:student")
            for network in (teacher, student):
                components.get("network", network, where=f'{path}, pairs."{key}"')
