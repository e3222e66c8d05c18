"""Figures of merit on simulated examples: how well the healed slice and the maps do."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from counterpart.average_precision import average_precision
from counterpart.denoiser import Prediction
from counterpart.training.examples import Examples


def healing_figures(shown: Iterable[tuple[Examples, Prediction]]) -> dict[str, torch.Tensor]:
    """Figures over all examples together.

    Returns:
        ``val_healthy_error``: mean absolute error where there is no pattern, spreads.
        ``val_healing_error``: the same within patterns; ``val_unhealed`` for no healing at all.
        ``val_ap_residual`` and ``val_ap_departure``: voxel average precision of the absolute
        residual and of the departure channel.
    """
    pairs = list(shown)
    brain = torch.cat([examples.brain for examples, _ in pairs]) > 0.5
    member = torch.cat([examples.departure for examples, _ in pairs])[brain]
    truth = torch.cat([examples.clean for examples, _ in pairs])[brain]
    scan = torch.cat([examples.shown for examples, _ in pairs])[brain]
    clean = torch.cat([prediction.clean for _, prediction in pairs])[brain]
    logit = torch.cat([prediction.departure for _, prediction in pairs])[brain]
    inside, outside = member > 0.5, member < 0.02
    error = (clean - truth).abs()
    return {
        "val_healthy_error": error[outside].mean(),
        "val_healing_error": error[inside].mean(),
        "val_unhealed": (scan - truth).abs()[inside].mean(),
        "val_ap_residual": average_precision((scan - clean).abs(), inside),
        "val_ap_departure": average_precision(logit, inside),
    }
