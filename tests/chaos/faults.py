"""The faults: each takes a world in which a command runs, and says in one line what it did.

A fault that has nothing to hit at the moment gives None, and another one is drawn.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import small_disk
import yaml
from world import LIMIT, REPRODUCE, VERIFY, World

Fault = Callable[[World, subprocess.Popen[bytes]], str | None]
JOB, SERVER, SNAKEMAKE = "kdbench run", "kdbench.cli.server", "snakemake"
SECONDS = 3.0  # of a disk that is full, or of a folder that is read-only
HEAD_START = 5.0  # seconds, of a second command before more faults meet both
FOLDERS = ("results/smoke", "results/smoke/records", "results/smoke/artifacts", ".snakemake")
SECOND = (REPRODUCE, VERIFY, ("dvc", "repro"), ("kdbench", "run", "--all", "--scale", "smoke"))
CHECKPOINT = "*/artifacts/*/*/*/checkpoint.pt"
CLOCKS = ("-1y", "+1y", "-1h", "")  # "": the true one again


def kill_job(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to a job: its command, or the shell around it."""
    return _signal_one(world, world.processes(JOB), signal.SIGKILL)


def kill_training(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to one of the processes that train, which the server has forked."""
    return _signal_one(world, _served(world)[1], signal.SIGKILL)


def kill_server(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to the server that forks them: jobs do their runs themselves."""
    return _signal_one(world, _served(world)[0], signal.SIGKILL)


def stop_job(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGTERM to a job, or to the process that trains."""
    return _signal_one(world, world.processes(JOB) + _served(world)[1], signal.SIGTERM)


def kill_command(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to Snakemake or DVC alone: jobs outlive it."""
    return _signal(main, main.pid, signal.SIGKILL)


def kill_snakemake(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to the Snakemake that DVC has started."""
    below = [one for one in world.processes(SNAKEMAKE) if one.pid != main.pid]
    return _signal_one(world, below, signal.SIGKILL)


def stop_command(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGTERM to Snakemake or DVC."""
    return _signal(main, main.pid, signal.SIGTERM)


def kill_everything(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """SIGKILL to all processes of the folder at once, as a power cut would."""
    processes = world.processes()
    world.kill()
    if main.poll() is None:
        _signal(main, -main.pid, signal.SIGKILL)
    return f"{len(processes)} processes" if processes else None


def interrupt(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """Ctrl-C, which a terminal sends to all processes of the foreground."""
    return _signal(main, -main.pid, signal.SIGINT)


def interrupt_twice(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """Ctrl-C, and once more by somebody who does not wait for the end."""
    if _signal(main, -main.pid, signal.SIGINT) is None:
        return None
    world.wait(main, world.rng.uniform(0, 2))
    again = _signal(main, -main.pid, signal.SIGINT)
    return "twice" if again else "it ended before the second"


def full_disk(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """No byte is free for some seconds, or only some kilobytes; the project has a small disk."""
    if not small_disk.is_small(world.project.root):
        return None
    left = world.rng.choice([0, 2_000, 20_000, 200_000])
    with small_disk.full(world.project.root, left):
        world.wait(main, SECONDS)
    return f"{left} bytes free for {SECONDS:g} s"


def limit_files(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """No process of the command may write a file larger than some kilobytes from now on."""
    if world.shift:
        return None  # faketime's shared memory counts as a file, and every program would fail
    size = world.rng.choice([2_000, 20_000, 200_000, 1_000_000])
    hit = 0
    for process in world.processes():
        with suppress(psutil.Error):
            process.rlimit(psutil.RLIMIT_FSIZE, (size, size))
            hit += 1
    return f"files of at most {size} bytes for {hit} processes" if hit else None


def read_only_folder(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """A folder that cannot be written for some seconds."""
    name = world.rng.choice(FOLDERS)
    folder = world.project.root / name
    if not folder.is_dir() or not small_disk.mount("--bind", folder, folder):
        return None
    try:
        read_only = small_disk.mount("-o", "remount,ro,bind", folder)
        world.wait(main, SECONDS)
    finally:
        small_disk.unmount(folder)
    return f"{name} read-only for {SECONDS:g} s" if read_only else None


def damage_checkpoint(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """A checkpoint cut or with a flipped bit, after all processes were killed."""
    if not world.files(CHECKPOINT):
        return None
    _end(world, main)
    return _damage(world, world.files(CHECKPOINT))


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
    """A second command beside the first one; where both work, further faults meet both."""
    if main.poll() is not None:
        return None
    words = world.rng.choice(SECOND)
    second = world.start(*words, log="second.log")
    world.wait(second, HEAD_START)
    code = second.poll()
    return f"{' '.join(words)}, {'at work' if code is None else f'exit code {code}'}"


def other_scale(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """A DVC command while params.yaml says another scale, after Ctrl-C."""
    if _signal(main, -main.pid, signal.SIGINT):
        main.wait(LIMIT)
    file = world.project.root / "params.yaml"
    before = file.read_text()
    words = world.rng.choice([("checkout",), ("status",), ("gc", "-w", "-f"), ("checkout", "-f")])
    file.write_text(yaml.safe_dump({**yaml.safe_load(before), "scale": "lite"}, sort_keys=False))
    try:
        world.project("dvc", *words, check=False)
    finally:
        file.write_text(before)
    return f"dvc {' '.join(words)} at scale lite"


def shift_clock(world: World, main: subprocess.Popen[bytes]) -> str | None:
    """Commands from the next one on are a year or an hour behind, a year ahead, or right again."""
    if shutil.which("faketime") is None:
        return None
    _end(world, main)
    world.shift = world.rng.choice([shift for shift in CLOCKS if shift != world.shift])
    return f"a clock shifted by {world.shift or 'nothing'}"


DAMAGES: tuple[Fault, ...] = (damage_record, damage_weights, damage_scheme, damage_data)
# What they hit is there for seconds: a training, its checkpoint, a search's result not yet hit.
PATIENT: tuple[Fault, ...] = (kill_training, damage_checkpoint, damage_scheme)
FAULTS: tuple[Fault, ...] = (
    kill_job,
    kill_training,
    kill_server,
    stop_job,
    kill_command,
    kill_snakemake,
    stop_command,
    kill_everything,
    interrupt,
    interrupt_twice,
    full_disk,
    limit_files,
    read_only_folder,
    damage_checkpoint,
    *DAMAGES,
    second_command,
    other_scale,
    shift_clock,
)


def _end(world: World, main: subprocess.Popen[bytes]) -> None:
    """SIGKILL to whatever is at work."""
    kill_everything(world, main)
    main.wait(LIMIT)


def _served(world: World) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Servers, and the processes that these have forked for jobs."""
    processes = world.processes(SERVER)
    numbers = {process.pid for process in processes}
    servers: list[psutil.Process] = []
    forked: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.Error):
            (forked if process.ppid() in numbers else servers).append(process)
    return servers, forked


def _signal(main: subprocess.Popen[bytes], target: int, number: signal.Signals) -> str | None:
    """Send a signal to the command, or with a negative number to its whole group."""
    if main.poll() is not None:
        return None
    with suppress(ProcessLookupError):  # it has ended just now
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
