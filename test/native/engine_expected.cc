// The second implementation: what a plan means, written from its definition, in double, unpacked.
#include <algorithm>
#include <cmath>

#include "engine_model.h"

namespace multihead::test {
namespace {

using namespace engine;
using Row = std::vector<double>;
using Rows = std::vector<Row>;

class Evaluator {
 public:
  Evaluator(const Model& model, const Batch& batch, size_t sequence)
      : model_(model),
        batch_(batch),
        sequence_(sequence),
        columns_(static_cast<size_t>(model.plan.width)) {}

  // One sequence's stream after each block.
  std::vector<Rows> run() {
    std::vector<Rows> streams;
    for (const Block& block : model_.plan.blocks) {
      if (const auto* project = std::get_if<ProjectBlock>(&block))
        columns_ = size_t(project->width);
      std::visit([this](const auto& typed) { apply(typed); }, block);
      streams.push_back(stream_);
    }
    return streams;
  }

 private:
  double weight(const WeightRef& ref, int64_t row, int64_t column, int64_t columns) const {
    const auto& values = model_.values.at(ref.tensor);
    const int64_t r =
        ref.row_begin + (ref.step == 0 ? row : row / ref.group * ref.step + row % ref.group);
    if (!ref.transpose) return values[static_cast<size_t>(r * columns + column)];
    const auto stored_columns = static_cast<int64_t>(values.size()) / columns;
    return values[static_cast<size_t>(column * stored_columns + r)];
  }

  Row linear(const LinearSpec& spec, const Row& x, int64_t out) const {
    Row y(static_cast<size_t>(out));
    const auto in = static_cast<int64_t>(x.size());
    for (int64_t n = 0; n < out; ++n) {
      double sum = spec.bias ? weight(*spec.bias, n, 0, 1) : 0;
      for (int64_t k = 0; k < in; ++k)
        sum += x[static_cast<size_t>(k)] * weight(spec.weight, n, k, in);
      y[static_cast<size_t>(n)] = sum;
    }
    return y;
  }

  Row norm(const std::optional<NormSpec>& spec, const Row& x) const {
    if (!spec) return x;
    const auto n = static_cast<double>(x.size());
    double sum = 0;
    double squares = 0;
    for (const double v : x) sum += v;
    const double mean = spec->kind == ops::NormKind::kLayer ? sum / n : 0;
    for (const double v : x) squares += (v - mean) * (v - mean);
    Row y;
    for (size_t c = 0; c < x.size(); ++c) {
      const double centred = x[c] - mean;
      if (spec->kind == ops::NormKind::kL2) {
        y.push_back(centred / std::max(std::sqrt(squares), static_cast<double>(spec->epsilon)));
        continue;
      }
      double value = centred / std::sqrt(squares / n + spec->epsilon);
      if (spec->gain) value *= weight(*spec->gain, static_cast<int64_t>(c), 0, 1);
      if (spec->bias) value += weight(*spec->bias, static_cast<int64_t>(c), 0, 1);
      y.push_back(value);
    }
    return y;
  }

  static double activate(ops::Activation activation, double x) {
    if (activation == ops::Activation::kRelu) return x > 0 ? x : 0;
    if (activation == ops::Activation::kGelu) return x * 0.5 * std::erfc(-x * M_SQRT1_2);
    if (activation == ops::Activation::kGeluTanh) {
      return x * 0.5 * (1 + std::tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * std::pow(x, 3))));
    }
    if (activation == ops::Activation::kSilu) return x / (1 + std::exp(-x));
    if (activation == ops::Activation::kTanh) return std::tanh(x);
    return x;
  }

  double position(const Positions& positions, int64_t p, int64_t column, int64_t width) const {
    if (const auto* learned = std::get_if<LearnedPositions>(&positions)) {
      return weight(learned->table, p + learned->offset, column, width);
    }
    if (!std::holds_alternative<SinusoidalPositions>(positions)) return 0;
    int64_t pair = column / 2;
    bool sine = column % 2 == 0;
    if (std::get<SinusoidalPositions>(positions).layout == SinusoidalLayout::kSplit) {
      const int64_t half = (width + 1) / 2;
      sine = column < half;
      pair = sine ? column : column - half;
    }
    const double exponent = static_cast<double>(2 * pair) / static_cast<double>(width);
    const double angle = static_cast<double>(p) / std::pow(10000.0, exponent);
    return sine ? std::sin(angle) : std::cos(angle);
  }

  void apply(const EmbedBlock& block) {
    const int64_t width = model_.plan.width;
    const int32_t begin = batch_.offsets[sequence_];
    for (int32_t t = begin; t < batch_.offsets[sequence_ + 1]; ++t) {
      Row row;
      for (int64_t c = 0; c < width; ++c) {
        double value =
            block.scale * weight(block.tokens, batch_.tokens[static_cast<size_t>(t)], c, width);
        const int32_t type = batch_.types ? (*batch_.types)[static_cast<size_t>(t)] : 0;
        if (block.types) value += weight(*block.types, type, c, width);
        row.push_back(value + position(block.positions, t - begin, c, width));
      }
      stream_.push_back(norm(block.norm, row));
    }
  }

  // Normed head by head, then turned, as the plan says.
  Row heads_of(const LinearSpec& spec, const Row& x, int64_t heads, int64_t head_dim,
               const std::optional<NormSpec>& head_norm, const std::optional<Rotary>& rotary,
               size_t position) const {
    Row all;
    const Row y = linear(spec, x, heads * head_dim);
    for (int64_t h = 0; h < heads; ++h) {
      Row head(y.begin() + h * head_dim, y.begin() + (h + 1) * head_dim);
      head = norm(head_norm, head);
      if (rotary) head = turned(*rotary, head, position);
      all.insert(all.end(), head.begin(), head.end());
    }
    return all;
  }

  static Row turned(const Rotary& rotary, const Row& head, size_t position) {
    Row result = head;
    const size_t pairs = rotary.frequencies.size();
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * rotary.frequencies[i];
      const bool halves = rotary.pairs == ops::RotaryPairs::kHalves;
      const size_t a = halves ? i : 2 * i;
      const size_t b = halves ? i + pairs : 2 * i + 1;
      result[a] = rotary.magnitude * (head[a] * std::cos(angle) - head[b] * std::sin(angle));
      result[b] = rotary.magnitude * (head[b] * std::cos(angle) + head[a] * std::sin(angle));
    }
    return result;
  }

  double bias_of(const AttentionBlock& block, int64_t head, int64_t i, int64_t j) const {
    double bias = block.slopes.empty() ? 0 : block.slopes[size_t(head)] * double(j - i);
    if (block.relative_bias) {
      const auto& buckets = block.relative_bias->buckets;
      const auto longest = static_cast<int64_t>(buckets.size()) / 2;
      const int64_t distance = std::max(-longest, std::min(longest, j - i));
      bias += weight(block.relative_bias->table, buckets[size_t(longest + distance)], head,
                     block.heads);
    }
    return bias;
  }

  Rows memory_rows() const {
    const int64_t width = model_.plan.memory_width;
    Rows rows;
    for (int64_t t = (*batch_.memory_offsets)[sequence_];
         t < (*batch_.memory_offsets)[sequence_ + 1]; ++t) {
      const float* begin = batch_.memory->data() + t * width;
      rows.emplace_back(begin, begin + width);
    }
    return rows;
  }

  void apply(const AttentionBlock& block) {
    const int64_t group = block.heads / block.key_heads;
    Rows queries, keys, values, sources;
    for (const Row& row : stream_) {
      const Row x = norm(block.norm_before, row);
      queries.push_back(heads_of(block.query, x, block.heads, block.head_dim, block.query_norm,
                                 block.rotary, queries.size()));
      sources.push_back(x);
    }
    if (block.keys_from == KeySource::kMemory) sources = memory_rows();
    for (const Row& x : sources) {
      keys.push_back(heads_of(block.key, x, block.key_heads, block.head_dim, block.key_norm,
                              block.rotary, keys.size()));
      values.push_back(linear(block.value, x, block.key_heads * block.head_dim));
    }
    for (int64_t i = 0; i < static_cast<int64_t>(stream_.size()); ++i) {
      Row context(static_cast<size_t>(block.heads * block.head_dim), 0.0);
      for (int64_t h = 0; h < block.heads; ++h) {
        double total = 0;
        Row sum(static_cast<size_t>(block.head_dim), 0.0);
        for (int64_t j = 0; j < static_cast<int64_t>(keys.size()); ++j) {
          if (block.mask == ops::Mask::kCausal && j > i) continue;
          if (block.window >= 0 && std::max(i, j) - std::min(i, j) > block.window) continue;
          double score = 0;
          for (int64_t d = 0; d < block.head_dim; ++d) {
            score += queries[size_t(i)][size_t(h * block.head_dim + d)] *
                     keys[size_t(j)][size_t(h / group * block.head_dim + d)];
          }
          const double probability = std::exp(score * block.scale + bias_of(block, h, i, j));
          total += probability;
          for (int64_t d = 0; d < block.head_dim; ++d) {
            sum[size_t(d)] +=
                probability * values[size_t(j)][size_t(h / group * block.head_dim + d)];
          }
        }
        for (int64_t d = 0; d < block.head_dim; ++d) {
          context[size_t(h * block.head_dim + d)] = total == 0 ? 0 : sum[size_t(d)] / total;
        }
      }
      queries[size_t(i)] = context;
    }
    for (size_t i = 0; i < stream_.size(); ++i) {
      Row& row = stream_[i];
      add_and_norm(row, linear(block.output, queries[i], static_cast<int64_t>(row.size())),
                   block.norm_after);
    }
  }

  void apply(const FeedForwardBlock& block) {
    for (Row& row : stream_) {
      const Row x = norm(block.norm_before, row);
      Row inner = linear(block.up, x, block.inner);
      const Row gate = block.gate ? linear(*block.gate, x, block.inner) : inner;
      for (size_t i = 0; i < inner.size(); ++i) {
        const double active = activate(block.activation, gate[i]);
        inner[i] = block.gate ? active * inner[i] : active;
      }
      add_and_norm(row, linear(block.down, inner, static_cast<int64_t>(row.size())),
                   block.norm_after);
    }
  }

  void add_and_norm(Row& row, const Row& change, const std::optional<NormSpec>& after) const {
    for (size_t c = 0; c < row.size(); ++c) row[c] += change[c];
    row = norm(after, row);
  }

  void apply(const NormBlock& block) {
    for (Row& row : stream_) row = norm(block.norm, row);
  }

  void apply(const ProjectBlock& block) {
    for (Row& row : stream_) {
      Row scaled = row;
      for (double& value : scaled) value *= block.scale;
      row = linear(block.linear, scaled, block.width);
      for (double& value : row) value = activate(block.activation, value);
    }
  }

  void apply(const PoolBlock& block) {
    Row pooled;
    size_t weighted = 0;
    for (const ops::PoolKind kind : block.parts) {
      const bool is_max = kind == ops::PoolKind::kMax;
      Row part(columns_, is_max && !stream_.empty() ? -INFINITY : 0.0);
      for (size_t i = 0; i < stream_.size(); ++i) {
        const size_t t = static_cast<size_t>(batch_.offsets[sequence_]) + i;
        for (size_t c = 0; c < part.size(); ++c) {
          const double x = stream_[i][c];
          part[c] = is_max
                        ? std::max(part[c], x)
                        : part[c] + x * (*batch_.pool_weights)[weighted * batch_.tokens.size() + t];
        }
      }
      if (!is_max) ++weighted;
      pooled.insert(pooled.end(), part.begin(), part.end());
    }
    stream_ = {pooled};
  }

  void apply(const SelectBlock&) {
    if (!batch_.selected) return;
    Rows selected;
    for (const int32_t row : *batch_.selected) {
      const int32_t local = row - batch_.offsets[sequence_];
      if (row < batch_.offsets[sequence_] || row >= batch_.offsets[sequence_ + 1]) continue;
      selected.push_back(stream_[size_t(local)]);
    }
    stream_ = selected;
  }

  const Model& model_;
  const Batch& batch_;
  size_t sequence_;
  size_t columns_;  // of the stream up to a pool
  Rows stream_;
};

}  // namespace

std::vector<std::vector<double>> expected_streams(const Model& model, const Batch& batch) {
  std::vector<std::vector<double>> streams(model.plan.blocks.size());
  for (size_t b = 0; b + 1 < batch.offsets.size(); ++b) {
    const std::vector<Rows> rows = Evaluator(model, batch, b).run();
    for (size_t block = 0; block < streams.size(); ++block) {
      for (const Row& row : rows[block]) {
        streams[block].insert(streams[block].end(), row.begin(), row.end());
      }
    }
  }
  return streams;
}

}  // namespace multihead::test
