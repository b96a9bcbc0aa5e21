#include "binding/batch_from_js.h"

#include <utility>

#include "binding/js_value.h"
#include "binding/typed_array.h"

namespace multihead::binding {
namespace {

constexpr uint32_t kMaxRows = 1u << 24;
constexpr uint32_t kMaxRank = 64;

engine::WeightSource source(const JsValue& value) {
  const JsValue path = value.get("path");
  const JsValue data = value.get("data");
  if (path.absent() == data.absent()) {
    throw Error(ErrorCode::kInvalidArgument, value.path(),
                path.absent() ? "neither path nor data" : "both path and data", "one of them");
  }
  if (!path.absent()) return engine::FileSource{path.string()};
  return engine::MemorySource{copy_uint8(data)};
}

engine::WeightRow row(const JsValue& value) {
  engine::WeightRow row;
  row.name = value.get("name").string();
  row.dtype = value.get("dtype").string();
  value.get("shape").each(
      kMaxRank, [&](const JsValue& dimension) { row.shape.push_back(dimension.integer(0)); });
  row.source = value.get("source").integer(0);
  row.offset = value.get("offset").integer(0);
  row.byte_length = value.get("byteLength").integer(0);
  return row;
}

}  // namespace

engine::Batch batch_from_js(const Napi::Value& value) {
  // All properties first: a getter that runs between two copies could detach or change an array.
  const JsValue js(value, "");
  if (!value.IsObject()) JsValue(value, "batch").fail("an object");
  const JsValue tokens = js.get("tokens");
  const JsValue offsets = js.get("offsets");
  const JsValue types = js.get("types");
  const JsValue pool_weights = js.get("poolWeights");
  const JsValue selected = js.get("selected");
  const JsValue memory = js.get("memory");
  const JsValue memory_offsets = js.get("memoryOffsets");
  engine::Batch batch;
  batch.tokens = copy_int32(tokens);
  batch.offsets = copy_int32(offsets);
  if (!types.absent()) batch.types = copy_int32(types);
  if (!pool_weights.absent()) batch.pool_weights = copy_float32(pool_weights);
  if (!selected.absent()) batch.selected = copy_int32(selected);
  if (!memory.absent()) batch.memory = copy_float32(memory);
  if (!memory_offsets.absent()) batch.memory_offsets = copy_int32(memory_offsets);
  return batch;
}

std::vector<int32_t> outputs_from_js(const Napi::Value& value) {
  return copy_int32(JsValue(value, "outputs"));
}

engine::WeightList weights_from_js(const Napi::Value& value) {
  const JsValue js(value, "weights");
  engine::WeightList list;
  js.get("sources").each(kMaxRows,
                         [&](const JsValue& element) { list.sources.push_back(source(element)); });
  js.get("tensors").each(kMaxRows,
                         [&](const JsValue& element) { list.rows.push_back(row(element)); });
  return list;
}

}  // namespace multihead::binding
