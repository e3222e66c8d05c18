"""Imported networks answer as the trained ones; whatever does not fit is refused by name."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from safetensors.torch import load_file, save_file
from torch import nn

from counterpart.bundle import CARD, MANIFEST, METADATA, WEIGHTS, write_manifest
from counterpart.cli import main
from counterpart.errors import ModelError
from counterpart.generative_import import comparison, conversion
from counterpart.generative_import.comparison import NOT_INSTALLED, TOLERANCE
from counterpart.generative_import.conversion import (
    NETWORK,
    converted_network,
    import_generative,
    load_imported,
)
from counterpart.generative_import.network import DEFAULTS, GenerativeNetwork, network_of, seen_in
from counterpart.hashing import file_sha256

Weights = dict[str, torch.Tensor]
BASE: dict[str, Any] = {
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 1,
    "num_res_blocks": [1, 1],
    "num_channels": [8, 16],
    "attention_levels": [False, True],
    "num_head_channels": [4, 8],
    "norm_num_groups": 4,
    "norm_eps": 1e-6,
}
CROSS = {"with_conditioning": True, "cross_attention_dim": 6}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain attention": {},
    "plain attention in 3-D": {"spatial_dims": 3},
    "plain attention everywhere": {"attention_levels": [True, True]},
    "no attention level": {"attention_levels": [False, False]},
    "heads that do not divide the width": {"num_head_channels": [8, 6]},
    "one head": {"num_head_channels": [8, 16]},
    "cross-attention": CROSS,
    "cross-attention in 3-D": {**CROSS, "spatial_dims": 3},
    "cross-attention in the middle alone": {**CROSS, "attention_levels": [False, False]},
    "cross-attention of three layers": {**CROSS, "transformer_num_layers": 3},
    "cross-attention of narrow heads": {**CROSS, "num_head_channels": [8, 6]},
    "upcast cross-attention": {**CROSS, "upcast_attention": True},
    "cross-attention with dropout": {**CROSS, "dropout_cattn": 0.5},
    "flash attention": {"use_flash_attention": True},
    "flash attention in 3-D": {"use_flash_attention": True, "spatial_dims": 3},
    "flash cross-attention": {**CROSS, "use_flash_attention": True, "dropout_cattn": 0.5},
    "residual up and down": {"resblock_updown": True},
    "residual up and down in 3-D": {**CROSS, "resblock_updown": True, "spatial_dims": 3},
    "classes": {"num_class_embeds": 3},
    "classes and cross-attention": {**CROSS, "num_class_embeds": 5},
    "another epsilon": {"norm_eps": 1e-2},
    "one level": {
        "num_channels": [8],
        "num_res_blocks": [2],
        "attention_levels": [True],
        "num_head_channels": [4],
    },
    "three levels and several channels": {
        "in_channels": 3,
        "out_channels": 2,
        "num_channels": [8, 8, 16],
        "num_res_blocks": [2, 1, 2],
        "attention_levels": [True, False, True],
        "num_head_channels": [8, 4, 2],
    },
}
each_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
needs_generative = pytest.mark.skipif(
    not comparison.is_generative_installed(), reason="monai-generative is not installed"
)


def arguments(variant: dict[str, Any]) -> dict[str, Any]:
    return {**BASE, **variant}


def size_of(variant: dict[str, Any]) -> GenerativeNetwork:
    return GenerativeNetwork.from_json(arguments(variant))


def randomise(network: nn.Module) -> None:
    """Give every parameter, those that begin at zero too, values that show in the output."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            kernel = parameter.ndim > 1
            parameter.copy_(noise / parameter[0].numel() ** 0.5 if kernel else 0.5 + 0.3 * noise)


def a_core_network(variant: dict[str, Any]) -> DiffusionModelUNet:
    """MONAI core's network that computes what the old one of these arguments does."""
    sizes = arguments(variant)
    sizes["channels"] = sizes.pop("num_channels")
    plain = not sizes.get("with_conditioning", False)
    if plain:  # the old one splits a width into equal heads, as many as fit
        heads = zip(sizes["channels"], sizes["num_head_channels"], strict=True)
        sizes["num_head_channels"] = [width // (width // head) for width, head in heads]
    if sizes.get("use_flash_attention"):
        sizes["dropout_cattn"] = 0.0
    network = DiffusionModelUNet(**sizes, include_fc=not plain)
    randomise(network)
    return network.eval()


def under_old_names(network: nn.Module) -> Weights:
    """The state dict as ``generative`` would have it, its unused projections at random values."""
    found: Weights = {}
    for name, value in network.state_dict().items():
        plain = re.fullmatch(r"(.*attentions?(?:\.\d+)?)\.attn\.(to_[qkv]\.\w+)", name)
        if plain:
            block, rest = plain.groups()
            found[f"{block}.{rest}"] = value
            if rest == "to_q.weight":
                found[f"{block}.proj_attn.weight"] = torch.randn_like(value)
                found[f"{block}.proj_attn.bias"] = torch.randn_like(value[0])
            continue
        name = re.sub(r"(attn[12])\.out_proj\.", r"\1.to_out.0.", name)
        found[re.sub(r"(upsampler)\.postconv\.", r"\1.conv.", name)] = value
    return found


def answer(network: nn.Module, variant: dict[str, Any]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network(**comparison.example_inputs(size_of(variant)))
    return found


def a_config(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture
def old_weights() -> Weights:
    return under_old_names(a_core_network({}))


@pytest.fixture(scope="module")
def the_imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    torch.save({"state_dict": under_old_names(a_core_network({}))}, folder / "trained.ckpt")
    config = a_config(folder, arguments({}))
    import_generative(folder / "trained.ckpt", folder / "network", config=config)
    return folder


@pytest.fixture
def an_imported(the_imported: Path, tmp_path: Path) -> Path:
    """A copy that may be tampered with."""
    return Path(shutil.copytree(the_imported / "network", tmp_path / "network"))


@each_variant
def test_a_renamed_core_network_answers_as_before(variant: dict[str, Any]) -> None:
    network = a_core_network(variant)
    weights = under_old_names(network)
    imported = converted_network(weights, network_of(weights, arguments(variant)))
    assert_the_same(imported, network, variant)


def assert_the_same(found: nn.Module, expected: nn.Module, variant: dict[str, Any]) -> None:
    """Every weight bit for bit; answers but for rounding, for kernels go by a tensor's address."""
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=0, atol=0)
    answers = answer(found, variant), answer(expected, variant)
    torch.testing.assert_close(*answers, rtol=1e-5, atol=2e-6)


@needs_generative
@each_variant
def test_an_imported_network_answers_as_generative(variant: dict[str, Any], tmp_path: Path) -> None:
    old = comparison.generative_network(size_of(variant))
    randomise(old)
    torch.save({"model": old.state_dict()}, tmp_path / "trained.pt")
    config = a_config(tmp_path, arguments(variant))
    imported = import_generative(tmp_path / "trained.pt", tmp_path / "network", config=config)
    assert imported.comparison is not None
    assert imported.comparison.output > 0.1
    assert imported.comparison.difference <= 1e-5
    network = load_imported(tmp_path / "network")
    expected = answer(old.eval(), variant)
    torch.testing.assert_close(answer(network, variant), expected, rtol=0, atol=1e-5)


@needs_generative
@pytest.mark.parametrize("variant", [{}, CROSS], ids=["plain", "cross"])
def test_a_wrongly_read_network_is_refused_with_the_figure(variant: dict[str, Any]) -> None:
    weights = under_old_names(a_core_network(variant))
    network = converted_network(weights, size_of(variant))
    with torch.no_grad():
        network.get_parameter("conv_in.conv.bias").add_(100 * TOLERANCE)
    with pytest.raises(ModelError, match=r"differs from `generative` 0.* by up to 0\.0"):
        comparison.compare_with_generative(network, weights, size_of(variant))


@needs_generative
def test_an_untrained_network_is_refused(tmp_path: Path) -> None:
    torch.save(comparison.generative_network(size_of({})).state_dict(), tmp_path / "fresh.pt")
    config = a_config(tmp_path, arguments({}))
    with pytest.raises(ModelError, match="nothing but zeros: it has not been trained"):
        import_generative(tmp_path / "fresh.pt", tmp_path / "network", config=config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "fresh.pt"]


@each_variant
def test_the_size_is_seen_in_the_weights(variant: dict[str, Any]) -> None:
    seen = seen_in(under_old_names(a_core_network(variant)))
    size = size_of(variant).to_json()
    unseen = {*DEFAULTS, "upcast_attention", "use_flash_attention", "dropout_cattn"}
    if len(size["num_channels"]) == 1:
        unseen.add("resblock_updown")
    if not size["with_conditioning"]:
        unseen.add("transformer_num_layers")
    assert seen == {name: value for name, value in size.items() if name not in unseen}


def test_defaults_are_taken_and_said(tmp_path: Path) -> None:
    wide = {"num_channels": [32, 32], "num_head_channels": [8, 8], "norm_num_groups": 32}
    network = a_core_network(wide)
    save_file(under_old_names(network), tmp_path / "weights.safetensors")
    imported = import_generative(tmp_path / "weights.safetensors", tmp_path / "network")
    assert imported.assumed == {"num_head_channels": 8, "norm_num_groups": 32, "norm_eps": 1e-6}
    assert "(num_head_channels 8, norm_num_groups 32, norm_eps 1e-06)" in imported.note
    assert imported.note in (tmp_path / "network" / CARD).read_text()
    assert_the_same(load_imported(tmp_path / "network"), network, wide)


def test_without_generative_it_says_that_nothing_was_compared(
    tmp_path: Path, old_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "is_generative_installed", lambda: False)
    save_file(old_weights, tmp_path / "weights.safetensors")
    config, out = a_config(tmp_path, arguments({})), tmp_path / "network"
    imported = import_generative(tmp_path / "weights.safetensors", out, config=config)
    assert imported.verdict == NOT_INSTALLED
    assert NOT_INSTALLED in (out / CARD).read_text()
    assert json.loads((out / METADATA).read_text())["imported"]["comparison"] is None


def test_a_flash_network_answers_the_same_twice() -> None:
    variant = VARIANTS["flash cross-attention"]
    weights = under_old_names(a_core_network(variant))
    network = converted_network(weights, size_of(variant))
    assert torch.equal(answer(network, variant), answer(network, variant))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spatial_dims": 3}, "spatial_dims is 3 in the config, but 2 in the weights"),
        ({"num_channels": [8, 32]}, r"num_channels is \[8, 32\] in the config, but \[8, 16\]"),
        ({"num_res_blocks": 2}, r"num_res_blocks is 2 in the config, but \[1, 1\] in the weights"),
        ({"attention_levels": [True, True]}, r"but \[False, True\] in the weights"),
        ({"with_conditioning": True}, "with_conditioning is True in the config, but False"),
        ({"cross_attention_dim": 6}, "cross_attention_dim is 6 in the config, but None"),
        ({"num_class_embeds": 2}, "num_class_embeds is 2 in the config, but None"),
        ({"resblock_updown": True}, "resblock_updown is True in the config, but False"),
        ({"channels": [8, 16]}, "unknown key 'channels' in the config; known are spatial_dims"),
        ({"norm_num_groups": 3}, "norm_num_groups is 3, expected a divisor of 8"),
        ({"norm_num_groups": 32}, r"norm_num_groups is 32 \(the default\), expected a divisor"),
        ({"num_head_channels": [8, 5]}, "num_head_channels is 5, expected a width that heads"),
        ({"num_head_channels": [8, 32]}, "num_head_channels is 32, expected a width that heads"),
        ({"num_head_channels": [8, 8, 8]}, "expected a positive int, or one for each level"),
        ({"norm_eps": "small"}, "norm_eps is 'small', expected a positive number"),
        ({"use_flash_attention": 1}, "use_flash_attention is 1, expected a bool"),
    ],
)
def test_a_wrong_config_is_refused_by_key(
    old_weights: Weights, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        network_of(old_weights, {**BASE, **change})


def test_heads_that_a_transformer_cannot_have_are_refused() -> None:
    weights = under_old_names(a_core_network(CROSS))
    with pytest.raises(ModelError, match="level 1 is 6, but the weights of its transformer are 16"):
        network_of(weights, {**BASE, "num_head_channels": [4, 6]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("out.0.bias"), "'out.0.bias' are missing from the file"),
        (lambda w: w.pop("conv_in.conv.weight"), "no weights of a DiffusionModelUNet"),
        (
            lambda w: w.pop("middle_block.attention.proj_attn.weight"),
            "'middle_block.attention.proj_attn.weight' are missing",
        ),
        (lambda w: w.update({"ema.rate": torch.ones(1)}), "'ema.rate' have no place"),
        (
            lambda w: w.update({"time_embed.0.weight": torch.ones(3, 3)}),
            r"'time_embed.0.weight' have the shape \(3, 3\), but .* has \(32, 8\) there",
        ),
        (
            lambda w: w.update({"conv_in.conv.weight": torch.ones(8, 1, 3)}),
            "expected a 2-D or 3-D network",
        ),
    ],
)
def test_tampered_weights_are_refused_by_name(
    old_weights: Weights, change: Callable[[Weights], object], message: str
) -> None:
    change(old_weights)
    with pytest.raises(ModelError, match=message):
        converted_network(old_weights, network_of(old_weights, arguments({})))


@pytest.mark.parametrize("variant", [{}, CROSS], ids=["plain", "cross"])
def test_weights_of_monai_core_are_recognised(variant: dict[str, Any]) -> None:
    weights = a_core_network(variant).state_dict()
    with pytest.raises(ModelError, match="are names of MONAI core's own network"):
        converted_network(weights, size_of(variant))


def test_an_import_says_what_it_is(the_imported: Path) -> None:
    digest = file_sha256(the_imported / "trained.ckpt")
    card = (the_imported / "network" / CARD).read_text()
    assert "`trained.ckpt`" in card
    assert digest in card
    metadata = json.loads((the_imported / "network" / METADATA).read_text())
    assert metadata["imported"]["sha256"] == digest
    assert metadata["imported"]["assumed"] == {}
    weights = load_file(the_imported / "network" / WEIGHTS)
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_the_command_says_what_was_assumed_and_compared(
    the_imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {name: value for name, value in arguments({}).items() if name != "norm_eps"}
    config = a_config(tmp_path, known)
    command = ["models", "import-generative", str(the_imported / "trained.ckpt")]
    assert main([*command, "--config", str(config), "-o", str(tmp_path / "network")]) == 0
    said = capsys.readouterr().out
    assert "trained.ckpt: 2-D, channels 8–16" in said
    assert "Weights do not show norm_eps: generative's defaults were taken (norm_eps 1e-06)" in said
    assert ("largest difference" if comparison.is_generative_installed() else NOT_INSTALLED) in said
    assert main([*command, "-o", str(tmp_path / "other")]) == 1
    assert "norm_num_groups is 32 (the default)" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_an_existing_folder_is_left_alone(the_imported: Path) -> None:
    with pytest.raises(ModelError, match="exists already"):
        import_generative(the_imported / "trained.ckpt", the_imported / "network")


@pytest.mark.parametrize("name", [WEIGHTS, NETWORK, METADATA, CARD, MANIFEST])
def test_a_missing_file_of_an_import_is_named(an_imported: Path, name: str) -> None:
    (an_imported / name).unlink()
    with pytest.raises(ModelError, match=re.escape(name)):
        load_imported(an_imported)


def test_a_changed_file_of_an_import_is_named(an_imported: Path) -> None:
    (an_imported / NETWORK).write_text("{}")
    with pytest.raises(ModelError, match=r"network.json: missing or changed"):
        load_imported(an_imported)


def test_a_foreign_file_in_an_import_is_refused(an_imported: Path) -> None:
    (an_imported / "more.pt").touch()
    write_manifest(an_imported)
    with pytest.raises(ModelError, match="expected the files"):
        load_imported(an_imported)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda size: size.pop("channels"), "a key is missing .*channels"),
        (lambda size: size.update(color=1), "unknown CoreNetwork setting 'color'"),
        (lambda size: size.update(channels=[8, 32]), "do not fit the network"),
        (lambda size: size.update(norm_num_groups=3), "no network can have this size"),
    ],
)
def test_a_wrong_size_of_an_import_is_refused(
    an_imported: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    size = json.loads((an_imported / NETWORK).read_text())
    change(size)
    (an_imported / NETWORK).write_text(json.dumps(size))
    write_manifest(an_imported)
    with pytest.raises(ModelError, match=message):
        load_imported(an_imported)
