// Moves the bytes behind weight views into device memory, in parallel and in small pieces, so that
// a load needs little more memory than the model itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/weights.h"
#include "ops/device.h"

namespace multihead::engine {

class WeightLoader {
 public:
  // Every method throws ABORTED soon after `cancelled` becomes true.
  WeightLoader(const Weights& weights, ops::Device& device, ops::Executor& executor,
               const std::atomic<bool>& cancelled);

  // The view as dense f32 rows.
  void load_f32(const WeightView& view, float* device_destination);
  // The view as dense rows of its stored dtype; not for transposed views.
  void load_stored(const WeightView& view, void* device_destination);

 private:
  struct Buffers {
    std::vector<uint8_t> stored;
    std::vector<float> converted;
  };

  void load_transposed(const WeightView& view, float* device_destination);
  // f(first, count, buffers) for pieces of the elements [begin, begin + count).
  template <typename F>
  void for_pieces(int64_t begin, int64_t count, F&& f);
  void read_stored(const WeightView& view, int64_t first, int64_t count, Buffers& buffers) const;

  const Weights& weights_;
  ops::Device& device_;
  ops::Executor& executor_;
  const std::atomic<bool>& cancelled_;
  std::vector<Buffers> buffers_;  // one for each worker
};

}  // namespace multihead::engine
