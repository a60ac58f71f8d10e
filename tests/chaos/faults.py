"""The faults: each takes a world in which a command runs, and says in one line what it did.

A fault that has nothing to hit at the moment gives None, and another one is drawn.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import yaml
from world import REPRODUCE, World

Fault = Callable[[World, subprocess.Popen[bytes]], str | None]
JOB = "kdbench run"
SECONDS_READ_ONLY = 3.0


def kill_job(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to one of the processes that train."""
    return _signal_one(world, world.processes(JOB), signal.SIGKILL)


def stop_job(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGTERM to one of the processes that train."""
    return _signal_one(world, world.processes(JOB), signal.SIGTERM)


def kill_command(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to Snakemake or DVC alone: jobs outlive it."""
    return _signal(main, main.pid, signal.SIGKILL)


def stop_command(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGTERM to Snakemake or DVC."""
    return _signal(main, main.pid, signal.SIGTERM)


def kill_everything(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to all processes at once, as a power cut would."""
    return _signal(main, -main.pid, signal.SIGKILL)


def interrupt(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """Ctrl-C, which a terminal sends to all processes of the foreground."""
    return _signal(main, -main.pid, signal.SIGINT)


def full_disk(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """No process of the command may write a file larger than some kilobytes from now on."""
    size = world.rng.choice([2_000, 20_000, 200_000, 1_000_000])
    hit = 0
    for process in world.processes():
        with suppress(psutil.Error):
            process.rlimit(psutil.RLIMIT_FSIZE, (size, size))
            hit += 1
    return f"files of at most {size} bytes for {hit} processes" if hit else None


def read_only_folder(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """A folder of results that cannot be written for some seconds."""
    folder = world.project.root / "results" / "smoke" / world.rng.choice(["records", "artifacts"])
    if not folder.is_dir() or os.geteuid():
        return None
    bind = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bind, capture_output=True).returncode:
        return None
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        time.sleep(SECONDS_READ_ONLY)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    return f"{folder.name}/ read-only for {SECONDS_READ_ONLY:g} s"


def damage_checkpoint(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """A checkpoint cut or with a flipped bit, after all processes were killed."""
    if main.poll() is None:
        kill_everything(world, main)
        main.wait()
    return _damage(world, world.files("*/artifacts/*/*/*/checkpoint.pt"))


def damage_record(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """A record cut or with a flipped bit."""
    return _damage(world, [file for file in world.records() if file not in world.spoiled])


def damage_weights(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """Weights of a finished run cut or with a flipped bit."""
    return _damage(world, _sealed(world, "*.safetensors", but="scheme"))


def damage_scheme(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """What a search found cut or with a flipped bit."""
    return _damage(world, _sealed(world, "scheme.*"))


def damage_data(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """Prepared data cut or with a flipped bit."""
    return _damage(world, _sealed(world, "prepared/*"))


def second_command(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """The same command once more while the first one runs."""
    if main.poll() is not None:
        return None
    second = subprocess.Popen(
        REPRODUCE,
        cwd=world.project.root,
        env=world.project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return f"a second command beside the first, exit code {second.wait(1500)}"


def other_scale(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """A DVC command while params.yaml says another scale, after Ctrl-C."""
    if main.poll() is None:
        interrupt(world, main)
        main.wait()
    file = world.project.root / "params.yaml"
    before = file.read_text()
    words = world.rng.choice([("checkout",), ("status",), ("gc", "-w", "-f"), ("checkout", "-f")])
    file.write_text(yaml.safe_dump({**yaml.safe_load(before), "scale": "lite"}, sort_keys=False))
    try:
        world.project("dvc", *words, check=False)
    finally:
        file.write_text(before)
    return f"dvc {' '.join(words)} at scale lite"


def clock_back(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """The rest of the work under a clock that is a year behind, or ahead."""
    if shutil.which("faketime") is None:
        return None
    if main.poll() is None:
        kill_everything(world, main)
        main.wait()
    shift = world.rng.choice(["-1y", "+1y"])
    process = world.start("faketime", "-f", shift, *REPRODUCE)
    world.end(process)
    return f"a clock shifted by {shift}"


FAULTS: tuple[Fault, ...] = (
    kill_job,
    stop_job,
    kill_command,
    stop_command,
    kill_everything,
    interrupt,
    full_disk,
    read_only_folder,
    damage_checkpoint,
    damage_record,
    damage_weights,
    damage_scheme,
    damage_data,
    second_command,
    other_scale,
    clock_back,
)


def _signal(main: subprocess.Popen[bytes], target: int, number: signal.Signals) -> str | None:
    """Send a signal to the command, or with a negative number to its whole group."""
    if main.poll() is not None:
        return None
    (os.killpg if target < 0 else os.kill)(abs(target), number)
    return number.name


def _signal_one(
    world: World, processes: list[psutil.Process], number: signal.Signals
) -> str | None:
    if not processes:
        return None
    process = world.rng.choice(processes)
    try:
        process.send_signal(number)
    except psutil.Error:
        return None
    return f"{number.name} to one of {len(processes)}"


def _sealed(world: World, pattern: str, but: str = "-") -> list[Path]:
    """Artifacts of finished runs that no fault has hit yet."""
    manifests = world.files("*/artifacts/*/*/*/artifacts.json")
    files = [file for manifest in manifests for file in sorted(manifest.parent.glob(pattern))]
    return [file for file in files if but not in file.name and file not in world.spoiled]


def _damage(world: World, files: list[Path]) -> str | None:
    """Cut one of the files, or flip one of its bits."""
    files = [file for file in files if file.is_file() and file.stat().st_size]
    if not files:
        return None
    file = world.rng.choice(files)
    content = bytearray(file.read_bytes())
    place = world.rng.randrange(len(content))
    world.spoiled.add(file)
    if world.rng.random() < 0.5:
        file.write_bytes(content[:place])
        return f"{file.parent.name}/{file.name} cut to {place} of {len(content)} bytes"
    content[place] ^= 1 << world.rng.randrange(8)
    file.write_bytes(content)
    return f"{file.parent.name}/{file.name} with a bit flipped in byte {place}"
