// One JavaScript environment (the main thread's or a worker's) and its jobs: work on a device's
// pool that settles a promise on the environment's own thread.
//
// Jobs are owned here, on the JavaScript thread, since they hold references to JavaScript objects.
// The pool knows a job by number: when its turn comes and the environment has ended, or the job was
// cancelled while it waited, there is nothing left to look up and nothing is touched.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <napi.h>

#include "base/error.h"
#include "ops/device.h"

namespace multihead::binding {

// One piece of work. Made, settled and destroyed on the JavaScript thread.
class Job {
 public:
  explicit Job(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Job() = default;

  // On a pool thread; may throw. Should look at cancelled() now and then.
  virtual void execute(ops::Executor& executor) = 0;
  // On the JavaScript thread, after execute: what the promise resolves with.
  virtual Napi::Value result(Napi::Env env) = 0;

 protected:
  const std::atomic<bool>& cancelled() const { return cancelled_; }

 private:
  friend class Environment;
  Napi::Promise::Deferred deferred_;
  std::atomic<bool> cancelled_{false};
  std::optional<Error> error_;
};

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  // Registers the environment's end; call once for each environment.
  static std::shared_ptr<Environment> create(Napi::Env env);

  // Queues `job` on the lane and returns { done, cancel() }.
  Napi::Value submit(Napi::Env env, ops::Lane& lane, std::unique_ptr<Job> job);

 private:
  void execute(uint64_t id, ops::Executor& executor);
  void cancel(uint64_t id);
  void settle_completed(Napi::Env env);
  void settle(Napi::Env env, Job& job);
  void complete(uint64_t id);  // with mutex_ held
  void close();

  static void on_completed(napi_env env, napi_value callback, void* context, void* data);
  static void on_environment_end(void* self);

  napi_threadsafe_function wake_ = nullptr;
  // Of the JavaScript thread alone; the thread-safe function keeps the event loop alive while not
  // empty.
  std::unordered_map<uint64_t, std::unique_ptr<Job>> jobs_;
  uint64_t next_id_ = 0;

  std::mutex mutex_;
  std::condition_variable none_running_;
  std::unordered_map<uint64_t, Job*> waiting_;  // queued on the pool, not started
  std::vector<uint64_t> completed_;             // to be settled
  int running_ = 0;
  bool closed_ = false;
};

}  // namespace multihead::binding
