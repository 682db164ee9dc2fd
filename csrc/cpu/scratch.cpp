#include "scratch.h"

#include <map>
#include <mutex>
#include <new>

#include "large_pages.h"

namespace imgrestore {
namespace {

constexpr size_t kKeep = size_t(64) << 20;
constexpr std::align_val_t kAlign{64};

// Never destroyed: a thread may still give a block back while the process ends.
struct Pool {
  std::mutex mutex;
  std::multimap<size_t, void*> free;
  size_t held = 0;
};
Pool& pool() {
  static Pool* p = new Pool;
  return *p;
}

}  // namespace

Scratch::Scratch(size_t bytes) : data_(nullptr), bytes_(bytes ? bytes : 64) {
  {
    Pool& p = pool();
    const std::lock_guard<std::mutex> lock(p.mutex);
    const auto found = p.free.lower_bound(bytes_);
    if (found != p.free.end() && found->first <= 2 * bytes_) {
      bytes_ = found->first;
      data_ = found->second;
      p.held -= bytes_;
      p.free.erase(found);
      return;
    }
  }
  data_ = ::operator new(bytes_, kAlign);
  use_large_pages(data_, bytes_);
}

Scratch::~Scratch() {
  if (bytes_ <= kKeep) {
    try {
      Pool& p = pool();
      const std::lock_guard<std::mutex> lock(p.mutex);
      while (p.held + bytes_ > kKeep) {
        const auto smallest = p.free.begin();
        p.held -= smallest->first;
        ::operator delete(smallest->second, kAlign);
        p.free.erase(smallest);
      }
      p.free.emplace(bytes_, data_);
      p.held += bytes_;
      return;
    } catch (...) {
    }
  }
  ::operator delete(data_, kAlign);
}

}  // namespace imgrestore
