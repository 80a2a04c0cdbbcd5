"""The fleet: 219,300 devices of gas, water and heat, as the registry tables ``POINTS`` and ``AREAS``.

What is reported, by whom, and what is normal (intervals are the declared ones; ``--interval`` overrides them all).
``normal`` is the band of a healthy point all year round (heat: in the heating season, 15 Nov - 15 Mar local time;
outside it temperatures follow the weather, pressures are static, flows and power are 0).

====== ================== ================ ========= =================== ============= ===========================
util.  kind (count)       quantity         unit      span                normal        interval, supply
====== ================== ================ ========= =================== ============= ===========================
gas    valve-well         ch4              %LEL      0 .. 100            0 .. 2        1800 s, battery
gas    (6,000)            temp             degC      -40 .. 85           -12 .. 40
gas                       battery          %         0 .. 100            35 .. 100
gas    adjacent-space     ch4              %LEL      0 .. 100            0 .. 10       1800 s, battery (sewer, cable
gas    (1,800)            c2h6             ppm       0 .. 1000           0 .. 5        and other wells next to gas
gas                       temp             degC      -40 .. 85           -12 .. 40     pipes: biogas is routine here)
gas                       battery          %         0 .. 100            35 .. 100
gas    regulator          pressure         kPa       0 .. 10             2.2 .. 3.1    60 s (one in five: 10 s), mains
gas    (1,500)            inlet_pressure   MPa       0 .. 0.6            0.18 .. 0.40
gas                       flow             m3/h      0 .. 2000           2 .. 1200
gas                       ch4              %LEL      0 .. 100            0 .. 2
gas                       temp             degC      -40 .. 85           -12 .. 40
gas    pipe               pressure         kPa       0 .. 10             2.0 .. 3.0    300 s, mains
gas    (2,000)            temp             degC      -40 .. 85           -12 .. 40
gas    household-meter    volume           m3        0 .. 99999.999      rises         86400 s, battery
gas    (62,000)           flow             m3/h      0 .. 10             0 .. 3
gas                       battery          %         0 .. 100            35 .. 100
gas    household-detector ch4              %LEL      0 .. 100            0 .. 4        3600 s, mains
gas    (36,000)           temp             degC      -40 .. 85           5 .. 38
gas    manhole-cover      tilt             deg       0 .. 180            0 .. 4        3600 s, battery; the asset_id is
gas    (7,000)            battery          %         0 .. 100            35 .. 100     that of the well it covers
water  dma-inlet          flow             m3/h      -500 .. 2000        5 .. 900      60 s (one in five: 10 s), mains
water  (900)              pressure         MPa       0 .. 1.6            0.20 .. 0.45
water                     volume           m3        0 .. 99999999.9     rises
water  pressure-point     pressure         MPa       0 .. 1.6            0.18 .. 0.45  300 s; of 24: one 1 s, three 5 s
water  (2,400)            battery          %         0 .. 100            35 .. 100
water  noise-logger       noise            dB        0 .. 100            4 .. 34       86400 s (at night), battery
water  (3,000)            battery          %         0 .. 100            35 .. 100
water  household-meter    volume           m3        0 .. 99999.999      rises         86400 s, battery
water  (60,000)           flow             m3/h      -5 .. 5             0 .. 2.5
water                     battery          %         0 .. 100            35 .. 100
water  batch-meter        volume           m3        0 .. 99999.999      rises         900 s, battery: stores a value
water  (6,000)            flow             m3/h      -5 .. 5             0 .. 2.5      each 15 min and uploads the 96 of
water                     battery          %         0 .. 100            35 .. 100     a day at once, up to a day late
water  hydrant            pressure         MPa       0 .. 1.6            0.18 .. 0.45  3600 s, battery
water  (3,700)            tilt             deg       0 .. 180            0 .. 4
water                     battery          %         0 .. 100            35 .. 100
heat   substation         supply_temp      degC      0 .. 150            42 .. 64      60 s, mains (secondary side)
heat   (1,800)            return_temp      degC      0 .. 120            32 .. 50
heat                      supply_pressure  MPa       0 .. 1.6            0.42 .. 0.62
heat                      return_pressure  MPa       0 .. 1.6            0.24 .. 0.36
heat                      heat_power       GJ/h      0 .. 100            1 .. 30
heat   loop-makeup        makeup_flow      m3/h      0 .. 50             0 .. 2.5      30 s, mains; normally about 0.3 %
heat   (300)              circulation_flow m3/h      0 .. 2000           120 .. 600    of the circulation (good: < 0.5 %)
heat                      supply_pressure  MPa       0 .. 1.6            0.42 .. 0.62
heat   heat-meter         energy           GJ        0 .. 9999999.99     rises         3600 s, battery
heat   (16,900)           flow             m3/h      0 .. 100            0.1 .. 8
heat                      supply_temp      degC      0 .. 150            40 .. 63
heat                      return_temp      degC      0 .. 120            31 .. 50
heat   room-temp          room_temp        degC      -20 .. 60           18.5 .. 25    3600 s, battery
heat   (8,000)            battery          %         0 .. 100            35 .. 100
====== ================== ================ ========= =================== ============= ===========================

Faults (``truth`` kinds) and what they do at ``fault_speed`` 1:

- ``gas-accumulation`` (valve-well, regulator cabinet, household-detector; adjacent-space with c2h6 > 20 ppm beside):
  ch4 rises to 35 .. 90 %LEL in 20 .. 60 min, holds, is aired. ``cover-opened``: tilt jumps to 25 .. 110 deg.
- ``regulator-overpressure``: outlet pressure creeps from 2.6 to 3.8 .. 6 kPa in 10 .. 40 min, the zone's pipes with it.
- ``pipe-burst`` (a DMA): inlet flow jumps by 60 .. 150 %, pressures of the DMA fall by 0.08 .. 0.22 MPa (less with
  distance) in about 5 min. ``slow-leak``: inlet flow +15 .. 40 % over hours, a noise logger +20 .. 40 dB, pressure -0.01.
- ``reverse-flow``: a dma-inlet or a water meter shows -2 .. -30 % of its full flow.
- ``heat-supply-collapse`` (a loop): supply_temp -12 .. -25 K, return_temp half of that, heat_power -60 .. -90 %, and
  later room_temp -3 .. -6 K. ``makeup-surge`` (a loop): makeup_flow +6 .. +25 m3/h, supply_pressure -0.05 .. -0.15 MPa.
- Of the device: ``sensor-stuck`` (frozen value), ``sensor-drift`` (slow ramp of 10 .. 30 % of the span), ``sensor-spikes``
  (single samples far off), ``dropout`` (a device silent), ``gateway-outage`` (all devices of a gateway silent),
  ``battery-low`` (battery 3 .. 9 %).
- Must not become warnings: ``harmless-sewer-biogas`` (adjacent-space: ch4 to 26 .. 45 %LEL, c2h6 stays at 0 .. 5 ppm),
  ``harmless-flushing`` (a hydrant is opened: DMA inlet flow +10 .. 25 % for 20 min, pressure of the DMA -0.01 .. -0.03 MPa),
  ``harmless-maintenance`` (a well opened by its owner: tilt 8 deg or less, ch4 0; a regulator switched over:
  outlet pressure 2.0 .. 3.3 kPa; a loop refilled: makeup_flow +1 .. +2 m3/h).

Zones: gas ``RD-…`` (regulator district), water ``DMA-…``, heat ``HL-…`` (loop). Every device has a zone and a gateway
(concentrator or cell, the unit of an outage). ``group``: the DMA for its inlet and pressure points, the device for a
substation, null elsewhere. Device ids: utility letter and seven digits (``G0001234``); points of a device are contiguous.
"""
