// Jumps between stacks are what this file is made of; the checked ones refuse them.
#undef _FORTIFY_SOURCE

#include "executor.h"

#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <mutex>
#include <numeric>
#include <random>

#include "races.h"

namespace imgrestore {
namespace executor {

Settings& settings() {
  static Settings the;
  return the;
}
std::vector<Launched>& launches() {
  static std::vector<Launched> the;
  return the;
}
Now now;

namespace {

constexpr int kLanes = 32;
constexpr size_t kStack = 256 * 1024, kGuard = 256;
constexpr unsigned char kUnwritten = 0xff, kBeyond = 0xa5;  // floats of 0xff are NaN

enum class State { kReady, kAtBlockBarrier, kAtWarpBarrier, kDone };

// A thread of a block, on a stack of its own. The first entry is by ucontext; after that two jumps are ten times as fast, as
// they do not ask the system for signal masks.
struct Fiber {
  std::unique_ptr<char[]> stack{new char[kStack]};
  ucontext_t entry;
  jmp_buf place;
  bool entered;
  State state;
  uint3 thread;
};

struct Warp {
  alignas(16) unsigned char slots[kLanes][kLargestExchange];
  uint32_t barriers = 0;  // those that kernels asked for, not those of exchanges, which order no memory
};

std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Warp> warps;
std::vector<unsigned char> memory;
unsigned char* shared_begin = nullptr;
const std::function<void()>* body = nullptr;
jmp_buf scheduler;
ucontext_t scheduler_entry;
int running = 0, threads = 0;
int64_t barriers = 0;
std::string failure;

void to_scheduler() {
  watched.on = false;
  if (_setjmp(fibers[running]->place) == 0) _longjmp(scheduler, 1);
}

void enter() {
  watched.on = true;
  (*body)();
  settle_watched();
  watched.on = false;
  fibers[running]->state = State::kDone;
  _longjmp(scheduler, 1);
}

void resume(int thread) {
  Fiber& f = *fibers[thread];
  running = thread;
  now.thread = f.thread;
  watched.thread = uint32_t(thread);
  watched.barriers = uint32_t(barriers);
  watched.warp_barriers = warps[thread / kLanes].barriers;
  watched.stack = f.stack.get();
  watched.stack_end = watched.stack + kStack;
  if (_setjmp(scheduler) != 0) return;
  if (f.entered) _longjmp(f.place, 1);
  f.entered = true;
  getcontext(&f.entry);
  f.entry.uc_stack.ss_sp = f.stack.get();
  f.entry.uc_stack.ss_size = kStack;
  f.entry.uc_link = nullptr;
  makecontext(&f.entry, enter, 0);
  swapcontext(&scheduler_entry, &f.entry);
}

std::vector<int> order_of(int count, uint64_t round) {
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  const int kind = settings().order;
  if (kind == 1) std::reverse(order.begin(), order.end());
  if (kind > 1) std::shuffle(order.begin(), order.end(), std::mt19937_64(uint64_t(kind) << 32 ^ round));
  return order;
}

int count_of(State state, int first, int last) {
  int count = 0;
  for (int t = first; t < last; ++t) count += fibers[t]->state == state;
  return count;
}

void release(int first, int last) {
  for (int t = first; t < last; ++t) fibers[t]->state = State::kReady;
}

// Lets go the warps, or the whole block, that have all come to a barrier. False where nobody can go on.
bool release_whoever_can() {
  bool any = false;
  for (int first = 0; first < threads; first += kLanes) {
    const int last = std::min(first + kLanes, threads);
    if (count_of(State::kAtWarpBarrier, first, last) < last - first) continue;
    release(first, last);
    any = true;
  }
  if (count_of(State::kAtBlockBarrier, 0, threads) == threads) {
    release(0, threads);
    ++barriers;
    any = true;
  }
  return any;
}

std::string who_waits() {
  const auto say = [](State s, const char* where) {
    const int n = count_of(s, 0, threads);
    return n ? std::to_string(n) + " " + where + ", " : std::string();
  };
  return "of " + std::to_string(threads) + " threads " + say(State::kAtBlockBarrier, "wait at a barrier of the block") +
         say(State::kAtWarpBarrier, "wait at one of their warp") + say(State::kDone, "have left") + "nobody can go on";
}

void run_block(dim3 size, size_t shared) {
  std::fill(shared_begin, shared_begin + shared, kUnwritten);
  std::fill(shared_begin + shared, shared_begin + shared + kGuard, kBeyond);
  barriers = 0;
  for (Warp& w : warps) w.barriers = 0;
  for (int t = 0; t < threads; ++t) {
    Fiber& f = *fibers[t];
    f.entered = false;
    f.state = State::kReady;
    f.thread = {t % size.x, t / size.x % size.y, t / (size.x * size.y)};
  }
  for (uint64_t round = 0; count_of(State::kDone, 0, threads) < threads; ++round) {
    for (const int t : order_of(threads, round)) {
      if (fibers[t]->state == State::kReady) resume(t);
      if (!failure.empty()) return;
    }
    if (count_of(State::kDone, 0, threads) < threads && !release_whoever_can()) {
      failure = who_waits();
      return;
    }
  }
  for (size_t i = 0; i < kGuard; ++i) {
    if (shared_begin[shared + i] == kBeyond) continue;
    failure = "wrote past the " + std::to_string(shared) + " bytes of shared memory it had asked for";
    return;
  }
}

std::string check(dim3 grid, dim3 block, size_t shared) {
  const auto number = [](uint64_t n) { return std::to_string(n); };
  const uint64_t size = uint64_t(block.x) * block.y * block.z;
  if (size < 1 || size > 1024 || block.z > 64) return "a block of " + number(size) + " threads, at most 1024 are allowed";
  if (grid.x < 1 || grid.y < 1 || grid.z < 1 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return "a grid of " + number(grid.x) + " x " + number(grid.y) + " x " + number(grid.z) + " blocks is not allowed";
  if (shared > settings().shared_limit)
    return number(shared) + " bytes of shared memory, at most " + number(settings().shared_limit) + " are allowed";
  return "";
}

}  // namespace

void run_grid(const char* name, dim3 grid, dim3 block, size_t shared, const std::function<void()>& thread) {
  static std::mutex one;
  const std::lock_guard<std::mutex> lock(one);
  failure = check(grid, block, shared);
  int64_t most = 0;
  if (failure.empty()) {
    threads = int(block.x * block.y * block.z);
    while (int(fibers.size()) < threads) fibers.emplace_back(new Fiber);
    warps.resize((threads + kLanes - 1) / kLanes);
    memory.resize(shared + kGuard + 128);
    shared_begin = memory.data() + (128 - reinterpret_cast<uintptr_t>(memory.data()) % 128);
    body = &thread;
    ++watched.launch;
    watched.shared = reinterpret_cast<const char*>(shared_begin);
    watched.shared_end = watched.shared + shared + kGuard;
    now.block_size = block;
    now.grid_size = grid;
    for (const int b : order_of(int(grid.x * grid.y * grid.z), ~uint64_t(0))) {
      now.block = {b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y)};
      watched.block = uint32_t(b);
      run_block(block, shared);
      most = std::max(most, barriers);
      if (!failure.empty()) {
        failure += ", in block (" + std::to_string(now.block.x) + ", " + std::to_string(now.block.y) + ", " +
                   std::to_string(now.block.z) + ")";
        break;
      }
    }
  }
  if (!failure.empty()) throw std::runtime_error(std::string(name) + ": " + failure);
  launches().push_back({name, grid, block, shared, most});
}

void* shared_memory() { return shared_begin; }

int lane() { return running % kLanes; }

void block_barrier() {
  settle_watched();
  fibers[running]->state = State::kAtBlockBarrier;
  to_scheduler();
  watched.on = true;
}

void exchange_barrier() {
  settle_watched();
  fibers[running]->state = State::kAtWarpBarrier;
  to_scheduler();
}

void warp_barrier() {
  const uint32_t next = watched.warp_barriers + 1;
  exchange_barrier();
  watched.warp_barriers = warps[running / kLanes].barriers = next;
  watched.on = true;
}

void fail(const std::string& why) {
  watched.on = false;
  failure = why;
  _longjmp(scheduler, 1);
}

void exchange(void* value, size_t bytes, int source) {
  const int own = lane(), warp = running / kLanes;
  if (source < 0 || source >= kLanes || warp * kLanes + source >= threads) {
    fail("an exchange with lane " + std::to_string(source) + " of a warp that has no such lane");
  }
  memcpy(warps[warp].slots[own], value, bytes);
  exchange_barrier();
  memcpy(value, warps[warp].slots[source], bytes);
  exchange_barrier();
  watched.on = true;
}

void collect(const void* value, size_t bytes, void* all) {
  const int own = lane(), warp = running / kLanes;
  if ((warp + 1) * kLanes > threads) fail("a product of matrices by a warp that has not all its lanes");
  memcpy(warps[warp].slots[own], value, bytes);
  exchange_barrier();
  for (int i = 0; i < kLanes; ++i) memcpy(static_cast<char*>(all) + i * bytes, warps[warp].slots[i], bytes);
  exchange_barrier();
  watched.on = true;
}

}  // namespace executor
}  // namespace imgrestore
