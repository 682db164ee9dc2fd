#pragma once

#include "../math/richardson_lucy.h"
#include "overlap_save_kernel.h"
#include "richardson_lucy.h"

namespace imgrestore {
namespace IMGR_ISA {

// Pictures are in strips (strips.h).
struct RichardsonLucy {
  typedef OverlapSave O;
  typedef O::X X;
  typedef O::V V;
  typedef RichardsonLucyTask Task;
  typedef RichardsonLucyPlane Plane;
  static constexpr int L = O::L;
  static constexpr int E = O::E;

  static IMGR_HD double total(V v) {
    double sum = 0;
    for (int i = 0; i < L; ++i) sum += v[i];
    return sum;
  }

  // The first `count` lanes, and 0 beyond the picture's last column.
  static IMGR_HD V first(V v, int64_t count) {
    for (int64_t i = count; i < L; ++i) v[i] = 0;
    return v;
  }

  // A picture that is read: value, or where there is a previous one that and the next one extrapolated.
  struct Strips {
    static constexpr int kRun = 1;
    const float *value, *previous;
    float factor;

    static IMGR_HD int64_t row(const OverlapSavePass& p, int64_t z, int64_t y, int64_t x) {
      const int64_t row = overlap_save_locate(y, p.input[1], p.outside);
      return row < 0 ? -1 : strips_at(p.input, L, z, row, x);
    }

    template <bool Extrapolate>
    IMGR_HD V at(int64_t i) const {
      return Extrapolate ? rl_ahead(X::load(value + i), X::load(previous + i), factor) : X::load(value + i);
    }
    // Columns x ... of rows y ..., from one strip or from two.
    template <bool Extrapolate, bool Two>
    void rows(const OverlapSavePass& p, int64_t z, int64_t y, int64_t x, float* to) const {
      const int64_t strip = strips_at(p.input, L, z, 0, x), next = p.input[1] * L;
      for (int64_t r = 0; r < p.tile.height; ++r, to += E) {
        const int64_t row = overlap_save_locate(y + r, p.input[1], p.outside), i = strip + row * L;
        V v = {};
        if (row >= 0) v = Two ? X::join(at<Extrapolate>(i), at<Extrapolate>(i + next), int(x % L)) : at<Extrapolate>(i);
        X::store(to, v);
      }
    }
    void inside(const OverlapSavePass& p, int64_t z, int64_t y, int64_t x, int, int64_t, float* to) const {
      if (previous) return x % L ? rows<true, true>(p, z, y, x, to) : rows<true, false>(p, z, y, x, to);
      return x % L ? rows<false, true>(p, z, y, x, to) : rows<false, false>(p, z, y, x, to);
    }

    IMGR_HD V lanes(const OverlapSavePass& p, int64_t z, int64_t y, const int64_t* columns) const {
      V v = {}, before = {};
      for (int i = 0; i < L; ++i) {
        const int64_t at = columns[i] < 0 ? -1 : row(p, z, y, columns[i]);
        if (at < 0) continue;
        v[i] = value[at + columns[i] % L];
        if (previous) before[i] = previous[at + columns[i] % L];
      }
      return previous ? rl_ahead(v, before, factor) : v;
    }
  };

  // ---- blur: the observed over the expected, and the residual's weighed square

  struct Ratio {
    const Task* task;
    const Plane* plane;
    double* sums;

    void store(const OverlapSaveBox& box, int64_t z, int64_t column, int, const float* from, int64_t) {
      if (task->window[0]) return store_as<true>(box, z, column, from);
      store_as<false>(box, z, column, from);
    }

    template <bool Watched>
    void store_as(const OverlapSaveBox& box, int64_t z, int64_t column, const float* from) {
      const Plane& p = *plane;
      const int64_t x = box.origin[2] + column, count = box.size[2] - column;
      int64_t at = strips_at(task->frame, L, box.origin[0] + z, box.origin[1], x);
      V squares = {};
      for (int64_t r = 0; r < box.size[1]; ++r, at += L, from += E) {
        const V expected = X::load(from) + p.background, observed = X::load(p.observed + at);
        V quotient = rl_quotient(observed, expected, p.tiny);
        V status = V{} + 1.0f;
        if (p.status) {
          status = X::load(p.status + at);
          quotient = rl_masked(quotient, status);
        }
        if (count < L) quotient = first(quotient, count);
        X::store(p.ratio + at, quotient);
        if (Watched) {
          const V residual = rl_residual(observed, expected, status);
          squares += residual * residual * task->window[1][box.origin[1] + r];
        }
      }
      if (!Watched) return;
      const V part = first(squares, count) * O::some(task->window[2] + x, count);
      sums[0] += total(part) * task->window[0][box.origin[0] + z];
    }
  };

  // ---- the update, of up to L neighbours

  struct Sums {
    V agree, size;
  };

  static IMGR_HD const float* share_row(const Task& t, const Plane& p, int64_t z, int64_t y) {
    if (!p.inverse_share) return nullptr;
    const int64_t plane = richardson_lucy_share_row(z, t.scene[0], t.share[0]);
    return p.inverse_share + (plane * t.share[1] + richardson_lucy_share_row(y, t.scene[1], t.share[1])) * t.scene[2];
  }

  static IMGR_HD void update(const Plane& p, int64_t at, const float* share_at, V correction, int64_t count, Sums& sums) {
    V start = X::load(p.scene + at);
    if (p.previous) start = rl_ahead(start, X::load(p.previous + at), p.factor);
    const V damped = p.damped ? X::load(p.damped + at) : start;
    const V share = share_at ? O::some(share_at, count) : V{} + 1.0f;
    V next = rl_update(start, damped, correction, share);
    if (count < L) next = first(next, count);
    if (!p.previous) return X::store(p.scene + at, next);
    V change = next - start;
    if (count < L) change = first(change, count);
    const V last = X::load(p.change + at);
    sums.agree += change * last;
    sums.size += last * last;
    X::store(p.change + at, change);
    X::store(p.previous + at, next);
  }

  struct Update {
    const Task* task;
    const Plane* plane;
    double* sums;

    void store(const OverlapSaveBox& box, int64_t z, int64_t column, int, const float* from, int64_t) {
      const Plane& p = *plane;
      const int64_t x = box.origin[2] + column, count = box.size[2] - column;
      int64_t at = strips_at(task->scene, L, box.origin[0] + z, box.origin[1], x);
      Sums partial = {};
      for (int64_t r = 0; r < box.size[1]; ++r, at += L, from += E) {
        const float* share = share_row(*task, p, box.origin[0] + z, box.origin[1] + r);
        update(p, at, share ? share + x : nullptr, X::load(from), count, partial);
      }
      sums[0] += total(partial.agree);
      sums[1] += total(partial.size);
    }
  };

  static void blur(const Task& task, const Plane& plane, const OverlapSaveBox* boxes, int parts, double* const* sums,
                   float* tile, float* lines) {
    const Strips in = {plane.scene, plane.previous, plane.factor};
    Ratio out[2] = {{&task, &plane, sums[0]}, {&task, &plane, sums[parts - 1]}};
    O::pair(task.blur, in, boxes, parts, out, tile, lines);
  }

  static void adjoint(const Task& task, const Plane& plane, const OverlapSaveBox* boxes, int parts, double* const* sums,
                      float* tile, float* lines) {
    const Strips in = {plane.ratio, nullptr, 0};
    Update out[2] = {{&task, &plane, sums[0]}, {&task, &plane, sums[parts - 1]}};
    O::pair(task.adjoint, in, boxes, parts, out, tile, lines);
  }

  static void spread(const Task& task, const Plane& plane, const OverlapSaveBox* boxes, int parts, float* to, float* tile,
                     float* lines) {
    const Strips in = {plane.ratio, nullptr, 0};
    O::ToRows out[2] = {{to, task.spread}, {to, task.spread}};
    O::pair(task.adjoint, in, boxes, parts, out, tile, lines);
  }

  // ---- boundary "reflect": the correction beyond the frame belongs to the pixels it is the mirror image of

  static void add_mirrored(const float* from, int64_t before, int64_t spread, int64_t n, float* to) {
    for (int64_t x = 0; x < n; ++x) to[x] += from[before + x];
    for (int64_t e = 0; e < before; ++e) to[overlap_save_locate(e - before, n, Outside::kReflect)] += from[e];
    for (int64_t e = before + n; e < spread; ++e) to[overlap_save_locate(e - before, n, Outside::kReflect)] += from[e];
  }

  // The rows of axis `axis` whose mirror image is row i, one after the other: -1 when there are no more.
  static int64_t next_mirrored(const Task& t, int axis, int64_t i, int64_t after) {
    for (int64_t e = after + 1; e < t.spread[axis]; ++e) {
      if (overlap_save_locate(e - t.before[axis], t.scene[axis], Outside::kReflect) == i) return e;
      // Nothing but itself lies between the two rims.
      if (e >= t.before[axis] && e < t.before[axis] + i) e = t.before[axis] + i - 1;
      else if (e >= t.before[axis] + i && e < t.before[axis] + t.scene[axis] - 1) e = t.before[axis] + t.scene[axis] - 1;
    }
    return -1;
  }

  static void fold(const Task& t, const Plane& p, const float* spread, int64_t begin, int64_t end, double* sums,
                   float* row) {
    const int64_t w = t.scene[2];
    for (int64_t line = begin; line < end; ++line) {
      const int64_t z = line / t.scene[1], y = line % t.scene[1];
      for (int64_t x = 0; x < w; ++x) row[x] = 0;
      for (int64_t ez = next_mirrored(t, 0, z, -1); ez >= 0; ez = next_mirrored(t, 0, z, ez)) {
        for (int64_t ey = next_mirrored(t, 1, y, -1); ey >= 0; ey = next_mirrored(t, 1, y, ey)) {
          add_mirrored(spread + (ez * t.spread[1] + ey) * t.spread[2], t.before[2], t.spread[2], w, row);
        }
      }
      Sums partial = {};
      const float* share = share_row(t, p, z, y);
      for (int64_t x = 0; x < w; x += L) {
        const int64_t at = strips_at(t.scene, L, z, y, x);
        update(p, at, share ? share + x : nullptr, O::some(row + x, w - x), w - x, partial);
      }
      sums[0] += total(partial.agree);
      sums[1] += total(partial.size);
    }
  }

  // ---- total variation's damping: the divergence of the unit gradient, the scene mirrored at its rim

  // Row (z, y) of the extrapolated estimate, its last pixel repeated once.
  static void copy_row(const Task& t, const Plane& p, int64_t z, int64_t y, float* to) {
    const int64_t w = t.scene[2];
    for (int64_t x = 0; x < w; x += L) {
      const int64_t at = strips_at(t.scene, L, z, y, x);
      V v = X::load(p.scene + at);
      if (p.previous) v = rl_ahead(v, X::load(p.previous + at), p.factor);
      X::storeu(to + x, v);
    }
    to[w] = to[w - 1];
  }

  // 1 / length of the gradient at a row's pixels x ..., from the rows that follow along each axis. Gradients that one step
  // with this weight would turn round count less than 1: else the steps end in a checkerboard.
  static IMGR_HD V inverse_length(const Task& t, const Plane& p, const float* row, const float* below, const float* behind,
                                  int64_t x) {
    const V here = X::loadu(row + x);
    const V dx = X::loadu(row + x + 1) - here, dy = X::loadu(below + x) - here, dz = X::loadu(behind + x) - here;
    const float axes = t.scene[0] > 1 ? 12.0f : 8.0f, tiny = 1e-6f * p.light;
    const V floor = here * (axes * t.tv_weight);
    return V{} + 1.0f / square_root(dx * dx + dy * dy + dz * dz + floor * floor + tiny * tiny);
  }

  static void damp(const Task& t, const Plane& p, int64_t begin, int64_t end, float* rows) {
    const int64_t h = t.scene[1], w = t.scene[2], step = w + 2 * L;
    // here, above, below, behind, before, behind and above, before and below
    float* row[7];
    for (int i = 0; i < 7; ++i) row[i] = rows + i * step + L;
    for (int64_t line = begin; line < end; ++line) {
      const int64_t z = line / h, y = line % h;
      const int64_t up = y > 0 ? y - 1 : y, down = y + 1 < h ? y + 1 : y;
      const int64_t back = z + 1 < t.scene[0] ? z + 1 : z, front = z > 0 ? z - 1 : z;
      copy_row(t, p, z, y, row[0]);
      copy_row(t, p, z, up, row[1]);
      copy_row(t, p, z, down, row[2]);
      const bool deep = t.scene[0] > 1;
      if (deep) {
        copy_row(t, p, back, y, row[3]);
        copy_row(t, p, front, y, row[4]);
        copy_row(t, p, back, up, row[5]);
        copy_row(t, p, front, down, row[6]);
      }
      const float* behind = deep ? row[3] : row[0];
      const float* behind_above = deep ? row[5] : row[1];
      for (int i = 0; i < 7; ++i) row[i][-1] = row[i][0];
      for (int64_t x = 0; x < w; x += L) {
        const V here = X::loadu(row[0] + x);
        const V s = inverse_length(t, p, row[0], row[2], behind, x);
        V sum = (X::loadu(row[0] + x + 1) + X::loadu(row[2] + x) + X::loadu(behind + x) - here * 3.0f) * s;
        V left = (here - X::loadu(row[0] + x - 1)) * inverse_length(t, p, row[0], row[2], behind, x - 1);
        if (x == 0) left[0] = 0;
        sum -= left;
        if (y > 0) {
          sum -= (here - X::loadu(row[1] + x)) * inverse_length(t, p, row[1], row[0], behind_above, x);
        }
        if (z > 0) {
          sum -= (here - X::loadu(row[4] + x)) * inverse_length(t, p, row[4], row[6], row[0], x);
        }
        const V divisor = V{} + 1.0f - sum * t.tv_weight;
        X::store(p.damped + strips_at(t.scene, L, z, y, x), here / (divisor < 0.1f ? V{} + 0.1f : divisor));
      }
    }
  }
};

extern const RichardsonLucyKernels richardson_lucy_f32 = {RichardsonLucy::L,      RichardsonLucy::blur,
                                                          RichardsonLucy::adjoint, RichardsonLucy::spread,
                                                          RichardsonLucy::damp,    RichardsonLucy::fold};

}  // namespace IMGR_ISA
}  // namespace imgrestore
