"""Weights from files of others: every usual wrapping is read, and nothing is ever executed."""

import pickle
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from counterpart.errors import ModelError
from counterpart.generative_import.weights import read_weights

TENSORS = {
    "conv_in.conv.weight": torch.arange(6.0).reshape(1, 2, 3),
    "out.2.conv.bias": torch.ones(2),
}


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in TENSORS.items()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(TENSORS)
    for name, value in TENSORS.items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], value)


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file(prefixed("module."), tmp_path / "weights.safetensors")
    assert_same(read_weights(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
def test_a_plain_state_dict_is_read(tmp_path: Path, suffix: str) -> None:
    assert_same(read_weights(saved(tmp_path / f"weights{suffix}", OrderedDict(TENSORS))))


@pytest.mark.parametrize(
    "name", ["state_dict", "model", "model_state_dict", "unet", "unet_weights"]
)
def test_a_state_dict_is_found_in_a_checkpoint(tmp_path: Path, name: str) -> None:
    content = {"epoch": 3, "optimizer": {"lr": 1e-4}, name: TENSORS}
    assert_same(read_weights(saved(tmp_path / "last.pt", content)))


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "unet.", "denoiser.", "_orig_mod.", "model.module.unet."]
)
def test_a_shared_prefix_is_taken_off(tmp_path: Path, prefix: str) -> None:
    assert_same(read_weights(saved(tmp_path / "last.pt", {"state_dict": prefixed(prefix)})))


def test_a_prefix_that_not_all_names_share_stays(tmp_path: Path) -> None:
    both = {**prefixed("unet."), "autoencoder.weight": torch.ones(1)}
    assert set(read_weights(saved(tmp_path / "last.pt", both))) == set(both)


def test_a_lightning_checkpoint_is_read(tmp_path: Path) -> None:
    content = {
        "epoch": 7,
        "global_step": 700,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": prefixed("denoiser."),
        "optimizer_states": [{"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hyper_parameters": {"learning_rate": 1e-4},
    }
    assert_same(read_weights(saved(tmp_path / "epoch=7.ckpt", content)))


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    half = {name: value.half() for name, value in TENSORS.items()}
    assert_same(read_weights(saved(tmp_path / "half.pt", half)))


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path = saved(tmp_path / "trap.pt", {"state_dict": TENSORS, "callback": Trap(mark)})
    with pytest.raises(ModelError, match=r"never executed.*save_file\(network\.state_dict\(\)"):
        read_weights(path)
    assert not mark.exists()


def test_a_bare_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap(mark), protocol=2))
    with pytest.raises(ModelError, match="never executed"):
        read_weights(tmp_path / "trap.pth")
    assert not mark.exists()


def test_a_whole_saved_network_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "network.pt", torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="never executed"):
        read_weights(path)


def test_hyperparameters_that_need_code_are_refused_with_what_to_do(tmp_path: Path) -> None:
    content = {"state_dict": TENSORS, "hyper_parameters": Namespace(rate=1)}
    with pytest.raises(ModelError, match="Where the network was trained"):
        read_weights(saved(tmp_path / "last.ckpt", content))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 damaged"])
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"weights{suffix}").write_bytes(content)
    with pytest.raises(ModelError, match=f"weights{suffix}"):
        read_weights(tmp_path / f"weights{suffix}")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", TENSORS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(2), "expected tensors by name, got Tensor"),
        ({}, "expected tensors by name"),
        ({"epoch": 3, "weights": TENSORS}, "there are epoch, weights"),
        ({"model": TENSORS, "unet_ema": TENSORS}, r"several state dicts \(model, unet_ema\)"),
        ({"state_dict": {**TENSORS, "step": 4}}, "expected a state dict"),
        ({"a": torch.ones(2, dtype=torch.int64)}, "'a' is no tensor of floating-point"),
        ({"a": torch.tensor([1.0, torch.nan])}, "'a' holds numbers that are not finite"),
    ],
)
def test_what_is_not_one_network_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_weights(saved(tmp_path / "last.pt", content))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").touch()
    with pytest.raises(ModelError, match="expected .safetensors, .pt, .pth, .ckpt, got '.h5'"):
        read_weights(tmp_path / "weights.h5")
    with pytest.raises(ModelError, match="there is no such file"):
        read_weights(tmp_path / "nowhere.pt")
