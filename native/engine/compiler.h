// Plan to code: every size and shape is checked here and nowhere else, each block becomes the
// shortest list of ops (query, key and value in one product; residual and norm in epilogues).
//
// compile.cc holds the walk over the blocks and the simple ones, compile_attention.cc attention.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/code.h"
#include "engine/plan.h"
#include "engine/program.h"
#include "engine/resident_weights.h"
#include "ops/device.h"

namespace multihead::engine {

class Compiler {
 public:
  Compiler(const Weights& weights, ops::Device& device) : resident_(weights, device) {}

  Code compile(const Plan& plan, ops::Device& device, ops::Executor& executor,
               const std::atomic<bool>& cancelled);

 private:
  // Checks of single values; `name` is a property of the current block.
  [[noreturn]] void invalid(const std::string& name, std::string got, std::string expected) const;
  std::string path(const std::string& name) const { return block_path_ + "." + name; }
  int64_t size(const std::string& name, int64_t value, int64_t largest = kMaxDimension) const;
  float finite(const std::string& name, float value) const;
  void needs_tokens(const char* block) const;

  // Regions. A slice stays valid until the last step that was told of it.
  Slice define(Rows rows, int64_t columns);
  static Slice part(const Slice& slice, int64_t column, int64_t columns);
  void use(const Slice& slice) { code_.layout(slice.rows).regions[slice.region].last = step_; }
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
  // x W^T + b, W and b being the parts' one below the other; without an `out` yet.
  LinearStep linear(const Slice& x, const std::vector<LinearPart>& parts);
  Slice emit_to_new_region(LinearStep step);
  void add_to_stream(const Slice& x, const LinearSpec& spec, const std::optional<NormSpec>& after);

  void add(const EmbedBlock& block);
  void add(const AttentionBlock& block);
  void add(const FeedForwardBlock& block);
  void add(const NormBlock& block);
  void add(const ProjectBlock& block);
  void add(const PoolBlock& block);
  void add(const SelectBlock& block);
  ConstMatrix positions(const Positions& positions, int64_t width);

  void check(const AttentionBlock& block) const;
  void check_stream_only(const AttentionBlock& block) const;
  void check_rotary(const Rotary& rotary, int64_t head_dim) const;
  void norm_heads(const std::string& name, const std::optional<NormSpec>& spec, const Slice& x,
                  int64_t head_dim);
  void rotate(const Rotary& rotary, const Slice& x, int64_t heads, int64_t head_dim);
  ConstMatrix relative_bias(const RelativeBias& bias, int64_t heads);

  // Whether a cache can run the plan; the first reason against it stays.
  void refuse_cache(std::string where, std::string got, std::string expected);

  ResidentWeights resident_;
  Code code_;
  std::string block_path_;
  Slice stream_;
  int64_t step_ = 0;
  int64_t width_ = 0;
};

}  // namespace multihead::engine
