# SPDX-License-Identifier: Apache-2.0
"""The firmware's C library, on the host: the front end that everything here uses, and engine ``c``.

One source, two machines: training, calibration and the oracles get their log-mel rows from the very
code that runs on the device.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.errors import W2sError
from wav2small_micro.plan import DB_STEPS, Layer, Plan
from wav2small_micro.reference import frame_count

try:
    from wav2small_micro._native import ffi, lib
except ImportError as error:  # an editable install that was never built
    raise W2sError(
        f"the C library is not built for this Python: {error}",
        "install a C compiler, then run `pip install -e .` (or `make setup`)",
    ) from None

Int16 = NDArray[np.int16]
Int8 = NDArray[np.int8]

_EXTENSIONS = {
    "portable": "._native",
    "dsp": "._native_dsp",
    "compact": "._native_compact",
}  # by kernel set

LAYERS = ("logmel", "input", "l1", "l2", "l3", "l4", "l5", "l6", "l7", "pool", "lin", "sof")
"""Taps of the library, by number (``w2s_tap``)."""
NORMS = {"utterance": 0, "live": 1, "buffered": 2}

_SHAPES: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "logmel": (np.int16, (26,)),
    "input": (np.int8, (26,)),
    **{f"l{i}": (np.int8, (26, 13)) for i in (1, 2, 3)},
    **{f"l{i}": (np.int8, (13, 13)) for i in (4, 5, 6, 7)},
    "pool": (np.int8, (13, 13)),
    "lin": (np.int8, (169,)),
    "sof": (np.int8, (169,)),
}
_STATUS = {
    -1: ("the library was called with an argument that it refuses", "this is a bug, report it"),
    -2: ("samples after the end", "start a new utterance first"),
    -3: ("the clip is shorter than one frame of 4 ms", "give at least 0.2 s"),
    -4: ("the audio is longer than one answer can sum over", "split it, or use live windows"),
    -5: ("the model is not of a shape that the library runs", "convert it again: `w2s convert`"),
}


def _check(status: int) -> None:
    if status < 0:
        raise W2sError(*_STATUS.get(status, (f"library status {status}", "")))


def _samples(pcm: Int16) -> Int16:
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise W2sError(
            f"samples are {pcm.dtype} of {pcm.ndim} dimensions, not int16 of one",
            "read the clip with wav2small_micro.audio.read_clip",
        )
    return np.ascontiguousarray(pcm)


def _pointer(pcm: Int16) -> Any:
    return ffi.cast("const int16_t *", pcm.ctypes.data)


def stats(pcm: Int16) -> tuple[int, int, int]:
    """Samples, their sum and their sum of squares: what utterance normalisation sends ahead."""
    sums = ffi.new("w2s_stats *")
    pcm = _samples(pcm)
    lib.w2s_stats_add(sums, _pointer(pcm), len(pcm))
    return int(sums.samples), int(sums.sum), int(sums.sum_squares)


def logmel_q7(pcm: Int16, norm: str = "utterance") -> Int16:
    """Normalised log-mel of ``pcm`` (N,), as on the device: int16 (T, 26) in 1/128 dB.

    ``norm`` is ``utterance`` or ``live``. Raises :class:`W2sError` for less than a frame.
    """
    pcm = _samples(pcm)
    if norm not in ("utterance", "live"):
        raise W2sError(f"unknown normalisation {norm!r}", "use utterance or live")
    if len(pcm) < 64:
        _check(-3)
    out = np.empty((frame_count(len(pcm)), 26), np.int16)
    rows = lib.host_logmel(
        _pointer(pcm), len(pcm), NORMS[norm], ffi.new("w2s_stats *", stats(pcm)),
        ffi.cast("int16_t *", out.ctypes.data),
    )  # fmt: skip
    _check(rows)
    assert rows == len(out)
    return out


def logmel(pcm: Int16, norm: str = "utterance") -> NDArray[np.float32]:
    """Normalised log-mel of the integer front end in dB: float32 (T, 26)."""
    return logmel_q7(pcm, norm).astype(np.float32) / np.float32(DB_STEPS)


def log2_q16(value: int) -> int:
    """log2 in Q16 as the front end computes it; ``value`` in 1 .. 2^64 - 1."""
    return int(lib.w2s_log2_q16(value))


def requantise(x: int, multiplier: int, shift: int) -> int:
    """The library's requantisation, for tests."""
    return int(lib.host_requantise(x, multiplier, shift))


@dataclass(frozen=True)
class Output:
    """What the library answered. ``rows`` by layer name, in its own units and shapes (R, ...)."""

    adv_q16: NDArray[np.int32]
    windows: NDArray[np.int32]
    """Sliding windows, one for each half second, int32 (S, 3); empty unless asked for."""
    rows: dict[str, NDArray[Any]]


class Network:
    """A model bound to a context of the library. Not for several threads at once.

    ``kernels``: ``portable``, or ``dsp`` or ``compact``, the sets for Cortex-M4 with the plain C
    twins of their assembler; all must give the same bits.
    """

    def __init__(self, plan: Plan, kernels: str = "portable") -> None:
        self.plan = plan
        module = importlib.import_module(__package__ + _EXTENSIONS[kernels])
        self._ffi, self._lib = module.ffi, module.lib
        self._alive: list[Any] = []  # what the C structs point to
        self._model = self._model_struct(plan)
        if kernels != "portable":
            self._model.packed = self._packed(plan, kernels)
        self._context = self._ffi.new("w2s_context *")
        _check(self._lib.w2s_init(self._context, self._model))

    def _array(self, ctype: str, values: NDArray[Any]) -> Any:
        array = np.ascontiguousarray(values)
        self._alive.append(array)
        return self._ffi.cast(f"const {ctype} *", array.ctypes.data)

    def _packed(self, plan: Plan, kernels: str) -> Any:
        from wav2small_micro.packing import compact, dsp

        packed = {"dsp": dsp.pack, "compact": compact.pack}[kernels](plan)
        struct = self._ffi.new("w2s_packed_weights *")
        self._alive.append(struct)
        struct.first = self._array("uint32_t", packed.first)
        for i, layer in enumerate(plan.convs[1:]):
            conv, words, plain = struct.conv[i], packed.convs[i], packed.directs[i]
            if words is not None:
                conv.winograd = self._array("uint32_t", words)
            if plain is not None:
                conv.direct = self._array("int16_t", plain)
            conv.bias = self._array("int32_t", packed.biases[i])
            conv.multiplier = self._array("int32_t", layer.multiplier)
            conv.shift = self._array("int8_t", layer.shift)
        struct.lin = self._array("uint32_t", packed.lin)
        struct.sof = self._array("uint32_t", packed.sof)
        return struct

    def _fill_layer(self, struct: Any, layer: Layer) -> None:
        struct.weight = self._array("int8_t", layer.weight)
        struct.bias = self._array("int32_t", layer.bias)
        struct.multiplier = self._array("int32_t", layer.multiplier)
        struct.shift = self._array("int8_t", layer.shift)
        struct.zero_in, struct.zero_out = layer.zero_in, layer.zero_out
        struct.minimum, struct.in_channels = layer.minimum, layer.in_channels

    def _model_struct(self, plan: Plan) -> Any:
        model = self._ffi.new("w2s_model *")
        name = self._ffi.new("char[]", plan.name.encode())
        self._alive.append(name)
        model.name = name
        model.sha256 = bytes.fromhex(plan.sha256)
        model.architecture = {"72k": 0, "17k": 1}[plan.architecture]
        model.input_multiplier, model.input_zero = plan.input_multiplier, plan.input_zero
        for struct, layer in zip(model.conv, plan.convs, strict=True):
            self._fill_layer(struct, layer)
        self._fill_layer(model.lin, plan.lin)
        self._fill_layer(model.sof, plan.sof)
        model.exp_table = self._array("uint32_t", plan.exp_table)
        model.head_weight = self._array("int32_t", plan.head_weight)
        if plan.gram_weight is not None:
            model.gram_weight = self._array("int32_t", plan.gram_weight)
        model.head_shift, model.gram_shift = plan.head_shift, plan.gram_shift
        model.head_bias = [int(b) for b in plan.head_bias]
        return model

    def run(
        self,
        pcm: Int16,
        norm: str = "utterance",
        *,
        rows: tuple[str, ...] = (),
        window_segments: int = 0,
        block: int = 320,
    ) -> Output:
        """Runs a clip, int16 (N,), fed in blocks of ``block`` samples.

        ``norm``: ``utterance`` (statistics ahead), ``live`` or ``buffered``. ``rows``: layers whose
        rows to keep. ``window_segments``: also answer after each half second over the last so many.
        """
        pcm = _samples(pcm)
        if norm not in NORMS:
            raise W2sError(f"unknown normalisation {norm!r}", f"use one of {', '.join(NORMS)}")
        taps, buffers = self._tap(rows, len(pcm))
        ffi, lib = self._ffi, self._lib
        given = ffi.new("w2s_stats *", stats(pcm)) if norm == "utterance" else ffi.NULL
        _check(lib.w2s_start(self._context, NORMS[norm], given))
        windows: list[tuple[int, int, int]] = []
        adv = ffi.new("w2s_adv *")
        pointer = ffi.cast("const int16_t *", pcm.ctypes.data)
        for start in range(0, len(pcm), block):
            before = lib.w2s_segments(self._context)
            _check(lib.w2s_push(self._context, pointer + start, min(block, len(pcm) - start)))
            if window_segments and lib.w2s_segments(self._context) > before:
                _check(lib.w2s_window(self._context, window_segments, adv))
                windows.append((adv.arousal, adv.dominance, adv.valence))
        _check(lib.w2s_finish(self._context, adv))
        kept = {
            name: buffers[name][: taps[LAYERS.index(name)].used].view(dtype).reshape(-1, *shape)
            for name, (dtype, shape) in _SHAPES.items()
            if name in rows
        }
        return Output(
            np.array([adv.arousal, adv.dominance, adv.valence], np.int32),
            np.array(windows, np.int32).reshape(-1, 3),
            kept,
        )

    def _tap(self, rows: tuple[str, ...], samples: int) -> tuple[Any, dict[str, Any]]:
        """Room for every row of the tapped layers, and the library told to fill it."""
        taps = self._ffi.new("host_rows[12]")
        buffers: dict[str, Any] = {}
        mask = 0
        for name in rows:
            dtype, shape = _SHAPES[name]
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize * (frame_count(samples) + 1)
            buffers[name] = np.zeros(size, np.uint8)
            tap = taps[LAYERS.index(name)]
            tap.data = self._ffi.cast("uint8_t *", buffers[name].ctypes.data)
            tap.size = size
            mask |= 1 << LAYERS.index(name)
        self._lib.host_collect(self._context, taps, mask)
        return taps, buffers


def input_rows(plan: Plan, pcm: Int16, norm: str = "utterance") -> Int8:
    """The network's input for a clip: int8 (T, 26), quantised by the library."""
    return Network(plan).run(pcm, norm, rows=("input",)).rows["input"]
