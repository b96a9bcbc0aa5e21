// The weights of a program in device memory: asked for block by block while a plan is compiled,
// loaded together afterwards, so that every shape is checked before the first byte is read.
//
// Equal requests share one copy, which is how layers share weights. Pointers that are handed out
// are valid at once and filled by load().
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/memory.h"
#include "engine/plan.h"
#include "engine/weight_loader.h"
#include "engine/weights.h"
#include "ops/device.h"

namespace multihead::engine {

// A part of a packed matrix: `rows` output features of one projection.
struct LinearPart {
  const LinearSpec* spec = nullptr;
  int64_t rows = 0;
};

class ResidentWeights {
 public:
  ResidentWeights(const Weights& weights, ops::Device& device)
      : weights_(weights), device_(device) {}

  // The parts' weights, each [rows, columns], one below the other, packed for `linear`.
  ops::PackedWeight packed(const std::vector<LinearPart>& parts, int64_t columns);
  // The parts' biases one after the other, zeros where a part has none; nullptr when none has one.
  const float* bias(const std::vector<LinearPart>& parts);
  const float* vector(const WeightRef& ref, int64_t elements);
  // In its stored dtype.
  ConstMatrix table(const WeightRef& ref, int64_t rows, int64_t columns);
  // Vaswani et al. 2017, section 3.5: row p holds sin(p / 10000^(2i / E)) at 2i and cos at 2i + 1,
  // or (split) all sines before all cosines.
  ConstMatrix sinusoidal(int64_t rows, int64_t columns, SinusoidalLayout layout);
  // [heads, 2L + 1] f32: the bias of each distance.
  ConstMatrix relative_bias(const RelativeBias& bias, int64_t heads);
  // Values that the plan itself holds.
  const float* constants(const std::vector<float>& values);

  // Fills everything asked for.
  void load(ops::Executor& executor, const std::atomic<bool>& cancelled);

  int64_t bytes() const { return bytes_; }
  // Elements of the tensors in use; a view that is used twice counts once.
  int64_t parameters() const { return parameters_; }
  std::vector<std::string> unused_tensors() const;
  std::vector<DeviceMemory> take() { return std::move(memory_); }

 private:
  struct Packing {
    std::vector<WeightView> parts;
    ops::PackLinearArgs args;  // `weight` without data
  };
  struct Copy {
    WeightView view;
    void* destination = nullptr;
  };

  // A [heads, distances] table to be filled from a stored [buckets, heads] one.
  struct Expansion {
    WeightView view;
    std::vector<int32_t> buckets;
    float* destination = nullptr;
  };

  void* allocate(int64_t elements, int64_t element_bytes);
  void* allocate_bytes(int64_t bytes);
  void count(const WeightRef& ref, const WeightView& view);
  void fill_sinusoidal(ops::Executor& executor, const std::atomic<bool>& cancelled);
  void expand(const Expansion& expansion, WeightLoader& loader);
  void upload(const std::vector<float>& values, void* destination);

  const Weights& weights_;
  ops::Device& device_;
  std::vector<DeviceMemory> memory_;
  std::vector<Packing> packings_;
  std::vector<Copy> f32_copies_;
  std::vector<Copy> stored_copies_;
  std::vector<Expansion> expansions_;
  std::map<std::string, ops::PackedWeight> packed_;
  std::map<std::string, const float*> vectors_;
  std::map<std::string, ConstMatrix> tables_;
  std::map<std::pair<std::string, std::vector<int32_t>>, ConstMatrix> relative_biases_;
  std::map<std::vector<float>, const float*> constants_;
  ConstMatrix sinusoidal_;
  SinusoidalLayout sinusoidal_layout_ = SinusoidalLayout::kInterleaved;
  std::set<std::string> counted_;
  std::set<std::string> used_tensors_;
  int64_t bytes_ = 0;
  int64_t parameters_ = 0;
};

}  // namespace multihead::engine
