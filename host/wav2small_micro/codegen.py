# SPDX-License-Identifier: Apache-2.0
"""C from numbers: the model's constants, the .tflite as an array, and the front end's tables.

Everything that the firmware knows of a model is printed here, from the one int8 .tflite, and names
it by hash. The front end's tables do not depend on a model.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from wav2small_micro import reference
from wav2small_micro.packing import compact, dsp, mve
from wav2small_micro.plan import Layer, Plan

MEL_WEIGHT_BITS = 22
"""The largest mel weight, 0.009, then takes 16 bits."""

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n//\n"


def array(declaration: str, values: Iterable[int]) -> str:
    body = textwrap.fill(
        ", ".join(str(int(v)) for v in values), 98, initial_indent="    ", subsequent_indent="    "
    )
    return f"{declaration} = {{\n{body},\n}};\n"


def frontend_tables() -> str:
    """``logmel_tables.h``: window, twiddles, mel weights and log2 of the integer front end."""
    q31 = 2**31
    hann = np.round(reference.window() * q31 / 4)
    cosine = np.minimum(np.round(np.cos(2 * np.pi * np.arange(17) / 64) * q31), q31 - 1)
    turns = 2 * np.pi * np.outer(np.arange(8), np.arange(1, 4)) / 32
    twiddles = np.round(np.stack([np.cos(turns), np.sin(turns)], axis=2) * q31)
    twiddles = np.minimum(twiddles, q31 - 1)
    mel = reference.mel_matrix()
    used = [np.flatnonzero(band) for band in mel.T]
    # Band 0 has no bin, the next ones have one each, and the rest several.
    single = [u[0] for u in used[1:] if u.size == 1]
    several = [(band, u) for band, u in enumerate(used) if u.size > 1]
    assert [band for band, _ in several] == list(range(1 + len(single), reference.BANDS))
    weights = [w for band, u in several for w in np.round(mel[u, band] * 2**MEL_WEIGHT_BITS)]
    single_log2 = [np.round(np.log2(mel[u, i + 1]) * 65536) for i, u in enumerate(single)]
    log2 = np.round(np.log2(1 + np.arange(65) / 64) * 65536)
    return (
        LICENCE
        + "// logmel_tables.h: constants of the front end. Generated: `w2s generate --tables`.\n"
        "#ifndef W2S_LOGMEL_TABLES_H\n#define W2S_LOGMEL_TABLES_H\n\n#include <stdint.h>\n\n"
        "// clang-format off\n\n"
        "// Periodic Hann window, Q29: a quarter of it in Q31.\n"
        + array("static const int32_t w2s_hann[64]", hann)
        + "\n// cos(2 pi k / 64), Q31.\n"
        + array("static const int32_t w2s_cos64[17]", cosine)
        + "\n// cos and sin of 2 pi n m / 32, Q31: n of 0 .. 7, m of 1 .. 3.\n"
        + array("static const int32_t w2s_twiddles[48]", twiddles.ravel())
        + "\n// Mel bands of one bin: band 1 and on. The bin, and log2 of its Slaney weight, Q16.\n"
        f"#define W2S_MEL_SINGLE {len(single)}\n"
        + array(f"static const uint8_t w2s_single_bin[{len(single)}]", single)
        + array(f"static const int32_t w2s_single_log2[{len(single)}]", single_log2)
        + f"\n// The bands behind them: first bin, number of bins, weights in Q{MEL_WEIGHT_BITS}.\n"
        f"#define W2S_MEL_WEIGHT_BITS {MEL_WEIGHT_BITS}\n"
        + array(f"static const uint8_t w2s_mel_first[{len(several)}]", [u[0] for _, u in several])
        + array(f"static const uint8_t w2s_mel_bins[{len(several)}]", [u.size for _, u in several])
        + array(f"static const uint16_t w2s_mel_weights[{len(weights)}]", weights)
        + "\n// log2(1 + i / 64), Q16.\n"
        + array("static const uint32_t w2s_log2_table[65]", log2)
        + "\n// clang-format on\n\n#endif\n"
    )


def tables() -> dict[str, str]:
    """Every generated file that no model changes: text by path in the repository."""
    from wav2small_micro.pdm import design

    return {
        "firmware/lib/wav2small/logmel_tables.h": frontend_tables(),
        "firmware/lib/pdm/pdm_tables.h": design.tables(),
    }


def _layer_arrays(name: str, layer: Layer) -> str:
    return "".join(
        (
            array(f"static const int8_t {name}_weight[{layer.weight.size}]", layer.weight.ravel()),
            array(f"static const int32_t {name}_bias[{layer.bias.size}]", layer.bias),
            array(
                f"static const int32_t {name}_multiplier[{layer.multiplier.size}]", layer.multiplier
            ),
            array(f"static const int8_t {name}_shift[{layer.shift.size}]", layer.shift),
            "\n",
        )
    )


def _layer_struct(name: str, layer: Layer) -> str:
    return (
        f"{{PLAIN({name}_weight), PLAIN({name}_bias), PLAIN({name}_multiplier), "
        f"PLAIN({name}_shift), {layer.zero_in}, {layer.zero_out}, {layer.minimum}, "
        f"{layer.in_channels}}}"
    )


def weights_header(plan: Plan) -> str:
    """``weights.h``: the model's one name, and what it is."""
    return (
        LICENCE + f"// weights.h: {plan.name}, generated from the int8 .tflite with SHA-256\n"
        f"// {plan.sha256}\n"
        "#ifndef W2S_WEIGHTS_H\n#define W2S_WEIGHTS_H\n\n"
        '#include "wav2small.h"\n\n'
        f'#define W2S_MODEL_NAME "{plan.name}"\n'
        f"#define W2S_MODEL_{plan.architecture.upper()} 1\n\n"
        "extern const w2s_model w2s_model_data;\n\n#endif\n"
    )


def weights_source(plan: Plan) -> str:
    """``weights.c``: weights and plan of a model, as constants."""
    gram = plan.gram_weight is not None
    parts = [
        LICENCE + f"// weights.c: {plan.name}, generated from the int8 .tflite with SHA-256\n"
        f"// {plan.sha256}\n"
        '#include "weights.h"\n\n// clang-format off\n\n'
        "// Kernel sets with packed weights of their own, in weights_<set>.c, leave these out.\n"
        "#if W2S_PLAIN_WEIGHTS\n#define PLAIN(array) array\n#define PACKED 0\n\n"
    ]
    names = [f"l{i + 1}" for i in range(7)]
    for name, layer in zip([*names, "lin", "sof"], [*plan.convs, plan.lin, plan.sof], strict=True):
        parts.append(_layer_arrays(name, layer))
    parts.append(
        "#else\n#define PLAIN(array) 0\n"
        "extern const w2s_packed_weights w2s_packed_weights_data;\n"
        "#define PACKED &w2s_packed_weights_data\n#endif\n\n"
    )
    parts.append(array("static const uint32_t exp_table[256]", plan.exp_table))
    parts.append(
        array(
            f"static const int32_t head_weight[{plan.head_weight.size}]", plan.head_weight.ravel()
        )
    )
    if plan.gram_weight is not None:
        parts.append(
            array(
                f"static const int32_t gram_weight[{plan.gram_weight.size}]",
                plan.gram_weight.ravel(),
            )
        )
    digest = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(plan.sha256))
    convs = ",\n        ".join(_layer_struct(n, c) for n, c in zip(names, plan.convs, strict=True))
    bias = ", ".join(str(int(b)) for b in plan.head_bias)
    parts.append(
        f"""
const w2s_model w2s_model_data = {{
    .name = "{plan.name}",
    .sha256 = {{{digest}}},
    .architecture = W2S_ARCH_{plan.architecture.upper()},
    .input_multiplier = {plan.input_multiplier},
    .input_zero = {plan.input_zero},
    .conv = {{
        {convs},
    }},
    .lin = {_layer_struct("lin", plan.lin)},
    .sof = {_layer_struct("sof", plan.sof)},
    .exp_table = exp_table,
    .head_weight = head_weight,
    .gram_weight = {"gram_weight" if gram else "0"},
    .head_shift = {plan.head_shift},
    .gram_shift = {plan.gram_shift},
    .head_bias = {{{bias}}},
    .packed = PACKED,
}};

// clang-format on
"""
    )
    return "".join(parts)


def dsp_source(plan: Plan) -> str:
    """``weights_dsp.c``: the same weights, packed for the DSP kernels."""
    return _packed_source(plan, "dsp", dsp.pack)


def compact_source(plan: Plan) -> str:
    """``weights_compact.c``: packed for the compact ones."""
    return _packed_source(plan, "compact", compact.pack)


def _packed_source(plan: Plan, kernels: str, pack: Callable[[Plan], dsp.Packed]) -> str:
    """Weights for ``w2s_packed_weights`` of kernels/dsp/packed.h.

    A model that the set cannot run gives a file that says so to whoever builds with it.
    """
    head = (
        LICENCE + f"// weights_{kernels}.c: {plan.name}, packed for kernels/{kernels}, from the "
        f".tflite\n// {plan.sha256}\n"
        f'#include "weights.h"\n\n// clang-format off\n\n#ifdef W2S_KERNELS_{kernels.upper()}\n\n'
    )
    tail = "\n#endif\n\n// clang-format on\n"
    try:
        packed = pack(plan)
    except dsp.DoesNotFitError as error:
        return f'{head}#error "{plan.name}: {error}: build with W2S_KERNELS=portable"\n{tail}'
    parts = [head, *(f"// On the direct kernel, {note}.\n" for note in packed.notes)]

    def words(name: str, values: Iterable[int]) -> None:
        values = list(values)
        parts.append(array(f"static const uint32_t {name}[{len(values)}]", values))

    words("first", packed.first)
    convs = []
    for i, layer in enumerate(plan.convs[1:]):
        name, winograd, direct = f"l{i + 2}", packed.convs[i], packed.directs[i]
        if winograd is not None:
            words(f"{name}_winograd", winograd)
            convs.append(f"{{.winograd = {name}_winograd}}")
            continue
        assert direct is not None
        parts.append(array(f"static const int16_t {name}_direct[{direct.size}]", direct.ravel()))
        parts.append(array(f"static const int32_t {name}_bias[13]", packed.biases[i]))
        parts.append(array(f"static const int32_t {name}_multiplier[13]", layer.multiplier))
        parts.append(array(f"static const int8_t {name}_shift[13]", layer.shift))
        convs.append(f"{{0, {name}_direct, {name}_bias, {name}_multiplier, {name}_shift}}")
    words("lin", packed.lin)
    words("sof", packed.sof)
    listed = ",\n        ".join(convs)
    parts.append(
        f"""
const w2s_packed_weights w2s_packed_weights_data = {{
    .first = first,
    .conv = {{
        {listed},
    }},
    .lin = lin,
    .sof = sof,
}};
{tail}"""
    )
    return "".join(parts)


def tflite_array(data: bytes, name: str, sha256: str) -> str:
    """The .tflite itself, as an aligned array for those who run TensorFlow Lite Micro."""
    return (
        LICENCE + f"// {name}, the int8 .tflite with SHA-256\n// {sha256}\n"
        "// for TensorFlow Lite Micro: tflite::GetModel(w2s_tflite).\n"
        "#include <stdint.h>\n\n// clang-format off\n\n"
        + array(f"const uint8_t w2s_tflite[{len(data)}] __attribute__((aligned(16)))", data)
        + f"const uint32_t w2s_tflite_bytes = {len(data)};\n"
    )


def write_if_changed(path: Path, text: str) -> bool:
    """Writes ``text``; leaves a file that holds it already alone, so that builds stay fresh."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


def generate(plan: Plan, folder: Path) -> list[Path]:
    """Writes a model's C, for every kernel set, into ``folder``; returns the paths."""
    files = {
        "weights.h": weights_header(plan),
        "weights.c": weights_source(plan),
        "weights_dsp.c": dsp_source(plan),
        "weights_compact.c": compact_source(plan),
        "weights_mve.c": mve.source(plan),
    }
    for name, text in files.items():
        write_if_changed(folder / name, text)
    return [folder / name for name in files]
