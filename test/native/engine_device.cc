#include "engine_device.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "engine/convert.h"

namespace multihead::test {
namespace {

constexpr int64_t kFence = 64;
constexpr uint8_t kFenceByte = 0xa5;

TestDevice* current_device = nullptr;
int64_t ops_run = 0;

void begin_op() {
  if (current_device->before_op) current_device->before_op(ops_run);
  ++ops_run;
}

double element(const ConstMatrix& matrix, int64_t row, int64_t column) {
  const int64_t index = row * matrix.stride + column;
  if (matrix.dtype == DType::kF32) return static_cast<const float*>(matrix.data)[index];
  const uint16_t bits = static_cast<const uint16_t*>(matrix.data)[index];
  return matrix.dtype == DType::kF16 ? engine::f32_from_f16(bits) : engine::f32_from_bf16(bits);
}

void normalize(std::vector<double>& x, const ops::Norm& norm) {
  const auto n = static_cast<double>(x.size());
  double mean = 0;
  double squares = 0;
  if (norm.kind == ops::NormKind::kLayer) {
    for (const double value : x) mean += value / n;
  }
  for (const double value : x) squares += (value - mean) * (value - mean);
  const double scale = norm.kind == ops::NormKind::kL2
                           ? 1 / std::max(std::sqrt(squares), static_cast<double>(norm.epsilon))
                           : 1 / std::sqrt(squares / n + norm.epsilon);
  if (norm.kind == ops::NormKind::kNone) return;
  for (size_t c = 0; c < x.size(); ++c) {
    x[c] = (x[c] - mean) * scale * (norm.gain ? norm.gain[c] : 1) + (norm.bias ? norm.bias[c] : 0);
  }
}

double activate(double x, ops::Activation activation) {
  switch (activation) {
    case ops::Activation::kIdentity:
      return x;
    case ops::Activation::kRelu:
      return std::max(x, 0.0);
    case ops::Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case ops::Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ops::Activation::kSilu:
      return x / (1 + std::exp(-x));
    case ops::Activation::kTanh:
      return std::tanh(x);
  }
  return x;
}

void store(const std::vector<double>& row, const Matrix& out, int64_t index) {
  for (size_t c = 0; c < row.size(); ++c) out.f32_row(index)[c] = static_cast<float>(row[c]);
}

void embed(ops::Executor&, const ops::EmbedArgs& args) {
  begin_op();
  std::vector<double> row(static_cast<size_t>(args.out.columns));
  for (int64_t t = 0; t < args.out.rows; ++t) {
    for (size_t c = 0; c < row.size(); ++c) {
      const auto column = static_cast<int64_t>(c);
      row[c] = args.scale * element(args.token_table, args.tokens[t], column);
      if (args.type_table.data != nullptr) {
        row[c] += element(args.type_table, args.types ? args.types[t] : 0, column);
      }
      if (args.position_table.data != nullptr) {
        row[c] += element(args.position_table, args.positions[t], column);
      }
    }
    normalize(row, args.norm);
    store(row, args.out, t);
  }
}

void norm(ops::Executor&, const ops::NormArgs& args) {
  begin_op();
  const int64_t columns = args.out.columns / args.groups;
  std::vector<double> part(static_cast<size_t>(columns));
  for (int64_t m = 0; m < args.out.rows; ++m) {
    for (int64_t g = 0; g < args.groups; ++g) {
      for (int64_t c = 0; c < columns; ++c) {
        part[static_cast<size_t>(c)] = element(args.x, m, g * columns + c);
      }
      normalize(part, args.norm);
      for (int64_t c = 0; c < columns; ++c) {
        args.out.f32_row(m)[g * columns + c] = static_cast<float>(part[static_cast<size_t>(c)]);
      }
    }
  }
}

void copy_row(const ConstMatrix& x, int64_t from, const Matrix& out, int64_t to) {
  std::memcpy(out.f32_row(to), x.f32_row(from), static_cast<size_t>(x.columns) * sizeof(float));
}

void gather(ops::Executor&, const ops::GatherArgs& args) {
  begin_op();
  for (int64_t r = 0; r < args.out.rows; ++r) copy_row(args.x, args.rows[r], args.out, r);
}

void scatter(ops::Executor&, const ops::ScatterArgs& args) {
  begin_op();
  for (int64_t m = 0; m < args.x.rows; ++m) copy_row(args.x, m, args.out, args.rows[m]);
}

void rotary(ops::Executor&, const ops::RotaryArgs& args) {
  begin_op();
  const int64_t pairs = args.angles.columns / 2;
  const bool halves = args.pairs == ops::RotaryPairs::kHalves;
  for (int64_t t = 0; t < args.x.rows; ++t) {
    for (int64_t h = 0; h < args.heads; ++h) {
      float* head = args.x.f32_row(t) + h * args.head_dim;
      for (int64_t i = 0; i < pairs; ++i) {
        float& a = head[halves ? i : 2 * i];
        float& b = head[halves ? i + pairs : 2 * i + 1];
        const double cosine = element(args.angles, t, i);
        const double sine = element(args.angles, t, pairs + i);
        const double turned = a * cosine - b * sine;
        b = static_cast<float>(b * cosine + a * sine);
        a = static_cast<float>(turned);
      }
    }
  }
}

int64_t packed_linear_bytes(int64_t n, int64_t k) { return n * k * int64_t{sizeof(float)}; }

void pack_linear(ops::Executor&, const ops::PackLinearArgs& args) {
  std::memcpy(args.packed, args.weight.data,
              static_cast<size_t>(packed_linear_bytes(args.weight.rows, args.weight.columns)));
}

int64_t linear_scratch_bytes(int64_t, int64_t, int64_t, int workers) { return 64 * workers; }

double product(const ConstMatrix& x, int64_t m, const ops::PackedWeight& weight, int64_t n) {
  double sum = 0;
  for (int64_t k = 0; k < weight.k; ++k) {
    sum += element(x, m, k) * static_cast<const float*>(weight.data)[n * weight.k + k];
  }
  return sum;
}

void linear(ops::Executor&, const ops::LinearArgs& args) {
  begin_op();
  std::memset(args.scratch, 0xff, 64 * 3);  // it is ours to write
  std::vector<double> row(static_cast<size_t>(args.out.columns));
  for (int64_t m = 0; m < args.out.rows; ++m) {
    for (int64_t n = 0; n < args.out.columns; ++n) {
      double value =
          args.scale * product(args.x, m, args.weight, n) + (args.bias ? args.bias[n] : 0);
      if (args.gate.data != nullptr) {
        const double gate =
            product(args.x, m, args.gate, n) + (args.gate_bias ? args.gate_bias[n] : 0);
        value *= activate(gate, args.activation);
      } else {
        value = activate(value, args.activation);
      }
      if (args.residual.data != nullptr) value += element(args.residual, m, n);
      row[static_cast<size_t>(n)] = value;
    }
    normalize(row, args.norm);
    store(row, args.out, m);
  }
}

int64_t attention_scratch_bytes(int64_t, int workers) { return 128 * workers; }

double bias_of(const ops::AttentionArgs& args, int64_t head, int64_t distance) {
  double bias = args.slopes ? args.slopes[head] * static_cast<double>(distance) : 0;
  if (args.relative_bias.data != nullptr) {
    const int64_t longest = args.relative_bias.columns / 2;
    bias += element(args.relative_bias, head, longest + std::clamp(distance, -longest, longest));
  }
  return bias;
}

// One head of one query at `position` over the keys of sequence b.
void attend(const ops::AttentionArgs& args, int64_t b, int64_t query, int64_t position,
            int64_t head) {
  const int64_t key_head = head / (args.heads / args.key_heads);
  const int32_t* blocks = args.key_blocks + args.key_block_offsets[b];
  std::vector<double> scores;
  std::vector<int64_t> seen;
  for (int64_t j = 0; j < args.key_counts[b]; ++j) {
    const bool masked = args.mask == ops::Mask::kCausal && j > position;
    const bool outside = args.window >= 0 && std::abs(position - j) > args.window;
    if (masked || outside) continue;
    const int64_t row = blocks[j / ops::kKeyBlock] + j % ops::kKeyBlock;
    double score = 0;
    for (int64_t d = 0; d < args.head_dim; ++d) {
      score += element(args.query, query, head * args.head_dim + d) *
               element(args.key, row, key_head * args.head_dim + d);
    }
    scores.push_back(score * args.scale + bias_of(args, head, j - position));
    seen.push_back(row);
  }
  const double largest = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - largest);
  for (int64_t d = 0; d < args.head_dim; ++d) {
    double sum = 0;
    for (size_t j = 0; j < seen.size(); ++j) {
      sum += scores[j] / total * element(args.value, seen[j], key_head * args.head_dim + d);
    }
    args.out.f32_row(query)[head * args.head_dim + d] = static_cast<float>(sum);
  }
}

void attention(ops::Executor&, const ops::AttentionArgs& args) {
  begin_op();
  std::memset(args.scratch, 0xff, 128 * 3);
  for (int64_t b = 0; b < args.sequences; ++b) {
    const int64_t begin = args.query_offsets[b];
    const int64_t length = args.query_offsets[b + 1] - begin;
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t h = 0; h < args.heads; ++h) {
        attend(args, b, begin + i, args.key_counts[b] - length + i, h);
      }
    }
  }
}

void pool(ops::Executor&, const ops::PoolArgs& args) {
  begin_op();
  for (int64_t b = 0; b < args.sequences; ++b) {
    for (int64_t c = 0; c < args.x.columns; ++c) {
      double result = 0;
      for (int64_t t = args.offsets[b]; t < args.offsets[b + 1]; ++t) {
        const double x = element(args.x, t, c);
        if (args.kind == ops::PoolKind::kWeightedSum) {
          result += args.weights[t] * x;
        } else {
          result = t == args.offsets[b] ? x : std::max(result, x);
        }
      }
      args.out.f32_row(b)[c] = static_cast<float>(result);
    }
  }
}

const ops::OpTable naive_table = {"naive",
                                  embed,
                                  norm,
                                  gather,
                                  scatter,
                                  rotary,
                                  packed_linear_bytes,
                                  pack_linear,
                                  linear_scratch_bytes,
                                  linear,
                                  attention_scratch_bytes,
                                  attention,
                                  pool};

}  // namespace

TestDevice::~TestDevice() {
  while (!sizes_.empty()) release(sizes_.begin()->first);
}

const ops::OpTable& TestDevice::table() const {
  current_device = const_cast<TestDevice*>(this);
  return naive_table;
}

void* TestDevice::allocate(int64_t bytes) {
  if (bytes < 0 || bytes > limit - bytes_) {
    throw Error(ErrorCode::kOutOfMemory, "test device", std::to_string(bytes) + " bytes", "fewer");
  }
  const int64_t padded = (bytes + 63) / 64 * 64 + kFence;
  void* memory = std::aligned_alloc(64, static_cast<size_t>(padded));
  std::memset(memory, 0xff, static_cast<size_t>(bytes));  // every f32 is NaN
  std::memset(static_cast<uint8_t*>(memory) + bytes, kFenceByte,
              static_cast<size_t>(padded - bytes));
  sizes_[memory] = bytes;
  bytes_ += bytes;
  ++allocations_;
  return memory;
}

void TestDevice::release(void* memory) noexcept {
  bytes_ -= sizes_.at(memory);
  sizes_.erase(memory);
  std::free(memory);
}

void TestDevice::upload(void* device_destination, const void* source, int64_t bytes) {
  std::memcpy(device_destination, source, static_cast<size_t>(bytes));
}

void TestDevice::download(void* destination, const void* device_source, int64_t bytes) {
  std::memcpy(destination, device_source, static_cast<size_t>(bytes));
}

// The engine runs on a lane but never opens one: the tests call it directly.
std::unique_ptr<ops::Lane> TestDevice::open_lane(int) {
  throw Error(ErrorCode::kUnsupported, "test device", "a lane", "none");
}

bool TestDevice::fences_intact() const {
  for (const auto& [memory, bytes] : sizes_) {
    const auto* fence = static_cast<const uint8_t*>(memory) + bytes;
    if (std::any_of(fence, fence + kFence, [](uint8_t byte) { return byte != kFenceByte; })) {
      return false;
    }
  }
  return true;
}

}  // namespace multihead::test
