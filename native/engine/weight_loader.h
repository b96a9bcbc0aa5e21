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
  // Elements [first, first + count) of a run.
  struct Piece {
    int64_t run = 0;
    int64_t first = 0;
    int64_t count = 0;
  };
  // f(piece, buffers) for pieces of `runs` runs of `run_elements` each.
  template <typename F>
  void for_pieces(int64_t runs, int64_t run_elements, F&& f);
  // f(first, count, buffers) for pieces of the view's elements, which `buffers` then hold.
  template <typename F>
  void for_view(const WeightView& view, F&& f);
  void read_stored(const WeightView& view, int64_t first, int64_t count, Buffers& buffers) const;

  const Weights& weights_;
  ops::Device& device_;
  ops::Executor& executor_;
  const std::atomic<bool>& cancelled_;
  std::vector<Buffers> buffers_;  // one for each worker
};

}  // namespace multihead::engine
