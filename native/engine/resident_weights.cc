#include "engine/resident_weights.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/checked.h"
#include "engine/parallel.h"

namespace multihead::engine {
namespace {

Error too_large(const std::string& got) {
  return Error(ErrorCode::kOutOfMemory, "weights", got, "a size that memory can hold");
}

// A key that equal requests share. Lengths keep names that contain separators apart.
std::string key(const WeightRef& ref) {
  return std::to_string(ref.tensor.size()) + ":" + describe(ref);
}

}  // namespace

void* ResidentWeights::allocate_bytes(int64_t bytes) {
  memory_.emplace_back(device_, bytes);
  bytes_ += bytes;
  return memory_.back().data();
}

void* ResidentWeights::allocate(int64_t elements, int64_t element_bytes) {
  const auto bytes = checked_product(elements, element_bytes);
  if (!bytes) throw too_large(std::to_string(elements) + " elements");
  return allocate_bytes(*bytes);
}

void ResidentWeights::count(const WeightRef& ref, const WeightView& view) {
  used_tensors_.insert(ref.tensor);
  if (counted_.insert(key(ref)).second) parameters_ += view.elements();
}

ops::PackedWeight ResidentWeights::packed(const std::vector<LinearPart>& parts, int64_t columns) {
  Packing packing;
  std::string name;
  int64_t rows = 0;
  for (const LinearPart& part : parts) {
    packing.parts.push_back(weights_.matrix(part.spec->weight, part.rows, columns));
    count(part.spec->weight, packing.parts.back());
    name += key(part.spec->weight) + ";";
    rows += part.rows;
  }
  const auto found = packed_.find(name);
  if (found != packed_.end()) return found->second;

  if (!checked_product(rows, columns * int64_t{sizeof(float)})) {
    throw too_large(shape_text({rows, columns}));
  }
  void* data = allocate_bytes(device_.table().packed_linear_bytes(rows, columns));
  packing.args.weight = {nullptr, DType::kF32, rows, columns, columns};
  packing.args.packed = data;
  packings_.push_back(std::move(packing));
  return packed_[name] = {data, rows, columns};
}

const float* ResidentWeights::bias(const std::vector<LinearPart>& parts) {
  std::string name;
  int64_t elements = 0;
  for (const LinearPart& part : parts) {
    name +=
        (part.spec->bias ? key(*part.spec->bias) : "zeros") + " " + std::to_string(part.rows) + ";";
    elements += part.rows;
  }
  if (std::none_of(parts.begin(), parts.end(),
                   [](const LinearPart& part) { return part.spec->bias.has_value(); })) {
    return nullptr;
  }
  const auto found = vectors_.find(name);
  if (found != vectors_.end()) return found->second;

  auto* data = static_cast<float*>(allocate(elements, sizeof(float)));
  upload(std::vector<float>(static_cast<size_t>(elements), 0.0f), data);
  float* part_data = data;
  for (const LinearPart& part : parts) {
    if (part.spec->bias) {
      const WeightView view = weights_.vector(*part.spec->bias, part.rows);
      count(*part.spec->bias, view);
      f32_copies_.push_back({view, part_data});
    }
    part_data += part.rows;
  }
  return vectors_[name] = data;
}

const float* ResidentWeights::vector(const WeightRef& ref, int64_t elements) {
  const WeightView view = weights_.vector(ref, elements);
  count(ref, view);
  const std::string name = key(ref) + " " + std::to_string(elements) + ";";
  const auto found = vectors_.find(name);
  if (found != vectors_.end()) return found->second;
  void* data = allocate(elements, sizeof(float));
  f32_copies_.push_back({view, data});
  return vectors_[name] = static_cast<float*>(data);
}

ConstMatrix ResidentWeights::table(const WeightRef& ref, int64_t rows, int64_t columns) {
  const WeightView view = weights_.matrix(ref, rows, columns);
  count(ref, view);
  const auto found = tables_.find(key(ref));
  if (found != tables_.end()) return found->second;
  // A transposed table is laid out anew, so it may as well become f32.
  const DType dtype = view.transpose ? DType::kF32 : view.dtype;
  void* data = allocate(view.elements(), element_size(dtype));
  (view.transpose ? f32_copies_ : stored_copies_).push_back({view, data});
  return tables_[key(ref)] = {data, dtype, rows, columns, columns};
}

ConstMatrix ResidentWeights::relative_bias(const RelativeBias& bias, int64_t heads) {
  const WeightView view = weights_.matrix(bias.table, bias.bucket_count, heads);
  count(bias.table, view);
  ConstMatrix& table = relative_biases_[{key(bias.table), bias.buckets}];
  if (table.data != nullptr) return table;
  const auto distances = static_cast<int64_t>(bias.buckets.size());
  const auto elements = checked_product(heads, distances);
  if (!elements) throw too_large(shape_text({heads, distances}));
  auto* data = static_cast<float*>(allocate(*elements, sizeof(float)));
  expansions_.push_back({view, bias.buckets, data});
  return table = {data, DType::kF32, heads, distances, distances};
}

const float* ResidentWeights::constants(const std::vector<float>& values) {
  const float*& data = constants_[values];
  if (data != nullptr) return data;
  auto* memory = static_cast<float*>(allocate(static_cast<int64_t>(values.size()), sizeof(float)));
  upload(values, memory);
  return data = memory;
}

ConstMatrix ResidentWeights::sinusoidal(int64_t rows, int64_t columns, SinusoidalLayout layout) {
  const auto elements = checked_product(rows, columns);
  if (!elements) throw too_large(shape_text({rows, columns}));
  void* data = allocate(*elements, sizeof(float));
  sinusoidal_layout_ = layout;
  return sinusoidal_ = {data, DType::kF32, rows, columns, columns};
}

void ResidentWeights::fill_sinusoidal(ops::Executor& executor, const std::atomic<bool>& cancelled) {
  const int64_t columns = sinusoidal_.columns;
  const auto sines = static_cast<size_t>((columns + 1) / 2);
  std::vector<double> frequencies(sines);
  for (size_t i = 0; i < sines; ++i) {
    frequencies[i] =
        std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(columns));
  }
  const bool split = sinusoidal_layout_ == SinusoidalLayout::kSplit;
  auto* table = static_cast<float*>(const_cast<void*>(sinusoidal_.data));
  parallel_for(executor, sinusoidal_.rows, [&](int64_t position, int) {
    if (cancelled.load(std::memory_order_relaxed)) {
      throw Error(ErrorCode::kAborted, "load", "cancelled");
    }
    std::vector<float> row(static_cast<size_t>(columns));
    for (size_t i = 0; i < sines; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      const size_t sine = split ? i : 2 * i;
      const size_t cosine = split ? sines + i : 2 * i + 1;
      row[sine] = static_cast<float>(std::sin(angle));
      if (cosine < row.size()) row[cosine] = static_cast<float>(std::cos(angle));
    }
    upload(row, table + position * columns);
  });
}

// row h of the result is column h of the stored table, looked up by distance
void ResidentWeights::expand(const Expansion& expansion, WeightLoader& loader) {
  const WeightView& view = expansion.view;
  const int64_t bytes = view.elements() * int64_t{sizeof(float)};
  const DeviceMemory staging(device_, bytes);
  loader.load_f32(view, static_cast<float*>(staging.data()));
  std::vector<float> stored(static_cast<size_t>(view.elements()));
  device_.download(stored.data(), staging.data(), bytes);
  std::vector<float> row(expansion.buckets.size());
  for (int64_t head = 0; head < view.columns; ++head) {
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = stored[static_cast<size_t>(expansion.buckets[i] * view.columns + head)];
    }
    upload(row, expansion.destination + head * static_cast<int64_t>(row.size()));
  }
}

void ResidentWeights::upload(const std::vector<float>& values, void* destination) {
  device_.upload(destination, values.data(), static_cast<int64_t>(values.size() * sizeof(float)));
}

void ResidentWeights::load(ops::Executor& executor, const std::atomic<bool>& cancelled) {
  fill_sinusoidal(executor, cancelled);
  WeightLoader loader(weights_, device_, executor, cancelled);
  for (const Copy& copy : stored_copies_) loader.load_stored(copy.view, copy.destination);
  for (const Copy& copy : f32_copies_) {
    loader.load_f32(copy.view, static_cast<float*>(copy.destination));
  }
  for (const Expansion& expansion : expansions_) expand(expansion, loader);
  DeviceMemory staging;  // one matrix in f32, before it is packed
  for (Packing& packing : packings_) {
    ConstMatrix& matrix = packing.args.weight;
    const int64_t bytes = matrix.rows * matrix.columns * int64_t{sizeof(float)};
    if (staging.bytes() < bytes) {
      staging.reset();
      staging = DeviceMemory(device_, bytes);
    }
    auto* rows = static_cast<float*>(staging.data());
    for (const WeightView& part : packing.parts) {
      loader.load_f32(part, rows);
      rows += part.elements();
    }
    matrix.data = staging.data();
    device_.table().pack_linear(executor, packing.args);
  }
}

std::vector<std::string> ResidentWeights::unused_tensors() const {
  std::vector<std::string> unused;
  for (const WeightRow& row : weights_.rows()) {
    if (used_tensors_.count(row.name) == 0) unused.push_back(row.name);
  }
  return unused;
}

}  // namespace multihead::engine
