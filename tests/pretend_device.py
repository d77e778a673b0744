"""A second device on a machine that has none: its tensors lie in this machine's memory, and may meet no
other.

    with PretendDevice():  tensor.to("meta")  ──>  computes as ever, and ends with `MixedDevices`
                                                   where a CPU tensor meets it

It answers to the name `meta`, which torch knows and starts no driver for, but unlike torch's own it has real
numbers, so that whole trainings run on it and can be compared with the CPU's. As on a GPU, a scalar on the
CPU may meet anything, copies go both ways, a tensor there has no `.numpy()`, and a generator on the CPU draws
nothing there.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from vantage.batch import Batch
from vantage.policies.protocol import Policy

AWAY = torch.device("meta")
ATEN = torch.ops.aten


class MixedDevices(Exception):
    """Tensors of two devices met in one operation."""


class Away(torch.Tensor):
    """A tensor of the pretended device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, real: torch.Tensor) -> "Away":
        """Wrap a tensor that lies on the CPU."""
        away = torch.Tensor._make_wrapper_subclass(
            cls,
            real.size(),
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            device=AWAY,
        )
        away.inner = real
        return away

    def __repr__(self) -> str:
        return f"Away({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Outside of `PretendDevice` too, so that a tensor that escaped still cannot mix."""
        return run_away(func, args, kwargs or {})


class PretendDevice:
    """While it lasts, `meta` is the pretended device."""

    def __enter__(self) -> None:
        self.modes = (_Operations(), _FromPython())
        for mode in self.modes:
            mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self.modes):
            mode.__exit__(*error)


class _Operations(TorchDispatchMode):
    """Every operation on tensors."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run_away(func, args, kwargs or {})


class _FromPython(TorchFunctionMode):
    """`torch.tensor([1, 2], device=...)` fills a tensor of `meta` with nothing, before any operation is
    seen."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


def run_away(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """One operation, on the device that its tensors are on."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    away = any(isinstance(tensor, Away) for tensor in tensors)
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked)

    if func is ATEN.copy_.default:
        unwrap(args[0]).copy_(unwrap(args[1]))
        return args[0]
    if func in (ATEN._to_copy.default,):
        made = func(
            *unwrap(args), **unwrap({**kwargs, "device": None if asked is None else torch.device("cpu")})
        )
        return Away(made) if (asked == AWAY if asked is not None else away) else made

    if not away:
        if asked != AWAY:
            return func(*args, **kwargs)
        if kwargs.get("generator") is not None:
            raise MixedDevices(f"{func}: a generator on the CPU cannot draw on the device")
        if any(tensor.dim() for tensor in tensors):
            raise MixedDevices(f"{func} makes a tensor on the device out of one on the CPU")
        return Away(func(*args, **{**kwargs, "device": torch.device("cpu")}))

    here = [tuple(tensor.shape) for tensor in tensors if not isinstance(tensor, Away) and tensor.dim()]
    if here:
        raise MixedDevices(f"{func}: a tensor on the CPU {here[0]} meets one on the device")
    if kwargs.get("generator") is not None:
        raise MixedDevices(f"{func}: a generator on the CPU cannot draw on the device")
    if asked is not None and asked != AWAY:
        return func(*unwrap(args), **unwrap(kwargs))

    real_kwargs = {key: value for key, value in kwargs.items() if key != "device"}
    made = func(*unwrap(args), **unwrap(real_kwargs))
    wrapped = tree_map(lambda leaf: Away(leaf) if isinstance(leaf, torch.Tensor) else leaf, made)
    return return_and_correct_aliasing(func, tuple(args), dict(kwargs), wrapped)


def unwrap(tree: Any) -> Any:
    """The real tensors in any nest of tuples, lists and dictionaries."""
    return tree_map(lambda leaf: leaf.inner if isinstance(leaf, Away) else leaf, tree)


def brought_back(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the device on the CPU, asserting that it was there."""
    assert isinstance(tensor, Away), "it is not on the device"
    return tensor.detach().to("cpu")


def assert_alike(away: torch.Tensor, here: torch.Tensor) -> None:
    """A tensor of the device holds the numbers of one on the CPU, but for rounding."""
    torch.testing.assert_close(brought_back(away), here, atol=2e-5, rtol=1e-3)


def check_policy_away(policy: Policy, batch: Batch) -> None:
    """Assert that loss, gradient, features and actions of a policy on the pretended device are those on the
    CPU.

    To be called inside of `PretendDevice`.
    """
    policy.eval()
    draw = policy.draw(len(batch.row), torch.Generator().manual_seed(1))
    twin = copy.deepcopy(policy).to(AWAY)
    assert twin.device.type == "meta"

    here, there = policy(batch, draw), twin(batch.to(AWAY), draw.to(AWAY))
    assert_alike(there.elementwise, here.elementwise.detach())
    assert_alike(there.features, here.features)
    assert_alike(twin.features(batch.observation.to(AWAY)), policy.features(batch.observation))

    chunk = policy.act(batch.observation, torch.Generator().manual_seed(2))
    assert_alike(twin.act(batch.observation.to(AWAY), torch.Generator().manual_seed(2)), chunk)

    here.elementwise.mean().backward()
    there.elementwise.mean().backward()
    for a, b in zip(policy.parameters(), twin.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None and b.grad is not None:
            assert_alike(b.grad, a.grad)
