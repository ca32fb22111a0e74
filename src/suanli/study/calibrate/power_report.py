"""What the calibration of power found, in words: coefficients, errors on what was left out, and the server runs."""

from __future__ import annotations

from suanli.study.calibrate.fit import Errors
from suanli.study.calibrate.power import PowerCalibration


def power_report(found: PowerCalibration) -> str:
    """Return the fit in words: coefficients, errors on what was left out, and the server runs."""
    lines = [
        "| family | busy | pJ/FLOP (16-bit) | pJ/byte | rows | left-out model: median / p90 % | worst model |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for fit in found.families:
        energy = fit.energies()
        worst = max(fit.per_group.items(), key=lambda item: abs(item[1].bias))
        lines.append(
            f"| {fit.family} | {energy['busy_share']:.2f} | {energy['compute_j_per_flop'] * 1e12:.2f} "
            f"| {energy['memory_j_per_byte'] * 1e12:.0f} | {fit.rows} | {_pair(fit.judged)} "
            f"| {worst[0]} {worst[1].bias:+.0%} |"
        )
    shares = found.pooled.values
    lines.append(
        f"| pooled (shares) | {shares['busy_share']:.2f} | {shares['compute_share']:.1f} x room "
        f"| {shares['memory_share']:.2f} x room | {found.pooled.rows} | {_pair(found.pooled.judged)} (left-out family) "
        f"| {', '.join(f'{name} {e.bias:+.0%}' for name, e in found.pooled.per_group.items())} |"
    )
    lines += [
        "",
        "| run | chip W | wall W | measured W | error | speed | measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for check in found.checks:
        name = f"{check.run.run}{' (held out)' if check.run.held_out else ''}"
        lines.append(
            f"| {name} | {check.chip_w:.0f} | {check.wall_w:.0f} | {check.run.wall_w:.0f} | {check.wall_error:+.1%} "
            f"| {check.speed:.2f} | {check.run.speed:.2f} |"
        )
    server = found.server
    lines += [
        "",
        f"Server: host {server.host_w_per_chip:.0f} W per chip, fans {server.fan_share:.3f} of total TDP.",
    ]
    return "\n".join(lines) + "\n"


def _pair(errors: Errors) -> str:
    return f"{errors.median * 100:.1f} / {errors.p90 * 100:.1f}"
