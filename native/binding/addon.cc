// The addon's face: version, isas(), threads(), load(plan, weights, options).
#include <memory>
#include <utility>

#include <napi.h>

#include "binding/batch_from_js.h"
#include "binding/environment.h"
#include "binding/js_error.h"
#include "binding/js_value.h"
#include "binding/model.h"
#include "binding/plan_from_js.h"
#include "engine/program.h"
#include "ops/registry.h"

namespace multihead::binding {
namespace {

class LoadJob : public Job {
 public:
  LoadJob(Napi::Env env, engine::Plan plan, engine::WeightList weights, ops::Device& device,
          std::shared_ptr<ops::Lane> lane, int threads)
      : Job(env),
        plan_(std::move(plan)),
        weights_(std::move(weights)),
        device_(device),
        lane_(std::move(lane)),
        threads_(threads) {}

  void execute(ops::Executor& executor) override {
    program_ = engine::compile(plan_, weights_, device_, executor, cancelled());
  }

  Napi::Value result(Napi::Env env) override {
    return Model::create(env, std::move(program_), std::move(lane_), threads_);
  }

 private:
  engine::Plan plan_;
  engine::WeightList weights_;
  ops::Device& device_;
  std::shared_ptr<ops::Lane> lane_;
  int threads_;
  std::shared_ptr<const engine::Program> program_;
};

struct LoadOptions {
  std::string isa;
  int threads = 0;
};

LoadOptions options_from_js(const Napi::Value& value) {
  LoadOptions options;
  options.threads = ops::thread_limits().default_threads;
  const JsValue js(value, "options");
  if (js.absent()) return options;
  if (const JsValue isa = js.get("isa"); !isa.absent()) options.isa = isa.string();
  if (const JsValue threads = js.get("threads"); !threads.absent()) {
    const int64_t count = threads.integer(1);
    if (count > ops::kMaxThreads) threads.fail("1 to " + std::to_string(ops::kMaxThreads));
    options.threads = static_cast<int>(count);
  }
  return options;
}

Napi::Value load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    engine::Plan plan = plan_from_js(info[0]);
    engine::WeightList weights = weights_from_js(info[1]);
    const LoadOptions options = options_from_js(info[2]);
    ops::Device& device = ops::cpu_device(options.isa);
    const std::shared_ptr<ops::Lane> lane = device.open_lane(options.threads);
    auto job = std::make_unique<LoadJob>(env, std::move(plan), std::move(weights), device, lane,
                                         options.threads);
    return AddonState::of(env).environment->submit(env, *lane, std::move(job));
  });
}

Napi::Value isas(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const Napi::Array array = Napi::Array::New(env);
    for (const ops::IsaStatus& status : ops::isa_statuses()) {
      const Napi::Object object = Napi::Object::New(env);
      set_own(object, "name", Napi::String::New(env, status.name));
      set_own(object, "supported", Napi::Boolean::New(env, status.supported));
      set_own(array, std::to_string(array.Length()), object);
    }
    return array.As<Napi::Value>();
  });
}

Napi::Value threads(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const ops::ThreadLimits limits = ops::thread_limits();
    const Napi::Object object = Napi::Object::New(env);
    set_own(object, "affinity", Napi::Number::New(env, limits.affinity));
    set_own(object, "cgroupCpus", Napi::Number::New(env, limits.cgroup_cpus));
    set_own(object, "defaultThreads", Napi::Number::New(env, limits.default_threads));
    return object.As<Napi::Value>();
  });
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto state = std::make_unique<AddonState>();
  state->environment = Environment::create(env);
  state->model_class = Napi::Persistent(Model::define(env));
  state->cache_class = Napi::Persistent(Cache::define(env));
  state->float32_array = Napi::Persistent(env.Global().Get("Float32Array").As<Napi::Function>());
  state->int32_array = Napi::Persistent(env.Global().Get("Int32Array").As<Napi::Function>());
  env.SetInstanceData(state.release());
  exports.Set("version", MULTIHEAD_VERSION);
  exports.Set("isas", Napi::Function::New(env, isas, "isas"));
  exports.Set("threads", Napi::Function::New(env, threads, "threads"));
  exports.Set("load", Napi::Function::New(env, load, "load"));
  return exports;
}

}  // namespace

NODE_API_MODULE(multihead, initialize)

}  // namespace multihead::binding
