"""The network: topologies and their counts, link media, bill of materials, collectives, expert exchange."""

from suanli.network.all_reduce import (
    all_reduce_hierarchical_s,
    all_reduce_in_network_s,
    all_reduce_one_shot_s,
    all_reduce_ring_s,
    all_reduce_s,
    all_reduce_tree_s,
)
from suanli.network.clos import (
    ClosFabric,
    clos,
    clos_capacity,
    full_clos,
    leaf_ports,
    path_latency_s,
)
from suanli.network.collectives import (
    all_gather_s,
    all_to_all_s,
    bus_bandwidth_bytes_per_s,
    bus_factor,
    collective_s,
    rank_count,
    reduce_scatter_s,
    send_recv_s,
)
from suanli.network.expert_exchange import (
    ExchangeVolume,
    direct_volume,
    exchange_s,
    expected_distinct_groups,
    message_bytes,
    node_limited_volume,
)
from suanli.network.fabric import (
    FabricBill,
    FabricParts,
    Nic,
    Switch,
    fabric_bill,
    scale_out_fabric,
)
from suanli.network.link import (
    LinkCoefficients,
    datasheet_coefficients,
)
from suanli.network.link_fit import (
    fit_link,
)
from suanli.network.media import (
    Medium,
    MediumChoice,
    choose_medium,
)
from suanli.network.topologies import (
    TopologySize,
    dragonfly,
    slim_fly,
    torus,
    torus_bisection_links,
)

__all__ = [
    "ClosFabric",
    "ExchangeVolume",
    "FabricBill",
    "FabricParts",
    "LinkCoefficients",
    "Medium",
    "MediumChoice",
    "Nic",
    "Switch",
    "TopologySize",
    "all_gather_s",
    "all_reduce_hierarchical_s",
    "all_reduce_in_network_s",
    "all_reduce_one_shot_s",
    "all_reduce_ring_s",
    "all_reduce_s",
    "all_reduce_tree_s",
    "all_to_all_s",
    "bus_bandwidth_bytes_per_s",
    "bus_factor",
    "choose_medium",
    "clos",
    "clos_capacity",
    "collective_s",
    "datasheet_coefficients",
    "direct_volume",
    "dragonfly",
    "exchange_s",
    "expected_distinct_groups",
    "fabric_bill",
    "fit_link",
    "full_clos",
    "leaf_ports",
    "message_bytes",
    "node_limited_volume",
    "path_latency_s",
    "rank_count",
    "reduce_scatter_s",
    "scale_out_fabric",
    "send_recv_s",
    "slim_fly",
    "torus",
    "torus_bisection_links",
]
