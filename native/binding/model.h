// A loaded model as a JavaScript object: info, run(batch, outputs), createCache(pages), dispose().
#pragma once

#include <memory>

#include <napi.h>

#include "binding/cache.h"
#include "binding/environment.h"
#include "engine/program.h"

namespace multihead::binding {

// What one environment keeps: the instance data of the addon.
struct AddonState {
  std::shared_ptr<Environment> environment;
  Napi::FunctionReference model_class;
  Napi::FunctionReference cache_class;
  // Captured when the addon is loaded, before anybody can replace them.
  Napi::FunctionReference float32_array;
  Napi::FunctionReference int32_array;

  static AddonState& of(Napi::Env env) { return *env.GetInstanceData<AddonState>(); }
};

class Model : public Napi::ObjectWrap<Model> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value create(Napi::Env env, std::shared_ptr<const engine::Program> program,
                            std::shared_ptr<ops::Lane> lane, int threads);

  // Called by JavaScript's `new`, which only create() may use.
  explicit Model(const Napi::CallbackInfo& info);
  ~Model() override = default;
  void Finalize(Napi::BasicEnv env) override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value create_cache(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);
  void report_dropped(Napi::BasicEnv env);

  std::shared_ptr<Loaded> loaded_;
  engine::ProgramInfo info_;
  bool is_reported_ = false;
  int threads_ = 1;
};

}  // namespace multihead::binding
