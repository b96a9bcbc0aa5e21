#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/compiler.h"

namespace multihead::engine {

void Compiler::check(const AttentionBlock& block) const {
  size("headDim", block.head_dim);
  if (block.head_dim > ops::kMaxHeadDim) {
    throw Error(ErrorCode::kUnsupported, path("headDim"), std::to_string(block.head_dim),
                "1 to " + std::to_string(ops::kMaxHeadDim));
  }
  size("heads", block.heads, kMaxDimension / block.head_dim);
  size("keyHeads", block.key_heads, block.heads);
  if (block.heads % block.key_heads != 0) {
    invalid("keyHeads", std::to_string(block.key_heads),
            "a divisor of heads, " + std::to_string(block.heads));
  }
  finite("scale", block.scale);
  if (block.window < -1) invalid("window", std::to_string(block.window), "at least 0");
  if (!block.slopes.empty() && static_cast<int64_t>(block.slopes.size()) != block.heads) {
    invalid("slopes", "length " + std::to_string(block.slopes.size()),
            "one for each of " + std::to_string(block.heads) + " heads");
  }
  for (size_t i = 0; i < block.slopes.size(); ++i) {
    finite("slopes[" + std::to_string(i) + "]", block.slopes[i]);
  }
  if (block.rotary) check_rotary(*block.rotary, block.head_dim);
  if (block.keys_from == KeySource::kMemory) check_stream_only(block);
}

// The rows of a memory are at no distance from the tokens, so nothing may depend on one.
void Compiler::check_stream_only(const AttentionBlock& block) const {
  const auto refuse = [this](const char* name) {
    invalid(name, "given", "none, since keys come from the memory");
  };
  if (block.rotary) refuse("rotary");
  if (!block.slopes.empty()) refuse("slopes");
  if (block.relative_bias) refuse("relativeBias");
  if (block.window >= 0) refuse("window");
  if (block.mask != ops::Mask::kFull) {
    invalid("mask", "causal", "full, since keys come from the memory");
  }
  if (!code_.memory) {
    throw Error(ErrorCode::kInvalidArgument, "plan.memoryWidth", "0",
                "the columns of the memory that " + block_path_ + " reads");
  }
}

void Compiler::check_rotary(const Rotary& rotary, int64_t head_dim) const {
  const auto pairs = static_cast<int64_t>(rotary.frequencies.size());
  if (pairs < 1 || pairs > head_dim / 2) {
    invalid("rotary.frequencies", "length " + std::to_string(pairs),
            "1 to " + std::to_string(head_dim / 2) + ", half of headDim");
  }
  for (size_t i = 0; i < rotary.frequencies.size(); ++i) {
    finite("rotary.frequencies[" + std::to_string(i) + "]", rotary.frequencies[i]);
  }
  finite("rotary.magnitude", rotary.magnitude);
}

// In place, each head on its own.
void Compiler::norm_heads(const std::string& name, const std::optional<NormSpec>& spec,
                          const Slice& x, int64_t head_dim) {
  if (!spec) return;
  NormStep step;
  step.norm = norm(name, *spec, head_dim);
  step.groups = x.columns / head_dim;
  step.x = x;
  step.out = x;
  use(x);
  emit(step);
}

// In place; layers that turn by equal angles share them.
void Compiler::rotate(const Rotary& rotary, const Slice& x, int64_t heads, int64_t head_dim) {
  const Angles angles{rotary.frequencies, rotary.magnitude};
  auto found = std::find(code_.angles.begin(), code_.angles.end(), angles);
  if (found == code_.angles.end()) found = code_.angles.insert(found, angles);
  RotaryStep step;
  step.angles = static_cast<size_t>(found - code_.angles.begin());
  step.heads = heads;
  step.head_dim = head_dim;
  step.pairs = rotary.pairs;
  step.x = x;
  use(x);
  emit(step);
}

ConstMatrix Compiler::relative_bias(const RelativeBias& bias, int64_t heads) {
  size("relativeBias.bucketCount", bias.bucket_count);
  const auto count = static_cast<int64_t>(bias.buckets.size());
  if (count % 2 == 0 || count > int64_t{kMaxListLength}) {
    invalid("relativeBias.buckets", "length " + std::to_string(count),
            "an odd number, at most " + std::to_string(kMaxListLength));
  }
  for (size_t i = 0; i < bias.buckets.size(); ++i) {
    if (bias.buckets[i] >= 0 && bias.buckets[i] < bias.bucket_count) continue;
    invalid("relativeBias.buckets[" + std::to_string(i) + "]", std::to_string(bias.buckets[i]),
            "0 to " + std::to_string(bias.bucket_count - 1));
  }
  return resident_.relative_bias(bias, heads);
}

void Compiler::add(const AttentionBlock& block) {
  needs_tokens("attention");
  check(block);
  const bool over_stream = block.keys_from == KeySource::kStream;
  const int64_t query_columns = block.heads * block.head_dim;
  const int64_t key_columns = block.key_heads * block.head_dim;
  const LinearPart query = {&block.query, query_columns};
  const LinearPart key = {&block.key, key_columns};
  const LinearPart value = {&block.value, key_columns};

  const Slice x = normed_stream(block.norm_before);
  AttentionStep step;
  KeepStep keep;
  Slice turned;  // queries and keys side by side, where they come from one product
  if (over_stream) {
    const Slice all = emit_to_new_region(linear(x, {query, key, value}));
    step.query = part(all, 0, query_columns);
    keep.keys_values = part(all, query_columns, 2 * key_columns);
    turned = part(all, 0, query_columns + key_columns);
  } else {
    step.query = emit_to_new_region(linear(x, {query}));
    keep.keys_values = emit_to_new_region(linear(*code_.memory, {key, value}));
    if (code_.memory_block < 0) {
      code_.memory_block = static_cast<int64_t>(code_.blocks.size()) - 1;
    }
  }
  step.key = part(keep.keys_values, 0, key_columns);
  step.value = part(keep.keys_values, key_columns, key_columns);
  norm_heads("queryNorm", block.query_norm, step.query, block.head_dim);
  norm_heads("keyNorm", block.key_norm, step.key, block.head_dim);
  if (block.rotary) {
    rotate(*block.rotary, turned, block.heads + block.key_heads, block.head_dim);
  }

  std::vector<int64_t>& layers = over_stream ? code_.stream_layers : code_.memory_layers;
  keep.source = step.source = block.keys_from;
  keep.layer = step.layer = layers.size();
  layers.push_back(2 * key_columns);
  use(keep.keys_values);
  emit(keep);
  if (over_stream && block.mask != ops::Mask::kCausal) {
    refuse_cache(path("mask"), "full", "causal, as in every attention over a cached stream");
  }

  step.heads = block.heads;
  step.key_heads = block.key_heads;
  step.head_dim = block.head_dim;
  step.scale = block.scale;
  step.mask = block.mask;
  step.window = block.window;
  if (!block.slopes.empty()) step.slopes = resident_.constants(block.slopes);
  if (block.relative_bias) step.relative_bias = relative_bias(*block.relative_bias, block.heads);
  step.out = define(Rows::kTokens, query_columns);
  use(step.query);
  use(keep.keys_values);
  emit(step);
  add_to_stream(step.out, block.output, block.norm_after);
}

}  // namespace multihead::engine
