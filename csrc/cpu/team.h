#pragma once

#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

// A sequence of phases, each a number of independent units and complete before the next begins, run by all threads in one
// parallel region: waking sleeping threads takes as long as a phase of a small picture. A thread takes units as long as
// there are any, so that one that is kept from running delays no more than the unit it holds, and a region that is given a
// single thread still ends.
namespace imgrestore {

class Team {
 public:
  explicit Team(const std::vector<int64_t>& units) : phases_(units.size()) {
    for (size_t i = 0; i < units.size(); ++i) phases_[i].units = units[i];
  }

  // work(worker, phase, unit) with a Worker for each thread; finish(phase), by one thread, returns false to stop early.
  template <class Worker, class Work, class Finish>
  void run(int64_t threads, Work work, Finish finish) {
    torch::stable::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
      try {
        Worker worker;
        for (size_t p = 0; p < phases_.size() && !stop_.load(std::memory_order_acquire); ++p) {
          Phase& phase = phases_[p];
          for (int64_t unit; (unit = phase.claimed.fetch_add(1)) < phase.units;) {
            work(worker, p, unit);
            if (phase.completed.fetch_add(1) + 1 < phase.units) continue;
            if (!finish(p)) stop_.store(true, std::memory_order_release);
            phase.over.store(true, std::memory_order_release);
          }
          wait(phase);
        }
      } catch (...) {
        if (!failed_.exchange(true)) error_ = std::current_exception();
        stop_.store(true, std::memory_order_release);
      }
    });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct Phase {
    int64_t units = 0;
    std::atomic<int64_t> claimed{0}, completed{0};
    std::atomic<bool> over{false};
  };

  // A short while in place, then giving way to others: spinning alone collapses where cores are shared.
  void wait(const Phase& phase) const {
    for (int spins = 0; !phase.over.load(std::memory_order_acquire) && !stop_.load(std::memory_order_acquire); ++spins) {
      if (spins < 2000) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      } else {
        std::this_thread::yield();
      }
    }
  }

  std::vector<Phase> phases_;
  std::atomic<bool> stop_{false}, failed_{false};
  std::exception_ptr error_;
};

}  // namespace imgrestore
