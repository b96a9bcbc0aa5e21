// How an op spreads its work: the face that a thread pool (or, on a device, a stream) shows to
// kernels.
#pragma once

#include <cstdint>

namespace multihead::ops {

class Executor {
 public:
  // One task of a parallel region. `worker` is in [0, workers()) and no two tasks that run at the
  // same time share it, so it can index per-worker scratch.
  using Task = void (*)(void* context, int64_t index, int worker);

  // Calls task(context, i, worker) once for each i in [0, count), in any order, on up to workers()
  // threads, and returns when all have ended. Tasks are handed out by a shared counter: a slow or
  // descheduled thread delays only the tasks it holds. Regions do not nest.
  virtual void parallel(int64_t count, Task task, void* context) = 0;

  // The largest number of threads that a region of this executor can run on; at least 1.
  virtual int workers() const = 0;

 protected:
  ~Executor() = default;
};

}  // namespace multihead::ops
