#include "richardson_lucy.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "../math/richardson_lucy.h"
#include "overlap_save_response.h"
#include "scratch.h"
#include "team.h"

namespace imgrestore {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
typedef std::optional<Tensor> Maybe;
typedef std::vector<int64_t> Sizes;

constexpr int64_t kBand = 32;  // rows in a unit of the pointwise passes
// Tiles that begin where a strip does are read without joining two: worth this much more work on them.
constexpr double kAlignedGain = 1.03;

// Columns of `planes`, one row of doubles for each picture.
enum Column { kFactor, kBackground, kTiny, kLight, kSigma, kActive, kColumns };

const RichardsonLucyKernels& kernels() { return IMGR_KERNELS(richardson_lucy_f32); }

int64_t product(const int64_t* size) { return size[0] * size[1] * size[2]; }
int64_t points(const int64_t* size) { return strips_points(size, kernels().lanes); }

// What is to be done in an iteration, phase by phase; a unit is two boxes, or a band of rows.
struct Plan {
  OverlapSavePlan blur, adjoint;
  int64_t blur_shift[3], adjoint_shift[3], blur_lead, adjoint_lead;
  int64_t pictures, frame[3], scene[3], spread[3];
  bool damped, fold;
  int64_t units[4];  // damping, blur, adjoint, fold

  int64_t bands() const { return (scene[0] * scene[1] + kBand - 1) / kBand; }
  int64_t per_iteration() const { return units[0] + units[1] + units[2] + units[3]; }
};

// Boxes that begin where a strip does, and if that costs little tiles too: `lead` columns before the shift, which moves there.
OverlapSavePlan aligned_plan(const int64_t* result, const Sizes& kernel, int64_t* shift, int64_t* lead) {
  const OverlapSavePlan plan = overlap_save_plan(result, kernel.data(), kWidestLanes);
  *lead = ((shift[2] % kWidestLanes) + kWidestLanes) % kWidestLanes;
  const int64_t longer[3] = {kernel[0], kernel[1], kernel[2] + *lead};
  const OverlapSavePlan aligned = overlap_save_plan(result, longer, kWidestLanes);
  if (aligned.cost > kAlignedGain * plan.cost) *lead = 0;
  shift[2] -= *lead;
  return *lead ? aligned : plan;
}

Plan make_plan(const Sizes& observed, const Sizes& kernel, const Sizes& before, int64_t outside, bool unknown,
               bool damped) {
  STD_TORCH_CHECK(observed.size() == 4 && kernel.size() == 3 && before.size() == 3,
                  "richardson_lucy: sizes must be (P, d, h, w) and (d, h, w)");
  STD_TORCH_CHECK(outside >= 0 && outside <= 2, "richardson_lucy: outside must be 0, 1 or 2");
  Plan p;
  p.pictures = observed[0];
  p.damped = damped;
  p.fold = outside == int(Outside::kReflect);
  for (int axis = 0; axis < 3; ++axis) {
    STD_TORCH_CHECK(observed[axis + 1] > 0 && kernel[axis] > 0, "richardson_lucy: sizes must be positive");
    p.frame[axis] = observed[axis + 1];
    p.spread[axis] = p.frame[axis] + kernel[axis] - 1;
    p.scene[axis] = unknown ? p.spread[axis] : p.frame[axis];
    p.blur_shift[axis] = unknown ? 0 : -before[axis];
    // Of the turned kernel, whose centre lies `before` points from its beginning.
    p.adjoint_shift[axis] = unknown || p.fold ? 1 - kernel[axis] : before[axis] + 1 - kernel[axis];
  }
  p.blur = aligned_plan(p.frame, kernel, p.blur_shift, &p.blur_lead);
  p.adjoint = aligned_plan(p.fold ? p.spread : p.scene, kernel, p.adjoint_shift, &p.adjoint_lead);
  p.units[0] = damped ? p.pictures * p.bands() : 0;
  p.units[1] = p.pictures * p.blur.pairs();
  p.units[2] = p.pictures * p.adjoint.pairs();
  p.units[3] = p.fold ? p.pictures * p.bands() : 0;
  return p;
}

int64_t richardson_lucy_units(Sizes size, Sizes kernel, Sizes before, int64_t outside, bool unknown, bool damped) {
  return make_plan(size, kernel, before, outside, unknown, damped).per_iteration();
}

void check(const Tensor& t, int64_t size, const char* name) {
  int64_t count = 1;
  for (int64_t d = 0; d < t.dim(); ++d) count *= t.size(d);
  STD_TORCH_CHECK(t.is_contiguous() && t.scalar_type() == ScalarType::Float && count == size, "richardson_lucy: ", name,
                  " must be contiguous float32 of ", size, " values");
}
const float* reader(const Maybe& t, int64_t size, const char* name) {
  if (!t) return nullptr;
  check(*t, size, name);
  return static_cast<const float*>(t->const_data_ptr());
}
float* writer(const Maybe& t, int64_t size, const char* name) {
  if (!t) return nullptr;
  check(*t, size, name);
  return static_cast<float*>(t->mutable_data_ptr());
}

// The state of a call: pointers into the tensors, and what runs on them.
struct Run {
  Plan plan;
  RichardsonLucyTask task;
  std::vector<RichardsonLucyPlane> planes;
  float *scene, *previous, *spread;
  double *columns, *sums;
  int64_t share_step;
  bool watched;

  double& at(int64_t picture, Column c) const { return columns[picture * kColumns + c]; }

  // Scene and previous one change places after every accelerated step.
  void begin_iteration(int64_t iteration) {
    const int64_t own = points(plan.scene);
    for (int64_t i = 0; i < plan.pictures; ++i) {
      RichardsonLucyPlane& p = planes[i];
      const bool odd = previous && iteration % 2;
      p.scene = (odd ? previous : scene) + i * own;
      p.previous = previous ? (odd ? scene : previous) + i * own : nullptr;
      p.factor = float(at(i, kFactor));
      p.active = at(i, kActive) != 0;
    }
  }

  // Working memory of a thread, taken when it is first needed.
  struct Worker {
    std::optional<Scratch> tile, lines, rows;

    static float* sized(std::optional<Scratch>& memory, int64_t scalars) {
      if (!memory) memory.emplace(sizeof(float) * scalars);
      return memory->as<float>();
    }
  };

  int64_t tile_scalars() const {
    const int lanes = kernels().lanes;
    return std::max(fft_tile_size(plan.blur.tile, lanes), fft_tile_size(plan.adjoint.tile, lanes));
  }
  int64_t lines_scalars() const {
    const int lanes = kernels().lanes;
    return std::max(fft_tile_lines(plan.blur.tile, lanes), fft_tile_lines(plan.adjoint.tile, lanes));
  }

  template <class F>
  void pair(Worker& worker, const OverlapSavePlan& cut, int64_t unit, F kernel) {
    const int64_t boxes = cut.boxes(), picture = unit / cut.pairs(), first = unit % cut.pairs() * 2;
    if (!planes[picture].active) return;
    const int parts = first + 1 < boxes ? 2 : 1;
    OverlapSaveBox box[2];
    double* partial[2];
    for (int i = 0; i < parts; ++i) {
      partial[i] = sums + 2 * (picture * boxes + first + i);
      partial[i][0] = partial[i][1] = 0;
      box[i] = overlap_save_box(cut.grid, first + i);
    }
    float* tile = Worker::sized(worker.tile, tile_scalars());
    kernel(planes[picture], box, parts, partial, tile, Worker::sized(worker.lines, lines_scalars()));
  }

  template <class F>
  void band(Worker& worker, int64_t unit, F kernel) {
    const int64_t bands = plan.bands(), rows = plan.scene[0] * plan.scene[1];
    const int64_t picture = unit / bands, first = unit % bands * kBand;
    if (!planes[picture].active) return;
    float* memory = Worker::sized(worker.rows, richardson_lucy_rows(plan.scene[2]));
    kernel(picture, first, std::min(first + kBand, rows), memory);
  }

  void work(Worker& worker, int phase, int64_t unit) {
    const RichardsonLucyKernels& k = kernels();
    if (phase == 2) unit = plan.units[2] - 1 - unit;  // backwards: the last ratios are still in cache
    if (phase == 0) {
      band(worker, unit, [&](int64_t picture, int64_t first, int64_t last, float* rows) {
        k.damp(task, planes[picture], first, last, rows);
      });
    } else if (phase == 1) {
      pair(worker, plan.blur, unit, [&](auto&&... arguments) { k.blur(task, arguments...); });
    } else if (phase == 2 && plan.fold) {
      pair(worker, plan.adjoint, unit,
           [&](const RichardsonLucyPlane& own, const OverlapSaveBox* box, int parts, double* const*, float* tile,
               float* lines) {
             k.spread(task, own, box, parts, spread + (&own - planes.data()) * product(plan.spread), tile, lines);
           });
    } else if (phase == 2) {
      pair(worker, plan.adjoint, unit, [&](auto&&... arguments) { k.adjoint(task, arguments...); });
    } else {
      band(worker, unit, [&](int64_t picture, int64_t first, int64_t last, float* rows) {
        double* partial = sums + 2 * unit;
        partial[0] = partial[1] = 0;
        k.fold(task, planes[picture], spread + picture * product(plan.spread), first, last, partial, rows);
      });
    }
  }

  // The sums of a phase over the parts of a picture, always in the same order.
  double sum(int64_t picture, int64_t parts, int which) const {
    double total = 0;
    for (int64_t i = 0; i < parts; ++i) total += sums[2 * (picture * parts + i) + which];
    return total;
  }

  // Pictures whose residual has come down to the noise are left as they are: at the estimate that was blurred.
  void end_phase(int phase, int64_t iteration) {
    if (phase == 1 && watched && iteration > 0) {
      for (int64_t i = 0; i < plan.pictures; ++i) {
        const double level = sum(i, plan.blur.boxes(), 0), sigma = at(i, kSigma);
        if (planes[i].active && !(level > sigma * sigma)) freeze(i);
      }
    }
    if (phase == (plan.fold ? 3 : 2) && previous) {
      const int64_t parts = plan.fold ? plan.bands() : plan.adjoint.boxes();
      for (int64_t i = 0; i < plan.pictures; ++i) {
        if (!planes[i].active) continue;
        const double agree = sum(i, parts, 0), size = sum(i, parts, 1);
        const double factor = agree / std::max(size, 1e-300);
        at(i, kFactor) = factor > 0 ? std::min(factor, 1.0) : 0.0;
      }
    }
  }

  // In both places, so that it is found whatever the number of steps.
  void freeze(int64_t picture) {
    RichardsonLucyPlane& p = planes[picture];
    if (p.previous) {
      for (int64_t i = 0; i < points(plan.scene); ++i) {
        p.scene[i] = p.previous[i] = rl_ahead(p.scene[i], p.previous[i], p.factor);
      }
    }
    at(picture, kActive) = 0;
    p.active = false;
  }

  bool any_active() const {
    for (const RichardsonLucyPlane& p : planes) {
      if (p.active) return true;
    }
    return false;
  }

  struct Segment {
    int phase;
    int64_t iteration, from, to;
  };

  // Units begin ... end - 1; the number of iterations that are complete then.
  int64_t go(int64_t begin, int64_t end) {
    const int64_t length = plan.per_iteration();
    std::vector<Segment> segments;
    std::vector<int64_t> counts;
    for (int64_t iteration = begin / length; iteration * length < end; ++iteration) {
      int64_t start = iteration * length;
      for (int phase = 0; phase < 4; start += plan.units[phase++]) {
        const int64_t from = std::max(begin, start) - start, to = std::min(end, start + plan.units[phase]) - start;
        if (from >= to) continue;
        segments.push_back({phase, iteration, from, to});
        counts.push_back(to - from);
      }
    }
    int64_t done = end / length;
    begin_iteration(begin / length);
    Team team(counts);
    team.run<Worker>(
        std::min<int64_t>(torch::stable::get_num_threads(), *std::max_element(counts.begin(), counts.end())),
        [&](Worker& worker, size_t s, int64_t unit) { work(worker, segments[s].phase, segments[s].from + unit); },
        [&](size_t s) {
          const Segment& segment = segments[s];
          if (segment.to == plan.units[segment.phase]) end_phase(segment.phase, segment.iteration);
          if (!any_active()) {
            done = segment.iteration;
            return false;
          }
          if (s + 1 < segments.size() && segments[s + 1].iteration != segment.iteration) {
            begin_iteration(segments[s + 1].iteration);
          }
          return true;
        });
    return done;
  }
};

int64_t richardson_lucy_run(const Tensor& observed, Maybe status, Tensor scene, Maybe previous, Maybe change, Tensor ratio,
                            Maybe damped, Maybe spread, Maybe inverse_share, Maybe window, const Tensor& kernel_in,
                            Tensor planes, Tensor sums, Sizes size, Sizes before, int64_t outside, bool unknown,
                            double tv_weight, int64_t begin, int64_t end) {
  STD_TORCH_CHECK(kernel_in.dim() == 3 && begin >= 0, "richardson_lucy: kernel must be (d, h, w)");
  const Tensor values = torch::stable::contiguous(kernel_in);
  const Sizes kernel = {values.size(0), values.size(1), values.size(2)};
  const float* psf = reader(values, product(kernel.data()), "kernel");
  Run run;
  run.plan = make_plan(size, kernel, before, outside, unknown, damped.has_value());
  const Plan& plan = run.plan;
  const int64_t n = plan.pictures, in = points(plan.frame), out = points(plan.scene);
  RichardsonLucyPlane p = {};
  p.observed = reader(observed, n * in, "observed");
  p.status = reader(status, n * in, "status");
  p.ratio = writer(ratio, n * in, "ratio");
  p.damped = writer(damped, n * out, "damped");
  p.change = writer(change, n * out, "change");
  run.scene = writer(scene, n * out, "scene");
  run.previous = writer(previous, n * out, "previous");
  run.spread = writer(spread, n * product(plan.spread), "spread");
  STD_TORCH_CHECK(!plan.fold || run.spread, "richardson_lucy: boundary reflect needs spread");
  STD_TORCH_CHECK(!run.previous == !p.change, "richardson_lucy: previous and change go together");
  RichardsonLucyTask& task = run.task;
  task = {};
  if (inverse_share) {
    STD_TORCH_CHECK(inverse_share->dim() == 4 && (inverse_share->size(0) == 1 || inverse_share->size(0) == n),
                    "richardson_lucy: inverse_share must be (1 or P, d, h, w)");
    for (int axis = 0; axis < 2; ++axis) {
      task.share[axis] = inverse_share->size(axis + 1);
      STD_TORCH_CHECK(task.share[axis] == plan.scene[axis] || (task.share[axis] % 2 && task.share[axis] < plan.scene[axis]),
                      "richardson_lucy: inverse_share must have the scene's rows, or an odd number of fewer");
    }
  }
  const int64_t share_points = task.share[0] * task.share[1] * plan.scene[2];
  run.share_step = inverse_share && inverse_share->size(0) > 1 ? share_points : 0;
  const float* share = reader(inverse_share, run.share_step ? n * share_points : share_points, "inverse_share");
  const float* weights = reader(window, plan.frame[0] + plan.frame[1] + plan.frame[2], "window");
  STD_TORCH_CHECK(planes.is_contiguous() && planes.scalar_type() == ScalarType::Double && planes.dim() == 2 &&
                      planes.size(0) == n && planes.size(1) == kColumns,
                  "richardson_lucy: planes must be float64 of (P, ", int64_t(kColumns), ")");
  STD_TORCH_CHECK(sums.is_contiguous() && sums.scalar_type() == ScalarType::Double && sums.dim() == 1 &&
                      sums.size(0) >= 4 * plan.per_iteration(),
                  "richardson_lucy: sums must be float64 and 4 for each unit");
  run.columns = static_cast<double*>(planes.mutable_data_ptr());
  run.sums = static_cast<double*>(sums.mutable_data_ptr());
  run.watched = weights != nullptr;

  const auto response = overlap_save_response(plan.blur, psf, kernel.data(), false, plan.blur_lead);
  const auto turned = overlap_save_response(plan.adjoint, psf, kernel.data(), true, plan.adjoint_lead);
  task.blur = {plan.blur.tile, response.get(), plan.blur.grid, {}, {}, Outside(int(outside))};
  task.adjoint = {plan.adjoint.tile, turned.get(), plan.adjoint.grid, {}, {},
                  outside == int(Outside::kWrap) ? Outside::kWrap : Outside::kZero};
  for (int axis = 0; axis < 3; ++axis) {
    task.blur.input[axis] = task.scene[axis] = plan.scene[axis];
    task.adjoint.input[axis] = task.frame[axis] = plan.frame[axis];
    task.before[axis] = before[axis];
    task.spread[axis] = plan.spread[axis];
    task.blur.shift[axis] = plan.blur_shift[axis];
    task.adjoint.shift[axis] = plan.adjoint_shift[axis];
  }
  if (weights) {
    task.window[0] = weights;
    task.window[1] = weights + plan.frame[0];
    task.window[2] = task.window[1] + plan.frame[1];
  }
  task.tv_weight = float(tv_weight);
  task.fold = plan.fold;
  for (int64_t i = 0; i < n; ++i) {
    RichardsonLucyPlane own = p;
    own.observed += i * in;
    if (own.status) own.status += i * in;
    own.ratio += i * in;
    if (own.damped) own.damped += i * out;
    if (own.change) own.change += i * out;
    own.inverse_share = share ? share + i * run.share_step : nullptr;
    own.background = float(run.at(i, kBackground));
    own.tiny = float(run.at(i, kTiny));
    own.light = float(run.at(i, kLight));
    run.planes.push_back(own);
  }
  return n && begin < end ? run.go(begin, end) : 0;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(imgrestore, CompositeExplicitAutograd, m) {
  m.impl("richardson_lucy_units", TORCH_BOX(&richardson_lucy_units));
}
STABLE_TORCH_LIBRARY_IMPL(imgrestore, CPU, m) { m.impl("richardson_lucy_run", TORCH_BOX(&richardson_lucy_run)); }

}  // namespace imgrestore
