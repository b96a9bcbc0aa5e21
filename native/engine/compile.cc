// Plan to program: every size and shape is checked here and nowhere else, each block becomes the
// shortest list of ops (query, key and value in one product; residual and norm in epilogues).
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/checked.h"
#include "engine/program.h"
#include "engine/resident_weights.h"

namespace multihead::engine {
namespace {

[[noreturn]] void invalid(std::string where, std::string got, std::string expected) {
  throw Error(ErrorCode::kInvalidArgument, std::move(where), std::move(got), std::move(expected));
}

class Compiler {
 public:
  Compiler(const Weights& weights, ops::Device& device) : resident_(weights, device) {}

  Code compile(const Plan& plan, ops::Device& device, ops::Executor& executor,
               const std::atomic<bool>& cancelled);

 private:
  // Checks of single values; `name` is a property of the current block.
  std::string path(const std::string& name) const { return block_path_ + "." + name; }
  int64_t size(const std::string& name, int64_t value, int64_t largest = kMaxDimension) const {
    if (value < 1 || value > largest) {
      invalid(path(name), std::to_string(value), "1 to " + std::to_string(largest));
    }
    return value;
  }
  float finite(const std::string& name, float value) const {
    if (!std::isfinite(value)) invalid(path(name), std::to_string(value), "a finite number");
    return value;
  }
  void needs_tokens(const char* block) const {
    if (stream_.rows == Rows::kTokens) return;
    invalid(block_path_, std::string(block) + " after a pool", "a block that works on pooled rows");
  }

  // Regions. A slice stays valid until the last step that was told of it.
  Slice define(Rows rows, int64_t columns);
  Slice part(const Slice& slice, int64_t column, int64_t columns) const;
  void use(const Slice& slice) { layout(slice.rows).regions[slice.region].last = step_; }
  Layout& layout(Rows rows) { return rows == Rows::kTokens ? code_.tokens : code_.sequences; }
  template <typename S>
  void emit(S step) {
    code_.blocks.back().steps.emplace_back(std::move(step));
    ++step_;
  }

  ops::Norm norm(const std::string& name, const NormSpec& spec, int64_t columns);
  ops::Norm optional_norm(const std::string& name, const std::optional<NormSpec>& spec,
                          int64_t columns) {
    return spec ? norm(name, *spec, columns) : ops::Norm{};
  }
  Slice normed_stream(const std::optional<NormSpec>& norm_before);
  Slice linear(const Slice& x, const std::vector<LinearPart>& parts, ops::Activation activation);
  void add_to_stream(const Slice& x, const LinearSpec& spec, const std::optional<NormSpec>& after);

  void add(const EmbedBlock& block);
  void add(const AttentionBlock& block);
  void add(const FeedForwardBlock& block);
  void add(const NormBlock& block);
  void add(const ProjectBlock& block);
  void add(const PoolBlock& block);
  ConstMatrix positions(const Positions& positions, int64_t width);

  ResidentWeights resident_;
  Code code_;
  std::string block_path_;
  Slice stream_;
  int64_t step_ = 0;
  int64_t width_ = 0;
};

Slice Compiler::define(Rows rows, int64_t columns) {
  std::vector<Region>& regions = layout(rows).regions;
  regions.push_back({columns, step_, step_, 0});
  return {rows, regions.size() - 1, 0, columns};
}

Slice Compiler::part(const Slice& slice, int64_t column, int64_t columns) const {
  return {slice.rows, slice.region, slice.column + column, columns};
}

ops::Norm Compiler::norm(const std::string& name, const NormSpec& spec, int64_t columns) {
  if (!(spec.epsilon >= 0) || !std::isfinite(spec.epsilon)) {
    invalid(path(name + ".epsilon"), std::to_string(spec.epsilon), "a finite number, at least 0");
  }
  if (spec.gain && spec.kind == ops::NormKind::kL2) {
    invalid(path(name + ".gain"), spec.gain->tensor, "none for an l2 norm");
  }
  if (spec.bias && spec.kind != ops::NormKind::kLayer) {
    invalid(path(name + ".bias"), spec.bias->tensor, "none, except for a layer norm");
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

// activation(x W^T + b) in a new region, W and b being the parts' one below the other.
Slice Compiler::linear(const Slice& x, const std::vector<LinearPart>& parts,
                       ops::Activation activation) {
  LinearStep step;
  step.weight = resident_.packed(parts, x.columns);
  step.bias = resident_.bias(parts);
  step.activation = activation;
  step.x = x;
  step.out = define(x.rows, step.weight.n);
  use(x);
  emit(step);
  return step.out;
}

// stream = norm(stream + x W^T + b), in place.
void Compiler::add_to_stream(const Slice& x, const LinearSpec& spec,
                             const std::optional<NormSpec>& after) {
  const std::vector<LinearPart> parts = {{&spec, stream_.columns}};
  LinearStep step;
  step.weight = resident_.packed(parts, x.columns);
  step.bias = resident_.bias(parts);
  step.norm = optional_norm("normAfter", after, stream_.columns);
  step.residual = Residual::kAddOut;
  step.x = x;
  step.out = stream_;
  use(x);
  use(stream_);
  emit(step);
}

ConstMatrix Compiler::positions(const Positions& positions, int64_t width) {
  if (const auto* learned = std::get_if<LearnedPositions>(&positions)) {
    size("positions.count", learned->count, kMaxTableRows);
    if (learned->offset < 0 || learned->offset >= learned->count) {
      invalid(path("positions.offset"), std::to_string(learned->offset),
              "0 to " + std::to_string(learned->count - 1));
    }
    code_.position_offset = learned->offset;
    code_.limits.longest_sequence = learned->count - learned->offset;
    return resident_.table(learned->table, learned->count, width);
  }
  if (const auto* sinusoidal = std::get_if<SinusoidalPositions>(&positions)) {
    size("positions.count", sinusoidal->count, kMaxSinusoidalPositions);
    code_.limits.longest_sequence = sinusoidal->count;
    return resident_.sinusoidal(sinusoidal->count, width);
  }
  return {};
}

void Compiler::add(const EmbedBlock& block) {
  if (code_.blocks.size() != 1) invalid(block_path_, "a second embed", "it only as blocks[0]");
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

void Compiler::add(const AttentionBlock& block) {
  needs_tokens("attention");
  size("headDim", block.head_dim);
  if (block.head_dim > ops::kMaxHeadDim) {
    throw Error(ErrorCode::kUnsupported, path("headDim"), std::to_string(block.head_dim),
                "1 to " + std::to_string(ops::kMaxHeadDim));
  }
  size("heads", block.heads, kMaxDimension / block.head_dim);
  size("keyHeads", block.key_heads, block.heads);
  if (block.heads % block.key_heads != 0) {
    invalid(path("keyHeads"), std::to_string(block.key_heads),
            "a divisor of heads, " + std::to_string(block.heads));
  }
  if (block.window < -1) invalid(path("window"), std::to_string(block.window), "at least 0");
  const int64_t query_columns = block.heads * block.head_dim;
  const int64_t key_columns = block.key_heads * block.head_dim;

  const Slice x = normed_stream(block.norm_before);
  const Slice qkv = linear(
      x, {{&block.query, query_columns}, {&block.key, key_columns}, {&block.value, key_columns}},
      ops::Activation::kIdentity);
  AttentionStep step;
  step.query = part(qkv, 0, query_columns);
  step.key = part(qkv, query_columns, key_columns);
  step.value = part(qkv, query_columns + key_columns, key_columns);
  step.heads = block.heads;
  step.key_heads = block.key_heads;
  step.head_dim = block.head_dim;
  step.scale = finite("scale", block.scale);
  step.mask = block.mask;
  step.window = block.window;
  step.out = define(Rows::kTokens, query_columns);
  use(qkv);
  emit(step);
  add_to_stream(step.out, block.output, block.norm_after);
}

void Compiler::add(const FeedForwardBlock& block) {
  size("inner", block.inner);
  const Slice x = normed_stream(block.norm_before);
  const Slice inner = linear(x, {{&block.up, block.inner}}, block.activation);
  add_to_stream(inner, block.down, block.norm_after);
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
  stream_ = linear(stream_, {{&block.linear, block.width}}, block.activation);
}

void Compiler::add(const PoolBlock& block) {
  needs_tokens("a pool");
  if (block.parts.empty() || block.parts.size() > kMaxPoolParts) {
    invalid(path("parts"), std::to_string(block.parts.size()) + " parts",
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

Code Compiler::compile(const Plan& plan, ops::Device& device, ops::Executor& executor,
                       const std::atomic<bool>& cancelled) {
  block_path_ = "plan";
  width_ = size("width", plan.width);
  if (plan.blocks.empty() || plan.blocks.size() > kMaxBlocks) {
    invalid("plan.blocks", std::to_string(plan.blocks.size()) + " blocks",
            "1 to " + std::to_string(kMaxBlocks));
  }
  if (!std::holds_alternative<EmbedBlock>(plan.blocks[0])) {
    invalid("plan.blocks[0]", "another block", "embed");
  }
  for (const Block& block : plan.blocks) {
    block_path_ = "plan.blocks[" + std::to_string(code_.blocks.size()) + "]";
    code_.blocks.emplace_back();
    std::visit([this](const auto& typed) { add(typed); }, block);
    code_.blocks.back().stream = stream_;
  }
  resident_.load(executor, cancelled);

  code_.tokens.columns = plan_regions(code_.tokens.regions);
  code_.sequences.columns = plan_regions(code_.sequences.regions);
  code_.info.isa = device.table().name;
  code_.info.resident_bytes = resident_.bytes();
  code_.info.width = plan.width;
  code_.info.parameters = resident_.parameters();
  code_.info.unused_tensors = resident_.unused_tensors();
  code_.weights = resident_.take();
  return std::move(code_);
}

}  // namespace

std::unique_ptr<Program> compile(const Plan& plan, const WeightList& list, ops::Device& device,
                                 ops::Executor& executor, const std::atomic<bool>& cancelled) {
  const Weights weights(list);
  Code code = Compiler(weights, device).compile(plan, device, executor, cancelled);
  return std::make_unique<Program>(device, std::move(code));
}

}  // namespace multihead::engine
