// Device memory with an owner.
#pragma once

#include <cstdint>
#include <utility>

#include "ops/device.h"

namespace multihead::engine {

class DeviceMemory {
 public:
  DeviceMemory() = default;
  // Throws OUT_OF_MEMORY.
  DeviceMemory(ops::Device& device, int64_t bytes)
      : device_(&device), data_(device.allocate(bytes)), bytes_(bytes) {}
  ~DeviceMemory() { reset(); }
  DeviceMemory(DeviceMemory&& other) noexcept
      : device_(other.device_),
        data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    if (this != &other) {
      reset();
      device_ = other.device_;
      data_ = std::exchange(other.data_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
  }

  void reset() noexcept {
    if (data_ != nullptr) device_->release(data_);
    data_ = nullptr;
    bytes_ = 0;
  }

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  ops::Device* device_ = nullptr;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace multihead::engine
