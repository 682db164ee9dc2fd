#pragma once

#include <stddef.h>

namespace imgrestore {

// Working memory aligned to 64 bytes. Blocks are kept for the next call (a fresh one costs a page fault every 4 KiB), up
// to 64 MiB in all; beyond that they go back to the system at once. Throws std::bad_alloc.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class S>
  S* as() const {
    return static_cast<S*>(data_);
  }

 private:
  void* data_;
  size_t bytes_;
};

}  // namespace imgrestore
