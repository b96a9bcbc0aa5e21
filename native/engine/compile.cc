#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/compiler.h"

namespace multihead::engine {

void Compiler::invalid(const std::string& name, std::string got, std::string expected) const {
  throw Error(ErrorCode::kInvalidArgument, name.empty() ? block_path_ : path(name), std::move(got),
              std::move(expected));
}

int64_t Compiler::size(const std::string& name, int64_t value, int64_t largest) const {
  if (value < 1 || value > largest) {
    invalid(name, std::to_string(value), "1 to " + std::to_string(largest));
  }
  return value;
}

float Compiler::finite(const std::string& name, float value) const {
  if (!std::isfinite(value)) invalid(name, std::to_string(value), "a finite number");
  return value;
}

void Compiler::needs_tokens(const char* block) const {
  if (stream_.rows == Rows::kTokens) return;
  const char* after = stream_.rows == Rows::kSelected ? " after a select" : " after a pool";
  invalid("", block + std::string(after), "a block that works on such rows");
}

void Compiler::refuse_cache(std::string where, std::string got, std::string expected) {
  if (code_.why_not_cacheable) return;
  code_.why_not_cacheable.emplace(ErrorCode::kUnsupported, std::move(where), std::move(got),
                                  std::move(expected));
}

Slice Compiler::define(Rows rows, int64_t columns) {
  std::vector<Region>& regions = code_.layout(rows).regions;
  regions.push_back({columns, step_, step_, 0});
  return {rows, regions.size() - 1, 0, columns};
}

Slice Compiler::part(const Slice& slice, int64_t column, int64_t columns) {
  return {slice.rows, slice.region, slice.column + column, columns};
}

ops::Norm Compiler::norm(const std::string& name, const NormSpec& spec, int64_t columns) {
  if (!(spec.epsilon >= 0) || !std::isfinite(spec.epsilon)) {
    invalid(name + ".epsilon", std::to_string(spec.epsilon), "a finite number, at least 0");
  }
  if (spec.gain && spec.kind == ops::NormKind::kL2) {
    invalid(name + ".gain", spec.gain->tensor, "none for an l2 norm");
  }
  if (spec.bias && spec.kind != ops::NormKind::kLayer) {
    invalid(name + ".bias", spec.bias->tensor, "none, except for a layer norm");
  }
  ops::Norm norm;
  norm.kind = spec.kind;
  norm.epsilon = spec.epsilon;
  if (spec.gain) norm.gain = resident_.vector(*spec.gain, columns);
  if (spec.bias) norm.bias = resident_.vector(*spec.bias, columns);
  return norm;
}

// The stream, or a normed copy of it.
Slice Compiler::normed_stream(const std::optional<NormSpec>& norm_before) {
  if (!norm_before) return stream_;
  NormStep step;
  step.norm = norm("normBefore", *norm_before, stream_.columns);
  step.x = stream_;
  step.out = define(stream_.rows, stream_.columns);
  use(stream_);
  emit(step);
  return step.out;
}

LinearStep Compiler::linear(const Slice& x, const std::vector<LinearPart>& parts) {
  LinearStep step;
  step.weight = resident_.packed(parts, x.columns);
  step.bias = resident_.bias(parts);
  step.x = x;
  return step;
}

Slice Compiler::emit_to_new_region(LinearStep step) {
  step.out = define(step.x.rows, step.weight.n);
  use(step.x);
  emit(step);
  return step.out;
}

// stream = norm(stream + x W^T + b), in place.
void Compiler::add_to_stream(const Slice& x, const LinearSpec& spec,
                             const std::optional<NormSpec>& after) {
  LinearStep step = linear(x, {{&spec, stream_.columns}});
  step.norm = optional_norm("normAfter", after, stream_.columns);
  step.residual = Residual::kAddOut;
  step.out = stream_;
  use(x);
  use(stream_);
  emit(step);
  if (stream_.rows == Rows::kTokens) code_.info.width = stream_.columns;
}

ConstMatrix Compiler::positions(const Positions& positions, int64_t width) {
  if (const auto* learned = std::get_if<LearnedPositions>(&positions)) {
    size("positions.count", learned->count, kMaxTableRows);
    if (learned->offset < 0 || learned->offset >= learned->count) {
      invalid("positions.offset", std::to_string(learned->offset),
              "0 to " + std::to_string(learned->count - 1));
    }
    code_.position_offset = learned->offset;
    code_.limits.longest_sequence = learned->count - learned->offset;
    return resident_.table(learned->table, learned->count, width);
  }
  if (const auto* sinusoidal = std::get_if<SinusoidalPositions>(&positions)) {
    size("positions.count", sinusoidal->count, kMaxSinusoidalPositions);
    code_.limits.longest_sequence = sinusoidal->count;
    return resident_.sinusoidal(sinusoidal->count, width, sinusoidal->layout);
  }
  return {};
}

void Compiler::add(const EmbedBlock& block) {
  if (code_.blocks.size() != 1) invalid("", "a second embed", "it only as blocks[0]");
  EmbedStep step;
  code_.limits.vocabulary = size("vocabulary", block.vocabulary, kMaxTableRows);
  step.token_table = resident_.table(block.tokens, block.vocabulary, width_);
  if (block.types) {
    code_.limits.type_count = size("types.count", block.type_count, kMaxTableRows);
    step.type_table = resident_.table(*block.types, block.type_count, width_);
  }
  step.position_table = positions(block.positions, width_);
  step.scale = finite("scale", block.scale);
  step.norm = optional_norm("norm", block.norm, width_);
  stream_ = define(Rows::kTokens, width_);
  step.out = stream_;
  emit(step);
}

void Compiler::add(const FeedForwardBlock& block) {
  size("inner", block.inner);
  const Slice x = normed_stream(block.norm_before);
  LinearStep up = linear(x, {{&block.up, block.inner}});
  if (block.gate) {
    const std::vector<LinearPart> gate = {{&*block.gate, block.inner}};
    up.gate = resident_.packed(gate, x.columns);
    up.gate_bias = resident_.bias(gate);
  }
  up.activation = block.activation;
  add_to_stream(emit_to_new_region(up), block.down, block.norm_after);
  ++code_.info.layers;
}

void Compiler::add(const NormBlock& block) {
  NormStep step;
  step.norm = norm("norm", block.norm, stream_.columns);
  step.x = stream_;
  step.out = stream_;
  use(stream_);
  emit(step);
}

void Compiler::add(const ProjectBlock& block) {
  size("width", block.width);
  LinearStep step = linear(stream_, {{&block.linear, block.width}});
  step.scale = finite("scale", block.scale);
  step.activation = block.activation;
  stream_ = emit_to_new_region(step);
}

void Compiler::add(const PoolBlock& block) {
  needs_tokens("a pool");
  if (block.parts.empty() || block.parts.size() > kMaxPoolParts) {
    invalid("parts", std::to_string(block.parts.size()) + " parts",
            "1 to " + std::to_string(kMaxPoolParts));
  }
  const Slice tokens = stream_;
  const auto parts = static_cast<int64_t>(block.parts.size());
  stream_ = define(Rows::kSequences, size("parts x width", parts * tokens.columns));
  for (int64_t i = 0; i < parts; ++i) {
    PoolStep step;
    step.kind = block.parts[static_cast<size_t>(i)];
    step.x = tokens;
    step.out = part(stream_, i * tokens.columns, tokens.columns);
    if (step.kind == ops::PoolKind::kWeightedSum) step.weight_row = code_.limits.weighted_parts++;
    use(tokens);
    use(stream_);
    emit(step);
  }
  if (code_.limits.weighted_parts > 0) {
    code_.pool_block = static_cast<int64_t>(code_.blocks.size()) - 1;
  }
}

void Compiler::add(const SelectBlock&) {
  needs_tokens("a select");
  SelectStep step;
  step.x = stream_;
  step.out = define(Rows::kSelected, stream_.columns);
  use(stream_);
  emit(step);
  stream_ = step.out;
  code_.limits.selects = Selects::kYes;
}

Code Compiler::compile(const Plan& plan, ops::Device& device, ops::Executor& executor,
                       const std::atomic<bool>& cancelled) {
  block_path_ = "plan";
  width_ = size("width", plan.width);
  if (plan.memory_width != 0) {
    code_.limits.memory_width = size("memoryWidth", plan.memory_width);
    code_.memory = define(Rows::kMemory, plan.memory_width);
  }
  if (plan.blocks.empty() || plan.blocks.size() > kMaxBlocks) {
    invalid("blocks", std::to_string(plan.blocks.size()) + " blocks",
            "1 to " + std::to_string(kMaxBlocks));
  }
  if (!std::holds_alternative<EmbedBlock>(plan.blocks[0])) {
    invalid("blocks[0]", "another block", "embed");
  }
  code_.info.width = plan.width;
  for (const Block& block : plan.blocks) {
    block_path_ = "plan.blocks[" + std::to_string(code_.blocks.size()) + "]";
    code_.blocks.emplace_back();
    std::visit([this](const auto& typed) { add(typed); }, block);
    code_.blocks.back().stream = stream_;
  }
  if (stream_.rows != Rows::kSelected) {
    refuse_cache("plan.blocks", "no select block", "select, then norm and project blocks");
  }
  resident_.load(executor, cancelled);

  for (Layout& layout : code_.layouts) layout.columns = plan_regions(layout.regions);
  code_.info.isa = device.table().name;
  code_.info.resident_bytes = resident_.bytes();
  code_.info.parameters = resident_.parameters();
  code_.info.unused_tensors = resident_.unused_tensors();
  code_.weights = resident_.take();
  return std::move(code_);
}

std::unique_ptr<Program> compile(const Plan& plan, const WeightList& list, ops::Device& device,
                                 ops::Executor& executor, const std::atomic<bool>& cancelled) {
  const Weights weights(list);
  Code code = Compiler(weights, device).compile(plan, device, executor, cancelled);
  return std::make_unique<Program>(device, std::move(code));
}

}  // namespace multihead::engine
