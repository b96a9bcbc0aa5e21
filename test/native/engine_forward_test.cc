// Forwards of random models against the second implementation, and how a forward uses its memory.
#include <cmath>
#include <cstring>
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

int64_t weighted_parts(const Plan& plan) {
  int64_t parts = 0;
  for (const Block& block : plan.blocks) {
    const auto* pool = std::get_if<PoolBlock>(&block);
    if (pool == nullptr) continue;
    for (const auto kind : pool->parts) parts += kind == ops::PoolKind::kWeightedSum ? 1 : 0;
  }
  return parts;
}

Batch batch_for(const Plan& plan, uint32_t seed, const std::vector<int32_t>& lengths) {
  const auto& embed = std::get<EmbedBlock>(plan.blocks[0]);
  Batch batch =
      random_batch(seed, lengths, embed.vocabulary, embed.types ? 2 : 1, weighted_parts(plan));
  if (plan.memory_width != 0) add_random_memory(seed, plan.memory_width, 5, batch);
  return batch;
}

std::vector<std::vector<float>> run(const Program& program, const Batch& batch,
                                    const std::vector<int32_t>& blocks,
                                    const std::atomic<bool>& cancelled = kNever) {
  program.check(batch, blocks);
  std::vector<std::vector<float>> results;
  std::vector<Output> outputs;
  for (const int32_t block : blocks) {
    results.emplace_back(static_cast<size_t>(program.output_elements(batch, block)),
                         std::numeric_limits<float>::quiet_NaN());
    outputs.push_back({block, results.back().data()});
  }
  TestExecutor executor;
  program.run(batch, outputs, executor, cancelled);
  return results;
}

std::vector<int32_t> all_blocks(const Plan& plan) {
  std::vector<int32_t> blocks;
  for (size_t i = 0; i < plan.blocks.size(); ++i) blocks.push_back(static_cast<int32_t>(i));
  return blocks;
}

// The f32 between ops costs a few units in the last place of the largest value, more through norms.
void check_close(const std::vector<float>& got, const std::vector<double>& expected,
                 const std::string& where) {
  CHECK_MESSAGE(got.size() == expected.size(), where + ": length " + std::to_string(got.size()));
  double largest = 1;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]);
    CHECK_MESSAGE(error <= 1e-4 * largest, where + "[" + std::to_string(i) +
                                               "]: " + std::to_string(got[i]) + ", expected " +
                                               std::to_string(expected[i]));
  }
}

TEST(forward_of_random_models_equals_second_implementation) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    TestDevice device;
    const Model model = ModelBuilder::random(seed);
    const auto program = compiled(model, device);
    const Batch batch = batch_for(model.plan, seed, {3, 0, 1, 11, 7});
    const auto expected = expected_streams(model, batch);
    const auto got = run(*program, batch, all_blocks(model.plan));
    for (size_t block = 0; block < expected.size(); ++block) {
      check_close(got[block], expected[block],
                  "seed " + std::to_string(seed) + " block " + std::to_string(block));
    }
    CHECK_MESSAGE(device.fences_intact(), "seed " + std::to_string(seed) + ": fence overwritten");
    CHECK(program->info().unused_tensors.size() == 1);
  }
}

// Rows of the plan's last block in the order of `selected`, or of all tokens.
TEST(selected_rows_of_random_decoders_equal_second_implementation) {
  for (uint32_t seed = 600; seed < 700; ++seed) {
    TestDevice device;
    const Model model = ModelBuilder::decoder(seed, seed % 2 == 0 ? 0 : 5);
    const auto program = compiled(model, device);
    Batch batch = batch_for(model.plan, seed, {3, 0, 70, 1});
    const auto last = static_cast<int32_t>(model.plan.blocks.size()) - 1;
    const std::string where = "seed " + std::to_string(seed);
    check_close(run(*program, batch, {last})[0], expected_streams(model, batch).back(), where);
    batch.selected = {0, 2, 5, static_cast<int32_t>(batch.tokens.size()) - 1};
    check_close(run(*program, batch, {last})[0], expected_streams(model, batch).back(), where);
    batch.selected->clear();
    CHECK(run(*program, batch, {last})[0].empty());
    CHECK_MESSAGE(device.fences_intact(), where + ": fence overwritten");
  }
}

TEST(memory_is_needed_only_by_blocks_that_read_it) {
  ModelBuilder builder(4);
  Plan& plan = builder.model().plan;
  plan.width = 8;
  plan.memory_width = 3;
  plan.blocks.push_back(builder.embed(10));
  plan.blocks.push_back(builder.feed_forward("feedForward"));
  plan.blocks.push_back(builder.attention_over_memory("overMemory"));
  TestDevice device;
  const auto program = compiled(builder.model(), device);
  Batch batch = batch_for(plan, 1, {4, 2});
  batch.memory.reset();
  batch.memory_offsets.reset();
  CHECK(run(*program, batch, {1})[0].size() == 6 * 8);
  CHECK_THROWS(program->check(batch, {2}), ErrorCode::kInvalidArgument,
               "memory: none, expected rows of 3 numbers");
}

TEST(width_is_that_of_the_layers) {
  TestDevice device;
  ModelBuilder builder(8);
  Plan& plan = builder.model().plan;
  plan.width = 6;
  plan.blocks.push_back(builder.embed(10));
  CHECK(compiled(builder.model(), device)->info().width == 6);
  plan.blocks.push_back(builder.project("widen", 10));
  plan.blocks.push_back(builder.feed_forward("feedForward"));
  plan.blocks.push_back(SelectBlock{});
  plan.blocks.push_back(builder.project("logits", 33));
  CHECK(compiled(builder.model(), device)->info().width == 10);
}

TEST(layers_share_rotations_and_relative_biases) {
  ModelBuilder builder(9);
  Plan& plan = builder.model().plan;
  plan.width = 8;
  plan.blocks.push_back(builder.embed(10));
  AttentionBlock attention = builder.plain_attention("attention", 8);
  attention.head_dim = 4;
  attention.heads = attention.key_heads = 2;
  attention.query = attention.key = attention.value = builder.linear("all", 8, 8);
  attention.output = builder.linear("output", 8, 8);
  attention.rotary = Rotary{{1, 0.5f}, ops::RotaryPairs::kHalves, 1};
  RelativeBias bias;
  bias.table = builder.tensor("bias", {3, 2});
  bias.bucket_count = 3;
  bias.buckets = {0, 1, 2, 1, 0};
  attention.relative_bias = bias;
  plan.blocks.push_back(attention);
  TestDevice device;
  const int64_t bytes = compiled(builder.model(), device)->info().resident_bytes;
  attention.rotary->pairs = ops::RotaryPairs::kNeighbours;  // angles are the same
  plan.blocks.push_back(attention);
  const auto two = compiled(builder.model(), device);
  CHECK(two->info().resident_bytes == bytes);
  CHECK(two->code().angles.size() == 1);
  attention.rotary->magnitude = 2;
  attention.relative_bias->buckets[0] = 1;
  plan.blocks.push_back(attention);
  const auto three = compiled(builder.model(), device);
  CHECK(three->info().resident_bytes == bytes + 2 * 5 * 4);
  CHECK(three->code().angles.size() == 2);
}

TEST(comparison_notices_one_wrong_element) {
  const std::vector<double> expected = {1, -2, 3};
  check_close({1, -2, 3}, expected, "equal");
  for (const std::vector<float>& wrong :
       {std::vector<float>{1, 2, 3}, {1, -2, NAN}, {1, -2}, {0, 0, 0}, {-2, 3, 1}}) {
    bool noticed = false;
    try {
      check_close(wrong, expected, "wrong");
    } catch (const Failure&) {
      noticed = true;
    }
    CHECK(noticed);
  }
}

TEST(outputs_do_not_depend_on_which_others_are_asked_for) {
  for (uint32_t seed = 300; seed < 330; ++seed) {
    TestDevice device;
    const Model model = ModelBuilder::random(seed);
    const auto program = compiled(model, device);
    const Batch batch = batch_for(model.plan, seed, {5, 2});
    const std::vector<int32_t> blocks = all_blocks(model.plan);
    const auto together = run(*program, batch, blocks);
    for (const int32_t block : blocks) {
      CHECK(run(*program, batch, {block})[0] == together[static_cast<size_t>(block)]);
    }
  }
}

TEST(sequence_alone_equals_sequence_in_batch) {
  for (uint32_t seed = 400; seed < 430; ++seed) {
    TestDevice device;
    const Model model = ModelBuilder::random(seed);
    const auto program = compiled(model, device);
    const std::vector<int32_t> lengths = {4, 9, 1};
    const Batch batch = batch_for(model.plan, seed, lengths);
    const auto last = static_cast<int32_t>(model.plan.blocks.size()) - 1;
    const auto together = run(*program, batch, {last})[0];
    const size_t columns = together.size() / lengths.size();
    for (size_t b = 0; b < lengths.size(); ++b) {
      const auto begin = static_cast<size_t>(batch.offsets[b]);
      const auto end = static_cast<size_t>(batch.offsets[b + 1]);
      Batch alone;
      alone.tokens.assign(batch.tokens.begin() + begin, batch.tokens.begin() + end);
      alone.types.emplace(batch.types->begin() + begin, batch.types->begin() + end);
      alone.offsets = {0, lengths[b]};
      alone.pool_weights.emplace();
      for (int64_t part = 0; part < weighted_parts(model.plan); ++part) {
        const auto row = batch.pool_weights->begin() + part * batch.token_count();
        alone.pool_weights->insert(alone.pool_weights->end(), row + begin, row + end);
      }
      if (batch.memory) {
        const int64_t width = model.plan.memory_width;
        const int32_t first = (*batch.memory_offsets)[b];
        const int32_t rows = (*batch.memory_offsets)[b + 1] - first;
        alone.memory.emplace(batch.memory->begin() + first * width,
                             batch.memory->begin() + (first + rows) * width);
        alone.memory_offsets = {{0, rows}};
      }
      const auto vector = run(*program, alone, {last})[0];
      CHECK(std::memcmp(vector.data(), together.data() + b * columns, columns * sizeof(float)) ==
            0);
    }
  }
}

TEST(empty_batches_give_empty_outputs) {
  TestDevice device;
  const Model model = ModelBuilder::random(7);
  const auto program = compiled(model, device);
  const std::vector<int32_t> blocks = all_blocks(model.plan);
  for (const auto& output : run(*program, batch_for(model.plan, 1, {}), blocks)) {
    CHECK(output.empty());
  }
  const Batch empty_sequences = batch_for(model.plan, 1, {0, 0, 0});
  const auto got = run(*program, empty_sequences, blocks);
  const auto expected = expected_streams(model, empty_sequences);
  for (size_t block = 0; block < got.size(); ++block) {
    check_close(got[block], expected[block], "block " + std::to_string(block));
  }
}

TEST(warm_forward_allocates_nothing) {
  TestDevice device;
  const Model model = ModelBuilder::random(11);
  const auto program = compiled(model, device);
  const std::vector<int32_t> blocks = all_blocks(model.plan);
  run(*program, batch_for(model.plan, 1, {20, 20}), blocks);
  const int64_t warm = device.allocations();
  for (uint32_t seed = 0; seed < 10; ++seed) {
    run(*program, batch_for(model.plan, seed, {7, static_cast<int32_t>(seed)}), blocks);
  }
  CHECK(device.allocations() == warm);
  run(*program, batch_for(model.plan, 1, {30, 30, 30}), blocks);
  CHECK(device.allocations() == warm + 1);
}

TEST(post_norm_layer_is_five_ops) {
  ModelBuilder builder(3);
  Plan& plan = builder.model().plan;
  plan.width = 8;
  plan.blocks.push_back(builder.embed(10));
  AttentionBlock attention = builder.plain_attention("attention", 8);
  attention.norm_before.reset();
  attention.norm_after = builder.norm("attention.norm", 8);
  FeedForwardBlock feed_forward = builder.feed_forward("feedForward");
  feed_forward.norm_before.reset();
  feed_forward.norm_after = builder.norm("feedForward.norm", 8);
  plan.blocks.push_back(attention);
  plan.blocks.push_back(feed_forward);
  TestDevice device;
  const auto program = compiled(builder.model(), device);
  int64_t ops = 0;
  device.before_op = [&](int64_t) { ++ops; };
  run(*program, batch_for(plan, 1, {4}), {0});
  CHECK(ops == 1);
  ops = 0;
  run(*program, batch_for(plan, 1, {4}), {2});
  CHECK(ops == 1 + 5);
}

TEST(cancelled_forward_stops_between_ops) {
  TestDevice device;
  const Model model = ModelBuilder::random(5);
  const auto program = compiled(model, device);
  const std::vector<int32_t> blocks = all_blocks(model.plan);
  const Batch batch = batch_for(model.plan, 1, {4});
  std::atomic<bool> cancelled{false};
  int64_t ops = 0;
  device.before_op = [&](int64_t) {
    if (++ops == 2) cancelled = true;
  };
  CHECK_THROWS(run(*program, batch, blocks, cancelled), ErrorCode::kAborted, "forward: cancelled");
  CHECK(ops == 2);
  cancelled = false;
  ops = 100;
  const auto expected = expected_streams(model, batch);
  check_close(run(*program, batch, blocks, cancelled).back(), expected.back(), "after an abort");
}

TEST(forward_out_of_memory_is_an_error_and_passes) {
  TestDevice device;
  const Model model = ModelBuilder::random(9);
  const auto program = compiled(model, device);
  const auto last = static_cast<int32_t>(model.plan.blocks.size()) - 1;
  device.limit = 16 * 1024 + device.limit / 1000000;
  const std::vector<int32_t> many(2000, 30);
  CHECK_THROWS(run(*program, batch_for(model.plan, 1, many), {last}), ErrorCode::kOutOfMemory, "");
  device.limit = int64_t{1} << 32;
  const Batch batch = batch_for(model.plan, 1, {4});
  check_close(run(*program, batch, {last})[0], expected_streams(model, batch).back(), "after");
}

TEST(program_releases_all_memory) {
  TestDevice device;
  const Model model = ModelBuilder::random(13);
  {
    const auto program = compiled(model, device);
    run(*program, batch_for(model.plan, 1, {4}), {0});
    CHECK(device.live() > 0);
  }
  CHECK(device.live() == 0);
}

TEST(blocks_that_name_the_same_tensors_share_memory) {
  ModelBuilder builder(21);
  Plan& plan = builder.model().plan;
  plan.width = 12;
  plan.blocks.push_back(builder.embed(10));
  const AttentionBlock attention = builder.attention("attention");
  const FeedForwardBlock feed_forward = builder.feed_forward("feedForward");
  const auto add_layer = [&] {
    plan.blocks.push_back(attention);
    plan.blocks.push_back(feed_forward);
  };
  add_layer();
  TestDevice device;
  const ProgramInfo one = compiled(builder.model(), device)->info();
  add_layer();
  const auto program = compiled(builder.model(), device);
  CHECK(program->info().resident_bytes == one.resident_bytes);
  CHECK(program->info().parameters == one.parameters);
  CHECK(program->info().layers == 2);
  const Batch batch = batch_for(plan, 1, {6, 3});
  check_close(run(*program, batch, {4})[0], expected_streams(builder.model(), batch)[4], "shared");
}

}  // namespace
}  // namespace multihead::test
