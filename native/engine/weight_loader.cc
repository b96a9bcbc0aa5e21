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

// The row of the view that is row `stored` of the transposed matrix; -1: none.
int64_t row_of_view(const WeightView& view, int64_t stored) {
  const int64_t distance = stored - view.row_begin;
  if (view.step == 0) return distance < view.rows ? std::max<int64_t>(distance, -1) : -1;
  if (distance < 0 || distance % view.step >= view.run) return -1;
  return distance / view.step * view.run + distance % view.step;
}

}  // namespace

WeightLoader::WeightLoader(const Weights& weights, ops::Device& device, ops::Executor& executor,
                           const std::atomic<bool>& cancelled)
    : weights_(weights),
      device_(device),
      executor_(executor),
      cancelled_(cancelled),
      buffers_(static_cast<size_t>(executor.workers())) {}

template <typename F>
void WeightLoader::for_pieces(int64_t runs, int64_t run_elements, F&& f) {
  const int64_t pieces = (run_elements + kPieceElements - 1) / kPieceElements;
  parallel_for(executor_, runs * pieces, [&](int64_t index, int worker) {
    if (cancelled_.load(std::memory_order_relaxed)) {
      throw Error(ErrorCode::kAborted, "load", "cancelled");
    }
    const int64_t first = index % pieces * kPieceElements;
    f(Piece{index / pieces, first, std::min(kPieceElements, run_elements - first)},
      buffers_[static_cast<size_t>(worker)]);
  });
}

template <typename F>
void WeightLoader::for_view(const WeightView& view, F&& f) {
  const int64_t run_elements = view.run * view.columns;
  for_pieces(view.runs(), run_elements, [&](const Piece& piece, Buffers& buffers) {
    const int64_t row = view.row_begin + piece.run * view.step;
    read_stored(view, row * view.stored_columns + piece.first, piece.count, buffers);
    f(piece.run * run_elements + piece.first, piece.count, buffers);
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
  for_view(view, [&](int64_t first, int64_t count, Buffers& buffers) {
    buffers.converted.resize(static_cast<size_t>(count));
    convert_to_f32(view.dtype, buffers.stored.data(), count, buffers.converted.data());
    device_.upload(device_destination + first, buffers.converted.data(),
                   count * static_cast<int64_t>(sizeof(float)));
  });
}

void WeightLoader::load_stored(const WeightView& view, void* device_destination) {
  const int64_t size = element_size(view.dtype);
  for_view(view, [&](int64_t first, int64_t count, Buffers& buffers) {
    device_.upload(static_cast<uint8_t*>(device_destination) + first * size, buffers.stored.data(),
                   count * size);
  });
}

void WeightLoader::load_transposed(const WeightView& view, float* device_destination) {
  std::vector<float> matrix(static_cast<size_t>(view.elements()));
  const int64_t stored = view.stored_rows * view.stored_columns;
  for_pieces(1, stored, [&](const Piece& piece, Buffers& buffers) {
    read_stored(view, piece.first, piece.count, buffers);
    buffers.converted.resize(static_cast<size_t>(piece.count));
    convert_to_f32(view.dtype, buffers.stored.data(), piece.count, buffers.converted.data());
    for (int64_t i = 0; i < piece.count; ++i) {
      const int64_t column = (piece.first + i) / view.stored_columns;
      const int64_t row = row_of_view(view, (piece.first + i) % view.stored_columns);
      if (row < 0) continue;
      matrix[static_cast<size_t>(row * view.columns + column)] =
          buffers.converted[static_cast<size_t>(i)];
    }
  });
  device_.upload(device_destination, matrix.data(),
                 view.elements() * static_cast<int64_t>(sizeof(float)));
}

}  // namespace multihead::engine
