// Compiling plans: each refusal with its message, and seeded mutations that must end in a typed
// error or in a program that runs.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/program.h"
#include "engine_device.h"
#include "engine_model.h"
#include "test.h"

namespace multihead::test {
namespace {

using namespace engine;

const std::atomic<bool> kNever{false};

std::unique_ptr<Program> compiled(const Model& model, TestDevice& device) {
  TestExecutor executor;
  return compile(model.plan, model.weights, device, executor, kNever);
}

// embed, attention, feedForward, pool, with plain weights that are easy to spoil.
Model small_model() {
  ModelBuilder builder(1);
  Plan& plan = builder.model().plan;
  plan.width = 8;
  EmbedBlock embed;
  embed.vocabulary = 10;
  embed.tokens = builder.tensor("tokens", {10, 8});
  embed.positions = LearnedPositions{builder.tensor("positions", {6, 8}), 6, 0};
  plan.blocks.push_back(embed);
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    return LinearSpec{builder.tensor(name + ".weight", {out, in}),
                      builder.tensor(name + ".bias", {out})};
  };
  AttentionBlock attention;
  attention.heads = 2;
  attention.key_heads = 2;
  attention.head_dim = 4;
  attention.scale = 0.5f;
  attention.query = linear("query", 8, 8);
  attention.key = linear("key", 8, 8);
  attention.value = linear("value", 8, 8);
  attention.output = linear("output", 8, 8);
  NormSpec norm;
  norm.epsilon = 1e-12f;
  norm.gain = builder.tensor("gain", {8});
  norm.bias = builder.tensor("norm.bias", {8});
  attention.norm_after = norm;
  plan.blocks.push_back(attention);
  FeedForwardBlock feed_forward;
  feed_forward.inner = 16;
  feed_forward.up = linear("up", 16, 8);
  feed_forward.down = linear("down", 8, 16);
  plan.blocks.push_back(feed_forward);
  plan.blocks.push_back(PoolBlock{{ops::PoolKind::kWeightedSum, ops::PoolKind::kMax}});
  return std::move(builder.model());
}

void refuse(const std::function<void(Model&)>& spoil, ErrorCode code, const std::string& message) {
  TestDevice device;
  device.limit = int64_t{1} << 26;
  Model model = small_model();
  compiled(model, device);
  spoil(model);
  CHECK_THROWS(compiled(model, device), code, message);
  CHECK(device.live() == 0);
}

EmbedBlock& embed(Model& m) { return std::get<EmbedBlock>(m.plan.blocks[0]); }
AttentionBlock& attention(Model& m) { return std::get<AttentionBlock>(m.plan.blocks[1]); }
FeedForwardBlock& feed_forward(Model& m) { return std::get<FeedForwardBlock>(m.plan.blocks[2]); }
PoolBlock& pool(Model& m) { return std::get<PoolBlock>(m.plan.blocks[3]); }

constexpr ErrorCode kInvalid = ErrorCode::kInvalidArgument;
constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

TEST(plans_with_impossible_sizes) {
  for (const int64_t bad : {int64_t{0}, int64_t{-1}, kHuge, kMaxDimension + 1}) {
    const std::string text = std::to_string(bad);
    refuse([&](Model& m) { m.plan.width = bad; }, kInvalid, "plan.width: " + text);
    refuse([&](Model& m) { attention(m).heads = bad; }, kInvalid, "plan.blocks[1].heads: " + text);
    refuse([&](Model& m) { attention(m).key_heads = bad; }, kInvalid,
           "plan.blocks[1].keyHeads: " + text);
    refuse([&](Model& m) { attention(m).head_dim = bad; }, kInvalid,
           "plan.blocks[1].headDim: " + text);
    refuse([&](Model& m) { feed_forward(m).inner = bad; }, kInvalid,
           "plan.blocks[2].inner: " + text);
  }
  refuse([](Model& m) { embed(m).vocabulary = 0; }, kInvalid, "plan.blocks[0].vocabulary: 0");
  refuse([](Model& m) { embed(m).vocabulary = int64_t{1} << 31; }, kInvalid,
         "vocabulary: 2147483648");
  refuse([](Model& m) { attention(m).head_dim = 257; }, ErrorCode::kUnsupported,
         "plan.blocks[1].headDim: 257, expected 1 to 256");
  refuse([](Model& m) { attention(m).window = -2; }, kInvalid, "plan.blocks[1].window: -2");
  refuse([](Model& m) { attention(m).scale = NAN; }, kInvalid, "plan.blocks[1].scale: nan");
  refuse([](Model& m) { attention(m).query_norm = attention(m).norm_after; },
         ErrorCode::kShapeMismatch, "gain#10: shape [8], expected [4]");
  refuse([](Model& m) { attention(m).key_norm = NormSpec{{}, -1, {}, {}}; }, kInvalid,
         "plan.blocks[1].keyNorm.epsilon: -1");
  refuse([](Model& m) { feed_forward(m).gate = feed_forward(m).down; }, ErrorCode::kShapeMismatch,
         "down.weight#14: shape [8, 16], expected [16, 8]");
  refuse([](Model& m) { embed(m).scale = INFINITY; }, kInvalid, "plan.blocks[0].scale: inf");
  refuse([](Model& m) { attention(m).heads = 3, attention(m).key_heads = 2; }, kInvalid,
         "plan.blocks[1].keyHeads: 2, expected a divisor of heads, 3");
  refuse([](Model& m) { attention(m).norm_after->epsilon = -1; }, kInvalid,
         "plan.blocks[1].normAfter.epsilon: -1");
  refuse([](Model& m) { attention(m).norm_after->epsilon = NAN; }, kInvalid, "epsilon: nan");
}

TEST(plans_with_impossible_structure) {
  refuse([](Model& m) { m.plan.blocks.clear(); }, kInvalid, "plan.blocks: 0 blocks");
  refuse([](Model& m) { m.plan.blocks.resize(kMaxBlocks + 1, m.plan.blocks[2]); }, kInvalid,
         "plan.blocks: 4097 blocks, expected 1 to 4096");
  refuse([](Model& m) { m.plan.blocks.erase(m.plan.blocks.begin()); }, kInvalid,
         "plan.blocks[0]: another block, expected embed");
  refuse([](Model& m) { m.plan.blocks.push_back(m.plan.blocks[0]); }, kInvalid,
         "plan.blocks[4]: a second embed");
  refuse([](Model& m) { m.plan.blocks.push_back(m.plan.blocks[1]); }, kInvalid,
         "plan.blocks[4]: attention after a pool");
  refuse([](Model& m) { m.plan.blocks.push_back(m.plan.blocks[3]); }, kInvalid,
         "plan.blocks[4]: a pool after a pool");
  refuse(
      [](Model& m) { m.plan.blocks[3] = SelectBlock{}, m.plan.blocks.push_back(m.plan.blocks[1]); },
      kInvalid, "plan.blocks[4]: attention after a select");
  refuse([](Model& m) { m.plan.blocks.insert(m.plan.blocks.begin() + 3, SelectBlock{}); }, kInvalid,
         "plan.blocks[4]: a pool after a select");
  refuse([](Model& m) { m.plan.blocks.push_back(SelectBlock{}); }, kInvalid,
         "plan.blocks[4]: a select after a pool");
  refuse([](Model& m) { pool(m).parts.clear(); }, kInvalid, "plan.blocks[3].parts: 0 parts");
  refuse([](Model& m) { pool(m).parts.resize(65); }, kInvalid, "plan.blocks[3].parts: 65 parts");
  refuse([](Model& m) { attention(m).norm_after->kind = ops::NormKind::kL2; }, kInvalid,
         "plan.blocks[1].normAfter.gain");
  refuse([](Model& m) { attention(m).norm_after->kind = ops::NormKind::kRms; }, kInvalid,
         "plan.blocks[1].normAfter.bias");
}

TEST(plans_with_impossible_positions) {
  const auto learned = [](Model& m) -> LearnedPositions& {
    return std::get<LearnedPositions>(embed(m).positions);
  };
  refuse([&](Model& m) { learned(m).offset = 6; }, kInvalid,
         "positions.offset: 6, expected 0 to 5");
  refuse([&](Model& m) { learned(m).offset = -1; }, kInvalid, "positions.offset: -1");
  refuse([&](Model& m) { learned(m).count = 7; }, ErrorCode::kShapeMismatch,
         "shape [6, 8], expected [7, 8]");
  for (const int64_t bad : {int64_t{0}, int64_t{-5}, kHuge}) {
    refuse([&](Model& m) { embed(m).positions = SinusoidalPositions{bad, {}}; }, kInvalid,
           "plan.blocks[0].positions.count: " + std::to_string(bad));
  }
}

Rotary rotary(std::vector<float> frequencies) { return {std::move(frequencies), {}, 1}; }

TEST(plans_with_impossible_rotations) {
  refuse([](Model& m) { attention(m).rotary = rotary({}); }, kInvalid,
         "plan.blocks[1].rotary.frequencies: length 0, expected 1 to 2, half of headDim");
  refuse([](Model& m) { attention(m).rotary = rotary({1, 2, 3}); }, kInvalid,
         "rotary.frequencies: length 3");
  refuse([](Model& m) { attention(m).rotary = rotary({1, NAN}); }, kInvalid,
         "plan.blocks[1].rotary.frequencies[1]: nan, expected a finite number");
  refuse([](Model& m) { attention(m).rotary = rotary({1}), attention(m).rotary->magnitude = NAN; },
         kInvalid, "plan.blocks[1].rotary.magnitude: nan");
}

TEST(plans_with_impossible_biases) {
  refuse([](Model& m) { attention(m).slopes = {1}; }, kInvalid,
         "plan.blocks[1].slopes: length 1, expected one for each of 2 heads");
  refuse([](Model& m) { attention(m).slopes = {1, INFINITY}; }, kInvalid,
         "plan.blocks[1].slopes[1]: inf");
  const auto bias = [](int64_t count, std::vector<int32_t> buckets) {
    return [count, buckets](Model& m) {
      RelativeBias bias;
      bias.table.tensor = "output.weight#8";
      bias.bucket_count = count;
      bias.buckets = buckets;
      attention(m).relative_bias = bias;
    };
  };
  refuse(bias(0, {0}), kInvalid, "plan.blocks[1].relativeBias.bucketCount: 0");
  refuse(bias(8, {}), kInvalid, "relativeBias.buckets: length 0, expected an odd number");
  refuse(bias(8, {0, 1}), kInvalid, "relativeBias.buckets: length 2, expected an odd number");
  refuse(bias(8, {0, 8, 0}), kInvalid,
         "plan.blocks[1].relativeBias.buckets[1]: 8, expected 0 to 7");
  refuse(bias(8, {-1}), kInvalid, "relativeBias.buckets[0]: -1");
  refuse(bias(8, {0}), ErrorCode::kShapeMismatch, "output.weight#8: shape [8, 8], expected [8, 2]");
}

TEST(plans_that_misuse_the_memory) {
  const auto over_memory = [](const std::function<void(AttentionBlock&)>& spoil) {
    return [spoil](Model& m) {
      m.plan.memory_width = 8;
      attention(m).keys_from = KeySource::kMemory;
      spoil(attention(m));
    };
  };
  refuse([](Model& m) { attention(m).keys_from = KeySource::kMemory; }, kInvalid,
         "plan.memoryWidth: 0, expected the columns of the memory that plan.blocks[1] reads");
  refuse([](Model& m) { m.plan.memory_width = -1; }, kInvalid, "plan.memoryWidth: -1");
  refuse([](Model& m) { m.plan.memory_width = kHuge; }, kInvalid, "plan.memoryWidth: 9");
  refuse(over_memory([](AttentionBlock& a) { a.rotary = rotary({1}); }), kInvalid,
         "plan.blocks[1].rotary: given, expected none, since keys come from the memory");
  refuse(over_memory([](AttentionBlock& a) { a.slopes = {1, 1}; }), kInvalid, "[1].slopes: given");
  refuse(over_memory([](AttentionBlock& a) { a.relative_bias.emplace(); }), kInvalid,
         "[1].relativeBias: given");
  refuse(over_memory([](AttentionBlock& a) { a.window = 3; }), kInvalid, "[1].window: given");
  refuse(over_memory([](AttentionBlock& a) { a.mask = ops::Mask::kCausal; }), kInvalid,
         "plan.blocks[1].mask: causal, expected full");
  refuse([](Model& m) { m.plan.memory_width = 7, attention(m).keys_from = KeySource::kMemory; },
         ErrorCode::kShapeMismatch, "key.weight#4: shape [8, 8], expected [8, 7]");
}

TEST(plans_with_impossible_groups_of_rows) {
  const auto groups = [](int64_t begin, int64_t group, int64_t step, int64_t end = -1) {
    return [=](Model& m) {
      WeightRef& ref = feed_forward(m).up.weight;
      ref.row_begin = begin;
      ref.group = group;
      ref.step = step;
      ref.row_end = end;
    };
  };
  refuse(groups(0, 2, 4), ErrorCode::kShapeMismatch,
         "up.weight#12 2 of every 4 rows from 0: shape [8, 8], expected [16, 8]");
  refuse(groups(0, 0, 4), kInvalid, "up.weight#12: groups of 0 of every 4 rows from 0");
  refuse(groups(0, 5, 4), kInvalid, "up.weight#12: groups of 5 of every 4 rows");
  refuse(groups(-1, 2, 4), kInvalid, "rows from -1");
  refuse(groups(17, 2, 4), kInvalid, "rows from 17");
  refuse(groups(3, 2, 4), kInvalid, "expected whole groups within [0, 16)");
  refuse(groups(0, 2, -4), kInvalid, "of every -4 rows");
  refuse(groups(0, 2, 4, 16), kInvalid, "and a range, expected one of them");
}

TEST(plans_and_weights_that_disagree) {
  refuse([](Model& m) { attention(m).query.weight.tensor = "queery.weight#2"; },
         ErrorCode::kWeightMissing, "queery.weight#2: not among");
  refuse([](Model& m) { attention(m).query.weight.tensor = "queery.weight#2"; },
         ErrorCode::kWeightMissing, "did you mean query.weight#2?");
  refuse([](Model& m) { attention(m).heads = 1; }, ErrorCode::kInvalidArgument, "keyHeads: 2");
  refuse([](Model& m) { attention(m).heads = attention(m).key_heads = 1; },
         ErrorCode::kShapeMismatch, "query.weight#2: shape [8, 8], expected [4, 8]");
  refuse([](Model& m) { feed_forward(m).inner = 17; }, ErrorCode::kShapeMismatch,
         "up.weight#12: shape [16, 8], expected [17, 8]");
  refuse([](Model& m) { feed_forward(m).down.bias = feed_forward(m).up.bias; },
         ErrorCode::kShapeMismatch, "up.bias#13: shape [16], expected [8]");
  refuse([](Model& m) { m.weights.rows[0].dtype = "i8", m.weights.rows[0].byte_length = 80; },
         ErrorCode::kUnsupported, "tokens#0: dtype i8");
  refuse([](Model& m) { m.weights.rows[0].shape = {8, 10}; }, ErrorCode::kShapeMismatch,
         "tokens#0: shape [8, 10], expected [10, 8]");
}

TEST(load_that_does_not_fit_is_out_of_memory) {
  TestDevice device;
  device.limit = 100;
  CHECK_THROWS(compiled(small_model(), device), ErrorCode::kOutOfMemory, "test device");
  CHECK(device.live() == 0);
}

TEST(cancelled_compile_throws) {
  TestDevice device;
  TestExecutor executor;
  const Model model = small_model();
  const std::atomic<bool> cancelled{true};
  CHECK_THROWS(compile(model.plan, model.weights, device, executor, cancelled), ErrorCode::kAborted,
               "load: cancelled");
  CHECK(device.live() == 0);
}

// Spoils one random thing of a random valid model.
class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  void mutate(Model& model) {
    const size_t index = random_() % model.plan.blocks.size();
    switch (random_() % 8) {
      case 0:
        if (random_() % 2 == 0) model.plan.width = number(model.plan.width);
        if (random_() % 2 == 0) model.plan.memory_width = number(model.plan.memory_width);
        break;
      case 7:
        model.plan.blocks.insert(model.plan.blocks.begin() + static_cast<int64_t>(index),
                                 SelectBlock{});
        break;
      case 1:
        model.plan.blocks.erase(model.plan.blocks.begin() + static_cast<int64_t>(index));
        break;
      case 2: {
        const Block copy = model.plan.blocks[random_() % model.plan.blocks.size()];
        model.plan.blocks.insert(model.plan.blocks.begin() + static_cast<int64_t>(index), copy);
        break;
      }
      case 3:
        spoil(model.weights.rows[random_() % model.weights.rows.size()]);
        break;
      default:
        std::visit([this](auto& block) { spoil(block); }, model.plan.blocks[index]);
    }
  }

 private:
  int64_t number(int64_t old) {
    const int64_t value = std::clamp(old, -(int64_t{1} << 40), int64_t{1} << 40);
    const int64_t choices[] = {0,         -1,        1,   2,       value + 1,     value - 1,
                               value * 2, 255,       257, 1 << 20, (1 << 24) + 1, int64_t{1} << 31,
                               kHuge,     -kHuge - 1};
    return choices[random_() % (sizeof(choices) / sizeof(choices[0]))];
  }
  float real() {
    const float choices[] = {0, -1, NAN, INFINITY, -INFINITY, 1e-30f, 1e30f};
    return choices[random_() % 7];
  }
  void spoil(WeightRef& ref) {
    switch (random_() % 6) {
      case 0:
        ref.tensor += "?";
        break;
      case 1:
        ref.row_begin = number(ref.row_begin);
        break;
      case 4:
        ref.group = number(ref.group);
        break;
      case 5:
        ref.step = number(ref.step);
        break;
      case 2:
        ref.row_end = number(ref.row_end);
        break;
      default:
        ref.transpose = !ref.transpose;
    }
  }
  void spoil(LinearSpec& spec) {
    if (random_() % 3 == 0) {
      spec.bias = spec.weight;
    } else {
      spoil(random_() % 2 == 0 && spec.bias ? *spec.bias : spec.weight);
    }
  }
  void spoil(std::optional<NormSpec>& spec) {
    if (!spec) return;
    switch (random_() % 3) {
      case 0:
        spec->epsilon = real();
        break;
      case 1:
        spec->kind = static_cast<ops::NormKind>(random_() % 4);
        break;
      default:
        if (spec->gain) spoil(*spec->gain);
    }
  }
  void spoil(EmbedBlock& block) {
    switch (random_() % 5) {
      case 0:
        block.vocabulary = number(block.vocabulary);
        break;
      case 1:
        block.type_count = number(block.type_count);
        break;
      case 2:
        block.positions = SinusoidalPositions{number(40), {}};
        break;
      case 3:
        block.scale = real();
        break;
      default:
        spoil(block.tokens);
    }
  }
  void spoil(AttentionBlock& block) {
    int64_t* const numbers[] = {&block.heads, &block.key_heads, &block.head_dim, &block.window};
    LinearSpec* const linears[] = {&block.query, &block.key, &block.value, &block.output};
    switch (random_() % 8) {
      case 0:
        block.scale = real();
        break;
      case 1:
        spoil(random_() % 2 == 0 ? block.norm_after : block.query_norm);
        break;
      case 4:
        block.keys_from =
            block.keys_from == KeySource::kStream ? KeySource::kMemory : KeySource::kStream;
        break;
      case 5:
        if (!block.rotary) block.rotary.emplace();
        if (random_() % 2 == 0) block.rotary->magnitude = real();
        block.rotary->frequencies.resize(random_() % 7, real());
        break;
      case 6:
        block.slopes.resize(random_() % 8, real());
        break;
      case 7:
        spoil(block.relative_bias);
        break;
      case 2:
        spoil(*linears[random_() % 4]);
        break;
      default: {
        int64_t& value = *numbers[random_() % 4];
        value = number(value);
      }
    }
  }
  void spoil(std::optional<RelativeBias>& bias) {
    if (!bias) return;
    switch (random_() % 4) {
      case 0:
        bias->bucket_count = number(bias->bucket_count);
        break;
      case 1:
        bias->buckets[random_() % bias->buckets.size()] = static_cast<int32_t>(number(2));
        break;
      case 2:
        bias->buckets.resize(random_() % 9);
        break;
      default:
        spoil(bias->table);
    }
  }
  void spoil(FeedForwardBlock& block) {
    if (random_() % 4 == 0) block.gate = block.down;
    if (random_() % 2 == 0) block.inner = number(block.inner);
    spoil(random_() % 2 == 0 ? block.up : block.down);
  }
  void spoil(NormBlock& block) {
    std::optional<NormSpec> spec = block.norm;
    spoil(spec);
    block.norm = *spec;
  }
  void spoil(ProjectBlock& block) {
    if (random_() % 2 == 0) block.scale = real();
    if (random_() % 2 == 0) block.width = number(block.width);
    if (random_() % 2 == 0) spoil(block.linear);
  }
  void spoil(SelectBlock&) {}
  void spoil(PoolBlock& block) { block.parts.resize(random_() % 70); }
  void spoil(WeightRow& row) {
    switch (random_() % 5) {
      case 0:
        row.offset = number(row.offset);
        break;
      case 1:
        row.byte_length = number(row.byte_length);
        break;
      case 2:
        if (!row.shape.empty()) row.shape[0] = number(row.shape[0]);
        break;
      case 3:
        row.shape.push_back(number(1));
        break;
      default:
        row.dtype = random_() % 2 == 0 ? "f16" : "complex128";
    }
  }

  std::mt19937 random_;
};

// Runs what compiled, on a batch that it must accept or refuse.
void run_small(const Program& program, const Model& model) {
  Batch batch;
  batch.tokens = {0, 0, 0};
  batch.offsets = {0, 1, 3};
  const auto last = static_cast<int32_t>(model.plan.blocks.size()) - 1;
  batch.pool_weights.emplace(3 * 64, 0.5f);
  for (const Block& block : model.plan.blocks) {
    const auto* pool = std::get_if<PoolBlock>(&block);
    if (pool == nullptr) continue;
    const auto weighted =
        std::count(pool->parts.begin(), pool->parts.end(), ops::PoolKind::kWeightedSum);
    batch.pool_weights->resize(static_cast<size_t>(3 * weighted));
  }
  if (std::none_of(model.plan.blocks.begin(), model.plan.blocks.end(),
                   [](const Block& block) { return std::holds_alternative<PoolBlock>(block); })) {
    batch.pool_weights.reset();
  }
  if (model.plan.memory_width > 0) {
    batch.memory.emplace(static_cast<size_t>(3 * model.plan.memory_width), 0.5f);
    batch.memory_offsets = {{0, 1, 3}};
  }
  program.check(batch, {last});
  std::vector<float> out(static_cast<size_t>(program.output_elements(batch, last)));
  TestExecutor executor;
  program.run(batch, {{last, out.data()}}, executor, kNever);
}

TEST(mutated_plans_end_in_typed_errors_or_run) {
  int ran = 0;
  int refused = 0;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    TestDevice device;
    device.limit = int64_t{1} << 24;
    Model model = ModelBuilder::random(seed % 50);
    Mutator mutator(seed);
    for (uint32_t i = 0; i <= seed % 3; ++i) {
      if (!model.plan.blocks.empty()) mutator.mutate(model);
    }
    const auto error = thrown_by([&] { run_small(*compiled(model, device), model); });
    ++(error ? refused : ran);
    if (error) {
      CHECK_MESSAGE(error->code() != ErrorCode::kInternal && !error->where().empty(),
                    "seed " + std::to_string(seed) + ": " + error->what());
    }
    CHECK_MESSAGE(device.fences_intact(), "seed " + std::to_string(seed) + ": fence overwritten");
  }
  CHECK(ran > 100 && refused > 1000);
}

}  // namespace
}  // namespace multihead::test
