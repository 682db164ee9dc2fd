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
    [-0.1686, 0.04459],
    [0.04929, -0.007359],
    [-0.01881, 0.05032],
    [-0.01364, 0.01032],
    [0.05479, -0.05561],
    [-0.04179, 0.001611],
    [0.08038, 0.0215],
    [0.03108, 0.01907],
    [-0.001188, -0.004901],
    [-0.05542, 0.001389],
    [0.02003, -0.06718],
])
# And what is added for the pixel's luma, the square of the channel and the square of luma.
TONE_LUMA, TONE_SQUARE, TONE_LUMA_SQUARE = -0.07621, 0.08491, 0.0774
# Mean of what is known of the tones of photographed screens, in these widths, and what turns the difference from it
# into numbers that are independent of each other, whose squares add up to 1 on average.
TONE_MEAN = np.array([0.8609, 0.5862, 0.4423, 0.1718, -0.6303, -0.7345, 0.3125, 0.7895, -0.4764, -0.2669])
TONE_WHITE = np.array([
    [0.2236, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [-0.3865, 0.5618, 0, 0, 0, 0, 0, 0, 0, 0],
    [0.1322, -0.472, 0.6543, 0, 0, 0, 0, 0, 0, 0],
    [0.01111, 0.1035, -0.5849, 0.9173, 0, 0, 0, 0, 0, 0],
    [0.06151, -0.0434, 0.2883, -1.059, 0.7295, 0, 0, 0, 0, 0],
    [0.3863, 0.9308, -0.0933, -1.194, -0.3868, 1.87, 0, 0, 0, 0],
    [-0.0442, -0.2239, -0.3619, -0.2305, 0.03033, -0.06925, 0.9884, 0, 0, 0],
    [-0.8702, 0.1423, 0.1764, 0.04003, 0.01258, 0.06422, -0.4982, 0.9137, 0, 0],
    [-0.09267, 0.06232, 0.2268, 0.1044, -0.4633, -0.02207, -0.5237, 0.151, 0.6293, 0],
    [-0.01187, -0.2341, -0.005065, 0.1742, -0.07178, -0.217, 0.039, -0.02295, -0.05902, 1.624],
])
# fmt: on
