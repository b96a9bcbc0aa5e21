// A parallel region whose tasks may throw: the first exception ends the region and is rethrown.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

#include "ops/executor.h"

namespace multihead::engine {

// Calls f(index, worker) for each index in [0, count); after a failure the remaining ones are
// skipped.
template <typename F>
void parallel_for(ops::Executor& executor, int64_t count, F&& f) {
  struct Region {
    F& f;
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::exception_ptr error;
  } region{f, {}, {}, {}};
  executor.parallel(
      count,
      [](void* context, int64_t index, int worker) {
        auto& self = *static_cast<Region*>(context);
        if (self.failed.load(std::memory_order_relaxed)) return;
        try {
          self.f(index, worker);
        } catch (...) {
          const std::lock_guard<std::mutex> lock(self.mutex);
          if (!self.error) self.error = std::current_exception();
          self.failed.store(true, std::memory_order_relaxed);
        }
      },
      &region);
  if (region.error) std::rethrow_exception(region.error);
}

}  // namespace multihead::engine
