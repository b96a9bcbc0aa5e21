#include "engine/pages.h"

#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/checked.h"
#include "ops/ops.h"

namespace multihead::engine {
namespace {

int64_t page_bytes(const std::vector<int64_t>& columns) {
  const int64_t sum = std::accumulate(columns.begin(), columns.end(), int64_t{0});
  return sum * ops::kKeyBlock * int64_t{sizeof(float)};
}

int64_t bytes_of(const std::vector<int64_t>& columns, int64_t count) {
  const auto bytes = checked_product(page_bytes(columns), count);
  if (bytes) return *bytes;
  throw Error(ErrorCode::kOutOfMemory, "cache", std::to_string(count) + " pages",
              "a number that memory can hold");
}

// `rows` rows of a layer from a page's first row on.
Matrix page_rows(const Matrix& layer, int32_t page, int64_t rows) {
  return {layer.f32_row(page * ops::kKeyBlock), layer.dtype, rows, layer.columns, layer.stride};
}

void copy_page(const Matrix& from, int32_t from_page, const Matrix& to, int32_t to_page,
               int64_t rows, const int32_t* row_numbers, const ops::OpTable& table,
               ops::Executor& executor) {
  ops::GatherArgs args;
  args.x = page_rows(from, from_page, rows);
  args.rows = row_numbers;
  args.out = page_rows(to, to_page, rows);
  table.gather(executor, args);
}

}  // namespace

Pages::Pages(ops::Device& device, std::vector<int64_t> columns, int64_t count)
    : device_(device),
      columns_(std::move(columns)),
      memory_(device, bytes_of(columns_, count)),
      row_numbers_(device, ops::kKeyBlock * int64_t{sizeof(int32_t)}),
      layers_(lay_out(memory_, count)) {
  std::vector<int32_t> numbers(static_cast<size_t>(ops::kKeyBlock));
  std::iota(numbers.begin(), numbers.end(), 0);
  device_.upload(row_numbers_.data(), numbers.data(), row_numbers_.bytes());
  free_.reserve(static_cast<size_t>(count));
  holders_.resize(static_cast<size_t>(count), 0);
  add_free(0, count);
  bytes_ = memory_.bytes() + row_numbers_.bytes();
}

// Layers one after the other.
std::vector<Matrix> Pages::lay_out(const DeviceMemory& memory, int64_t count) const {
  std::vector<Matrix> layers;
  auto* data = static_cast<float*>(memory.data());
  for (const int64_t columns : columns_) {
    const int64_t rows = count * ops::kKeyBlock;
    layers.push_back({data, DType::kF32, rows, columns, columns});
    data += rows * columns;
  }
  return layers;
}

// The lowest are taken first.
void Pages::add_free(int64_t begin, int64_t end) {
  for (int64_t page = end; page-- > begin;) free_.push_back(static_cast<int32_t>(page));
  free_count_ = static_cast<int64_t>(free_.size());
}

void Pages::check_free(int64_t needed) const {
  if (needed <= static_cast<int64_t>(free_.size())) return;
  throw Error(ErrorCode::kOutOfMemory, "cache",
              std::to_string(free_.size()) + " of " + std::to_string(count()) + " pages are free",
              std::to_string(needed) + ": close sequences, or create a cache of more pages");
}

int32_t Pages::take() {
  check_free(1);
  const int32_t page = free_.back();
  free_.pop_back();
  holders_[static_cast<size_t>(page)] = 1;
  free_count_ = static_cast<int64_t>(free_.size());
  return page;
}

void Pages::release(int32_t page) noexcept {
  if (--holders_[static_cast<size_t>(page)] > 0) return;
  free_.push_back(page);  // within the capacity that was reserved
  free_count_ = static_cast<int64_t>(free_.size());
}

void Pages::copy(int32_t from, int32_t to, int64_t rows, ops::Executor& executor) {
  for (const Matrix& layer : layers_) {
    copy_page(layer, from, layer, to, rows, static_cast<const int32_t*>(row_numbers_.data()),
              device_.table(), executor);
  }
}

void Pages::grow(int64_t count, ops::Executor& executor) {
  const int64_t before = this->count();
  DeviceMemory memory(device_, bytes_of(columns_, count));
  std::vector<Matrix> layers = lay_out(memory, count);
  free_.reserve(static_cast<size_t>(count));
  holders_.resize(static_cast<size_t>(count), 0);
  for (size_t i = 0; i < layers.size(); ++i) {
    for (int32_t page = 0; page < before; ++page) {
      if (holders_[static_cast<size_t>(page)] == 0) continue;
      copy_page(layers_[i], page, layers[i], page, ops::kKeyBlock,
                static_cast<const int32_t*>(row_numbers_.data()), device_.table(), executor);
    }
  }
  add_free(before, count);
  memory_ = std::move(memory);
  layers_ = std::move(layers);
  bytes_ = memory_.bytes() + row_numbers_.bytes();
}

}  // namespace multihead::engine
