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
using engine::WeightRef;

WeightRef weight_ref(const JsValue& value) {
  WeightRef ref;
  ref.tensor = value.get("tensor").string();
  if (const JsValue rows = value.get("rows"); !rows.absent()) {
    if (rows.array_length(2) != 2) rows.fail("[begin, end]");
    ref.row_begin = rows.at(0).integer(0);
    ref.row_end = rows.at(1).integer(0);
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
  if (kind == Kind::kSinusoidal) return engine::SinusoidalPositions{value.get("count").integer(1)};
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

engine::Block attention(const JsValue& value) {
  AttentionBlock block;
  block.heads = value.get("heads").integer(1);
  const JsValue key_heads = value.get("keyHeads");
  block.key_heads = key_heads.absent() ? block.heads : key_heads.integer(1);
  block.head_dim = value.get("headDim").integer(1);
  block.query = linear(value.get("query"));
  block.key = linear(value.get("key"));
  block.value = linear(value.get("value"));
  block.output = linear(value.get("output"));
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

engine::Block block(const JsValue& value) {
  using Convert = engine::Block (*)(const JsValue&);
  const auto convert = value.get("block").one_of<Convert>({{"embed", embed},
                                                           {"attention", attention},
                                                           {"feedForward", feed_forward},
                                                           {"norm", norm_block},
                                                           {"project", project},
                                                           {"pool", pool}});
  return convert(value);
}

}  // namespace

engine::Plan plan_from_js(const Napi::Value& value) {
  const JsValue js(value, "plan");
  engine::Plan plan;
  plan.width = js.get("width").integer(1);
  js.get("blocks").each(engine::kMaxBlocks,
                        [&](const JsValue& element) { plan.blocks.push_back(block(element)); });
  return plan;
}

}  // namespace multihead::binding
