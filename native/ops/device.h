// Where programs run: a kernel table, the memory it reads and the threads (or stream) that execute it.
//
// The engine knows devices only through this class. registry.h names the ones there are.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ops/executor.h"
#include "ops/ops.h"

namespace multihead::ops {

class Device {
 public:
  virtual ~Device() = default;

  virtual const OpTable& table() const = 0;

  // 64-byte aligned memory that the device's ops can read and write. Throws OUT_OF_MEMORY.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* device_destination, const void* source, int64_t bytes) = 0;
  virtual void download(void* destination, const void* device_source, int64_t bytes) = 0;

  // Runs `job` on a thread of the process-wide pool, never on the caller's. The executor it is given
  // spreads regions over at most `max_workers` threads, and over fewer when other jobs hold them.
  // Jobs start in the order of submission. `job` must not throw.
  virtual void submit(int max_workers, std::function<void(Executor&)> job) = 0;
};

}  // namespace multihead::ops
