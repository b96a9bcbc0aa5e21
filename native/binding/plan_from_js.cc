#include "binding/plan_from_js.h"

#include <cmath>
#include <optional>
#include <utility>

#include "binding/js_value.h"
#include "engine/program.h"

namespace multihead::binding {
namespace {

using engine::AttentionBlock;
using engine::EmbedBlock;
using engine::FeedForwardBlock;
using engine::LinearSpec;
using engine::NormBlock;
using engine::NormSpec;
using engine::PoolBlock;
using engine::ProjectBlock;
using engine::SelectBlock;
using engine::WeightRef;

WeightRef weight_ref(const JsValue& value) {
  WeightRef ref;
  ref.tensor = value.get("tensor").string();
  if (const JsValue rows = value.get("rows"); !rows.absent()) {
    if (rows.array_length(2) != 2) rows.fail("[begin, end]");
    ref.row_begin = rows.at(0).integer(0);
    ref.row_end = rows.at(1).integer(0);
  }
  if (const JsValue groups = value.get("groups"); !groups.absent()) {
    if (groups.array_length(3) != 3) groups.fail("[begin, length, step]");
    if (ref.row_end >= 0) groups.fail("none, since there are rows");
    ref.row_begin = groups.at(0).integer(0);
    ref.group = groups.at(1).integer(1);
    ref.step = groups.at(2).integer(1);
  }
  if (const JsValue transpose = value.get("transpose"); !transpose.absent()) {
    ref.transpose = transpose.boolean();
  }
  return ref;
}

template <typename F>
auto optional(const JsValue& value, F&& convert) -> std::optional<decltype(convert(value))> {
  if (value.absent()) return std::nullopt;
  return convert(value);
}

LinearSpec linear(const JsValue& value) {
  return {weight_ref(value.get("weight")), optional(value.get("bias"), weight_ref)};
}

NormSpec norm(const JsValue& value) {
  NormSpec spec;
  spec.kind = value.get("kind").one_of<ops::NormKind>(
      {{"layer", ops::NormKind::kLayer}, {"rms", ops::NormKind::kRms}, {"l2", ops::NormKind::kL2}});
  spec.epsilon = value.get("epsilon").number();
  spec.gain = optional(value.get("gain"), weight_ref);
  spec.bias = optional(value.get("bias"), weight_ref);
  return spec;
}

ops::Activation activation(const JsValue& value) {
  return value.one_of<ops::Activation>({{"identity", ops::Activation::kIdentity},
                                        {"relu", ops::Activation::kRelu},
                                        {"gelu", ops::Activation::kGelu},
                                        {"gelu_tanh", ops::Activation::kGeluTanh},
                                        {"silu", ops::Activation::kSilu},
                                        {"tanh", ops::Activation::kTanh}});
}

engine::Positions positions(const JsValue& value) {
  enum class Kind { kLearned, kSinusoidal };
  if (value.absent()) return engine::NoPositions{};
  const Kind kind = value.get("kind").one_of<Kind>(
      {{"learned", Kind::kLearned}, {"sinusoidal", Kind::kSinusoidal}});
  if (kind == Kind::kSinusoidal) {
    engine::SinusoidalPositions sinusoidal;
    sinusoidal.count = value.get("count").integer(1);
    if (const JsValue layout = value.get("layout"); !layout.absent()) {
      sinusoidal.layout = layout.one_of<engine::SinusoidalLayout>(
          {{"interleaved", engine::SinusoidalLayout::kInterleaved},
           {"split", engine::SinusoidalLayout::kSplit}});
    }
    return sinusoidal;
  }
  engine::LearnedPositions learned;
  learned.table = weight_ref(value.get("table"));
  learned.count = value.get("count").integer(1);
  if (const JsValue offset = value.get("offset"); !offset.absent()) {
    learned.offset = offset.integer(0);
  }
  return learned;
}

engine::Block embed(const JsValue& value) {
  EmbedBlock block;
  block.vocabulary = value.get("vocabulary").integer(1);
  block.tokens = weight_ref(value.get("tokens"));
  if (const JsValue types = value.get("types"); !types.absent()) {
    block.types = weight_ref(types.get("table"));
    block.type_count = types.get("count").integer(1);
  }
  block.positions = positions(value.get("positions"));
  if (const JsValue scale = value.get("scale"); !scale.absent()) block.scale = scale.number();
  block.norm = optional(value.get("norm"), norm);
  return block;
}

// A list of numbers, each of which an f32 can hold.
std::vector<float> numbers(const JsValue& value) {
  std::vector<float> result;
  value.each(engine::kMaxListLength,
             [&](const JsValue& element) { result.push_back(element.number()); });
  return result;
}

engine::Rotary rotary(const JsValue& value) {
  engine::Rotary rotary;
  rotary.frequencies = numbers(value.get("frequencies"));
  if (const JsValue pairs = value.get("pairs"); !pairs.absent()) {
    rotary.pairs = pairs.one_of<ops::RotaryPairs>(
        {{"halves", ops::RotaryPairs::kHalves}, {"neighbours", ops::RotaryPairs::kNeighbours}});
  }
  if (const JsValue magnitude = value.get("magnitude"); !magnitude.absent()) {
    rotary.magnitude = magnitude.number();
  }
  return rotary;
}

engine::RelativeBias relative_bias(const JsValue& value) {
  engine::RelativeBias bias;
  bias.table = weight_ref(value.get("table"));
  bias.bucket_count = value.get("bucketCount").integer(1);
  value.get("buckets").each(engine::kMaxListLength, [&](const JsValue& element) {
    const int64_t bucket = element.integer(0);
    if (bucket >= bias.bucket_count) {
      element.fail("0 to " + std::to_string(bias.bucket_count - 1));
    }
    bias.buckets.push_back(static_cast<int32_t>(bucket));
  });
  return bias;
}

engine::Block attention(const JsValue& value) {
  AttentionBlock block;
  if (const JsValue source = value.get("keysFrom"); !source.absent()) {
    block.keys_from = source.one_of<engine::KeySource>(
        {{"stream", engine::KeySource::kStream}, {"memory", engine::KeySource::kMemory}});
  }
  block.heads = value.get("heads").integer(1);
  const JsValue key_heads = value.get("keyHeads");
  block.key_heads = key_heads.absent() ? block.heads : key_heads.integer(1);
  block.head_dim = value.get("headDim").integer(1);
  block.query = linear(value.get("query"));
  block.key = linear(value.get("key"));
  block.value = linear(value.get("value"));
  block.output = linear(value.get("output"));
  block.query_norm = optional(value.get("queryNorm"), norm);
  block.key_norm = optional(value.get("keyNorm"), norm);
  block.rotary = optional(value.get("rotary"), rotary);
  if (const JsValue slopes = value.get("slopes"); !slopes.absent()) {
    block.slopes = numbers(slopes);
    if (block.slopes.empty()) slopes.fail("one for each head");
  }
  block.relative_bias = optional(value.get("relativeBias"), relative_bias);
  const JsValue scale = value.get("scale");
  block.scale = scale.absent()
                    ? static_cast<float>(1.0 / std::sqrt(static_cast<double>(block.head_dim)))
                    : scale.number();
  if (const JsValue mask = value.get("mask"); !mask.absent()) {
    block.mask =
        mask.one_of<ops::Mask>({{"full", ops::Mask::kFull}, {"causal", ops::Mask::kCausal}});
  }
  if (const JsValue window = value.get("window"); !window.absent()) {
    block.window = window.integer(0);
  }
  block.norm_before = optional(value.get("normBefore"), norm);
  block.norm_after = optional(value.get("normAfter"), norm);
  return block;
}

engine::Block feed_forward(const JsValue& value) {
  FeedForwardBlock block;
  block.inner = value.get("inner").integer(1);
  block.activation = activation(value.get("activation"));
  block.gate = optional(value.get("gate"), linear);
  block.up = linear(value.get("up"));
  block.down = linear(value.get("down"));
  block.norm_before = optional(value.get("normBefore"), norm);
  block.norm_after = optional(value.get("normAfter"), norm);
  return block;
}

engine::Block norm_block(const JsValue& value) { return NormBlock{norm(value.get("norm"))}; }

engine::Block project(const JsValue& value) {
  ProjectBlock block;
  block.width = value.get("width").integer(1);
  if (const JsValue scale = value.get("scale"); !scale.absent()) block.scale = scale.number();
  block.activation = activation(value.get("activation"));
  block.linear = linear(value.get("linear"));
  return block;
}

engine::Block pool(const JsValue& value) {
  PoolBlock block;
  value.get("parts").each(engine::kMaxPoolParts, [&](const JsValue& part) {
    block.parts.push_back(part.one_of<ops::PoolKind>(
        {{"weighted", ops::PoolKind::kWeightedSum}, {"max", ops::PoolKind::kMax}}));
  });
  return block;
}

engine::Block select(const JsValue&) { return SelectBlock{}; }

engine::Block block(const JsValue& value) {
  using Convert = engine::Block (*)(const JsValue&);
  const auto convert = value.get("block").one_of<Convert>({{"embed", embed},
                                                           {"attention", attention},
                                                           {"feedForward", feed_forward},
                                                           {"norm", norm_block},
                                                           {"project", project},
                                                           {"pool", pool},
                                                           {"select", select}});
  return convert(value);
}

}  // namespace

engine::Plan plan_from_js(const Napi::Value& value) {
  const JsValue js(value, "plan");
  engine::Plan plan;
  plan.width = js.get("width").integer(1);
  if (const JsValue width = js.get("memoryWidth"); !width.absent()) {
    plan.memory_width = width.integer(1);
  }
  js.get("blocks").each(engine::kMaxBlocks,
                        [&](const JsValue& element) { plan.blocks.push_back(block(element)); });
  return plan;
}

}  // namespace multihead::binding
