// The CPU as a device: host memory, the process-wide thread pool, and one op table.
#pragma once

#include "ops/device.h"

namespace multihead::cpu {

class CpuDevice final : public ops::Device {
 public:
  explicit CpuDevice(const ops::OpTable& table) : table_(table) {}

  const ops::OpTable& table() const override { return table_; }
  void* allocate(int64_t bytes) override;
  void release(void* memory) noexcept override;
  void upload(void* device_destination, const void* source, int64_t bytes) override;
  void download(void* destination, const void* device_source, int64_t bytes) override;
  std::unique_ptr<ops::Lane> open_lane(int max_workers) override;

 private:
  const ops::OpTable& table_;
};

}  // namespace multihead::cpu
