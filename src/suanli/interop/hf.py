"""Bring a Hugging Face model into the catalogue: read its `config.json`, check it, write it to an overlay."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from suanli.errors import InputError
from suanli.llm import Model, Parameters, from_config, kv_bytes_per_token, parameters, weight_bytes

_QUANTISATION = "hf_quant_config.json"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What `import_hf` did.

    Attributes:
        id: catalogue id of the model.
        path: the file written.
        replaced: whether the overlay had a model of that id.
        model: the model as read.
        parameters: its counts.
        weights_bytes: bytes of its weights in the formats of the checkpoint [byte].
        kv_bytes_per_token: growth of its cache at 16 bit [byte].
        weights: the formats in words.
        unknown_fields: config fields that were not understood and changed nothing.
    """

    id: str
    path: Path
    replaced: bool
    model: Model
    parameters: Parameters
    weights_bytes: float
    kv_bytes_per_token: float
    weights: str
    unknown_fields: tuple[str, ...]


def import_hf(path: str | Path, overlay_dir: str | Path, model_id: str | None = None) -> ImportReport:
    """Read a Hugging Face config and write it as a model of an overlay catalogue.

    The file is written whole or not at all, and only when the config can be read. A ModelOpt
    `hf_quant_config.json` beside
    the config gives the formats of the weights where the config itself does not.

    Args:
        path: a `config.json`, or the folder that holds it.
        overlay_dir: the overlay (`--catalog DIR`); the model goes to its folder `models`.
        model_id: catalogue id; from the config's `_name_or_path` or the folder's name where None.

    Returns:
        What was read and written, with the fields that were not understood.

    Raises:
        InputError: no such file, malformed JSON (with its line), an unsupported architecture (named), missing
            or
            contradictory fields (all at once), no usable id, or a folder that cannot be written.
        NoDataError: the config is one of ours that is published only in part.
    """
    source = _find(Path(path))
    config = _with_quantisation(_read(source), source.parent / _QUANTISATION)
    identity = model_id or _identity(config, source)
    name = _slug(identity)
    if not name:
        raise InputError(f'{source.name}: no id can be made of "{identity}"; give one, like "my-model"')
    model = from_config(config, place=source.name)
    own = _own_block(config, name, identity, source)
    target = Path(overlay_dir) / "models" / f"{name}.json"
    replaced = target.is_file()
    _write(target, {**config, "_suanli": own})
    return ImportReport(
        id=name,
        path=target,
        replaced=replaced,
        model=model,
        parameters=parameters(model),
        weights_bytes=weight_bytes(model).total,
        kv_bytes_per_token=float(kv_bytes_per_token(model)),
        weights=model.dtypes.shown,
        unknown_fields=model.unknown_fields,
    )


def _find(path: Path) -> Path:
    source = path / "config.json" if path.is_dir() else path
    if not source.is_file():
        raise InputError(f"{path}: no such file; give a Hugging Face config.json or the folder that holds it")
    return source


def _read(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{path.name}: {constant} is not valid JSON")

    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path.name}:{error.lineno} not valid JSON: {error.msg} (column {error.colno})"
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise InputError(f"{path.name}: not a JSON text in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path.name}: expected a JSON object with the fields of a model")
    return found


def _with_quantisation(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The config with ModelOpt's separate file folded in, as newer exports have it inside."""
    if "quantization_config" in config or not path.is_file():
        return config
    found = _read(path).get("quantization")
    if not isinstance(found, Mapping):
        raise InputError(f'{path.name} quantization: missing; expected an object with "quant_algo"')
    return {**config, "quantization_config": {"quant_method": "modelopt", **found}}


def _identity(config: Mapping[str, Any], source: Path) -> str:
    own = config.get("_suanli")
    if isinstance(own, Mapping) and own.get("id"):
        return str(own["id"])
    named = str(config.get("_name_or_path") or "")
    return named if re.search(r"[A-Za-z0-9]", named) else source.resolve().parent.name


def _slug(identity: str) -> str:
    tail = identity.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9.]+", "-", tail.lower()).strip("-.")


def _own_block(config: Mapping[str, Any], name: str, identity: str, source: Path) -> dict[str, Any]:
    given = config.get("_suanli")
    own: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    aliases = [str(alias) for alias in own.get("aliases", ())]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", identity) and identity not in aliases:
        aliases.append(identity)
    own.update(id=name, aliases=aliases)
    own.setdefault("sources", [source.name])
    own.setdefault("verified", False)
    own.setdefault("notes", "Imported from a Hugging Face config.")
    return own


def _write(target: Path, config: Mapping[str, Any]) -> None:
    """Write through a temporary file beside the target, so that a reader never sees half a model."""
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=".part")
    except OSError as error:
        raise InputError(f"{target.parent}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{target}: cannot be written: {error.strerror}") from None
