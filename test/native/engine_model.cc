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

WeightRef ModelBuilder::fused(const std::string& name, int64_t rows, int64_t columns) {
  const bool transpose = columns != 0 && coin();
  const int64_t before = pick(0, 2);  // rows that belong to somebody else
  const int64_t after = pick(0, 2);
  const bool grouped = coin();
  const int64_t group = grouped && rows % 2 == 0 ? rows / 2 : rows;
  const int64_t step = group + pick(0, 2);
  const int64_t taken = grouped ? rows / group * step : rows;
  const int64_t stored = before + taken + (grouped ? 0 : after);
  std::vector<int64_t> shape = {stored};
  if (columns != 0) shape.push_back(columns);
  if (transpose) std::swap(shape[0], shape[1]);
  WeightRef ref = tensor(name, shape, 0, any_dtype());
  ref.transpose = transpose;
  ref.row_begin = before;
  if (grouped) {
    ref.group = group;
    ref.step = step;
  } else if (after != 0) {
    ref.row_end = before + rows;
  }
  return ref;
}

LinearSpec ModelBuilder::linear(const std::string& name, int64_t out, int64_t in) {
  LinearSpec spec;
  spec.weight = fused(name + ".weight", out, in);
  if (coin()) spec.bias = fused(name + ".bias", out, 0);
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
    block.positions = LearnedPositions{tensor("positions", {200, width}), 200, pick(0, 3)};
  if (kind == 2) {
    block.positions = SinusoidalPositions{
        200, coin() ? SinusoidalLayout::kSplit : SinusoidalLayout::kInterleaved};
  }
  if (coin()) block.scale = 1.5f;
  if (coin()) block.norm = norm("norm", width);
  return block;
}

AttentionBlock ModelBuilder::plain_attention(const std::string& name, int64_t source_columns) {
  AttentionBlock block;
  block.key_heads = pick(1, 3);
  block.heads = block.key_heads * pick(1, 2);
  block.head_dim = pick(1, 9);
  block.query = linear(name + ".query", block.heads * block.head_dim, width());
  block.key = linear(name + ".key", block.key_heads * block.head_dim, source_columns);
  block.value = linear(name + ".value", block.key_heads * block.head_dim, source_columns);
  block.output = linear(name + ".output", width(), block.heads * block.head_dim);
  block.scale = 0.4f;
  if (coin()) block.norm_before = norm(name + ".before", width());
  if (coin()) block.norm_after = norm(name + ".after", width());
  return block;
}

void ModelBuilder::add_head_norms(const std::string& name, AttentionBlock& block) {
  if (coin()) block.query_norm = norm(name + ".queryNorm", block.head_dim);
  if (coin()) block.key_norm = norm(name + ".keyNorm", block.head_dim);
}

AttentionBlock ModelBuilder::attention(const std::string& name) {
  AttentionBlock block = plain_attention(name, width());
  add_head_norms(name, block);
  add_position_terms(block);
  return block;
}

AttentionBlock ModelBuilder::attention_over_memory(const std::string& name) {
  AttentionBlock block = plain_attention(name, model_.plan.memory_width);
  add_head_norms(name, block);
  block.keys_from = KeySource::kMemory;
  return block;
}

void ModelBuilder::add_position_terms(AttentionBlock& block) {
  if (coin()) block.mask = ops::Mask::kCausal;
  if (coin()) block.window = pick(0, 4);
  if (coin() && block.head_dim > 1) {
    block.rotary.emplace();
    // Few values, so that some layers turn by equal angles and others do not.
    for (int64_t i = pick(1, block.head_dim / 2); i > 0; --i) {
      block.rotary->frequencies.push_back(1.0f / static_cast<float>(i));
    }
    if (coin()) block.rotary->pairs = ops::RotaryPairs::kNeighbours;
    if (coin()) block.rotary->magnitude = 1.25f;
  }
  if (coin()) {
    for (int64_t h = 0; h < block.heads; ++h) {
      block.slopes.push_back(0.5f / static_cast<float>(h + 1));
    }
  }
  if (coin()) {
    RelativeBias bias;
    bias.bucket_count = pick(1, 5);
    bias.table = fused("relativeBias", bias.bucket_count, block.heads);
    const int64_t longest = pick(0, 6);
    for (int64_t i = 0; i < 2 * longest + 1; ++i) {
      bias.buckets.push_back(static_cast<int32_t>(pick(0, bias.bucket_count - 1)));
    }
    block.relative_bias = bias;
  }
}

FeedForwardBlock ModelBuilder::feed_forward(const std::string& name) {
  FeedForwardBlock block;
  block.inner = pick(1, 20);
  block.activation = static_cast<ops::Activation>(pick(0, 5));
  if (coin()) block.gate = linear(name + ".gate", block.inner, width());
  block.up = linear(name + ".up", block.inner, width());
  block.down = linear(name + ".down", width(), block.inner);
  if (coin()) block.norm_before = norm(name + ".before", width());
  if (coin()) block.norm_after = norm(name + ".after", width());
  return block;
}

ProjectBlock ModelBuilder::project(const std::string& name, int64_t width) {
  ProjectBlock block;
  block.width = width;
  if (coin()) block.scale = 0.75f;
  block.activation = static_cast<ops::Activation>(pick(0, 5));
  block.linear = linear(name, width, this->width());
  width_ = width;
  return block;
}

// Embedding, perhaps to another width, and layers.
void ModelBuilder::add_trunk(int64_t memory_width) {
  Plan& plan = model_.plan;
  plan.width = pick(1, 24);
  plan.memory_width = memory_width;
  plan.blocks.push_back(embed(pick(1, 30)));
  if (coin()) plan.blocks.push_back(project("widen", pick(1, 24)));
  const int64_t layers = pick(0, 3);
  for (int64_t i = 0; i < layers; ++i) {
    const std::string name = "layer" + std::to_string(i);
    plan.blocks.push_back(attention(name + ".attention"));
    if (memory_width != 0) plan.blocks.push_back(attention_over_memory(name + ".overMemory"));
    plan.blocks.push_back(feed_forward(name + ".feedForward"));
  }
  if (coin()) plan.blocks.push_back(NormBlock{norm("final", width())});
}

Model ModelBuilder::random(uint32_t seed) {
  ModelBuilder builder(seed);
  Plan& plan = builder.model_.plan;
  builder.add_trunk(builder.coin() ? builder.pick(1, 12) : 0);
  PoolBlock pool;
  const int64_t parts = builder.pick(1, 3);
  for (int64_t i = 0; i < parts; ++i) {
    pool.parts.push_back(builder.coin() ? ops::PoolKind::kMax : ops::PoolKind::kWeightedSum);
  }
  plan.blocks.push_back(pool);
  builder.width_ = builder.width() * parts;
  plan.blocks.push_back(builder.project("project", builder.pick(1, 12)));
  plan.blocks.push_back(NormBlock{builder.norm("embedding", builder.width())});
  builder.tensor("nobody.uses.this", {3});
  return std::move(builder.model_);
}

Model ModelBuilder::decoder(uint32_t seed, int64_t memory_width) {
  ModelBuilder builder(seed);
  Plan& plan = builder.model_.plan;
  builder.add_trunk(memory_width);
  for (Block& block : plan.blocks) {
    auto* attention = std::get_if<AttentionBlock>(&block);
    if (attention == nullptr || attention->keys_from == KeySource::kMemory) continue;
    attention->mask = ops::Mask::kCausal;
  }
  plan.blocks.push_back(SelectBlock{});
  if (builder.coin()) plan.blocks.push_back(NormBlock{builder.norm("head", builder.width())});
  const int64_t vocabulary = std::get<EmbedBlock>(plan.blocks[0]).vocabulary;
  ProjectBlock logits = builder.project("logits", vocabulary);
  logits.activation = ops::Activation::kIdentity;
  plan.blocks.push_back(logits);
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

void add_random_memory(uint32_t seed, int64_t width, int32_t longest, Batch& batch) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  batch.memory.emplace();
  batch.memory_offsets.emplace(1, 0);
  for (int64_t b = 0; b < batch.sequences(); ++b) {
    const auto rows = static_cast<int32_t>(random() % static_cast<uint32_t>(longest + 1));
    for (int64_t i = 0; i < rows * width; ++i) batch.memory->push_back(normal(random));
    batch.memory_offsets->push_back(batch.memory_offsets->back() + rows);
  }
}

}  // namespace multihead::test
