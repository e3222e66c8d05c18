"""Group norm that is fast on the CPU for small maps stored channels last.

torch's kernel for maps of fewer than 1,024 places stored channels last walks through memory group
by group, several times slower than the same norm of a map stored channels first. So such maps are
turned, normed and turned back: the same numbers, and the copies cost less than they save. While a
network learns this holds for maps of any size, for the way back is slower still.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_FEW_PLACES = 1024


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` with the same parameters and the same answer."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Norm (B, C, H, W), or any other shape that `torch.nn.GroupNorm` takes."""
        if not _is_slow(input):
            return super().forward(input)
        normed = functional.group_norm(
            input.contiguous(), self.num_groups, self.weight, self.bias, self.eps
        )
        return normed.contiguous(memory_format=torch.channels_last)


def use_fast_group_norms(module: nn.Module) -> None:
    """Let every group norm within a module be a `GroupNorm`; parameters keep their names."""
    for name, child in module.named_children():
        if type(child) is nn.GroupNorm:
            fast = GroupNorm(child.num_groups, child.num_channels, child.eps, child.affine)
            fast.load_state_dict(child.state_dict())
            setattr(module, name, fast)
        else:
            use_fast_group_norms(child)


def _is_slow(input: torch.Tensor) -> bool:
    return (
        input.ndim == 4
        and input.device.type == "cpu"
        and not input.is_contiguous()
        and input.is_contiguous(memory_format=torch.channels_last)
        and (torch.is_grad_enabled() or input.shape[2] * input.shape[3] < _FEW_PLACES)
    )
