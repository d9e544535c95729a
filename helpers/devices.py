"""Where to compute, and in which precision."""

import torch
from torch import nn


def best_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 matrices itself; emulated, they are slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        abilities = torch.cpu.get_capabilities()
        return any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def mixed_precision(device: torch.device) -> torch.autocast:
    """The context to run a network in: bfloat16 autocast where the hardware has it, plain float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device))


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are; the CPU for one without weights."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
