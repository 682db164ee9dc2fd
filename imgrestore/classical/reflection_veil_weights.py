"""Weights of the cues of a veil: of the score that says whether there is one, and of its light at each place."""

PRESENCE: dict[str, float] = {
    "colour": 16.365,
    "floor_high": -2.9048,
    "log_wide_floor": 0.68132,
    "blackest": -1.9998,
    "black": -3.2785,
    "white_least": 2.6045,
    "log_clipped_least": 0.43991,
    "log_clipped_second": 1.0328,
    "white_most": 3.3365,
    "log_clipped_most": 0.073877,
    "energy_0": -0.57579,
    "energy_1": -2.4265,
    "sparseness_2": -15.505,
}
PRESENCE_BIAS = -3.6398

AMOUNT: dict[str, float] = {
    "floor_near": 0.14427,
    "floor_wide": 0.089662,
    "ceiling_wide": 0.080241,
    "level": 0.045931,
    "clipped": -0.034796,
    "strength_2": 0.011287,
    "own_clipped": -0.17097,
    "colour": 0.049019,
    "spread": -0.016368,
    "floor_high": -0.027168,
    "floor_top": -0.053475,
    "energy_0": -0.012382,
    "sparseness_0": -0.040479,
    "energy_1": -0.05494,
    "sparseness_1": -0.22403,
    "sparseness_2": -0.033656,
}
AMOUNT_BIAS = -0.017051
