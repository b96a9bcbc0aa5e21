#include "binding/decode_from_js.h"

#include "binding/js_value.h"
#include "binding/typed_array.h"

namespace multihead::binding {
namespace {

// The properties of `sampling`, all looked up before any array is copied.
struct SamplingProperties {
  explicit SamplingProperties(const JsValue& value)
      : temperature(value.get("temperature")),
        top_k(value.get("topK")),
        top_p(value.get("topP")),
        uniform(value.get("uniform")) {}

  engine::Sampling copy() const {
    return {copy_float32(temperature), copy_int32(top_k), copy_float32(top_p),
            copy_float64(uniform)};
  }

  JsValue temperature;
  JsValue top_k;
  JsValue top_p;
  JsValue uniform;
};

}  // namespace

engine::DecodeInput decode_from_js(const Napi::Value& value) {
  // All properties first: a getter that runs between two copies could detach or change an array.
  if (!value.IsObject()) JsValue(value, "input").fail("an object");
  const JsValue js(value, "");
  const JsValue tokens = js.get("tokens");
  const JsValue offsets = js.get("offsets");
  const JsValue sequences = js.get("sequences");
  const JsValue memory = js.get("memory");
  const JsValue memory_offsets = js.get("memoryOffsets");
  const JsValue sampling = js.get("sampling");
  const JsValue top = js.get("top");
  const JsValue banned = js.get("banned");
  const JsValue banned_offsets = js.get("bannedOffsets");
  std::optional<SamplingProperties> properties;
  if (!sampling.absent()) properties.emplace(sampling);

  engine::DecodeInput input;
  input.batch.tokens = copy_int32(tokens);
  input.batch.offsets = copy_int32(offsets);
  input.sequences = copy_int32(sequences);
  if (!memory.absent()) input.batch.memory = copy_float32(memory);
  if (!memory_offsets.absent()) input.batch.memory_offsets = copy_int32(memory_offsets);
  if (properties) input.choosing.sampling = properties->copy();
  if (!top.absent()) input.choosing.top = top.integer(1);
  if (!banned.absent()) input.choosing.banned = copy_int32(banned);
  if (!banned_offsets.absent()) input.choosing.banned_offsets = copy_int32(banned_offsets);
  return input;
}

}  // namespace multihead::binding
