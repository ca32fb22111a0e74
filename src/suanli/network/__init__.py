"""The network: topologies and their counts, link media, bill of materials, collectives, expert exchange."""
