// Seeded random models for tests of the engine, and what they should compute: a second
// implementation, from the plan's own definition, one sequence at a time in double precision.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "engine/plan.h"
#include "engine/weights.h"

namespace multihead::test {

struct Model {
  engine::Plan plan;
  engine::WeightList weights;
  std::map<std::string, std::vector<double>> values;  // of each tensor, row-major
};

class ModelBuilder {
 public:
  explicit ModelBuilder(uint32_t seed) : random_(seed) { model_.weights.sources.resize(1); }

  // A whole random model: every kind of block, position, norm, activation and weight dtype.
  static Model random(uint32_t seed);

  // A new tensor of random values around `mean`.
  engine::WeightRef tensor(const std::string& name, const std::vector<int64_t>& shape,
                           double mean = 0, const std::string& dtype = "f32");
  engine::LinearSpec linear(const std::string& name, int64_t out, int64_t in);
  engine::NormSpec norm(const std::string& name, int64_t columns);
  engine::EmbedBlock embed(int64_t vocabulary);
  engine::AttentionBlock attention(const std::string& name);
  engine::FeedForwardBlock feed_forward(const std::string& name);

  int64_t pick(int64_t smallest, int64_t largest) {
    return std::uniform_int_distribution<int64_t>(smallest, largest)(random_);
  }
  bool coin() { return pick(0, 1) == 1; }
  std::string any_dtype();

  Model& model() { return model_; }

 private:
  std::mt19937 random_;
  Model model_;
  int counter_ = 0;
};

engine::Batch random_batch(uint32_t seed, const std::vector<int32_t>& lengths, int64_t vocabulary,
                           int64_t types, int64_t weighted_parts);

// The stream after each block, [rows, columns] row-major.
std::vector<std::vector<double>> expected_streams(const Model& model, const engine::Batch& batch);

}  // namespace multihead::test
