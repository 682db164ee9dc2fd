#include "races.h"

#include <dlfcn.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "executor.h"

namespace imgrestore {
namespace executor {

Watched watched;

namespace {

// Who touched a place, and when.
struct Stamp {
  uint32_t launch = 0, block = 0, barriers = 0;
  uint16_t warp_barriers = 0, thread = 0;
};

// Two bytes of memory: the last write, and some reads.
struct Place {
  Stamp write, reads[3];
};

constexpr int kPageBits = 12, kPlaceBits = 1;
struct Page {
  Place places[1 << (kPageBits - kPlaceBits)];
};

Page* page_of(uintptr_t number) {
  static auto* const pages = new std::unordered_map<uintptr_t, std::unique_ptr<Page>>;
  static uintptr_t last = 0;
  static Page* found = nullptr;
  if (found && last == number) return found;
  std::unique_ptr<Page>& page = (*pages)[number];
  if (!page) page.reset(new Page);
  last = number;
  return found = page.get();
}

Stamp stamp() {
  return {watched.launch, watched.block, watched.barriers, uint16_t(watched.warp_barriers), uint16_t(watched.thread)};
}

// Whether what another thread did is ordered before what this one does.
bool ordered(const Stamp& other, const Stamp& own, bool is_shared) {
  if (other.launch != own.launch) return true;
  if (other.block != own.block) return is_shared;  // each block has shared memory of its own
  if (other.thread == own.thread || other.barriers < own.barriers) return true;
  return other.thread / 32 == own.thread / 32 && other.warp_barriers < own.warp_barriers;
}

std::string who(const Stamp& s) {
  return "thread " + std::to_string(s.thread) + " of block " + std::to_string(s.block);
}

std::string where(const void* code) {
  Dl_info info;
  const auto address = reinterpret_cast<uintptr_t>(code);
  if (!dladdr(code, &info)) return std::to_string(address);
  char text[32];
  snprintf(text, sizeof(text), "code at 0x%zx", size_t(address - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1));
  return text;
}

std::string race(const Stamp& own, const Stamp& other, const char* did, const char* does, const char* at,
                 const void* code) {
  const bool is_shared = at >= watched.shared && at < watched.shared_end;
  const std::string place = is_shared ? "shared memory at " + std::to_string(at - watched.shared) : "device memory";
  return who(own) + does + place + ", which " + who(other) + did + "with no barrier between them (" + where(code) + ")";
}

// A store that is a race unless it changes nothing.
struct Store {
  const char* at = nullptr;
  size_t bytes = 0;
  std::string before, race;
};
Store pending;

void keep_read(Place* place, const Stamp& own) {
  for (Stamp& r : place->reads) {
    const bool past = r.launch != own.launch || (r.block == own.block && r.barriers < own.barriers);
    if (past || (r.block == own.block && r.thread == own.thread)) {
      r = own;
      return;
    }
  }
  place->reads[0] = own;
}

void settle() {
  if (!pending.at) return;
  const bool same = memcmp(pending.at, pending.before.data(), pending.bytes) == 0;
  pending.at = nullptr;
  if (!same) fail(pending.race);
}

void look(const void* address, size_t bytes, bool write, const void* code) {
  if (!watched.on) return;
  settle();
  const char* const at = static_cast<const char*>(address);
  if (at >= watched.stack && at < watched.stack_end) return;
  const char* const here = reinterpret_cast<const char*>(&now);
  if (at >= here && at < here + sizeof(now)) return;
  const Stamp own = stamp();
  const uintptr_t first = reinterpret_cast<uintptr_t>(at);
  const bool is_shared = at >= watched.shared && at < watched.shared_end;
  for (uintptr_t i = first >> kPlaceBits; i <= (first + bytes - 1) >> kPlaceBits; ++i) {
    Place& place = page_of(i >> (kPageBits - kPlaceBits))->places[i & ((1 << (kPageBits - kPlaceBits)) - 1)];
    if (!ordered(place.write, own, is_shared)) {
      const std::string what = race(own, place.write, " wrote ", write ? " writes " : " reads ", at, code);
      if (!write) fail(what);
      if (!pending.at) pending = {at, bytes, std::string(at, bytes), what};
    }
    if (!write) {
      keep_read(&place, own);
      continue;
    }
    for (const Stamp& r : place.reads) {
      if (!ordered(r, own, is_shared)) fail(race(own, r, " read ", " writes ", at, code));
    }
    place.write = own;
  }
}

void refuse_unaligned(const char* file, uint32_t line, uintptr_t at) {
  if (!watched.on) return;
  fail(who(stamp()) + " touches numbers at an address that ends in " + std::to_string(at % 16) +
       ", which is not aligned for them (" + file + ":" + std::to_string(line) + ")");
}

}  // namespace

void settle_watched() {
  if (watched.on) settle();
}

}  // namespace executor
}  // namespace imgrestore

// What the instrumentation calls.
#define IMGR_LOOK(name, bytes, write) \
  void name(void* at) { ::imgrestore::executor::look(at, bytes, write, __builtin_return_address(0)); }
#define IMGR_LOOKS(bytes)                        \
  IMGR_LOOK(__tsan_read##bytes, bytes, false)     \
  IMGR_LOOK(__tsan_write##bytes, bytes, true)     \
  IMGR_LOOK(__tsan_unaligned_read##bytes, bytes, false) \
  IMGR_LOOK(__tsan_unaligned_write##bytes, bytes, true)

extern "C" {

IMGR_LOOKS(1)
IMGR_LOOKS(2)
IMGR_LOOKS(4)
IMGR_LOOKS(8)
IMGR_LOOKS(16)
void __tsan_read_range(void* at, size_t bytes) {
  if (bytes) ::imgrestore::executor::look(at, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* at, size_t bytes) {
  if (bytes) ::imgrestore::executor::look(at, bytes, true, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void*) {}
void __tsan_vptr_update(void*, void*) {}

struct SourcePlace {
  const char* file;
  uint32_t line, column;
};
void __ubsan_handle_type_mismatch_v1(const SourcePlace* place, uintptr_t at) {
  ::imgrestore::executor::refuse_unaligned(place->file, place->line, at);
}

}  // extern "C"
