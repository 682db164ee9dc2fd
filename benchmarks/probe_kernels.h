// The loops of the probe, included once for each instruction set: PROBE_TARGET is its attribute, PROBE_BYTES its vector.
typedef float Vector __attribute__((vector_size(PROBE_BYTES), aligned(PROBE_BYTES)));
const long LANES = PROBE_BYTES / 4;
// Enough independent sums to hide the latency of two FMA units, few enough for 16 registers.
const int SUMS = 12;

PROBE_TARGET static Vector all(float value) { return value - Vector{}; }

PROBE_TARGET float multiply_add(long rounds) {
  Vector sums[SUMS];
#pragma GCC unroll 12
  for (int i = 0; i < SUMS; ++i) sums[i] = all(1.0f + 0.01f * i);
  const Vector factor = all(0.999f), term = all(0.001f);
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; ++i) sums[i] = sums[i] * factor + term;
  }
  Vector total = sums[0];
#pragma GCC unroll 12
  for (int i = 1; i < SUMS; ++i) total += sums[i];
  return total[0];
}

PROBE_TARGET void copy(float* to, const float* from, long n) {
  for (long i = 0; i < n; i += 4 * LANES) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) *(Vector*)(to + i + j * LANES) = *(const Vector*)(from + i + j * LANES);
  }
}

PROBE_TARGET void triad(float* to, const float* b, const float* c, long n) {
  const Vector factor = all(0.5f);
  for (long i = 0; i < n; i += 4 * LANES) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const long k = i + j * LANES;
      *(Vector*)(to + k) = *(const Vector*)(b + k) + factor * *(const Vector*)(c + k);
    }
  }
}
