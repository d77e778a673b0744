"""On a machine with a GPU: policies, a whole improvement and bfloat16 compute there what they compute on the
CPU.

Where there is none, the pretended device (tests/pretend_device.py) proves that nothing mixes devices, and
here the CPU stands in, so that the file itself is known to run.
"""

import copy
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import recorded as recordings
import torch
from tiny_lerobot import KINDS, batch_for, tiny, tiny_pi

from vantage.batch import Batch
from vantage.core.losses import flow_loss
from vantage.disk.layout import Round
from vantage.learn.optim import constant_rate
from vantage.learn.step import Compute, Learner, Part
from vantage.policies.build import build_policy
from vantage.policies.protocol import Policy
from vantage.seeding import global_generator_kept, seed_global_generators

PRESENT = [
    name
    for name, present in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
    if present
]
DEVICES = PRESENT or ["cpu"]


def example(kind: str) -> tuple[Policy, Batch]:
    """A policy of this kind, and windows for it."""
    if kind == "small":
        small = build_policy(recordings.SPEC, 0)
        return small, small.interface.fake_batch(3)
    policy = tiny(kind)
    return policy, batch_for(policy)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["small", *KINDS])
def test_loss_features_and_actions_are_the_cpus(kind: str, device: str) -> None:
    with tiny_pi() if kind.startswith("pi") else nullcontext():
        policy, batch = example(kind)
    policy.eval()
    twin, draw = (
        copy.deepcopy(policy).to(device),
        policy.draw(len(batch.row), torch.Generator().manual_seed(0)),
    )
    with torch.no_grad():
        ours, theirs = twin(batch.to(device), draw.to(device)), policy(batch, draw)
        torch.testing.assert_close(ours.elementwise.cpu(), theirs.elementwise, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(ours.features.cpu(), theirs.features, rtol=1e-2, atol=1e-3)

    acted = twin.act(batch.observation.to(device), torch.Generator().manual_seed(1)).cpu()
    torch.testing.assert_close(
        acted, policy.act(batch.observation, torch.Generator().manual_seed(1)), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize("device", DEVICES)
def test_the_device_draws_as_torch_seeds_it(device: str) -> None:
    with global_generator_kept():
        torch.manual_seed(7)
        slow = torch.rand(5, device=device)
        seed_global_generators(7, torch.device(device))
        assert torch.equal(torch.rand(5, device=device), slow)


@pytest.mark.parametrize("device", DEVICES)
def test_an_improvement_learns_what_it_learns_on_the_cpu(recorded: Path, tmp_path: Path, device: str) -> None:
    run = recordings.copy_of_recordings(recorded, tmp_path / "run", rounds=1)
    replace(recordings.improver(run, 1), compute=Compute(device=device)).learn()  # type: ignore[arg-type]

    ours, theirs = (Round.of(folder, 1).actor / "metrics.jsonl" for folder in (run, recorded))
    for line, other in zip(ours.read_text().splitlines(), theirs.read_text().splitlines(), strict=True):
        assert json.loads(line)["loss"] == pytest.approx(json.loads(other)["loss"], rel=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_overfits_a_batch(device: str) -> None:
    policy = tiny("smolvla")
    compute = Compute(device=device, precision="bfloat16", accumulate=2)  # type: ignore[arg-type]
    learner, batch = Learner(policy, constant_rate(1e-3), compute=compute), batch_for(policy)
    draw = policy.draw(len(batch.row), torch.Generator().manual_seed(0))

    def loss_of(part: Part) -> torch.Tensor:
        rows = part.of(len(batch.row))
        windows = batch.at(rows).to(learner.device)
        elementwise = learner.model(windows, draw.at(rows).to(learner.device)).elementwise
        return flow_loss(
            elementwise, windows.mask, torch.ones(len(windows.row)).to(learner.device), len(batch.row)
        )

    losses = [learner.step(loss_of).loss.item() for _ in range(25)]
    assert losses[-1] < 0.8 * losses[0]
