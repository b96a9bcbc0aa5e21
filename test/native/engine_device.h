// A device for tests of the engine: naive ops with double accumulation, memory that is counted,
// filled with NaN and fenced, so that the engine is tested without the kernels that it will run on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "ops/device.h"

namespace multihead::test {

// Runs regions on the calling thread, in reverse order, pretending to have three workers.
class TestExecutor : public ops::Executor {
 public:
  void parallel(int64_t count, Task task, void* context) override {
    for (int64_t i = count; i-- > 0;) task(context, i, static_cast<int>(i % workers()));
  }
  int workers() const override { return 3; }
};

// In rising order, as the kernels' cursors over sequences take it from the pool.
class InOrderExecutor : public ops::Executor {
 public:
  void parallel(int64_t count, Task task, void* context) override {
    for (int64_t i = 0; i < count; ++i) task(context, i, static_cast<int>(i % workers()));
  }
  int workers() const override { return 3; }
};

class TestDevice : public ops::Device {
 public:
  ~TestDevice() override;
  const ops::OpTable& table() const override;
  void* allocate(int64_t bytes) override;
  void release(void* memory) noexcept override;
  void upload(void* device_destination, const void* source, int64_t bytes) override;
  void download(void* destination, const void* device_source, int64_t bytes) override;
  std::unique_ptr<ops::Lane> open_lane(int max_workers) override;

  int64_t allocations() const { return allocations_; }  // made so far
  int64_t live() const { return static_cast<int64_t>(sizes_.size()); }
  bool fences_intact() const;
  // Called before every op, with the number of ops run so far.
  std::function<void(int64_t)> before_op;
  // Allocations beyond this many bytes in total throw OUT_OF_MEMORY.
  int64_t limit = int64_t{1} << 32;

 private:
  std::map<void*, int64_t> sizes_;
  int64_t allocations_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace multihead::test
