"""Checkpoints that are damaged, impossible or none, each tried on the commands that read one."""

import json
import os
import pickle
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.processes import fork, ran
from campaign.programs import FINETUNE, RUN, copy_of_reference, recordings, reference

FAMILY = "bad checkpoint"


@dataclass(frozen=True)
class Broken:
    """What is done to the folder of a checkpoint."""

    name: str
    spoil: Callable[[Path], object]
    instead: str = ""
    """What is named instead of the folder, beside it or below it."""

    def __str__(self) -> str:
        return self.name


# -------------------------------------------------------------------------------- any checkpoint


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _cut(name: str, keep: float) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(keep * len(content))])

    return spoil


def _remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return spoil


def _header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Change the JSON at the head of model.safetensors."""

    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return spoil


def _first(header: dict[str, Any]) -> dict[str, Any]:
    return next(value for name, value in header.items() if name != "__metadata__")


def _raw_header(length: int, text: bytes) -> Callable[[Path], object]:
    return _write("model.safetensors", struct.pack("<Q", length) + text)


def _not_a_number(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            weights[name] = tensor * float("nan")
    save_file(weights, folder / "model.safetensors")


def _rename_tensor(header: dict[str, Any]) -> None:
    name = next(name for name in header if name != "__metadata__")
    header["of_another_policy"] = header.pop(name)


_DEEP = b"[" * 200_000
_DEEP_OBJECT = b'{"a":' * 200_000
CONFIG_FILES = [
    Broken("config.json gone", _remove("config.json")),
    Broken("config.json empty", _write("config.json", b"")),
    Broken("config.json cut to half", _cut("config.json", 0.5)),
    Broken("config.json a list", _write("config.json", b"[]")),
    Broken("config.json null", _write("config.json", b"null")),
    Broken("config.json a number", _write("config.json", b"7")),
    Broken("config.json an empty object", _write("config.json", b"{}")),
    Broken("config.json nested 200,000 deep", _write("config.json", _DEEP)),
    Broken("config.json objects nested 200,000 deep", _write("config.json", _DEEP_OBJECT)),
    Broken("config.json bytes", _write("config.json", b"\xff\xfe\x00\x01" * 50)),
    Broken("config.json a link to itself", _instead("config.json", lambda path: path.symlink_to(path.name))),
    Broken("config.json a folder", _instead("config.json", Path.mkdir)),
    Broken("config.json a pipe", _instead("config.json", os.mkfifo)),
]
WEIGHT_FILES = [
    Broken("weights gone", _remove("model.safetensors")),
    Broken("weights empty", _write("model.safetensors", b"")),
    Broken("weights cut to half", _cut("model.safetensors", 0.5)),
    Broken("weights cut by a byte", _cut("model.safetensors", 0.9999)),
    Broken("weights random bytes", _write("model.safetensors", bytes(range(256)) * 40)),
    Broken("weights a pickle", _write("model.safetensors", pickle.dumps({"weight": [0.0] * 100}))),
    Broken("weights a folder", _instead("model.safetensors", Path.mkdir)),
    Broken("weights a pipe", _instead("model.safetensors", os.mkfifo)),
    Broken(
        "weights a link to itself", _instead("model.safetensors", lambda path: path.symlink_to(path.name))
    ),
    Broken("header of 2^63 bytes", _raw_header(2**63, b"{}")),
    Broken("header of 2^64 - 1 bytes", _raw_header(2**64 - 1, b"{}")),
    Broken("header longer than the file", _raw_header(5000, b"{}")),
    Broken("header of no bytes", _raw_header(0, b"")),
    Broken("header no JSON", _raw_header(4, b"{]{]")),
    Broken("header nested deep", _raw_header(len(_DEEP), _DEEP)),
    Broken("header without tensors", _raw_header(2, b"{}")),
    Broken("offsets behind the end", _header(lambda head: _first(head).update(data_offsets=[0, 10**12]))),
    Broken("offsets negative", _header(lambda head: _first(head).update(data_offsets=[-8, 0]))),
    Broken("offsets exchanged", _header(lambda head: _first(head).update(data_offsets=[64, 0]))),
    Broken("a type that is none", _header(lambda head: _first(head).update(dtype="F1024"))),
    Broken("a shape that overflows", _header(lambda head: _first(head).update(shape=[2**62, 2**62]))),
    Broken("a negative shape", _header(lambda head: _first(head).update(shape=[-1]))),
    Broken("a tensor of another name", _header(_rename_tensor)),
    Broken("every weight NaN", _not_a_number),
]
FOLDERS = [
    Broken("folder not there", lambda folder: None, "../nowhere"),
    Broken("a file instead of the folder", lambda folder: None, "config.json"),
    Broken("the round instead of 5-actor", lambda folder: None, ".."),
    Broken("an empty folder", lambda folder: (folder / "empty").mkdir(), "empty"),
    Broken("a pipe instead of the folder", lambda folder: os.mkfifo(folder / "pipe"), "pipe"),
    Broken("a name with a null byte's escape", lambda folder: None, "no\\0where"),
    Broken("a name of 5,000 characters", lambda folder: None, "n" * 5000),
]


def _set(path: str, value: object) -> Broken:
    """Change a value of config.json, `net.width` for one below another."""

    def spoil(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        at = config
        *above, last = path.split(".")
        for name in above:
            at = at[name]
        at[last] = value
        (folder / "config.json").write_text(json.dumps(config))

    return Broken(f"{path} = {json.dumps(value)[:40]}", spoil)


SMALL_VALUES = [
    _set(path, value)
    for path, values in {
        "is": ("GaussianConfig", "os:system", "HABCRun", None, 7, ["FlowConfig"]),
        "net.width": (0, -1, 64, 10**9, 2**70, "128", 128.5, None, True),
        "net.chunk": (0, -4, 7, 10**9),
        "net.execute": (0, -1, 10**6),
        "net.action_dim": (0, -3, 7, 10**12),
        "net.state_dim": (0, 10**12),
        "net.sight": ({"is": "TrueState", "dim": 0}, {"is": "Nothing"}, 7),
        "net.unknown": (1,),
        "net": ([], "net"),
        "euler_steps": (0, -1, 10**12, "ten"),
        "noise": (float("nan"), float("inf"), -1.0, "loud"),
    }.items()
    for value in values
]
LEROBOT_VALUES = [
    _set(path, value)
    for path, values in {
        "type": ("diffusion", "../act", None, 7, ["act"]),
        "chunk_size": (0, -1, 5, 10**9, "eight", None, 2.5, True),
        "n_action_steps": (0, -1, "four"),
        "dim_model": (0, -16, 10**9, "wide"),
        "n_heads": (0, 3, -2),
        "n_encoder_layers": (-1, 7, 10**7),
        "input_features": (None, [], {"observation.state": 7}),
        "output_features": ({}, {"action": {"type": "ACTION", "shape": [-3]}}),
    }.items()
    for value in values
]
LEROBOT_FILES = [
    Broken(f"{name} {what}", spoil(name))
    for name in ("policy_preprocessor.json", "policy_postprocessor.json")
    for what, spoil in {
        "gone": _remove,
        "empty": lambda name: _write(name, b""),
        "cut to half": lambda name: _cut(name, 0.5),
        "nested 200,000 deep": lambda name: _write(name, _DEEP),
        "a list": lambda name: _write(name, b"[]"),
    }.items()
]


def cases() -> Iterator[Case]:
    """Each checkpoint on the commands that read it."""
    kinds = {
        "config.json damaged": CONFIG_FILES,
        "weights damaged, impossible headers": WEIGHT_FILES,
        "no checkpoint folder": FOLDERS,
        "config.json with impossible values": SMALL_VALUES,
    }
    for kind, list_of in kinds.items():
        for broken in list_of:
            name = f"small checkpoint: {broken}"
            swift = broken in (CONFIG_FILES[8], WEIGHT_FILES[9], FOLDERS[2], SMALL_VALUES[6])
            yield Case(FAMILY, f"own policy: {kind}", name, _small(broken), swift=swift)
    kinds |= {"config.json with impossible values": LEROBOT_VALUES, "processors damaged": LEROBOT_FILES}
    for kind, list_of in kinds.items():
        for broken in list_of:
            yield Case(
                FAMILY,
                f"LeRobot policy: {kind}",
                f"LeRobot checkpoint: {broken}",
                _lerobot(broken),
                lerobot=True,
            )


def _named(broken: Broken, folder: Path) -> str:
    return os.path.normpath(folder / broken.instead) if broken.instead else str(folder)


def _small(broken: Broken) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        made = copy_of_reference(RUN, shop.shelf, room)
        actor = made / "round-01/5-actor"
        done = fork(lambda: broken.spoil(actor), room).wait()
        if done.code != 0:
            return lost(f"the case itself fails: {done.last}")
        named = _named(broken, actor.relative_to(room))
        words = ["metaworld", named, "--out=trials.parquet", "--per-task=1", "--workers=1"]
        wrong = _refused(words, room, broken, "trials.parquet")
        if not wrong and not broken.instead:
            for name in ("6-eval.parquet", "round.json"):
                (made / "round-01" / name).unlink()
            words = ["evaluate", "made/round-01", "--workers=1"]
            wrong = _refused(words, room, broken, "made/round-01/6-eval.parquet")
        return lost(wrong) if wrong else held()

    return attempt


def _lerobot(broken: Broken) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        actor = room / "round/5-actor"
        shutil.copytree(reference(FINETUNE, shop.shelf).folder / "made/round-01/5-actor", actor)
        done = fork(lambda: broken.spoil(actor), room).wait()
        if done.code != 0:
            return lost(f"the case itself fails: {done.last}")
        rollouts = recordings(shop.shelf) / "round-01"
        words = [
            "finetune",
            f"--policy.path={_named(broken, actor.relative_to(room))}",
            f"--rollouts={rollouts / '1-episodes'}",
            f"--outcomes={rollouts / 'outcomes.csv'}",
            *("--steps=2", "--batch_size=4", "--critic.steps=2", "--out=made"),
        ]
        if broken.instead == "..":  # the newest round of a run is found: this is no mistake
            ended = ran(words, room)
            return held() if ended.code == 0 else lost(f"the round above is not found: {ended.last}")
        wrong = _refused(words, room, broken, "made/round-01/5-actor")
        return lost(wrong) if wrong else held()

    return attempt


def _refused(words: list[str], room: Path, broken: Broken, product: str) -> str:
    from campaign.input import no_sentence

    ended = ran(words, room, memory=MEMORY)
    wrong = no_sentence(ended, "")
    if wrong:
        return f"vantage {words[0]} {wrong}"
    if (room / product).exists():
        return f"vantage {words[0]} wrote {product}"
    sentence = " ".join(ended.said.split())
    if not broken.instead and not re.search("5-actor|settings|config", sentence):
        return f"vantage {words[0]} does not say where: {sentence[-300:]}"
    return ""


MEMORY = 12 * 2**30
"""Bytes of address space that a command may ask for: sizes of 10^9 must not take the machine with them."""
