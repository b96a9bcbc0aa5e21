#include "binding/environment.h"

#include <utility>

#include "binding/js_error.h"
#include "binding/js_value.h"

namespace multihead::binding {
namespace {

Error aborted() { return Error(ErrorCode::kAborted, "native job", "cancelled"); }

void check(Napi::Env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

}  // namespace

std::shared_ptr<Environment> Environment::create(Napi::Env env) {
  const auto self = std::make_shared<Environment>();
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr,
                                             Napi::String::New(env, "multihead"), 0, 1, nullptr,
                                             nullptr, self.get(), on_completed, &self->wake_));
  check(env, napi_unref_threadsafe_function(env, self->wake_));
  // Hooks run in reverse order. This one, registered after the thread-safe function's own, runs
  // before it: no pool thread may still be about to call a function that is being torn down.
  check(env, napi_add_env_cleanup_hook(env, on_environment_end, self.get()));
  return self;
}

Napi::Value Environment::submit(Napi::Env env, ops::Lane& lane, std::unique_ptr<Job> job) {
  const uint64_t id = next_id_++;
  const Napi::Object handle = Napi::Object::New(env);
  set_own(handle, "done", job->deferred_.Promise());
  set_own(handle, "cancel",
          Napi::Function::New(
              env,
              [self = weak_from_this(), id](const Napi::CallbackInfo&) {
                if (const auto environment = self.lock()) environment->cancel(id);
              },
              "cancel"));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    completed_.reserve(jobs_.size() + 1);  // so that completing a job never allocates
    waiting_.emplace(id, job.get());
  }
  const bool first = jobs_.empty();
  jobs_.emplace(id, std::move(job));
  try {
    lane.submit(
        [self = shared_from_this(), id](ops::Executor& executor) { self->execute(id, executor); });
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.erase(id);
    jobs_.erase(id);
    throw;
  }
  if (first) napi_ref_threadsafe_function(env, wake_);
  return handle;
}

void Environment::execute(uint64_t id, ops::Executor& executor) {
  Job* job = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    job = found->second;
    waiting_.erase(found);
    ++running_;
  }
  try {
    job->execute(executor);
  } catch (...) {
    job->error_ = current_error();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  --running_;
  complete(id);
  if (running_ == 0) none_running_.notify_all();
}

void Environment::complete(uint64_t id) {
  if (closed_) return;
  completed_.push_back(id);
  napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Environment::cancel(uint64_t id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  found->second->cancelled_.store(true);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (waiting_.erase(id) > 0) complete(id);  // it need not wait for its turn
}

void Environment::on_completed(napi_env env, napi_value, void* context, void*) {
  // Without an environment the queue is only being emptied, after on_environment_end.
  if (env != nullptr) static_cast<Environment*>(context)->settle_completed(env);
}

void Environment::settle_completed(Napi::Env env) {
  std::vector<uint64_t> ids;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ids.swap(completed_);
    completed_.reserve(jobs_.size());
  }
  for (const uint64_t id : ids) {
    const Napi::HandleScope scope(env);
    const std::unique_ptr<Job> job = std::move(jobs_.at(id));
    jobs_.erase(id);
    if (jobs_.empty()) napi_unref_threadsafe_function(env, wake_);
    settle(env, *job);
  }
}

void Environment::settle(Napi::Env env, Job& job) {
  try {
    if (job.cancelled_) job.error_ = aborted();
    Napi::Value value;
    try {
      value = job.error_ ? error_to_js(env, *job.error_) : job.result(env);
    } catch (const Napi::Error& error) {
      return job.deferred_.Reject(error.Value());
    } catch (...) {
      job.error_ = current_error();
      value = error_to_js(env, *job.error_);
    }
    // Outside of the inner try: an attempt to settle that fails has used up the deferred too.
    job.error_ ? job.deferred_.Reject(value) : job.deferred_.Resolve(value);
  } catch (const Napi::Error&) {
    // The environment is being terminated: nobody is left to tell.
  }
}

void Environment::on_environment_end(void* self) { static_cast<Environment*>(self)->close(); }

void Environment::close() {
  std::unique_lock<std::mutex> lock(mutex_);
  closed_ = true;
  waiting_.clear();
  completed_.clear();
  for (auto& [id, job] : jobs_) job->cancelled_.store(true);
  none_running_.wait(lock, [this] { return running_ == 0; });
  jobs_.clear();
}

}  // namespace multihead::binding
