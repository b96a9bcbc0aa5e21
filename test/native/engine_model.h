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
  // A random decoder that a cache takes: causal, over a memory too if `memory_width` is not 0,
  // ending in logits.
  static Model decoder(uint32_t seed, int64_t memory_width);

  // A new tensor of random values around `mean`.
  engine::WeightRef tensor(const std::string& name, const std::vector<int64_t>& shape,
                           double mean = 0, const std::string& dtype = "f32");
  engine::LinearSpec linear(const std::string& name, int64_t out, int64_t in);
  engine::NormSpec norm(const std::string& name, int64_t columns);
  engine::EmbedBlock embed(int64_t vocabulary);
  // Without norms of heads and terms of positions, over rows of so many columns.
  engine::AttentionBlock plain_attention(const std::string& name, int64_t source_columns);
  engine::AttentionBlock attention(const std::string& name);
  engine::AttentionBlock attention_over_memory(const std::string& name);
  engine::FeedForwardBlock feed_forward(const std::string& name);
  // To `width` columns, which later blocks then take.
  engine::ProjectBlock project(const std::string& name, int64_t width);

  int64_t pick(int64_t smallest, int64_t largest) {
    return std::uniform_int_distribution<int64_t>(smallest, largest)(random_);
  }
  int64_t width() const { return width_ != 0 ? width_ : model_.plan.width; }
  bool coin() { return pick(0, 1) == 1; }
  std::string any_dtype();
  // [rows, columns], or a vector of `rows` (columns 0): some rows of a larger new tensor, in one
  // range or in groups.
  engine::WeightRef fused(const std::string& name, int64_t rows, int64_t columns);

  Model& model() { return model_; }

 private:
  void add_trunk(int64_t memory_width);
  void add_head_norms(const std::string& name, engine::AttentionBlock& block);
  void add_position_terms(engine::AttentionBlock& block);

  std::mt19937 random_;
  Model model_;
  int64_t width_ = 0;  // of the stream; 0: the plan's
  int counter_ = 0;
};

engine::Batch random_batch(uint32_t seed, const std::vector<int32_t>& lengths, int64_t vocabulary,
                           int64_t types, int64_t weighted_parts);
// Gives each sequence of `batch` a memory of 0 to `longest` rows.
void add_random_memory(uint32_t seed, int64_t width, int32_t longest, engine::Batch& batch);

// The stream after each block, [rows, columns] row-major.
std::vector<std::vector<double>> expected_streams(const Model& model, const engine::Batch& batch);

}  // namespace multihead::test
