#include "kernels/cpu/cpu_device.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "kernels/cpu/thread_pool.h"

namespace multihead::cpu {
namespace {
constexpr int64_t kAlignment = 64;  // a cache line, and the widest vector
constexpr int64_t kLargest = int64_t{1} << 46;
}  // namespace

void* CpuDevice::allocate(int64_t bytes) {
  void* memory = nullptr;
  if (bytes <= kLargest) {
    const int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    memory =
        std::aligned_alloc(kAlignment, static_cast<size_t>(rounded > 0 ? rounded : kAlignment));
  }
  if (memory == nullptr) {
    throw Error(ErrorCode::kOutOfMemory, "cpu memory", std::to_string(bytes) + " bytes refused");
  }
  return memory;
}

void CpuDevice::release(void* memory) noexcept { std::free(memory); }

void CpuDevice::upload(void* device_destination, const void* source, int64_t bytes) {
  if (bytes > 0) std::memcpy(device_destination, source, static_cast<size_t>(bytes));
}

void CpuDevice::download(void* destination, const void* device_source, int64_t bytes) {
  if (bytes > 0) std::memcpy(destination, device_source, static_cast<size_t>(bytes));
}

std::unique_ptr<ops::Lane> CpuDevice::open_lane(int max_workers) {
  return ThreadPool::instance().open_lane(max_workers);
}

}  // namespace multihead::cpu
