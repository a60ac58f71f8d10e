"""The table of all networks, docs/zoo.md, made from their declarations."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch

from kdbench.errors import UserError
from kdbench.evaluate import cost
from kdbench.exhibits.tasks import CLASSIFICATION, DEPTH, SEGMENTATION
from kdbench.plan.components import Component, find_components
from kdbench.plan.declarations import NetworkDeclaration
from kdbench.plan.params import FILE as PARAMS
from kdbench.plan.params import load_params
from kdbench.runs.assemble import find_class
from kdbench.store.atomic import write_text
from kdbench.store.disk import plain_errors

FILE = Path("docs/zoo.md")
SMALL = (3, 32, 32)
OUTPUTS = {SEGMENTATION: 19, DEPTH: 1}  # of dense networks, by task
TITLES = {
    SEGMENTATION: (
        "Segmentation, 512 × 512 pixels, 19 outputs for every pixel; parameters with the "
        "auxiliary head's"
    ),
    DEPTH: "Depth, 228 × 304 pixels, of which colours and a sparse depth are given",
}
HEADS = (
    "name", "label", "parameters", "multiply-adds (M)", "with elements (M)", "stages", "pooled",
    "source",
)  # fmt: skip
ALIGNED = "|---|---|--:|--:|--:|---|--:|--:|"
TEACHER = "densenet-bc-100-12"  # of SBS

HEADER = """# Networks

Written by `kdbench zoo` from the declarations beside the networks
(`kdbench/models/families/*.toml`): every example of every declaration, measured without computing a
number. `tests/cli/test_networks_page.py` fails when this page is not what the command would write.

- **multiply-adds**: millions for one image, of convolutions and linear layers and, in
  transformers, of the two products of attention. Nothing else counts. Most papers print this, as
  FLOPs or MACs, and so do torchvision and timm. In the records: `macs`.
- **with elements**: multiply-adds, plus one for every element that a batch norm or a ReLU (ReLU6)
  puts out. SBS must have counted so (inferred): this gives the 296 M that it prints for its
  teacher, DenseNet-BC(100, 12), and its budget of 90 M is taken in it. In the records:
  `flops_with_elements`.
- **parameters**: all that training changes; a batch norm has two per channel.
- **stages**: channels @ height × width of the maps of the stem and of every stage.
  **pooled**: length of the vector that the classifier sees.
"""


@dataclass(frozen=True)
class Entry:
    """One network, measured for one size of images and number of classes.

    Attributes:
        name: as params.yaml writes it.
        label: as tables print it.
        citation: where it comes from.
        parameters: how many numbers it learns.
        operations: of one forward pass of one image.
        stages: its maps, as printed.
        pooled: length of what the classifier sees.
    """

    name: str
    label: str
    citation: str
    parameters: int
    operations: cost.Operations
    stages: str
    pooled: int


def measure(component: Component[NetworkDeclaration], classes: int, image: Sequence[int]) -> Entry:
    """Build a network where no number is computed, and measure it for images (C, H, W)."""
    cls = find_class(component)
    with torch.device("meta"):
        network = cls(**component.arguments, classes=classes, image=tuple(image))
    network.eval()  # half the work on the meta device
    maps = (f"{stage.channels}@{stage.size[0]}×{stage.size[1]}" for stage in network.stages)
    return Entry(
        name=component.name,
        label=component.label,
        citation=component.declaration.citation,
        parameters=cost.parameters(network),
        operations=cost.operations(network, image),
        stages=" ".join(maps),
        pooled=network.pooled_width,
    )


def lines_of(name: str, classes: int | None = None) -> list[str]:
    """What the page says of one network, of the package or of a plug-in of params.yaml.

    Args:
        name: of any network, also of one that is no example, such as "wrn-22-4".
        classes: its outputs; by default as many as on the page.

    Raises:
        UnknownName: no network is called so.
        UserError: it cannot be built, or no image goes through it.
    """
    plugins = load_params(Path(PARAMS)).plugins if Path(PARAMS).is_file() else ()
    component = find_components(plugins).get("network", name, where="zoo")
    declared = component.declaration
    image = tuple(declared.image or SMALL)
    usual = OUTPUTS.get(declared.task, 1000 if declared.image else 100)
    try:
        entry = measure(component, classes or usual, image)
    except Exception as problem:  # whatever the code of a plug-in raises
        why = f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        raise UserError(f"zoo: {name} for images {list(image)} cannot be built; {why}") from None
    operations = entry.operations
    return [
        f"{entry.name}: {entry.label} ({entry.citation})",
        f"  images         {' × '.join(map(str, image))}, {classes or usual} outputs",
        f"  parameters     {entry.parameters:,}",
        f"  multiply-adds  {operations.multiply_adds / 1e6:.2f} M, with elements "
        f"{sum(operations) / 1e6:.2f} M",
        f"  stages         {entry.stages}",
        f"  pooled         {entry.pooled}",
    ]


def compose(components: Iterable[Component[NetworkDeclaration]]) -> str:
    """The whole page, for networks in any order."""
    ordered = sorted(components, key=lambda component: _natural(component.name))
    dense = [c for c in ordered if c.declaration.task != CLASSIFICATION]
    native = [c for c in ordered if c.declaration.image and c not in dense]
    small = [c for c in ordered if not c.declaration.image]
    students = sorted(filter(_of_sbs, ordered), key=lambda component: component.name != TEACHER)
    tables = [
        ("32 × 32 pixels, 100 classes", [measure(c, 100, SMALL) for c in small]),
        (
            "224 × 224 pixels, 1000 classes",
            [measure(c, 1000, c.declaration.image or SMALL) for c in native],
        ),
        (
            "SBS: its teacher and the students made by hand, 32 × 32 pixels, 10 classes",
            [measure(c, 10, SMALL) for c in students],
        ),
    ]
    for task, classes in OUTPUTS.items():
        built = [c for c in dense if c.declaration.task == task]
        measured = [measure(c, classes, c.declaration.image or SMALL) for c in built]
        tables.append((TITLES[task], measured))
    sources = list(dict.fromkeys(entry.citation for _, entries in tables for entry in entries))
    sections = [HEADER]
    for title, entries in tables:
        if entries:
            sections.append("\n".join([f"## {title}\n", *_table(entries, sources), ""]))
    references = (f"{number}. {source}" for number, source in enumerate(sources, 1))
    return "\n".join([*sections, "## Sources\n", *references, ""])


def package_networks() -> list[Component[NetworkDeclaration]]:
    """Every example of every network that the package itself declares."""
    components = find_components()
    networks = (
        components.get("network", name, where="zoo") for name in components.names("network")
    )
    return [network for network in networks if not network.plugin]


def write_zoo() -> Path:
    """Write the page into docs/ of the current folder; returns its path.

    Raises:
        UserError: the disk is full, or the file cannot be written.
    """
    page = compose(package_networks())
    with plain_errors(FILE):
        write_text(FILE, page)
    return FILE


def check_zoo() -> Path:
    """Compare the page with what `write_zoo` would write; returns its path.

    Raises:
        UserError: there is no page, or it differs; names the first difference.
    """
    advice = "run kdbench zoo"
    if not FILE.is_file():
        raise UserError(f"{FILE}: no such file; {advice}")
    written, expected = FILE.read_text(encoding="utf-8"), compose(package_networks())
    if written != expected:
        line, old, new = next(_differences(written, expected))
        raise UserError(f"{FILE}, line {line}: found {old!r}, expected {new!r}; {advice}")
    return FILE


def _differences(written: str, expected: str) -> Iterator[tuple[int, str, str]]:
    """Number of every line that differs, with the first cell that does, on both sides."""
    lines = zip_longest(written.split("\n"), expected.split("\n"), fillvalue="")
    for number, (old_line, new_line) in enumerate(lines, 1):
        if old_line != new_line:
            cells = zip_longest(old_line.split("|"), new_line.split("|"), fillvalue="")
            old, new = next((old, new) for old, new in cells if old != new)
            yield number, old.strip(), new.strip()


def _table(entries: Sequence[Entry], sources: Sequence[str]) -> Iterator[str]:
    yield f"| {' | '.join(HEADS)} |"
    yield ALIGNED
    for entry in entries:
        cells = (
            f"`{entry.name}`",
            entry.label,
            f"{entry.parameters:,}",
            f"{entry.operations.multiply_adds / 1e6:.2f}",
            f"{sum(entry.operations) / 1e6:.2f}",
            entry.stages,
            str(entry.pooled),
            str(sources.index(entry.citation) + 1),
        )
        yield f"| {' | '.join(cells)} |"


def _of_sbs(component: Component) -> bool:
    """Whether SBS compares with this network: sized for it, or one of its DenseNets."""
    return component.name.endswith("-sbs") or component.name.startswith("densenet-bc-")


def _natural(name: str) -> list[str | int]:
    """Key that sorts resnet8 before resnet20."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
