#include "engine/weight_loader.h"

#include <algorithm>

#include "base/error.h"
#include "engine/convert.h"
#include "engine/parallel.h"

namespace multihead::engine {
namespace {

// Elements of one piece: 256 KiB as f32, so that a piece stays in a core's second-level cache
// between the read, the conversion and the copy.
constexpr int64_t kPieceElements = 64 * 1024;

}  // namespace

WeightLoader::WeightLoader(const Weights& weights, ops::Device& device, ops::Executor& executor,
                           const std::atomic<bool>& cancelled)
    : weights_(weights),
      device_(device),
      executor_(executor),
      cancelled_(cancelled),
      buffers_(static_cast<size_t>(executor.workers())) {}

template <typename F>
void WeightLoader::for_pieces(int64_t begin, int64_t count, F&& f) {
  const int64_t pieces = (count + kPieceElements - 1) / kPieceElements;
  parallel_for(executor_, pieces, [&](int64_t piece, int worker) {
    if (cancelled_.load(std::memory_order_relaxed)) {
      throw Error(ErrorCode::kAborted, "load", "cancelled");
    }
    const int64_t first = piece * kPieceElements;
    f(begin + first, std::min(kPieceElements, count - first),
      buffers_[static_cast<size_t>(worker)]);
  });
}

void WeightLoader::read_stored(const WeightView& view, int64_t first, int64_t count,
                               Buffers& buffers) const {
  const int64_t size = element_size(view.dtype);
  buffers.stored.resize(static_cast<size_t>(count * size));
  weights_.reader(view).read(view.row->offset + first * size, count * size, buffers.stored.data());
}

void WeightLoader::load_f32(const WeightView& view, float* device_destination) {
  if (view.transpose) return load_transposed(view, device_destination);
  const int64_t begin = view.row_begin * view.stored_columns;
  for_pieces(begin, view.elements(), [&](int64_t first, int64_t count, Buffers& buffers) {
    read_stored(view, first, count, buffers);
    buffers.converted.resize(static_cast<size_t>(count));
    convert_to_f32(view.dtype, buffers.stored.data(), count, buffers.converted.data());
    device_.upload(device_destination + (first - begin), buffers.converted.data(),
                   count * static_cast<int64_t>(sizeof(float)));
  });
}

void WeightLoader::load_stored(const WeightView& view, void* device_destination) {
  const int64_t size = element_size(view.dtype);
  const int64_t begin = view.row_begin * view.stored_columns;
  for_pieces(begin, view.elements(), [&](int64_t first, int64_t count, Buffers& buffers) {
    read_stored(view, first, count, buffers);
    device_.upload(static_cast<uint8_t*>(device_destination) + (first - begin) * size,
                   buffers.stored.data(), count * size);
  });
}

// Row r of the view is column row_begin + r of the stored matrix.
void WeightLoader::load_transposed(const WeightView& view, float* device_destination) {
  std::vector<float> matrix(static_cast<size_t>(view.elements()));
  const int64_t stored = view.stored_rows * view.stored_columns;
  for_pieces(0, stored, [&](int64_t first, int64_t count, Buffers& buffers) {
    read_stored(view, first, count, buffers);
    buffers.converted.resize(static_cast<size_t>(count));
    convert_to_f32(view.dtype, buffers.stored.data(), count, buffers.converted.data());
    for (int64_t i = 0; i < count; ++i) {
      const int64_t column = (first + i) / view.stored_columns;
      const int64_t row = (first + i) % view.stored_columns - view.row_begin;
      if (row < 0 || row >= view.rows) continue;
      matrix[static_cast<size_t>(row * view.columns + column)] =
          buffers.converted[static_cast<size_t>(i)];
    }
  });
  device_.upload(device_destination, matrix.data(),
                 view.elements() * static_cast<int64_t>(sizeof(float)));
}

}  // namespace multihead::engine
