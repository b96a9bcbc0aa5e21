#include "binding/cache.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "binding/decode_from_js.h"
#include "binding/js_error.h"
#include "binding/js_value.h"
#include "binding/model.h"
#include "binding/typed_array.h"
#include "engine/decode.h"

namespace multihead::binding {
namespace {

// As a model's: see model.cc.
struct Passage {
  std::shared_ptr<Loaded> loaded;
  std::shared_ptr<CacheState> state;
};
constexpr napi_type_tag kPassageTag = {0x6d756c7469686561, 0x6420636163686573};

// Holds the cache and the weights until it is settled. What it decoded counts only once it
// resolves, so that a cancellation at the last moment still finds the sequences as before.
class DecodeJob : public Job {
 public:
  DecodeJob(Napi::Env env, std::shared_ptr<const engine::Program> program,
            std::shared_ptr<CacheState> state, engine::DecodeInput input)
      : Job(env),
        program_(std::move(program)),
        state_(std::move(state)),
        decode_(state_->cache, *program_, std::move(input)) {
    const int64_t choices = decode_.choices();
    const Napi::Object result = Napi::Object::New(env);
    auto tokens = new_array<Napi::Int32Array>(AddonState::of(env).int32_array, choices, "decode");
    auto log_probabilities =
        new_array<Napi::Float32Array>(AddonState::of(env).float32_array, choices, "decode");
    choice_ = {tokens.Data(), log_probabilities.Data()};
    set_own(result, "tokens", tokens);
    set_own(result, "logProbabilities", log_probabilities);
    result_ = Napi::Persistent(result);
    state_->is_decoding = true;
  }
  ~DecodeJob() override { state_->is_decoding = false; }
  DecodeJob(const DecodeJob&) = delete;
  DecodeJob& operator=(const DecodeJob&) = delete;

  void execute(ops::Executor& executor) override { decode_.run(executor, cancelled(), choice_); }

  Napi::Value result(Napi::Env env) override {
    const Napi::Value value = result_.Value();
    state_->report(env);
    decode_.keep();
    return value;
  }

 private:
  std::shared_ptr<const engine::Program> program_;
  std::shared_ptr<CacheState> state_;
  engine::Decode decode_;
  engine::Choice choice_;
  Napi::ObjectReference result_;
};

Napi::Value ids_to_js(Napi::Env env, const std::vector<int32_t>& ids) {
  auto array = new_array<Napi::Int32Array>(AddonState::of(env).int32_array,
                                           static_cast<int64_t>(ids.size()), "sequences");
  std::copy(ids.begin(), ids.end(), array.Data());
  return array;
}

std::vector<int32_t> ids_from_js(const Napi::Value& value) {
  return copy_int32(JsValue(value, "sequences"));
}

}  // namespace

void CacheState::report(Napi::BasicEnv env) {
  const int64_t bytes = is_disposed ? 0 : cache.info().bytes;
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes);
  reported_bytes = bytes;
}

Napi::Function Cache::define(Napi::Env env) {
  return DefineClass(
      env, "NativeCache",
      {InstanceAccessor<&Cache::info>("info"), InstanceMethod<&Cache::open>("open"),
       InstanceMethod<&Cache::fork>("fork"), InstanceMethod<&Cache::close>("close"),
       InstanceMethod<&Cache::decode>("decode"), InstanceMethod<&Cache::dispose>("dispose")});
}

Napi::Value Cache::create(Napi::Env env, std::shared_ptr<Loaded> loaded, int64_t pages) {
  auto state = std::make_shared<CacheState>(*loaded->program, pages);
  Passage passage{std::move(loaded), std::move(state)};
  const auto external = Napi::External<Passage>::New(env, &passage);
  external.TypeTag(&kPassageTag);
  return AddonState::of(env).cache_class.New({external});
}

Cache::Cache(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Cache>(info) {
  guarded(info.Env(), [&] {
    if (!info[0].IsExternal() ||
        !info[0].As<Napi::External<Passage>>().CheckTypeTag(&kPassageTag)) {
      throw Error(ErrorCode::kInvalidArgument, "NativeCache", "constructed by hand",
                  "one from createCache()");
    }
  });
  Passage& passage = *info[0].As<Napi::External<Passage>>().Data();
  loaded_ = std::move(passage.loaded);
  state_ = std::move(passage.state);
  state_->report(info.Env());
}

void Cache::Finalize(Napi::BasicEnv env) { drop(env); }

void Cache::drop(Napi::BasicEnv env) {
  if (!state_) return;
  state_->is_disposed = true;
  state_->report(env);
  state_.reset();  // a decode that runs holds it too
}

CacheState& Cache::in_use(const char* call) const {
  if (state_) return *state_;
  throw Error(ErrorCode::kDisposed, call, "a disposed cache", "one in use");
}

CacheState& Cache::idle(const char* call) const {
  CacheState& state = in_use(call);
  if (!state.is_decoding) return state;
  throw Error(ErrorCode::kInvalidArgument, call, "a cache that is decoding",
              "one whose last decode has settled");
}

Napi::Value Cache::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const engine::CacheInfo cache = in_use("info").cache.info();
    const Napi::Object object = Napi::Object::New(env);
    const auto number = [env](int64_t value) {
      return Napi::Number::New(env, static_cast<double>(value));
    };
    set_own(object, "pageTokens", number(ops::kKeyBlock));
    set_own(object, "pages", number(cache.pages));
    set_own(object, "freePages", number(cache.free_pages));
    set_own(object, "bytes", number(cache.bytes));
    return object.As<Napi::Value>();
  });
}

Napi::Value Cache::open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const int64_t count = JsValue(info[0], "count").integer(0);
    return ids_to_js(info.Env(), idle("open").cache.open(count));
  });
}

Napi::Value Cache::fork(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::vector<int32_t> ids = ids_from_js(info[0]);
    return ids_to_js(info.Env(), idle("fork").cache.fork(ids));
  });
}

void Cache::close(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const std::vector<int32_t> ids = ids_from_js(info[0]);
    idle("close").cache.close(ids);
  });
}

Napi::Value Cache::decode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    engine::DecodeInput input = decode_from_js(info[0]);
    // Looked at only now: a getter of the input may have disposed or used this cache. And held,
    // whatever runs from here on.
    idle("decode");
    const std::shared_ptr<CacheState> state = state_;
    const std::shared_ptr<const engine::Program> program = loaded_->program;
    const std::shared_ptr<ops::Lane> lane = loaded_->lane;
    if (!program) throw Error(ErrorCode::kDisposed, "decode", "a disposed model", "one in use");
    auto job = std::make_unique<DecodeJob>(env, program, state, std::move(input));
    return AddonState::of(env).environment->submit(env, *lane, std::move(job));
  });
}

void Cache::dispose(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { drop(info.Env()); });
}

}  // namespace multihead::binding
