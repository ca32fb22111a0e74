"""Compile the event loop with numba, once per machine; the source functions stay plain Python."""

from __future__ import annotations

import gc
import hashlib
import importlib
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from suanli.serving.sim.state import LeanState, State

_MODULES = ("queues", "blocks", "steps", "place", "record", "pools", "step", "loop")
_WHOLE = ("table", "prefix", "outages")
_LEAN = ("lean",)

Run = Callable[[State, int], bool]


@lru_cache(maxsize=2)
def compiled_run(lean: bool) -> Run:
    """Return the compiled event loop, only what one plain replica needs if `lean` (half the code).

    Every function of the loop's modules is cloned into one namespace, where callees are their compiled selves; the
    modules themselves keep the functions that run uncompiled. Machine code is kept in the user's cache folder under
    a hash of the sources, so it is right after an update and where the package itself cannot be written to.
    """
    import numba

    sources = [
        importlib.import_module(f"suanli.serving.sim.{name}")
        for name in (*_MODULES, *(_LEAN if lean else _WHOLE))
    ]
    config: Any = numba.config
    previous = config.CACHE_DIR
    config.CACHE_DIR = str(cache_folder(_digest(sources, numba.__version__)))
    try:
        return _compile(sources, numba, LeanState.of if lean else None)
    finally:
        config.CACHE_DIR = previous


def cache_folder(digest: str) -> Path:
    """Return the folder for machine code: $SUANLI_CACHE, else the platform's place for caches of a user."""
    given = os.environ.get("SUANLI_CACHE")
    if given:
        return Path(given) / "numba" / digest
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return root / "suanli" / "numba" / digest


def _digest(sources: list[types.ModuleType], version: str) -> str:
    found = hashlib.sha256(version.encode())
    for module in [*sources, importlib.import_module("suanli.serving.sim.columns")]:
        found.update(Path(str(module.__file__)).read_bytes())
    return found.hexdigest()[:16]


def _compile(
    sources: list[types.ModuleType], numba: Any, narrowed: Callable[[State], LeanState] | None
) -> Run:
    space: dict[str, Any] = {}
    common: dict[str, Any] = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True, "_nrt": False}
    if (compiler := short_compiler()) is not None:
        common["pipeline_class"] = compiler
    for module in sources:
        space.update({k: v for k, v in vars(module).items() if not isinstance(v, types.FunctionType)})
    made: dict[types.FunctionType, Any] = {}
    for module in sources:
        for name, value in vars(module).items():
            if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
                if value not in made:
                    options = common | ({"cache": True} if name == "run" else {"no_cpython_wrapper": True})
                    clone = types.FunctionType(value.__code__, space, name)
                    clone.__module__ = module.__name__
                    made[value] = numba.njit(**options)(clone)
                space[name] = made[value]
    dispatcher = space["run"]

    def run(state: State, most: int) -> bool:
        arrays = state if narrowed is None else narrowed(state)
        if dispatcher.signatures:
            return bool(dispatcher(arrays, most))
        with linked_once():
            return bool(dispatcher(arrays, most))

    return run


def short_compiler() -> Any:
    """Return a numba compiler with the passes that plain loops over arrays need, or None where a version lacks one.

    Left out are passes for closures, comprehensions, array expressions and literals: they find nothing in this code and
    take a fifth of the time to compile it.
    """
    from numba.core import compiler, compiler_machinery, typed_passes, untyped_passes

    names = (
        *(
            (untyped_passes, name)
            for name in ("TranslateByteCode", "FixupArgs", "IRProcessing", "ReconstructSSA")
        ),
        *((typed_passes, name) for name in ("NopythonTypeInference", "PreLowerStripPhis", "IRLegalization")),
        *((typed_passes, name) for name in ("NativeLowering", "NoPythonBackend")),
    )
    if not all(hasattr(module, name) for module, name in names):
        return None

    manager: Any = compiler_machinery.PassManager

    class Short(compiler.CompilerBase):
        """The passes above, in their usual order."""

        def define_pipelines(self) -> list[Any]:
            """Return the one pipeline."""
            passes = manager("loop")
            for module, name in names:
                passes.add_pass(getattr(module, name), name)
            passes.finalize()
            return [passes]

    return Short


@contextmanager
def linked_once() -> Iterator[None]:
    """Let numba optimise and emit the loop as one module, instead of every function again in each of its callers.

    numba finalizes the library of each function with copies of all it calls, so that a deep call tree costs several
    times its size. Here the libraries of inner functions stay as they are, and the outer one links all of them. It
    reaches into numba's code generator; where a version lacks what it needs, compilation is only slower.
    """
    from numba.core import codegen, targetconfig

    kind: Any = codegen.JITCodeLibrary
    generator: Any = codegen.JITCPUCodegen
    if not (hasattr(kind, "_get_module_for_linking") and hasattr(generator, "set_env")):
        yield
        return
    options: Any = targetconfig.TargetConfig
    whole, set_env, compare, key = kind.finalize, generator.set_env, options.__eq__, options.__hash__
    hashes: dict[type, int] = {}

    def finalize(library: Any) -> None:
        if library.name != "run":
            library._finalized = True
            return
        library._linking_libraries = _closure(library)
        whole(library)
        # Left over are addresses of the inner dispatchers, which calls by symbol never read.
        library._dynamic_globals.clear()

    def set_known_env(self: Any, name: str, env: Any) -> None:
        if self._engine.is_symbol_defined(name):
            set_env(self, name, env)

    def same_options(self: Any, other: Any) -> Any:
        # Overload resolution compares compiler options some ten thousand times, mostly with those that were set the
        # same; the original builds two dictionaries of all options, set or not.
        mine, theirs = self._values, getattr(other, "_values", None)
        if theirs is None:
            return compare(self, other)
        return mine == theirs or all(getattr(self, k) == getattr(other, k) for k in {*mine, *theirs})

    def hash_of_options(self: Any) -> int:
        # The original hashes the sorted names of all options, which are the same for all objects of a class.
        if type(self) not in hashes:
            hashes[type(self)] = key(self)
        return hashes[type(self)]

    collecting = gc.isenabled()
    gc.disable()  # what a compiler makes lives on; looking at it again and again only takes time
    kind.finalize, generator.set_env = finalize, set_known_env
    options.__eq__, options.__hash__ = same_options, hash_of_options
    try:
        yield
    finally:
        kind.finalize, generator.set_env = whole, set_env
        options.__eq__, options.__hash__ = compare, key
        if collecting:
            gc.enable()


def _closure(library: Any) -> list[Any]:
    found: dict[Any, None] = {}
    todo = list(library._linking_libraries)
    while todo:
        other = todo.pop()
        if other not in found:
            found[other] = None
            todo += other._linking_libraries
    return list(found)
