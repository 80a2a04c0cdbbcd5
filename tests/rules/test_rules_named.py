"""What a quantity is about by its name, and what a backtest says of those at which nobody looks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.app.backtest_doubts import unwatched
from rules.named import SUBJECTS, WHOLE, about
from rules.rule_set import RuleSet

NAMED = {
    None: "a b presence sensor_1 picarro_2 inlet_3 x0 value reading conc_1 terrace_2 north_fence downwind_3 upwind "
    "tank_battery_1 compressor_2 sensor_no_1 sensor_w separator flare_1",
    "methane": "ch4 ch4_2906 methane_ppm ch4vmr_ppmv compressor_ch4 ch4_u ch4_dry_h2o_corrected mm116 mm_263",
    "quality": "ch4_error ch4vmrerror_ppmv ch4_flag conc_std qc_1 dmm116 mm116_pred",
    "wind": "wind_dir ws wd u v_ms speedofsound_m_s wind_x_m_s an311 as038",
    "temperature": "t temp_k t_air supply_temp sonic_temp ch4_temp tp1711 wassertemperatur temperatura 水温度 水温",
    "pressure": "press_pa b_pres_op p_atm inlet_pressure ba13 p_864 druck_1",
    "humidity": "rh humidity_ppmv h2o_ppm rh1712",
    "gas": "co co2_ppm site_co ethane c2h6_ppb cm861",
    "device": "battery battery_voltage rssi amp12_ir vbat",
    "flow": "flow_rate release_rate_kg_h pd volume_flow_m3 durchfluss_2 caudal_m3h discharge_2 流量2",
}


@pytest.mark.parametrize("subject", NAMED, ids=str)
def test_names_say_what_they_are_about(subject: str | None) -> None:
    assert {name: about(name) for name in NAMED[subject].split()} == dict.fromkeys(NAMED[subject].split(), subject)


@given(st.text(max_size=40))
def test_any_name_is_about_a_subject_or_none(name: str) -> None:
    assert about(name) in {None, *(subject.about for subject in SUBJECTS), *WHOLE.values()}
    assert about(name.upper()) == about(name.upper().lower())


@pytest.mark.parametrize(
    ("kind", "quantities", "said"),
    [
        ("methane-ambient", ("a", "sensor_2"), ()),
        (
            "methane-ambient",
            ("ch4_1", "ch4_2", "wind_dir"),
            ("looks at 1 of its points: wind_dir (called after wind)", "a name like ch4_1", "若应评判请改名"),
        ),
        ("methane-ambient", ("ch4_1", "ch4_1_sd"), ("ch4_1_sd (called after quality, did you mean ch4_1?)",)),
        (
            "methane-ambient",
            ("wind_dir", "t_air"),
            (
                "looks at its 2 points; wind_dir (called after wind), t_air (called after temperature)",
                "a name like value",
            ),
        ),
        ("water-quality", ("cl", "fm"), ("1 of its points: fm; one", "a name like cl")),
        (
            "water-quality",
            ("p_h", "leit", "CL2", "ORP", "dissolved_oxygen", "free_chlorine_residual", "sac", "no3"),
            (),
        ),
        (
            "heat-meter",
            ("energy_kwh", "inlet_temp", "t_air"),
            ("2 of its points: inlet_temp (called after temp",),
        ),
        ("rig", ("a", "temperature", "wind"), ()),
        ("water-scada", ("l_t1", "temperature"), ()),
        ("valve_well", ("ch4",), ("looks at its 1 points; ", "known: ")),
        ("water-quality", tuple(f"flow_{k}" for k in range(9)), ("and 4 more",)),
    ],
)
def test_points_at_which_nobody_looks_are_said(
    kit: Any, kind: str, quantities: tuple[str, ...], said: tuple[str, ...]
) -> None:
    points = [{"device_id": "X", "kind": kind, "quantity": q, "utility": None} for q in quantities]
    doubts = unwatched(RuleSet.standard(), kit.registry(points))
    assert len(doubts) == bool(said)
    assert all(part in doubts[0] for part in said), doubts
