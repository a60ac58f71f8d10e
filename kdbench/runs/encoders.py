"""Weights of ImageNet that the encoders of dense networks start from."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kdbench.errors import DamagedData, UserError
from kdbench.models.dense import DenseNetwork
from kdbench.models.stages import StagedNetwork
from kdbench.store.disk import checksum_of
from kdbench.store.parts import Network


@dataclass(frozen=True)
class Encoder:
    """What is known of imported weights; lies as JSON beside them.

    Attributes:
        sha256: of the file they came in: their identity.
        file: that file's name.
        network: the classifier that they are of, such as "resnet18".
        weights: SHA-256 of the weights file made from it.
        imported: when, UTC.
    """

    sha256: str
    file: str
    network: str
    weights: str
    imported: str


def start_encoder(network: StagedNetwork, described: Network, file: Path | None) -> None:
    """Give a fresh network's encoder the imported weights, and leave all else as it is.

    Args:
        network: as it was built.
        described: its part of the run's specification.
        file: see `kdbench.runs.job.Inputs.encoder`; None leaves everything as it is.

    Raises:
        UserError: the weights are not here.
        DamagedData: they are not what was imported, or of another network.
    """
    if file is None:
        return
    command = f"kdbench encoder import FILE --network {described.name}"
    expected = network.encoder_state() if isinstance(network, DenseNetwork) else {}
    weights = _read(file, described, command)
    differing = [k for k, v in expected.items() if k not in weights or weights[k].shape != v.shape]
    if differing or not expected:
        actual = f"weights that differ in {', '.join(differing[:3]) or 'everything'}"
        raise DamagedData(file, actual, f"those of the encoder of {described.name}", command)
    network.load_state_dict({k: weights[k] for k in expected}, strict=False)


def _read(file: Path, described: Network, command: str) -> dict[str, Tensor]:
    try:
        text = file.with_suffix(".json").read_text(encoding="utf-8")
        encoder = Encoder(**json.loads(text))
        if checksum_of(file) != encoder.weights:
            raise DamagedData(file, "other bytes", f"sha256 {encoder.weights[:12]}...", command)
        weights: dict[str, Tensor] = load_file(file)
    except FileNotFoundError:
        request = f"params.yaml wants the encoder {described.encoder[:12]}... of {described.name}"
        raise UserError(f"{request}, which is not here; {command}") from None
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise DamagedData(file, f"unreadable ({error})", "imported weights", command) from None
    wanted = described.parameters.get("encoder")
    if encoder.network != wanted:
        where = f"params.yaml, encoders.{described.name}"
        raise DamagedData(where, f"weights of {encoder.network}", f"those of {wanted}", command)
    return weights
