// A cache as a JavaScript object: info, open(count), fork(ids), close(ids), decode(input),
// dispose().
#pragma once

#include <cstdint>
#include <memory>

#include <napi.h>

#include "binding/environment.h"
#include "engine/cache.h"
#include "engine/program.h"

namespace multihead::binding {

// What a model shares with its caches. A cache outlives the object of its model, not the model's
// disposal.
struct Loaded {
  std::shared_ptr<const engine::Program> program;  // none once disposed
  std::shared_ptr<ops::Lane> lane;
};

// A cache and the decode that runs on it; of the JavaScript thread, but for the decode itself.
struct CacheState {
  CacheState(const engine::Program& program, int64_t pages) : cache(program, pages) {}

  // Tells V8 of the memory that was added or dropped since the last report.
  void report(Napi::BasicEnv env);

  engine::Cache cache;
  bool is_decoding = false;
  bool is_disposed = false;
  int64_t reported_bytes = 0;
};

class Cache : public Napi::ObjectWrap<Cache> {
 public:
  static Napi::Function define(Napi::Env env);
  // Throws UNSUPPORTED, INVALID_ARGUMENT, OUT_OF_MEMORY.
  static Napi::Value create(Napi::Env env, std::shared_ptr<Loaded> loaded, int64_t pages);

  // Called by JavaScript's `new`, which only create() may use.
  explicit Cache(const Napi::CallbackInfo& info);
  ~Cache() override = default;
  void Finalize(Napi::BasicEnv env) override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value open(const Napi::CallbackInfo& info);
  Napi::Value fork(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  Napi::Value decode(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  CacheState& in_use(const char* call) const;
  CacheState& idle(const char* call) const;
  void drop(Napi::BasicEnv env);

  std::shared_ptr<Loaded> loaded_;
  std::shared_ptr<CacheState> state_;  // none once disposed
};

}  // namespace multihead::binding
