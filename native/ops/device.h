// Where programs run: a kernel table, the memory it reads and the threads (or stream) that execute
// it.
//
// The engine knows devices only through this class. registry.h names the ones there are.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "ops/executor.h"
#include "ops/ops.h"

namespace multihead::ops {

// A queue of jobs that together run on at most max_workers threads. Outlived by its jobs: closing a
// lane drops nothing that was submitted.
class Lane {
 public:
  virtual ~Lane() = default;

  // Runs `job` on a thread of the pool, never on the caller's, with an executor that spreads
  // regions over the lane's threads that are free. Jobs start in the order of submission. `job`
  // must not throw.
  virtual void submit(std::function<void(Executor&)> job) = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const OpTable& table() const = 0;

  // 64-byte aligned memory that the device's ops can read and write. Throws OUT_OF_MEMORY.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* device_destination, const void* source, int64_t bytes) = 0;
  virtual void download(void* destination, const void* device_source, int64_t bytes) = 0;

  // A share of the process-wide pool for one model. Throws OUT_OF_MEMORY if no thread can be
  // started.
  virtual std::unique_ptr<Lane> open_lane(int max_workers) = 0;
};

}  // namespace multihead::ops
