"""config.json of a LeRobot policy -> what it takes and gives, and how that fits the data. Nothing of LeRobot
is imported here.

    config.json ──read_signature──> Signature ──agree with a rename map and DataFacts──> Interface, remarks

Every policy type that Vantage cannot drive is refused here with a sentence, before anything is built.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from vantage.policies.lerobot.checkpoint import Record
from vantage.policies.lerobot.keys import (
    ACTION,
    EMPTY_CAMERA,
    ENVIRONMENT_STATE,
    STATE,
    camera_of,
    data_key,
    rename_map_of,
)
from vantage.policies.protocol import Interface
from vantage.policies.spec import DataFacts
from vantage.types import VantageError

FLOW_VLAS = ("smolvla", "pi0", "pi05")
SUPPORTED = (*FLOW_VLAS, "act", "multi_task_dit")
MOST_LAYERS = 1000
"""More in a config.json is damage, and would take hours to build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a policy takes and gives, in LeRobot's keys."""

    type: str
    cameras: Mapping[str, tuple[int, int]]
    """Camera key -> (height, width) of its training pictures; without LeRobot's empty slots."""
    any_size: bool
    """Whether the policy resizes pictures by itself."""
    spare_cameras: int | None
    """How many of its cameras may be absent: LeRobot shows black in their place. None: all but one."""
    state_dim: int | None
    environment_dim: int | None
    action_dim: int | None
    """None: the checkpoint leaves it to the data."""
    widths: tuple[int, int] | None
    """(state, action) up to which LeRobot pads with zeros, so that other robots fit; None: the weights fix
    the dimensions."""
    chunk: int
    """Steps predicted from the present on."""
    execute: int
    history: int
    """Observations that it looks at."""
    action_names: tuple[str, ...] | None = None


def with_settings(config: Mapping[str, Any], settings: Sequence[str], name: str) -> dict[str, Any]:
    """config.json with ``name=value`` settings written over it, as LeRobot's own command line would.

    Raises VantageError for a setting that is no ``name=value``, or that the config has not.
    """
    changed = dict(config)

    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise VantageError(f"{setting!r} is no setting; write name=value, such as n_action_steps=8")
        if key.split(".")[0] not in config:
            raise VantageError(f"{name} has no setting {key!r}; it has {', '.join(sorted(config))}")
        if "." not in key:
            changed[key] = _value(text)

    return changed


def _value(text: str) -> Any:
    """A value as LeRobot's command line reads it: JSON where it is JSON, else the text itself."""
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except ValueError:
        return text


def read_signature(config: Mapping[str, Any], name: str) -> Signature:
    """What config.json says. Raises VantageError for a policy that Vantage does not drive."""
    kind = config.get("type")
    if kind not in SUPPORTED:
        raise VantageError(
            f"{name} is LeRobot's {kind!r}, which Vantage does not drive; it drives {', '.join(SUPPORTED)}"
        )
    _refuse_variants(config, name)

    inputs, outputs = (_features(config, key, name) for key in ("input_features", "output_features"))
    pictures = {key: feature for key, feature in inputs.items() if feature["type"] == "VISUAL"}
    environment = next((feature for feature in inputs.values() if feature["type"] == "ENV"), None)
    action_names = config.get("action_feature_names")
    history, chunk = _reach(config, name)

    return Signature(
        type=kind,
        cameras={
            key: _size(feature) for key, feature in pictures.items() if not key.startswith(EMPTY_CAMERA)
        },
        any_size=kind in FLOW_VLAS
        and (kind != "smolvla" or config.get("resize_imgs_with_padding") is not None),
        spare_cameras=_spare_cameras(config),
        state_dim=_dim(inputs.get(STATE)),
        environment_dim=_dim(environment),
        action_dim=_dim(outputs.get(ACTION)),
        widths=(int(config["max_state_dim"]), int(config["max_action_dim"])) if kind in FLOW_VLAS else None,
        chunk=chunk,
        execute=min(_count(config, "n_action_steps", name), chunk),  # LeRobot cuts its chunk there
        history=history,
        action_names=None if action_names is None else tuple(action_names),
    )


def _features(config: Mapping[str, Any], key: str, name: str) -> dict[str, dict[str, Any]]:
    """What goes in or comes out, by key; nothing where the config says nothing.

    Raises VantageError where one has no type, or a shape that no array has.
    """
    features = config.get(key) or {}
    for column, feature in features.items() if isinstance(features, dict) else (("it", features),):
        shape = feature.get("shape") if isinstance(feature, dict) else None
        sizes = shape if isinstance(shape, list | tuple) else [None]
        if not all(isinstance(size, int) and size > 0 for size in sizes) or "type" not in feature:
            fault = f"{name} gives {column} of {key} no type, or a shape that no array has"
            raise VantageError(f"{fault}; restore its config.json")
    return cast(dict[str, dict[str, Any]], features)


def _refuse_variants(config: Mapping[str, Any], name: str) -> None:
    """Refuse settings under which a supported type means something that Vantage does not compute."""
    for key, value in config.items():
        if key.endswith("layers") and isinstance(value, int) and value > MOST_LAYERS:
            raise VantageError(f"{name} says {key}={value}, more than {MOST_LAYERS}; restore its config.json")

    steps = _count(config, "n_obs_steps", name, absent=1)
    if steps != 1 and config["type"] != "multi_task_dit":
        one = f"LeRobot's {config['type']} looks at one observation"
        raise VantageError(f"{name} says n_obs_steps={steps}, and {one}; set n_obs_steps=1")

    if config["type"] == "multi_task_dit" and config.get("objective") != "flow_matching":
        fault = f"{name} is trained by {config.get('objective')!r}"
        raise VantageError(f"{fault}, and Vantage drives multi_task_dit with objective=flow_matching")

    if config["type"] == "act" and config.get("temporal_ensemble_coeff") is not None:
        raise VantageError(
            f"{name} averages overlapping chunks (temporal_ensemble_coeff), and Vantage executes chunks; "
            "set temporal_ensemble_coeff=null and n_action_steps to the steps executed"
        )


def _reach(config: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Observations that the policy looks at, and steps that it predicts from the present on."""
    if config["type"] != "multi_task_dit":
        return 1, _count(config, "chunk_size", name)

    # Its horizon begins at the first of its observations.
    history, horizon = _count(config, "n_obs_steps", name, absent=1), _count(config, "horizon", name)
    if horizon < history:
        raise VantageError(
            f"{name} predicts {horizon} steps from the first of {history} observations on, "
            "so none lies ahead; raise horizon",
        )
    return history, horizon - history + 1


def _count(config: Mapping[str, Any], key: str, name: str, absent: int | None = None) -> int:
    """A number of steps, 1 or more, which LeRobot reads from text too; `absent` where the config says
    none."""
    value = absent if config.get(key) is None else config[key]
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise VantageError(
            f"{name} says {key}={value!r}; it must be a whole number, 1 or more; restore its config.json"
        )
    return number


def _spare_cameras(config: Mapping[str, Any]) -> int | None:
    match config["type"]:
        case "smolvla":
            return int(config.get("empty_cameras") or 0)
        case "pi0" | "pi05":
            return None
        case _:
            return 0


def _size(feature: Mapping[str, Any]) -> tuple[int, int]:
    _, height, width = feature["shape"]
    return int(height), int(width)


def _dim(feature: Mapping[str, Any] | None) -> int | None:
    return None if feature is None else int(feature["shape"][0])


@dataclass(slots=True)
class _Remarks:
    sentences: list[str] = field(default_factory=list[str])

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)


def agree(
    signature: Signature, name: str, rename_map: Mapping[str, str], record: Record, data: DataFacts | None
) -> tuple[Interface, tuple[str, ...]]:
    """How the policy is used on these data, and sentences about everything that was filled, changed or could
    not be compared.

    Without data: as its checkpoint says. Raises VantageError where policy and data do not fit.
    """
    remarks = _Remarks()
    cameras = _cameras(signature, name, rename_map, record, data, remarks)
    state_dim = _padded(
        "state",
        signature.state_dim,
        _state_dim(data),
        signature.widths and signature.widths[0],
        name,
        remarks,
    )
    action_dim = _padded(
        "action",
        signature.action_dim,
        data and data.action.dim,
        signature.widths and signature.widths[1],
        name,
        remarks,
    )
    if action_dim is None:
        raise VantageError(
            f"{name} does not say how many action dimensions it has, and there are no data to say it; "
            "give it data"
        )

    action_names = record.action_names or signature.action_names
    if data is not None:
        _compare_names(
            "action", action_names, data.action_names, action_dim == signature.action_dim, name, remarks
        )
        _compare_names(
            "state", record.state_names, data.state_names, state_dim == signature.state_dim, name, remarks
        )
        _compare_rest(signature, name, record, data, remarks)
        action_names = data.action_names or action_names

    interface = Interface(
        cameras=cameras,
        state_dim=state_dim,
        environment_dim=signature.environment_dim,
        action_dim=action_dim,
        chunk=signature.chunk,
        execute=signature.execute,
        history=signature.history,
        state_names=(data and data.state_names) or record.state_names,
        action_names=action_names,
        fps=record.fps if data is None or data.fps is None else data.fps,
    )
    return interface, tuple(remarks.sentences)


def _state_dim(data: DataFacts | None) -> int | None:
    return None if data is None or data.state is None else data.state.dim


def _cameras(
    signature: Signature,
    name: str,
    rename_map: Mapping[str, str],
    record: Record,
    data: DataFacts | None,
    remarks: _Remarks,
) -> dict[str, tuple[int, int] | None]:
    """Camera of the data -> size wanted, for the cameras that both sides have."""
    wanted = {key: camera_of(data_key(key, rename_map)) for key in signature.cameras}
    if data is None:
        present = [key for key in wanted if record.cameras is None or key in record.cameras]
    else:
        _refuse_unknown_renames(rename_map, signature, name)
        present = [key for key, camera in wanted.items() if camera in data.cameras]
        missing = [key for key in wanted if key not in present]
        _refuse_missing_cameras(signature, name, present, missing, wanted, data)
        if missing:
            remarks.add(
                f"{name}: the data have no camera for {', '.join(missing)}; "
                "LeRobot shows the policy black there and masks it"
            )

    return {wanted[key]: None if signature.any_size else signature.cameras[key] for key in present}


def _refuse_unknown_renames(rename_map: Mapping[str, str], signature: Signature, name: str) -> None:
    known = {*signature.cameras, STATE, ENVIRONMENT_STATE}
    unknown = [theirs for theirs in rename_map.values() if theirs not in known]
    if unknown:
        states = {STATE: signature.state_dim, ENVIRONMENT_STATE: signature.environment_dim}
        seen = [*signature.cameras, *(key for key, dim in states.items() if dim is not None)]
        raise VantageError(
            f"the rename map leads to {unknown[0]}, which {name} does not look at; it looks at "
            f"{', '.join(sorted(seen))} (on the left stands the key of the data, on the right the policy's)"
        )


def _refuse_missing_cameras(
    signature: Signature,
    name: str,
    present: list[str],
    missing: list[str],
    wanted: Mapping[str, str],
    data: DataFacts,
) -> None:
    spare = len(signature.cameras) - 1 if signature.spare_cameras is None else signature.spare_cameras
    if not signature.cameras or (present and len(missing) <= spare):
        return

    free = [camera for camera in data.cameras if camera not in wanted.values()]
    example = dict(zip(free or list(data.cameras), [camera_of(key) for key in missing], strict=False))
    raise VantageError(
        f"{name} looks at {', '.join(signature.cameras)}, and the data have "
        f"{', '.join(sorted(data.cameras)) or 'no camera'}; "
        f"say which is which, for example --rename_map='{rename_map_of(example)}'"
    )


def _padded(
    what: str,
    ours: int | None,
    theirs: int | None,
    width: int | None,
    name: str,
    remarks: _Remarks,
) -> int | None:
    """The dimension to use: the data's, where LeRobot pads; else both must be the same."""
    if theirs is None or ours == theirs:
        return ours
    if what == "state" and ours is None and width is None:
        return None

    if width is None:
        fault = f"{name} has {ours} {what} dimensions and the data {theirs}"
        raise VantageError(f"{fault}; use data of the same robot, or another policy")
    if theirs > width:
        raise VantageError(
            f"{name} holds up to {width} {what} dimensions and the data have {theirs}; use another policy"
        )

    if ours is not None:
        remarks.add(
            f"{name} had {ours} {what} dimensions and the data have {theirs}: from here it has {theirs} "
            f"(LeRobot pads with zeros up to {width}), with the data's scales"
        )
    return theirs


def _compare_names(
    what: str,
    ours: tuple[str, ...] | None,
    theirs: tuple[str, ...] | None,
    comparable: bool,
    name: str,
    remarks: _Remarks,
) -> None:
    """Remark that names could not be compared. Raises VantageError where they differ, in their order too."""
    if not comparable:
        return

    if ours is None or theirs is None:
        side = f"{name} does not keep them" if ours is None else "the data do not name them"
        remarks.add(f"names of the {what} dimensions were not compared: {side}")
    elif ours != theirs and sorted(ours) == sorted(theirs):
        raise VantageError(
            f"{name} has the {what} dimensions in the order {', '.join(ours)} and the data in the order "
            f"{', '.join(theirs)}; reorder the columns of the data"
        )
    elif ours != theirs:
        raise VantageError(
            f"{name} has the {what} dimensions {', '.join(ours)} and the data {', '.join(theirs)}; "
            "use data of the same robot, or rename the dimensions where they mean the same"
        )


def _compare_rest(
    signature: Signature, name: str, record: Record, data: DataFacts, remarks: _Remarks
) -> None:
    if signature.environment_dim is not None and (
        data.environment_state is None or data.environment_state.dim != signature.environment_dim
    ):
        raise VantageError(
            f"{name} needs {signature.environment_dim} numbers of {ENVIRONMENT_STATE}, which the data lack"
        )
    if signature.state_dim is not None and data.state is None:
        raise VantageError(f"{name} needs {STATE}, which the data lack")

    if record.fps is None or data.fps is None:
        remarks.add(
            "control steps per second were not compared: "
            f"{name if record.fps is None else 'the data'} does not say them"
        )
    elif abs(record.fps - data.fps) > 0.01 * record.fps:
        raise VantageError(
            f"{name} was trained at {record.fps:g} control steps per second and the data have {data.fps:g}; "
            "its chunks would run at another speed: use data of the same rate"
        )

    if signature.type == "act" and data.prompts > 1:
        remarks.add(f"{name} does not read the task prompt, and the data have {data.prompts} different ones")
