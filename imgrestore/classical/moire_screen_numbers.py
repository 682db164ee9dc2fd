"""Numbers of the rule for photographed screens, found by regression on pairs of such photographs and their screens.

All of them belong to `imgrestore.classical.moire_screen`, which says what they multiply.
"""

import numpy as np

# fmt: off
# Mean and standard deviation of the features among photographs of screens; 4 statistics x 3 planes x 3 bands.
MEAN = np.array([
    -0.9374, -1.648, -1.918, -2.353, -3.937, -4.509, -2.646, -4.041, -4.574,
    0, -0.9065, -1.343, -1.442, -3.345, -4.151, -1.877, -3.503, -4.226,
    1.458, 1.593, 1.691, 1.586, 1.524, 1.497, 1.428, 1.444, 1.461,
    2.279, 2.331, 2.359, 2.372, 2.225, 2.057, 2.211, 2.129, 1.941,
])
DEVIATION = np.array([
    0.5955, 0.6606, 0.6795, 0.8182, 0.6363, 0.6379, 0.7511, 0.6229, 0.6145,
    0.001, 0.4616, 0.5587, 0.5945, 0.5367, 0.6248, 0.6272, 0.548, 0.6216,
    0.3006, 0.3872, 0.4767, 0.2715, 0.236, 0.1794, 0.2491, 0.2122, 0.1454,
    0.4713, 0.4905, 0.5199, 0.3428, 0.3587, 0.2369, 0.3535, 0.3788, 0.2337,
])
# Logistic regression, photographs of screens against pictures of other kinds.
WEIGHTS = np.array([
    -0.209, -0.2074, 1.411, -0.16, -0.2164, 0.06157, 0.2826, -0.02364, 0.07763,
    0, -0.6384, 0.8662, 0.05704, -0.6717, -0.2701, 0.4565, -0.2403, -0.06297,
    -0.1117, 0.2575, -0.3099, 0.3455, -0.01684, -0.06695, 0.6877, 0.3622, 0.1329,
    -0.3374, -0.122, 0.2301, -0.1804, -0.05159, 0.0006509, 0.2934, 0.7265, -0.03471,
])
BIAS = 1.8784
# Ridge regression of how soft the picture on the screen is; statistics of luma only.
SOFTNESS = np.array([
    -0.1075, -0.1096, -0.08343, 0, 0, 0, 0, 0, 0,
    0, 0.07647, -0.07804, 0, 0, 0, 0, 0, 0,
    -0.08157, 0.004862, -0.05467, 0, 0, 0, 0, 0, 0,
    0.001801, 0.02482, -0.0951, 0, 0, 0, 0, 0, 0,
])
# Gain of luma at these frequencies (cycles per pixel), and its change with softness.
FREQUENCIES = np.array([0, 0.0425, 0.08, 0.125, 0.175, 0.225, 0.275, 0.33, 0.39, 0.46, 0.605])
GAIN = np.array([1, 1, 0.9145, 0.8281, 0.7244, 0.6246, 0.5331, 0.4422, 0.3484, 0.2573, 0.1768])
GAIN_CHANGE = np.array([0, 0, 0.1273, 0.2285, 0.3302, 0.4057, 0.4216, 0.4249, 0.3811, 0.316, 0.2336])
# The same for chroma, whatever the softness.
GAIN_CHROMA = np.array([1, 0.9, 0.6, 0.4, 0.25, 0.15, 0.12, 0.1, 0.1, 0.1, 0.1])
# Typical values and widths of what is known of a picture's tones, in the order of `moire_screen.tone_change`.
TONE_TYPICAL = np.array([0.05, 0.2, 0.45, 0.7, 0.9, 0.25, 0.45, 0.05, 0.9, 0.03])
TONE_WIDTH = np.array([0.1, 0.15, 0.2, 0.2, 0.1, 0.07, 0.2, 0.1, 0.1, 0.1])
# Slope and offset that a channel's change has for a typical picture, and for one width more of each of these.
TONE = np.array([
    [-0.1591, 0.04207],
    [0.0465, -0.006942],
    [-0.01775, 0.04747],
    [-0.01287, 0.009735],
    [0.05169, -0.05246],
    [-0.03942, 0.00152],
    [0.07583, 0.02028],
    [0.02932, 0.01799],
    [-0.001121, -0.004624],
    [-0.05228, 0.00131],
    [0.0189, -0.06338],
])
# And what is added for the pixel's luma, the square of the channel and the square of luma.
TONE_LUMA, TONE_SQUARE, TONE_LUMA_SQUARE = -0.0719, 0.0801, 0.07302
# fmt: on
