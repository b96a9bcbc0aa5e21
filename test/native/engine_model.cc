#include "engine_model.h"

#include <cstring>

#include "engine/convert.h"

namespace multihead::test {
namespace {

using namespace engine;

// The upper half of an f32: truncation is rounding enough for a test's weights.
uint16_t bf16_from_f32(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

// Truncates; for magnitudes that are normal in f16, others become zero.
uint16_t f16_from_f32(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const int exponent = static_cast<int>((bits >> 23) & 0xffu) - 127 + 15;
  if (exponent < 1) return sign;
  return static_cast<uint16_t>(sign | (exponent << 10) | ((bits >> 13) & 0x3ffu));
}

template <typename T>
void append(std::vector<uint8_t>& bytes, T value) {
  const auto* begin = reinterpret_cast<const uint8_t*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof(value));
}

}  // namespace

std::string ModelBuilder::any_dtype() {
  return std::vector<std::string>{"f32", "f16", "bf16"}[static_cast<size_t>(pick(0, 2))];
}

WeightRef ModelBuilder::tensor(const std::string& name, const std::vector<int64_t>& shape,
                               double mean, const std::string& dtype) {
  auto& bytes = std::get_if<MemorySource>(&model_.weights.sources[0])
                    ? std::get<MemorySource>(model_.weights.sources[0]).bytes
                    : model_.weights.sources[0].emplace<MemorySource>().bytes;
  WeightRow row;
  row.name = name + "#" + std::to_string(counter_++);
  row.dtype = dtype;
  row.shape = shape;
  row.offset = static_cast<int64_t>(bytes.size());
  int64_t elements = 1;
  for (const int64_t dimension : shape) elements *= dimension;
  std::normal_distribution<float> normal(static_cast<float>(mean), 0.3f);
  std::vector<double>& values = model_.values[row.name];
  for (int64_t i = 0; i < elements; ++i) {
    const float value = normal(random_);
    if (dtype == "f32") {
      append(bytes, value);
      values.push_back(value);
    } else if (dtype == "f16") {
      append(bytes, f16_from_f32(value));
      values.push_back(f32_from_f16(f16_from_f32(value)));
    } else {
      append(bytes, bf16_from_f32(value));
      values.push_back(f32_from_bf16(bf16_from_f32(value)));
    }
  }
  row.byte_length = static_cast<int64_t>(bytes.size()) - row.offset;
  model_.weights.rows.push_back(row);
  WeightRef ref;
  ref.tensor = row.name;
  return ref;
}

LinearSpec ModelBuilder::linear(const std::string& name, int64_t out, int64_t in) {
  LinearSpec spec;
  const bool transpose = coin();
  const int64_t before = pick(0, 2);  // rows that belong to somebody else
  const int64_t after = pick(0, 2);
  const int64_t rows = before + out + after;
  spec.weight = tensor(name + ".weight",
                       transpose ? std::vector<int64_t>{in, rows} : std::vector<int64_t>{rows, in},
                       0, any_dtype());
  spec.weight.transpose = transpose;
  spec.weight.row_begin = before;
  spec.weight.row_end = after == 0 ? -1 : before + out;
  if (coin()) {
    spec.bias = tensor(name + ".bias", {rows}, 0, any_dtype());
    spec.bias->row_begin = before;
    spec.bias->row_end = before + out;
  }
  return spec;
}

NormSpec ModelBuilder::norm(const std::string& name, int64_t columns) {
  NormSpec spec;
  spec.kind = std::vector<ops::NormKind>{ops::NormKind::kLayer, ops::NormKind::kRms,
                                         ops::NormKind::kL2}[static_cast<size_t>(pick(0, 2))];
  spec.epsilon = 1e-5f;
  if (spec.kind != ops::NormKind::kL2 && coin()) spec.gain = tensor(name + ".gain", {columns}, 1);
  if (spec.kind == ops::NormKind::kLayer && coin()) spec.bias = tensor(name + ".bias", {columns});
  return spec;
}

EmbedBlock ModelBuilder::embed(int64_t vocabulary) {
  const int64_t width = model_.plan.width;
  EmbedBlock block;
  block.vocabulary = vocabulary;
  block.tokens = tensor("tokens", {vocabulary, width}, 0, any_dtype());
  if (coin()) {
    block.type_count = 2;
    block.types = tensor("types", {2, width}, 0, any_dtype());
  }
  const int64_t kind = pick(0, 2);
  if (kind == 1)
    block.positions = LearnedPositions{tensor("positions", {40, width}), 40, pick(0, 3)};
  if (kind == 2) block.positions = SinusoidalPositions{40};
  if (coin()) block.scale = 1.5f;
  if (coin()) block.norm = norm("norm", width);
  return block;
}

AttentionBlock ModelBuilder::attention(const std::string& name) {
  const int64_t width = model_.plan.width;
  AttentionBlock block;
  block.key_heads = pick(1, 3);
  block.heads = block.key_heads * pick(1, 2);
  block.head_dim = pick(1, 9);
  block.query = linear(name + ".query", block.heads * block.head_dim, width);
  block.key = linear(name + ".key", block.key_heads * block.head_dim, width);
  block.value = linear(name + ".value", block.key_heads * block.head_dim, width);
  block.output = linear(name + ".output", width, block.heads * block.head_dim);
  block.scale = 0.4f;
  if (coin()) block.mask = ops::Mask::kCausal;
  if (coin()) block.window = pick(0, 4);
  if (coin()) block.norm_before = norm(name + ".before", width);
  if (coin()) block.norm_after = norm(name + ".after", width);
  return block;
}

FeedForwardBlock ModelBuilder::feed_forward(const std::string& name) {
  const int64_t width = model_.plan.width;
  FeedForwardBlock block;
  block.inner = pick(1, 20);
  block.activation = static_cast<ops::Activation>(pick(0, 5));
  block.up = linear(name + ".up", block.inner, width);
  block.down = linear(name + ".down", width, block.inner);
  if (coin()) block.norm_before = norm(name + ".before", width);
  if (coin()) block.norm_after = norm(name + ".after", width);
  return block;
}

Model ModelBuilder::random(uint32_t seed) {
  ModelBuilder builder(seed);
  Plan& plan = builder.model_.plan;
  plan.width = builder.pick(1, 24);
  plan.blocks.push_back(builder.embed(builder.pick(1, 30)));
  const int64_t layers = builder.pick(0, 3);
  for (int64_t i = 0; i < layers; ++i) {
    plan.blocks.push_back(builder.attention("layer" + std::to_string(i) + ".attention"));
    plan.blocks.push_back(builder.feed_forward("layer" + std::to_string(i) + ".feedForward"));
  }
  if (builder.coin()) plan.blocks.push_back(NormBlock{builder.norm("final", plan.width)});
  PoolBlock pool;
  const int64_t parts = builder.pick(1, 3);
  for (int64_t i = 0; i < parts; ++i) {
    pool.parts.push_back(builder.coin() ? ops::PoolKind::kMax : ops::PoolKind::kWeightedSum);
  }
  plan.blocks.push_back(pool);
  ProjectBlock project;
  project.width = builder.pick(1, 12);
  project.activation = ops::Activation::kTanh;
  project.linear = builder.linear("project", project.width, parts * plan.width);
  plan.blocks.push_back(project);
  plan.blocks.push_back(NormBlock{builder.norm("embedding", project.width)});
  builder.tensor("nobody.uses.this", {3});
  return std::move(builder.model_);
}

Batch random_batch(uint32_t seed, const std::vector<int32_t>& lengths, int64_t vocabulary,
                   int64_t types, int64_t weighted_parts) {
  std::mt19937 random(seed);
  Batch batch;
  batch.offsets.push_back(0);
  batch.types.emplace();
  for (const int32_t length : lengths) {
    for (int32_t i = 0; i < length; ++i) {
      batch.tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary)));
      batch.types->push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(types)));
    }
    batch.offsets.push_back(static_cast<int32_t>(batch.tokens.size()));
  }
  batch.pool_weights.emplace();
  std::uniform_real_distribution<float> weight(-1, 1);
  for (int64_t i = 0; i < weighted_parts * batch.token_count(); ++i) {
    batch.pool_weights->push_back(weight(random));
  }
  return batch;
}

}  // namespace multihead::test
