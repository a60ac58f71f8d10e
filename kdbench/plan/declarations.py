"""The declarations beside the components, typed: one model per kind of TOML file."""

import re
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from kdbench.exhibits.tasks import CLASSIFICATION, TaskName
from kdbench.plan.validation import FILE_NAME, SHA256, Strict
from kdbench.store.canonical import canonical

JSON_TYPES = ["boolean", "number", "string", "array", "object"]


def _json_value(value: Any) -> Any:
    """Refuse what no run specification can hold: dates, times, numbers that are not finite."""
    try:
        canonical(value)
    except (TypeError, ValueError):
        raise PydanticCustomError(
            "no_json", "a finite number, a text, true, false or a list"
        ) from None
    return value


def _regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        reason = {"reason": str(error)}
        raise PydanticCustomError("no_pattern", "a regular expression ({reason})", reason) from None
    return pattern


Text = Annotated[str, Field(min_length=1)]
Pattern = Annotated[Text, AfterValidator(_regular_expression)]
Count = Annotated[int, Field(ge=1)]
Number: TypeAlias = int | float
Value = Annotated[Any, AfterValidator(_json_value), WithJsonSchema({"type": JSON_TYPES})]
Values = dict[str, Value]
Image = Annotated[list[Count], Field(min_length=3, max_length=3)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Constants = Annotated[list[Finite], Field(min_length=3, max_length=3)]
Bounds = Annotated[list[Number], Field(min_length=2, max_length=2)]
Names = Annotated[list[Text], Field(min_length=1)]
Rule = Annotated[list[str], Field(min_length=2, max_length=2)]
TeacherMode = Literal["eval", "batch"]
# What a data set may say of a scale: how much of it and how long, but not in which number format.
OnDataSet = Literal[
    "train_share",
    "teacher_epochs",
    "student_epochs",
    "search_epochs",
    "evaluate_every",
    "teacher_threads",
]


class Declaration(Strict):
    """What every component declares.

    Attributes:
        label: printed name; a network's may use the named groups of its pattern, like `{depth}`.
        revision: raised by hand when the arithmetic changes, which changes the digests.
        kind: the kind of component; needed in plug-ins, whose folders hold several kinds.
        module: name of the .py file beside this one, if it differs from this file's name.
        citation: where the component is described.
        bibtex: keys of its sources in kdbench/papers/sources.bib; for a plug-in, in a sources.bib
            beside this file.
    """

    model_config = ConfigDict(frozen=True)

    label: Text
    revision: Annotated[int, Field(ge=0)]
    kind: Literal["method", "network", "dataset", "search"] | None = None
    module: Annotated[str, Field(pattern=FILE_NAME)] = ""
    citation: str = ""
    bibtex: list[Text] = []

    @cached_property
    def as_written(self) -> dict[str, Any]:
        """The keys of the file, and none that it leaves out."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Distiller(Declaration):
    """What methods and searches both declare.

    Attributes:
        class_name: the class in the .py file.
        fidelity: what the authors' code does that the paper does not say, or where our reading
            begins.
        teacher_bn: statistics that the teacher's batch norms use during distillation: running
            statistics ("eval") or those of each batch ("batch").
        defaults: every parameter with its default; keyword arguments of the class.
        pairs: parameters that differ for a pair, by `teacher:student`.
        smoke: parameters that differ at scale smoke.
        lite: parameters that differ at scale lite.
        choices: all values that a parameter may have.
        ranges: smallest and largest allowed value of a parameter.
        patterns: regular expression that the whole text, or every text of a list, must match.
        later: parameters that were added after records were made. At its default, which the class
            has too, such a parameter is left out of a run and its digest, which stay as they were.
        tasks: tasks for which it can be used.
        otherwise: why it cannot be used for other tasks; printed after its name.
    """

    class_name: Text = Field(alias="class")
    fidelity: str = ""
    teacher_bn: TeacherMode = "eval"
    defaults: Values = {}
    pairs: dict[str, Values] = {}
    smoke: Values = {}
    lite: Values = {}
    choices: dict[str, list[Value]] = {}
    ranges: dict[str, Bounds] = {}
    patterns: dict[str, Pattern] = {}
    later: list[Text] = []
    tasks: Annotated[list[TaskName], Field(min_length=1)] = [CLASSIFICATION]
    otherwise: Text = "is made for one class per image"


class MethodDeclaration(Distiller):
    """A distillation method: how a teacher's knowledge becomes terms of a student's loss.

    Attributes:
        needs_teacher: whether it reads a teacher.
        search: the search whose scheme it needs.
        after_step: whether its class has the hook `after_step`, by which it learns beside the
            training: it needs SGD, whole batches and one rank.
        reading: true if it is our reading of a source that is not public or leaves much open;
            reports mark it.
    """

    needs_teacher: bool = True
    search: Text | None = None
    after_step: bool = False
    reading: bool = False


class SearchDeclaration(Distiller):
    """A search, on one pair: of a scheme that methods take, or of a smaller student.

    Attributes:
        start: "teacher" if the student starts as a copy of the teacher, to be pruned.
        base: another declared search; this one starts from its finding on the same pair.
        rate: "constant" if the student's learning rate never falls, whatever the protocol says: a
            search that takes turns must not depend on their order.
    """

    start: Literal["teacher"] | None = None
    base: Text | None = None
    rate: Literal["constant"] | None = None


class NetworkDeclaration(Declaration):
    """A family of networks.

    Attributes:
        class_name: the class in the .py file.
        pattern: regular expression of the family's names; its named groups become arguments of
            the class, as numbers if they look like numbers.
        examples: names that tests, docs/zoo.md and "did you mean" use.
        arguments: further arguments of the class, the same for the whole family.
        image: size (C, H, W) for which docs/zoo.md measures it, if not 3 x 32 x 32.
        from_stage: false if the network cannot continue from a stage's map.
        task: its task.
        names: for each code base whose checkpoints can be imported, pairs of a pattern and a
            replacement that turn its keys into ours.
        spelled: how the label spells the value of an argument: "ResNet18" for "resnet18".
    """

    class_name: Text = Field(alias="class")
    pattern: Pattern
    examples: Names
    arguments: Values = {}
    image: Image | None = None
    from_stage: bool = True
    task: TaskName = CLASSIFICATION
    names: dict[str, list[Rule]] = {}
    spelled: dict[str, Text] = {}


class Archive(Strict):
    """A file that a data set is published in.

    Attributes:
        url: its address, if it can be downloaded.
        file: its name, if it cannot.
        checksum: `md5:` or `sha256:` and the digits.
        size: its size in bytes.
        root: the folder inside.
    """

    model_config = ConfigDict(frozen=True)

    url: Text = ""
    file: Text = ""
    checksum: Annotated[str, Field(pattern=r"^(md5|sha256):[0-9a-f]+$")] = ""
    size: Count | None = None
    root: str = ""


class DatasetDeclaration(Declaration):
    """A data set: what its prepared data must be, and how to get it.

    Attributes:
        licence: its licence.
        source: the page that it comes from.
        how: how to get it, in one sentence.
        task: its task.
        role: "stand-in" if it replaces other data sets at scale smoke.
        classes: number of classes.
        class_names: their names.
        image: size (C, H, W) of the images that the loaders serve.
        images: number of images of a stand-in, before it is split.
        fingerprint: SHA-256 of the prepared data.
        mean, std: channel constants of the training images in 0..1.
        tolerance: largest difference between these and those of the prepared images.
        splits: images in each split.
        each: fewest and most images per class, by split.
        formats: lossy formats that its images may have; lossless ones are always allowed.
        encoded: the format of prepared images that stay encoded, for the loader to decode.
        archive: the file in which it is published.
        archives: the files by content, if there are several.
        folders: allowed names of the folder of a split, for class folders.
        files: files inside the archive, by split, and `meta`, the one with the class names.
        keys: keys of labels and names in these files.
        known: classes of some files, to be compared.
        smoke: `stand_in`, the data set that replaces it at scale smoke, `augment`, the
            augmentation there, `batch` if it differs from the scale's, `modality` if it differs
            from the protocol's, and arguments of the stand-in's `prepare_stand_in`.
        lite: settings of scale lite that differ on this data set; params.yaml overrides them.
        smoke_networks: small networks that replace large ones there, by the large one's name.
        base: the data set whose images it serves, at the size in `image`.
    """

    licence: str = ""
    source: str = ""
    how: str = ""
    task: TaskName = CLASSIFICATION
    role: Literal["stand-in"] | None = None
    classes: Count | None = None
    class_names: list[Text] = []
    image: Image | None = None
    images: Count | None = None
    fingerprint: Annotated[str, Field(pattern=SHA256)] | None = None
    mean: Constants | None = None
    std: Constants | None = None
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    splits: dict[str, Count] = {}
    each: dict[str, Bounds] = {}
    formats: list[Text] = []
    encoded: Literal["JPEG"] | None = None
    archive: Archive | None = None
    archives: dict[str, Archive] = {}
    folders: dict[str, Names] = {}
    files: dict[str, str | list[str]] = {}
    keys: dict[str, str] = {}
    known: dict[str, str] = {}
    smoke: Values = {}
    lite: dict[OnDataSet, Number] = {}
    smoke_networks: dict[str, Text] = {}
    base: str = ""


class PluginDatasetDeclaration(DatasetDeclaration):
    """A plug-in's data set; its `prepare` may read further keys."""

    model_config = ConfigDict(extra="allow")


KINDS: dict[str, type[Declaration]] = {
    "method": MethodDeclaration,
    "network": NetworkDeclaration,
    "dataset": DatasetDeclaration,
    "search": SearchDeclaration,
}
