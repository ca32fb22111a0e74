"""The named chains from grid to chip, as data. To add one, add an entry to CHAINS.

The boundary between the facility and the server is the server's (or rack's) power input: what flows in there
is IT power, as in category 3 of the PUE standard. Power supplies, busbars and regulators in the rack are thus
IT, whatever the chain. In the 800 V chains the rectifier has left the rack: it counts as facility there and
as IT elsewhere, so chains are compared fairly only from grid to chip.

Reference: ISO/IEC 30134-2 and EN 50600-4-2 (measurement categories of PUE).
"""

from __future__ import annotations

from dataclasses import dataclass

from suanli.errors import UnknownIdError


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a chain.

    Attributes:
        name: what it is, for people.
        converter: its id in the catalogue's table `converters`.
        redundancy: scheme that sets how far a unit is loaded (see `redundancy.needed_of_installed`).
        indoor: whether its loss heats the halls, so that the cooling plant must carry it off.
    """

    name: str
    converter: str
    redundancy: str = "N"
    indoor: bool = True


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain from grid to chip, both parts ordered from the grid downwards.

    Attributes:
        name: its name in scenarios.
        description: what it is, in one line.
        facility: stages from the grid to the server's power input.
        server: stages from the server's power input to the chip; the first makes the rack's 54 V.
    """

    name: str
    description: str
    facility: tuple[Stage, ...]
    server: tuple[Stage, ...]

    @property
    def converters(self) -> tuple[str, ...]:
        """Catalogue ids that the chain needs, each once."""
        return tuple(dict.fromkeys(stage.converter for stage in (*self.facility, *self.server)))


_TRANSFORMER = Stage("MV transformer", "transformer-oil-eu-tier2-2500kva", "2N", indoor=False)
_BUSWAY = Stage("switchgear and busway", "busway-ac", "2N")
_BOARD = (
    Stage("54 V busbar", "busbar-54v-rack"),
    Stage("54 V to 12 V", "ibc-48v-12v"),
    Stage("voltage regulator", "vrm-12v-core-multiphase"),
)
_SHELF = (Stage("54 V power shelf", "orv3-rectifier-3kw", "5+1"), *_BOARD)
_FROM_800V = (Stage("800 V to 50 V", "dcdc-800v-50v", "5+1"), *_BOARD)

CHAINS: dict[str, Chain] = {
    chain.name: chain
    for chain in (
        Chain(
            "ups-double-conversion",
            "AC through double-conversion UPS to the rack's power shelf",
            (_TRANSFORMER, Stage("double-conversion UPS", "ups-double-conversion", "2N"), _BUSWAY),
            _SHELF,
        ),
        Chain(
            "ups-eco-mode",
            "AC through the static bypass of the same UPS",
            (_TRANSFORMER, Stage("UPS in eco mode", "ups-eco-mode", "2N"), _BUSWAY),
            _SHELF,
        ),
        Chain(
            "hvdc-240v",
            "240 V DC rectifiers with battery on the bus",
            (_TRANSFORMER, Stage("240 V DC rectifier", "hvdc-240v", "2N"), _BUSWAY),
            _SHELF,
        ),
        Chain(
            "hvdc-336v",
            "336 V DC rectifiers with battery on the bus",
            (_TRANSFORMER, Stage("336 V DC rectifier", "hvdc-336v", "2N"), _BUSWAY),
            _SHELF,
        ),
        Chain(
            "panama-10kv-240v",
            "medium voltage to 240 V DC in one unit with a phase-shifting transformer",
            (Stage("10 kV to 240 V DC", "panama-10kv-240v", "2N"), _BUSWAY),
            _SHELF,
        ),
        Chain(
            "hvdc-800v",
            "800 V DC made in a sidecar beside the racks, batteries in the sidecar",
            (_TRANSFORMER, _BUSWAY, Stage("800 V sidecar rectifier", "rectifier-800v-sidecar", "5+1")),
            _FROM_800V,
        ),
        Chain(
            "sst-800v",
            "medium voltage to 800 V DC in one solid-state transformer",
            (Stage("solid-state transformer", "sst-mv-800v", "2N", indoor=False), _BUSWAY),
            _FROM_800V,
        ),
    )
}

# Pumps, fans and chillers hang on their own transformer, without UPS.
MECHANICAL_FEED: tuple[Stage, ...] = (_TRANSFORMER, _BUSWAY)


def find_chain(name: str) -> Chain:
    """Return the chain of that name.

    Raises:
        UnknownIdError: no such chain; names the close ones.
    """
    if name not in CHAINS:
        raise UnknownIdError("power chain", name, CHAINS)
    return CHAINS[name]
