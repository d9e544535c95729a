"""Where to compute, in which precision, and on how many cores.

For another precision change :func:`mixed_precision`. The cores are decided by :func:`share_cores` alone. PyTorch's
threads spin while they wait for each other, and where others compute on the same machine they spin in each other's
way: three lessons at once on two cores then took 12 to 30 times as long as one.
"""

import os
import sys
import time
from pathlib import Path

import torch


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
    """The context to run a network in: bfloat16 autocast where the hardware has it, plain float32 elsewhere.

    Converted weights are not kept for a second use: after an interrupt at the wrong moment they would be used for ever.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device), cache_enabled=False)


# --- Cores -----------------------------------------------------------------------------------------------------------

ALL_CORES = torch.get_num_threads()
PROC = Path("/proc")  # Linux; elsewhere all cores are taken


def share_cores() -> None:
    """Let PyTorch use the cores that are free: one thread at least, and on a JupyterHub never more.

    Before each cell of a notebook this is done anew. What a person has set in OMP_NUM_THREADS stays as it is.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    others = max(_others_since(), _others_now()) if (PROC / "loadavg").exists() else 0
    torch.set_num_threads(1 if "JUPYTERHUB_USER" in os.environ else max(1, ALL_CORES - others))


def _others_now() -> int:
    """Threads that run, beside this one: the smallest of some counts, as those of a notebook wake up for moments."""

    def count() -> int:
        time.sleep(0.004)
        return int((PROC / "loadavg").read_text().split()[3].partition("/")[0]) - 1

    return min(count() for _ in range(5))


def _others_since() -> int:
    """Cores that others kept busy on average since the last call: who begins together is not seen running yet."""
    user, nice, system = map(int, (PROC / "stat").read_text().split()[1:4])
    now, busy = time.monotonic(), (user + nice + system) / os.sysconf("SC_CLK_TCK") - time.process_time()
    if now - LATELY["time"] > 0.3:  # clocks that tick a hundred times a second tell nothing of less
        LATELY.update(cores=(busy - LATELY["busy"]) / (now - LATELY["time"]), time=now, busy=busy)
    return round(LATELY["cores"])


LATELY = {"time": -1e9, "busy": 0.0, "cores": 0.0}


share_cores()
if "IPython" in sys.modules and (notebook := sys.modules["IPython"].get_ipython()):
    notebook.events.register("pre_run_cell", lambda *_: share_cores())
