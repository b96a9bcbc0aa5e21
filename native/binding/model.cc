#include "binding/model.h"

#include <utility>
#include <vector>

#include "binding/batch_from_js.h"
#include "binding/js_error.h"
#include "binding/js_value.h"
#include "binding/typed_array.h"
#include "engine/batch.h"

namespace multihead::binding {
namespace {

// A model on its way into the object that `new` makes; an External, so that JavaScript cannot make
// one.
struct Passage {
  std::shared_ptr<Loaded> loaded;
  int threads = 1;
};
constexpr napi_type_tag kPassageTag = {0x6d756c7469686561, 0x642070617373616d};

// The results' memory is JavaScript's from the start and is written by the pool: no copy on the
// event loop, and the arrays can be transferred, which those over foreign memory cannot. Nobody
// else sees them before the job ends (a setter of Array.prototype would: see set_own), and an
// environment does not end before its running jobs have.
class RunJob : public Job {
 public:
  RunJob(Napi::Env env, std::shared_ptr<const engine::Program> program, engine::Batch batch,
         const std::vector<int32_t>& blocks)
      : Job(env), program_(std::move(program)), batch_(std::move(batch)) {
    const Napi::Array arrays = Napi::Array::New(env, blocks.size());
    for (uint32_t i = 0; i < blocks.size(); ++i) {
      const int64_t elements = program_->output_elements(batch_, blocks[i]);
      auto array =
          new_array<Napi::Float32Array>(AddonState::of(env).float32_array, elements, "run");
      outputs_.push_back({blocks[i], array.Data()});
      set_own(arrays, std::to_string(i), array);
    }
    arrays_ = Napi::Persistent(arrays.As<Napi::Object>());
  }

  void execute(ops::Executor& executor) override {
    program_->run(batch_, outputs_, executor, cancelled());
  }

  Napi::Value result(Napi::Env) override { return arrays_.Value(); }

 private:
  std::shared_ptr<const engine::Program> program_;
  engine::Batch batch_;
  std::vector<engine::Output> outputs_;
  Napi::ObjectReference arrays_;
};

Napi::Array strings_to_js(Napi::Env env, const std::vector<std::string>& strings) {
  const Napi::Array array = Napi::Array::New(env, strings.size());
  for (size_t i = 0; i < strings.size(); ++i) {
    set_own(array, std::to_string(i), Napi::String::New(env, strings[i]));
  }
  return array;
}

}  // namespace

Napi::Function Model::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {InstanceAccessor<&Model::info>("info"), InstanceMethod<&Model::run>("run"),
                      InstanceMethod<&Model::create_cache>("createCache"),
                      InstanceMethod<&Model::dispose>("dispose")});
}

Napi::Value Model::create(Napi::Env env, std::shared_ptr<const engine::Program> program,
                          std::shared_ptr<ops::Lane> lane, int threads) {
  auto loaded = std::make_shared<Loaded>(Loaded{std::move(program), std::move(lane)});
  Passage passage{std::move(loaded), threads};
  const auto external = Napi::External<Passage>::New(env, &passage);
  external.TypeTag(&kPassageTag);
  return AddonState::of(env).model_class.New({external});
}

Model::Model(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Model>(info) {
  guarded(info.Env(), [&] {
    if (!info[0].IsExternal() ||
        !info[0].As<Napi::External<Passage>>().CheckTypeTag(&kPassageTag)) {
      throw Error(ErrorCode::kInvalidArgument, "NativeModel", "constructed by hand",
                  "one from load()");
    }
  });
  Passage& passage = *info[0].As<Napi::External<Passage>>().Data();
  loaded_ = std::move(passage.loaded);
  threads_ = passage.threads;
  info_ = loaded_->program->info();
  is_reported_ = true;
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), info_.resident_bytes);
}

// Nobody can dispose the model any more, but caches may go on with it.
void Model::Finalize(Napi::BasicEnv env) {
  loaded_.reset();
  report_dropped(env);
}

void Model::report_dropped(Napi::BasicEnv env) {
  if (!is_reported_) return;
  is_reported_ = false;
  Napi::MemoryManagement::AdjustExternalMemory(env, -info_.resident_bytes);
}

Napi::Value Model::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const Napi::Object object = Napi::Object::New(env);
    const auto number = [env](int64_t value) {
      return Napi::Number::New(env, static_cast<double>(value));
    };
    set_own(object, "isa", Napi::String::New(env, info_.isa));
    set_own(object, "threads", number(threads_));
    set_own(object, "residentBytes", number(info_.resident_bytes));
    set_own(object, "width", number(info_.width));
    set_own(object, "layers", number(info_.layers));
    set_own(object, "parameters", number(info_.parameters));
    set_own(object, "unusedTensors", strings_to_js(env, info_.unused_tensors));
    return object.As<Napi::Value>();
  });
}

Napi::Value Model::run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    engine::Batch batch = batch_from_js(info[0]);
    const std::vector<int32_t> blocks = outputs_from_js(info[1]);
    // Looked at only now: a getter of the batch may have disposed this model. And held, whatever
    // runs from here on.
    const std::shared_ptr<const engine::Program> program = loaded_->program;
    const std::shared_ptr<ops::Lane> lane = loaded_->lane;
    if (!program) throw Error(ErrorCode::kDisposed, "run", "a disposed model", "one in use");
    program->check(batch, blocks);
    auto job = std::make_unique<RunJob>(env, program, std::move(batch), blocks);
    return AddonState::of(env).environment->submit(env, *lane, std::move(job));
  });
}

Napi::Value Model::create_cache(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const int64_t pages = JsValue(info[0], "pages").integer(1);
    if (!loaded_->program) {
      throw Error(ErrorCode::kDisposed, "createCache", "a disposed model", "one in use");
    }
    return Cache::create(env, loaded_, pages);
  });
}

void Model::dispose(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    loaded_->program.reset();
    loaded_->lane.reset();
    report_dropped(info.Env());
  });
}

}  // namespace multihead::binding
