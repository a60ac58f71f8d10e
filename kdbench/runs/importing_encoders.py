"""`kdbench encoder import`: torchvision's weights are fitted and kept, or refused."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from kdbench.engine import environment
from kdbench.errors import BadValue
from kdbench.models.checkpoints import fit, read_checkpoint
from kdbench.plan.components import Component, Components
from kdbench.runs import assemble
from kdbench.runs.encoders import Encoder
from kdbench.runs.training import save_weights
from kdbench.store.atomic import write_text
from kdbench.store.disk import checksum_of
from kdbench.store.paths import Paths

CLASSES, IMAGE = 1000, (3, 224, 224)  # of ImageNet
NAMING = "torchvision"
STAGES = "trunk."  # what the keys of the stages begin with


def import_encoder(
    file: Path, component: Component, components: Components, paths: Paths
) -> Encoder:
    """Take in torchvision's weights of the classifier that an encoder is; nothing in it is run.

    Args:
        file: what torchvision gives for download, or its equal in safetensors.
        component: the dense network whose encoder is to start from it.
        components: has the classifier.
        paths: of the project.

    Raises:
        BadValue: the network has no encoder.
        ForeignKeys: these are the weights of another network; the line says what differs.
        DamagedData, UserError: the file cannot be read.
    """
    if "encoder" not in component.arguments:
        raise BadValue("--network", component.name, "a network with an encoder")
    classifier = components.get("network", component.arguments["encoder"], where="--network")
    checkpoint = read_checkpoint(file)
    with torch.device("meta"):
        whole = assemble.find_class(classifier)(
            **classifier.arguments, classes=CLASSES, image=IMAGE
        )
    names, expected = classifier.described["names"], whole.state_dict()
    _, weights = fit(file, checkpoint, expected, names, network=classifier.name, naming=NAMING)
    sha256 = checksum_of(file)
    target = paths.encoder(sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights({k: v for k, v in weights.items() if k.startswith(STAGES)}, target)
    now = environment.now()
    encoder = Encoder(sha256, file.name, classifier.name, checksum_of(target), now)
    write_text(target.with_suffix(".json"), json.dumps(asdict(encoder), indent=1) + "\n")
    return encoder
