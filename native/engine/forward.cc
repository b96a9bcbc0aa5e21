#include "engine/forward.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "engine/checked.h"
#include "engine/parallel.h"

namespace multihead::engine {
namespace {

constexpr int64_t kAlignment = 64;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// `x` as the rows of a matrix of which it is columns [column, column + columns).
Matrix columns_of(const Matrix& matrix, int64_t column, int64_t columns) {
  return {matrix.f32_row(0) + column, matrix.dtype, matrix.rows, columns, matrix.stride};
}

}  // namespace

Error out_of_memory(const Batch& batch) {
  return Error(ErrorCode::kOutOfMemory, "forward",
               "a batch of " + std::to_string(batch.token_count()) + " tokens in " +
                   std::to_string(batch.sequences()) + " sequences",
               "one whose activations fit into memory");
}

void RowNumbers::clear() {
  positions.clear();
  selected.clear();
  stream_keys.clear();
  memory_keys.clear();
  kept_tokens.clear();
  kept_memory.clear();
}

void number_rows(const Code& code, const Batch& batch, RowNumbers& rows) {
  rows.clear();
  for (size_t b = 0; b + 1 < batch.offsets.size(); ++b) {
    const int32_t begin = batch.offsets[b];
    const int32_t end = batch.offsets[b + 1];
    for (int32_t t = begin; t < end; ++t) {
      rows.positions.push_back(static_cast<int32_t>(code.position_offset) + t - begin);
    }
    rows.stream_keys.add_consecutive(begin, end);
    if (!batch.memory) continue;
    rows.memory_keys.add_consecutive((*batch.memory_offsets)[b], (*batch.memory_offsets)[b + 1]);
  }
  if (code.limits.selects == Selects::kNo) return;
  if (batch.selected) {
    rows.selected = *batch.selected;
  } else {
    rows.selected.resize(batch.tokens.size());
    std::iota(rows.selected.begin(), rows.selected.end(), 0);
  }
}

Forward::Forward(const Code& code, ops::Device& device, const Batch& batch, const KeptKeys* kept,
                 int32_t last_block, ops::Executor& executor, Workspace& workspace)
    : code_(code),
      device_(device),
      table_(device.table()),
      batch_(batch),
      kept_(kept),
      executor_(executor),
      workspace_(workspace) {
  compute_angles();
  lay_out(last_block);
  upload_inputs();
}

int64_t Forward::rows(Rows kind) const {
  switch (kind) {
    case Rows::kTokens:
      return batch_.token_count();
    case Rows::kSequences:
      return batch_.sequences();
    case Rows::kSelected:
      return static_cast<int64_t>(workspace_.rows.selected.size());
    case Rows::kMemory:
      return batch_.memory_rows();
  }
  throw Error(ErrorCode::kInternal, "forward", "an unknown kind of rows");
}

Matrix Forward::view(const Slice& slice) const {
  const Region& region = code_.layout(slice.rows).regions[slice.region];
  const int64_t count = rows(slice.rows);
  float* base = bases_[static_cast<size_t>(slice.rows)];
  return {base + region.offset * round_up(count, kRowGroup) + slice.column, DType::kF32, count,
          slice.columns, region.columns};
}

void Forward::download(const Slice& stream, float* destination) const {
  const Matrix matrix = view(stream);
  const int64_t bytes = matrix.rows * matrix.columns * int64_t{sizeof(float)};
  if (bytes > 0) device_.download(destination, matrix.data, bytes);
}

void Forward::run(const BlockCode& block, const std::atomic<bool>& cancelled) {
  for (const Step& step : block.steps) {
    if (cancelled.load(std::memory_order_relaxed)) {
      throw Error(ErrorCode::kAborted, "forward", "cancelled");
    }
    std::visit([this](const auto& typed) { execute(typed); }, step);
  }
}

// Products in f32, as models were trained; cosines and sines rounded once, from double.
void Forward::compute_angles() {
  int64_t columns = 0;
  for (const Angles& angles : code_.angles) columns += angles.columns();
  const std::vector<int32_t>& positions = workspace_.rows.positions;
  const auto tokens = static_cast<int64_t>(positions.size());
  const auto elements = checked_product(columns, tokens);
  if (!elements) throw out_of_memory(batch_);
  workspace_.angles.resize(static_cast<size_t>(*elements));
  float* table = workspace_.angles.data();
  for (const Angles& angles : code_.angles) {
    const size_t pairs = angles.frequencies.size();
    parallel_for(executor_, tokens, [&](int64_t t, int) {
      float* row = table + t * angles.columns();
      const auto position = static_cast<float>(positions[static_cast<size_t>(t)]);
      for (size_t i = 0; i < pairs; ++i) {
        const double angle = static_cast<double>(position * angles.frequencies[i]);
        row[i] = static_cast<float>(std::cos(angle)) * angles.magnitude;
        row[pairs + i] = static_cast<float>(std::sin(angle)) * angles.magnitude;
      }
    });
    table += tokens * angles.columns();
  }
}

std::optional<int64_t> Forward::layout_bytes(Rows kind) const {
  const int64_t group_rows = round_up(rows(kind), kRowGroup);
  const auto elements = checked_product(code_.layout(kind).columns, group_rows);
  return elements ? checked_product(*elements, sizeof(float)) : std::nullopt;
}

int64_t Forward::scratch_bytes(int32_t last_block) const {
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

// visit(pointer on the device, values) for every input but the memory, which has a region.
template <typename Visit>
void Forward::for_each_input(Visit&& visit) {
  static const std::vector<int32_t> no_types;
  static const std::vector<float> no_weights;
  const RowNumbers& rows = workspace_.rows;
  visit(tokens_, batch_.tokens);
  visit(types_, batch_.types ? *batch_.types : no_types);
  visit(positions_, rows.positions);
  visit(offsets_, batch_.offsets);
  visit(selected_, rows.selected);
  visit(pool_weights_, batch_.pool_weights ? *batch_.pool_weights : no_weights);
  visit(angles_, workspace_.angles);
  visit(kept_tokens_, rows.kept_tokens);
  visit(kept_memory_, rows.kept_memory);
  visit(stream_keys_.counts, rows.stream_keys.counts);
  visit(stream_keys_.block_offsets, rows.stream_keys.block_offsets);
  visit(stream_keys_.blocks, rows.stream_keys.blocks);
  visit(memory_keys_.counts, rows.memory_keys.counts);
  visit(memory_keys_.block_offsets, rows.memory_keys.block_offsets);
  visit(memory_keys_.blocks, rows.memory_keys.blocks);
}

// The workspace's parts in order; place(bytes) says where the next one begins.
template <typename Place>
void Forward::place_all(int32_t last_block, Place&& place) {
  for (size_t kind = 0; kind < kRowKinds; ++kind) {
    bases_[kind] = static_cast<float*>(place(layout_bytes(static_cast<Rows>(kind))));
  }
  scratch_ = place(scratch_bytes(last_block));
  for_each_input([&](auto*& pointer, const auto& values) {
    using Value = std::remove_reference_t<decltype(*pointer)>;
    pointer = static_cast<Value*>(place(static_cast<int64_t>(values.size() * sizeof(Value))));
  });
}

// Measures, makes room, then points.
void Forward::lay_out(int32_t last_block) {
  std::optional<int64_t> total = 0;
  place_all(last_block, [&](std::optional<int64_t> bytes) -> void* {
    const auto padded = bytes ? checked_sum(*bytes, kAlignment - 1) : std::nullopt;
    total = total && padded ? checked_sum(*total, *padded / kAlignment * kAlignment) : std::nullopt;
    return nullptr;
  });
  if (!total) throw out_of_memory(batch_);
  DeviceMemory& memory = workspace_.memory;
  if (memory.bytes() < *total) {
    memory.reset();  // before the larger one is asked for
    memory = DeviceMemory(device_, *total);
  }
  auto* next = static_cast<uint8_t*>(memory.data());
  place_all(last_block, [&](std::optional<int64_t> bytes) -> void* {
    uint8_t* begin = next;
    next += round_up(*bytes, kAlignment);
    return begin;
  });
  if (!batch_.types) types_ = nullptr;
}

void Forward::upload_inputs() {
  for_each_input([this](auto* pointer, const auto& values) {
    if (values.empty()) return;
    device_.upload(pointer, values.data(), static_cast<int64_t>(values.size() * sizeof(values[0])));
  });
  if (!batch_.memory || batch_.memory->empty()) return;
  device_.upload(view(*code_.memory).data, batch_.memory->data(),
                 static_cast<int64_t>(batch_.memory->size() * sizeof(float)));
}

void Forward::execute(const EmbedStep& step) {
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

void Forward::execute(const NormStep& step) {
  ops::NormArgs args;
  args.x = view(step.x);
  args.groups = step.groups;
  args.norm = step.norm;
  args.out = view(step.out);
  if (args.out.rows > 0) table_.norm(executor_, args);
}

void Forward::execute(const LinearStep& step) {
  ops::LinearArgs args;
  args.x = view(step.x);
  args.weight = step.weight;
  args.bias = step.bias;
  args.scale = step.scale;
  args.gate = step.gate;
  args.gate_bias = step.gate_bias;
  args.activation = step.activation;
  args.norm = step.norm;
  args.scratch = scratch_;
  args.out = view(step.out);
  if (step.residual == Residual::kAddOut) args.residual = args.out;
  if (args.out.rows > 0) table_.linear(executor_, args);
}

void Forward::execute(const RotaryStep& step) {
  const float* table = angles_;
  for (size_t i = 0; i < step.angles; ++i) {
    table += batch_.token_count() * code_.angles[i].columns();
  }
  const int64_t columns = code_.angles[step.angles].columns();
  ops::RotaryArgs args;
  args.angles = {table, DType::kF32, batch_.token_count(), columns, columns};
  args.heads = step.heads;
  args.head_dim = step.head_dim;
  args.pairs = step.pairs;
  args.x = view(step.x);
  if (args.x.rows > 0) table_.rotary(executor_, args);
}

void Forward::execute(const KeepStep& step) {
  if (kept_ == nullptr) return;
  const bool of_stream = step.source == KeySource::kStream;
  ops::ScatterArgs args;
  args.x = view(step.keys_values);
  args.rows = of_stream ? kept_tokens_ : kept_memory_;
  args.out = (of_stream ? kept_->stream : kept_->memory)[step.layer];
  if (args.x.rows > 0) table_.scatter(executor_, args);
}

void Forward::execute(const AttentionStep& step) {
  const bool over_stream = step.source == KeySource::kStream;
  const DeviceKeyRows& keys = over_stream ? stream_keys_ : memory_keys_;
  ops::AttentionArgs args;
  args.query = view(step.query);
  if (kept_ == nullptr) {
    args.key = view(step.key);
    args.value = view(step.value);
  } else {
    const Matrix& layer = (over_stream ? kept_->stream : kept_->memory)[step.layer];
    args.key = columns_of(layer, 0, step.key.columns);
    args.value = columns_of(layer, step.key.columns, step.value.columns);
  }
  args.query_offsets = offsets_;
  args.key_counts = keys.counts;
  args.key_block_offsets = keys.block_offsets;
  args.key_blocks = keys.blocks;
  args.sequences = batch_.sequences();
  args.heads = step.heads;
  args.key_heads = step.key_heads;
  args.head_dim = step.head_dim;
  args.scale = step.scale;
  args.mask = step.mask;
  args.window = step.window;
  args.slopes = step.slopes;
  args.relative_bias = step.relative_bias;
  args.scratch = scratch_;
  args.out = view(step.out);
  if (args.out.rows > 0) table_.attention(executor_, args);
}

void Forward::execute(const PoolStep& step) {
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

void Forward::execute(const SelectStep& step) {
  ops::GatherArgs args;
  args.x = view(step.x);
  args.rows = selected_;
  args.out = view(step.out);
  if (args.out.rows > 0) table_.gather(executor_, args);
}

}  // namespace multihead::engine
