"""Where a graph runs: CUDA when a GPU answers, the CPU otherwise, and never silently."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import onnxruntime as ort

from stream.errors import SettingError

logger = logging.getLogger(__name__)
Device = Literal["auto", "cuda", "cpu"]
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_SILENT = 4  # fatal only: what goes wrong is reported by our own log, once


class Session(Protocol):
    """The part of `onnxruntime.InferenceSession` that scoring needs."""

    def run(self, output_names: list[str], inputs: dict[str, Any]) -> list[Any]: ...

    def get_providers(self) -> list[str]: ...

    def get_inputs(self) -> list[Any]: ...


class Runtime(Protocol):
    """What can fail about a device; tests put a broken one in its place."""

    def available(self) -> list[str]: ...

    def driver_problem(self) -> str | None: ...

    def session(self, model: bytes, provider: str, threads: int) -> Session: ...


class OnnxRuntime:
    """onnxruntime itself, kept from writing to stderr."""

    def __init__(self) -> None:
        ort.set_default_logger_severity(_SILENT)
        self._libraries_loaded = False

    def available(self) -> list[str]:
        """Name the providers this build of onnxruntime was compiled with (not those that work)."""
        return list(ort.get_available_providers())

    def driver_problem(self) -> str | None:
        """Ask the NVIDIA driver for a device: None when there is one, else what is missing."""
        try:
            driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        except OSError:
            return "no NVIDIA driver is installed"
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
            return "the NVIDIA driver reports no device"
        return None

    def session(self, model: bytes, provider: str, threads: int) -> Session:
        """Open a session on one provider; raises whatever onnxruntime raises."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _SILENT
        options.enable_mem_pattern = False  # batches change size all the time; patterns per size would pile up
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers: list[Any] = [CPU]
        if provider == CUDA:
            self._load_cuda_libraries()
            # TF32 would move scores by 1e-3 and break parity with the CPU
            providers = [(CUDA, {"use_tf32": "0"}), CPU]
        with contextlib.redirect_stdout(io.StringIO()):
            return ort.InferenceSession(model, options, providers=providers)

    def _load_cuda_libraries(self) -> None:
        if not self._libraries_loaded:
            self._libraries_loaded = True
            with contextlib.redirect_stdout(io.StringIO()) as said:
                ort.preload_dlls()
            if text := said.getvalue().strip():
                logger.info("CUDA libraries: %s", " ".join(text.split()))


@dataclass(frozen=True, slots=True)
class Placement:
    """Where scorers are to run, and by what."""

    device: Device
    threads: int
    runtime: Runtime


def candidates(device: Device, runtime: Runtime) -> tuple[list[str], str]:
    """List the providers to try, best first, and why CUDA is not among them.

    Raises
    ------
    SettingError
        ``cuda`` was asked for and cannot be had.
    """
    if device == "cpu":
        return [CPU], "chosen"
    reason = "this onnxruntime was built without CUDA" if CUDA not in runtime.available() else runtime.driver_problem()
    if reason is None:
        return ([CUDA] if device == "cuda" else [CUDA, CPU]), ""
    if device == "cuda":
        raise refusal(reason)
    return [CPU], reason


def refusal(reason: str) -> SettingError:
    """Word the refusal of ``--device cuda``."""
    return SettingError(
        f"device is set to cuda, but {reason}; install what is missing or set the device to auto or cpu"
    )


def open_on(provider: str, model: bytes, placement: Placement) -> Session:
    """Open a session and make sure that it is where it was asked to be.

    Raises
    ------
    RuntimeError
        onnxruntime failed, or gave another provider without a word.
    """
    try:
        session = placement.runtime.session(model, provider, placement.threads)
    except Exception as error:
        # onnxruntime raises classes of its own binary module without a common base but Exception
        raise RuntimeError(f"the session could not be created ({first_line(error)})") from error
    if not session.get_providers() or session.get_providers()[0] != provider:
        raise RuntimeError(
            f"onnxruntime gave {' and '.join(session.get_providers()) or 'nothing'} instead of {provider}"
        )
    return session


def first_line(error: BaseException) -> str:
    """Shorten an error to its first line, at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def describe(provider: str, reason: str) -> str:
    """Say where a scorer runs, for logs and the device gauge: ``cuda``, ``cpu`` or ``cpu (reason)``."""
    if provider == CUDA:
        return "cuda"
    return f"cpu ({reason})" if reason else "cpu"


def warn_fallback(reasons: Sequence[str]) -> None:
    """Say loudly, once per panel, that the CPU scores instead of the GPU."""
    for reason in dict.fromkeys(reasons):
        logger.warning("scoring falls back to the CPU: %s", reason)
