#include "engine/program.h"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "base/error.h"
#include "engine/checked.h"

namespace multihead::engine {
namespace {

constexpr int64_t kAlignment = 64;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

Error out_of_memory(const Batch& batch) {
  return Error(ErrorCode::kOutOfMemory, "forward",
               "a batch of " + std::to_string(batch.token_count()) + " tokens in " +
                   std::to_string(batch.sequences()) + " sequences",
               "one whose activations fit into memory");
}

}  // namespace

// One forward: the batch on the device, and the ops that read it.
class Program::Forward {
 public:
  Forward(const Program& program, const Batch& batch, int32_t last_block, ops::Executor& executor,
          Workspace& workspace)
      : program_(program),
        code_(program.code_),
        table_(program.device_.table()),
        batch_(batch),
        executor_(executor) {
    lay_out(last_block, workspace);
    upload_inputs(workspace);
  }

  void run(const BlockCode& block, const std::atomic<bool>& cancelled) {
    for (const Step& step : block.steps) {
      if (cancelled.load(std::memory_order_relaxed)) {
        throw Error(ErrorCode::kAborted, "forward", "cancelled");
      }
      std::visit([this](const auto& typed) { execute(typed); }, step);
    }
  }

  void download(const Slice& stream, float* destination) {
    const Matrix matrix = view(stream);
    const int64_t bytes = matrix.rows * matrix.columns * int64_t{sizeof(float)};
    if (bytes > 0) program_.device_.download(destination, matrix.data, bytes);
  }

 private:
  int64_t rows(Rows kind) const {
    return kind == Rows::kTokens ? batch_.token_count() : batch_.sequences();
  }

  Matrix view(const Slice& slice) const {
    const bool of_tokens = slice.rows == Rows::kTokens;
    const Region& region = (of_tokens ? code_.tokens : code_.sequences).regions[slice.region];
    float* base = of_tokens ? token_base_ : sequence_base_;
    const int64_t group_rows = round_up(rows(slice.rows), kRowGroup);
    return {base + region.offset * group_rows + slice.column, DType::kF32, rows(slice.rows),
            slice.columns, region.columns};
  }

  void lay_out(int32_t last_block, Workspace& workspace);
  int64_t scratch_bytes(int32_t last_block) const;
  void upload_inputs(Workspace& workspace);

  void execute(const EmbedStep& step);
  void execute(const NormStep& step);
  void execute(const LinearStep& step);
  void execute(const AttentionStep& step);
  void execute(const PoolStep& step);

  const Program& program_;
  const Code& code_;
  const ops::OpTable& table_;
  const Batch& batch_;
  ops::Executor& executor_;

  float* token_base_ = nullptr;
  float* sequence_base_ = nullptr;
  void* scratch_ = nullptr;
  int32_t* tokens_ = nullptr;
  int32_t* types_ = nullptr;
  int32_t* positions_ = nullptr;
  int32_t* offsets_ = nullptr;
  float* pool_weights_ = nullptr;
};

int64_t Program::Forward::scratch_bytes(int32_t last_block) const {
  const int workers = executor_.workers();
  int64_t bytes = 0;
  for (int32_t i = 0; i <= last_block; ++i) {
    for (const Step& step : code_.blocks[static_cast<size_t>(i)].steps) {
      if (const auto* linear = std::get_if<LinearStep>(&step)) {
        bytes =
            std::max(bytes, table_.linear_scratch_bytes(rows(linear->out.rows), linear->weight.n,
                                                        linear->weight.k, workers));
      } else if (const auto* attention = std::get_if<AttentionStep>(&step)) {
        bytes = std::max(bytes, table_.attention_scratch_bytes(attention->head_dim, workers));
      }
    }
  }
  return bytes;
}

// The workspace: token regions, sequence regions, scratch, inputs; each at a multiple of 64 bytes.
void Program::Forward::lay_out(int32_t last_block, Workspace& workspace) {
  std::optional<int64_t> total = 0;
  const auto add = [&](std::optional<int64_t> bytes) {
    const int64_t begin = total.value_or(0);
    const auto padded = bytes ? checked_sum(*bytes, kAlignment - 1) : std::nullopt;
    total = total && padded ? checked_sum(begin, *padded / kAlignment * kAlignment) : std::nullopt;
    return begin;
  };
  const auto layout_bytes = [](const Layout& layout, int64_t rows) {
    const int64_t group_rows = round_up(rows, kRowGroup);
    const auto elements = checked_product(layout.columns, group_rows);
    return elements ? checked_product(*elements, sizeof(float)) : std::nullopt;
  };
  const int64_t tokens = batch_.token_count();
  const int64_t pool_weights =
      batch_.pool_weights ? static_cast<int64_t>(batch_.pool_weights->size()) : 0;
  const int64_t token_begin = add(layout_bytes(code_.tokens, tokens));
  const int64_t sequence_begin = add(layout_bytes(code_.sequences, batch_.sequences()));
  const int64_t scratch_begin = add(scratch_bytes(last_block));
  const int64_t tokens_begin = add(tokens * int64_t{sizeof(int32_t)});
  const int64_t types_begin = add(tokens * int64_t{sizeof(int32_t)});
  const int64_t positions_begin = add(tokens * int64_t{sizeof(int32_t)});
  const int64_t offsets_begin = add((batch_.sequences() + 1) * int64_t{sizeof(int32_t)});
  const int64_t weights_begin = add(pool_weights * int64_t{sizeof(float)});
  if (!total) throw out_of_memory(batch_);

  if (workspace.memory.bytes() < *total) {
    workspace.memory.reset();  // before the larger one is asked for
    workspace.memory = DeviceMemory(program_.device_, *total);
  }
  auto* base = static_cast<uint8_t*>(workspace.memory.data());
  token_base_ = reinterpret_cast<float*>(base + token_begin);
  sequence_base_ = reinterpret_cast<float*>(base + sequence_begin);
  scratch_ = base + scratch_begin;
  tokens_ = reinterpret_cast<int32_t*>(base + tokens_begin);
  types_ = batch_.types ? reinterpret_cast<int32_t*>(base + types_begin) : nullptr;
  positions_ = reinterpret_cast<int32_t*>(base + positions_begin);
  offsets_ = reinterpret_cast<int32_t*>(base + offsets_begin);
  pool_weights_ = reinterpret_cast<float*>(base + weights_begin);
}

void Program::Forward::upload_inputs(Workspace& workspace) {
  const auto upload = [this](auto* destination, const auto& values) {
    if (values.empty()) return;
    program_.device_.upload(destination, values.data(),
                            static_cast<int64_t>(values.size() * sizeof(values[0])));
  };
  std::vector<int32_t>& positions = workspace.positions;
  positions.resize(batch_.tokens.size());
  for (size_t b = 0; b + 1 < batch_.offsets.size(); ++b) {
    int32_t position = static_cast<int32_t>(code_.position_offset);
    for (int32_t t = batch_.offsets[b]; t < batch_.offsets[b + 1]; ++t) {
      positions[static_cast<size_t>(t)] = position++;
    }
  }
  upload(tokens_, batch_.tokens);
  if (batch_.types) upload(types_, *batch_.types);
  upload(positions_, positions);
  upload(offsets_, batch_.offsets);
  if (batch_.pool_weights) upload(pool_weights_, *batch_.pool_weights);
}

void Program::Forward::execute(const EmbedStep& step) {
  ops::EmbedArgs args;
  args.tokens = tokens_;
  args.types = types_;
  args.positions = positions_;
  args.token_table = step.token_table;
  args.type_table = step.type_table;
  args.position_table = step.position_table;
  args.scale = step.scale;
  args.norm = step.norm;
  args.out = view(step.out);
  if (args.out.rows > 0) table_.embed(executor_, args);
}

void Program::Forward::execute(const NormStep& step) {
  ops::NormArgs args;
  args.x = view(step.x);
  args.norm = step.norm;
  args.out = view(step.out);
  if (args.out.rows > 0) table_.norm(executor_, args);
}

void Program::Forward::execute(const LinearStep& step) {
  ops::LinearArgs args;
  args.x = view(step.x);
  args.weight = step.weight;
  args.bias = step.bias;
  args.activation = step.activation;
  args.norm = step.norm;
  args.scratch = scratch_;
  args.out = view(step.out);
  if (step.residual == Residual::kAddOut) args.residual = args.out;
  if (args.out.rows > 0) table_.linear(executor_, args);
}

void Program::Forward::execute(const AttentionStep& step) {
  ops::AttentionArgs args;
  args.query = view(step.query);
  args.key = view(step.key);
  args.value = view(step.value);
  args.query_offsets = offsets_;
  args.key_offsets = offsets_;
  args.sequences = batch_.sequences();
  args.heads = step.heads;
  args.key_heads = step.key_heads;
  args.head_dim = step.head_dim;
  args.scale = step.scale;
  args.mask = step.mask;
  args.window = step.window;
  args.scratch = scratch_;
  args.out = view(step.out);
  if (args.out.rows > 0) table_.attention(executor_, args);
}

void Program::Forward::execute(const PoolStep& step) {
  ops::PoolArgs args;
  args.x = view(step.x);
  args.offsets = offsets_;
  args.sequences = batch_.sequences();
  args.kind = step.kind;
  if (step.kind == ops::PoolKind::kWeightedSum) {
    args.weights = pool_weights_ + step.weight_row * batch_.token_count();
  }
  args.out = view(step.out);
  if (args.out.rows > 0) table_.pool(executor_, args);
}

void Program::check(const Batch& batch, const std::vector<int32_t>& outputs) const {
  check_outputs(outputs, static_cast<int64_t>(code_.blocks.size()));
  const bool pools = code_.pool_block >= 0 && outputs.back() >= code_.pool_block;
  check_batch(batch, code_.limits, pools ? PoolWeights::kRequired : PoolWeights::kOptional);
}

int64_t Program::output_elements(const Batch& batch, int32_t block) const {
  const Slice& stream = code_.blocks[static_cast<size_t>(block)].stream;
  const int64_t rows = stream.rows == Rows::kTokens ? batch.token_count() : batch.sequences();
  const auto elements = checked_product(rows, stream.columns);
  if (!elements) throw out_of_memory(batch);
  return *elements;
}

void Program::run(const Batch& batch, const std::vector<Output>& outputs, ops::Executor& executor,
                  const std::atomic<bool>& cancelled) const {
  const auto give_back = [this](Workspace* taken) { return_workspace(taken); };
  const std::unique_ptr<Workspace, decltype(give_back)> workspace(take_workspace().release(),
                                                                  give_back);
  Forward forward(*this, batch, outputs.back().block, executor, *workspace);
  size_t next = 0;
  for (int32_t i = 0; next < outputs.size(); ++i) {
    const BlockCode& block = code_.blocks[static_cast<size_t>(i)];
    forward.run(block, cancelled);
    if (outputs[next].block == i) forward.download(block.stream, outputs[next++].destination);
  }
}

std::unique_ptr<Program::Workspace> Program::take_workspace() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.empty()) return std::make_unique<Workspace>();
  std::unique_ptr<Workspace> workspace = std::move(idle_.back());
  idle_.pop_back();
  return workspace;
}

void Program::return_workspace(Workspace* workspace) const noexcept {
  std::unique_ptr<Workspace> owned(workspace);
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    idle_.push_back(std::move(owned));
  } catch (const std::bad_alloc&) {  // the workspace is freed instead of kept
  }
}

}  // namespace multihead::engine
