"""The precision that a processor is good at."""

import torch

from helpers import devices


def test_precision_asks_the_processor(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_f": True})
    assert not devices.has_fast_bf16(cpu)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert devices.has_fast_bf16(cpu)
