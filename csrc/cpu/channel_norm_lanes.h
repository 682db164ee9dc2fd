#pragma once

#include "../math/bfloat16.h"
#include "channel_norm.h"
#include "simd.h"

// Pixels in lanes: a vector holds one channel of neighbouring pixels, whatever the layout in memory.
namespace imgrestore {
namespace IMGR_ISA {

// Reads and writes vectors of float from what is stored.
template <class T>
struct Stored;

template <>
struct Stored<float> {
  typedef Vec<float> X;
  static IMGR_HD X::V loadu(const float* p) { return X::loadu(p); }
  static IMGR_HD void storeu(float* p, X::V v) { X::storeu(p, v); }
};

template <>
struct Stored<Bfloat16> {
  typedef Vec<float> X;
  typedef uint16_t H __attribute__((vector_size(2 * X::L), may_alias, aligned(2)));
  typedef uint32_t U __attribute__((vector_size(IMGR_VECTOR_BYTES)));
  static IMGR_HD X::V loadu(const Bfloat16* p) {
    return (X::V)(__builtin_convertvector(*(const H*)p, U) << 16);
  }
  static IMGR_HD void storeu(Bfloat16* p, X::V v) {
    const U bits = (U)v, nan = (U)(v != v);
    const U rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    *(H*)p = __builtin_convertvector((nan & (bits >> 16 | 0x40)) | (~nan & rounded), H);
  }
};

struct Lanes {
  typedef Vec<float> X;
  typedef X::V V;
  static constexpr int L = X::L;

  // In pieces of constant size, which need no loop.
  template <class T>
  static IMGR_HD void copy_part(T* to, const T* from, int64_t count) {
    int64_t i = 0;
    if (L > 8 && count & 8) {
      __builtin_memcpy(to, from, 8 * sizeof(T));
      i = 8;
    }
    if (L > 4 && count & 4) {
      __builtin_memcpy(to + i, from + i, 4 * sizeof(T));
      i += 4;
    }
    for (int64_t rest = count & 3; rest > 0; --rest, ++i) to[i] = from[i];
  }
  // The first `count` lanes, all of them where `count` is L or more.
  template <class T>
  static V load_part(const T* p, int64_t count) {
    if (count >= L) return Stored<T>::loadu(p);
    alignas(64) T t[L] = {};
    copy_part(t, p, count);
    return Stored<T>::loadu(t);
  }
  template <class T>
  static void store_part(T* p, V v, int64_t count) {
    if (count >= L) return Stored<T>::storeu(p, v);
    alignas(64) T t[L];
    Stored<T>::storeu(t, v);
    copy_part(p, t, count);
  }

  template <int B>
  static IMGR_HD void exchange(V* t) {
    if constexpr (B < L) {
      IMGR_UNROLL
      for (int i = 0; i < L; ++i) {
        if (!(i & B)) X::exchange<B>(t[i], t[i | B], typename X::All());
      }
    }
  }
  // As Vec::transpose, but inlined with all it calls, so that the vectors stay in registers.
  static IMGR_HD void transpose(V* t) {
    exchange<1>(t);
    exchange<2>(t);
    exchange<4>(t);
    exchange<8>(t);
  }

  // How many planes ahead memory is asked for: a tile's rows are too short for the hardware to see them coming, and planes
  // of a round size share their cache sets, so that asking much earlier is in vain.
  static constexpr int64_t kAhead = 2;

  // `count` pixels from `first` on, channel by channel: channel c goes to to + c * stride, lanes past `count` up to a
  // whole vector are zero.
  template <class T>
  static void load(const Pixels<const T>& x, int64_t first, int64_t count, float* to, int64_t stride) {
    if (x.channels_last) return load_last(x, first, count, to, stride);
    for (int64_t c = 0; c < x.channels; ++c) {
      const T* from = x.data + c * x.count + first;
      float* row = to + c * stride;
      int64_t i = 0;
      const T* ahead = x.data + (c + kAhead < x.channels ? c + kAhead : c) * x.count + first;
      for (; i + L <= count; i += L) {
        __builtin_prefetch(ahead + i);
        X::storeu(row + i, Stored<T>::loadu(from + i));
      }
      if (i < count) X::storeu(row + i, load_part(from + i, count - i));
    }
  }

  template <class T>
  static void load_last(const Pixels<const T>& x, int64_t first, int64_t count, float* to, int64_t stride) {
    const int64_t channels = x.channels, size = x.count * channels;
    for (int64_t i = 0; i < count; i += L) {
      for (int64_t c = 0; c < channels; c += L) {
        const int64_t at = (first + i) * channels + c;
        V t[L];
        // A vector may reach into the next pixel, whose lanes are not kept, but not past the picture.
        if (i + L <= count && at + (L - 1) * channels + L <= size) {
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) t[j] = Stored<T>::loadu(x.data + at + j * channels);
        } else {
          const int64_t kept = channels - c < L ? channels - c : L;
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) t[j] = i + j < count ? load_part(x.data + at + j * channels, kept) : V{};
        }
        transpose(t);
        float* row = to + c * stride + i;
        if (channels - c >= L) {
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) X::storeu(row + j * stride, t[j]);
        } else {
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) {
            if (j < channels - c) X::storeu(row + j * stride, t[j]);
          }
        }
      }
    }
  }

  // The way back; with `plus`, a picture of the same kind is added.
  template <class T>
  static void store(const Pixels<T>& out, int64_t first, int64_t count, const float* from, int64_t stride, const T* plus) {
    if (out.channels_last) return store_last(out, first, count, from, stride, plus);
    for (int64_t c = 0; c < out.channels; ++c) {
      const int64_t at = c * out.count + first;
      T* to = out.data + at;
      const float* row = from + c * stride;
      int64_t i = 0;
      const int64_t ahead = (c + kAhead < out.channels ? c + kAhead : c) * out.count + first;
      if (plus) {
        for (; i + L <= count; i += L) {
          __builtin_prefetch(out.data + ahead + i, 1);
          __builtin_prefetch(plus + ahead + i);
          Stored<T>::storeu(to + i, X::loadu(row + i) + Stored<T>::loadu(plus + at + i));
        }
        if (i < count) store_part(to + i, X::loadu(row + i) + load_part(plus + at + i, count - i), count - i);
      } else {
        for (; i + L <= count; i += L) {
          __builtin_prefetch(out.data + ahead + i, 1);
          Stored<T>::storeu(to + i, X::loadu(row + i));
        }
        if (i < count) store_part(to + i, X::loadu(row + i), count - i);
      }
    }
  }

  template <class T>
  static IMGR_HD V add(V v, const T* plus, int64_t at) {
    return plus ? v + Stored<T>::loadu(plus + at) : v;
  }

  template <class T>
  static void store_last(const Pixels<T>& out, int64_t first, int64_t count, const float* from, int64_t stride,
                         const T* plus) {
    const int64_t channels = out.channels, size = out.count * channels;
    for (int64_t i = 0; i < count; i += L) {
      for (int64_t c = 0; c < channels; c += L) {
        const int64_t kept = channels - c < L ? channels - c : L, at = (first + i) * channels + c;
        const float* row = from + c * stride + i;
        V t[L];
        if (kept == L) {
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) t[j] = X::loadu(row + j * stride);
        } else {
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) t[j] = j < kept ? X::loadu(row + j * stride) : V{};
        }
        transpose(t);
        if (i + L <= count && kept == L) {
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) {
            Stored<T>::storeu(out.data + at + j * channels, add(t[j], plus, at + j * channels));
          }
        } else {
          IMGR_UNROLL
          for (int j = 0; j < L; ++j) {
            const int64_t here = at + j * channels;
            if (i + j >= count) continue;
            if (plus) t[j] += load_part(plus + here, here + L <= size ? L : kept);
            store_part(out.data + here, t[j], kept);
          }
        }
      }
    }
  }

  // Of `vectors` vectors of pixels at x, channel after channel by `stride`: (x - mean) / sqrt(variance + eps), in two
  // passes, so that a large mean costs no digits. Weight and bias may be null.
  static void normalise(const float* x, int64_t stride, int64_t channels, int64_t vectors, float eps,
                        const float* weight, const float* bias, float* out, int64_t out_stride) {
    int64_t p = 0;
    for (; p + 3 <= vectors; p += 3) {
      normalise_some<3>(x + p * L, stride, channels, eps, weight, bias, out + p * L, out_stride);
    }
    for (; p < vectors; ++p) {
      normalise_some<1>(x + p * L, stride, channels, eps, weight, bias, out + p * L, out_stride);
    }
  }

  // Several vectors at once, as each sum waits for the one before it.
  template <int N>
  static IMGR_HD void normalise_some(const float* x, int64_t stride, int64_t channels, float eps, const float* weight,
                                     const float* bias, float* out, int64_t out_stride) {
    const float share = 1.0f / float(channels);
    V mean[N], scale[N];
    IMGR_UNROLL
    for (int p = 0; p < N; ++p) mean[p] = scale[p] = V{};
    for (int64_t c = 0; c < channels; ++c) {
      IMGR_UNROLL
      for (int p = 0; p < N; ++p) mean[p] += X::loadu(x + c * stride + p * L);
    }
    IMGR_UNROLL
    for (int p = 0; p < N; ++p) mean[p] *= share;
    for (int64_t c = 0; c < channels; ++c) {
      IMGR_UNROLL
      for (int p = 0; p < N; ++p) {
        const V d = X::loadu(x + c * stride + p * L) - mean[p];
        scale[p] += d * d;
      }
    }
    IMGR_UNROLL
    for (int p = 0; p < N; ++p) scale[p] = 1.0f / square_root(scale[p] * share + eps);
    for (int64_t c = 0; c < channels; ++c) {
      IMGR_UNROLL
      for (int p = 0; p < N; ++p) {
        V v = (X::loadu(x + c * stride + p * L) - mean[p]) * scale[p];
        if (weight) v = v * weight[c] + bias[c];
        X::storeu(out + c * out_stride + p * L, v);
      }
    }
  }
};

}  // namespace IMGR_ISA
}  // namespace imgrestore
