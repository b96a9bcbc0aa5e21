#include "kernels/cpu/thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"

namespace multihead::cpu {

// Guarded by the pool's mutex.
struct ThreadPool::LaneState {
  int max_workers = 1;
  int active = 0;  // threads that drive a job or help a region of this lane
};

struct ThreadPool::Job {
  std::shared_ptr<LaneState> lane;
  std::function<void(ops::Executor&)> run;
};

struct ThreadPool::Region {
  Region(LaneState& lane, ops::Executor::Task task, void* context, int64_t count)
      : lane(lane), task(task), context(context), count(count) {}

  LaneState& lane;
  const ops::Executor::Task task;
  void* const context;
  const int64_t count;
  std::atomic<int64_t> next{0};
  // Guarded by the pool's mutex.
  int joined = 1;   // workers that ever took part; the driver is worker 0
  int helping = 0;  // helpers inside run_tasks
  std::condition_variable done;

  bool exhausted() const { return next.load(std::memory_order_relaxed) >= count; }
  void run_tasks(int worker) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      task(context, i, worker);
    }
  }
};

class ThreadPool::JobExecutor final : public ops::Executor {
 public:
  JobExecutor(ThreadPool& pool, LaneState& lane) : pool_(pool), lane_(lane) {}

  void parallel(int64_t count, Task task, void* context) override {
    if (count <= 1 || workers() == 1) {
      for (int64_t i = 0; i < count; ++i) task(context, i, 0);
      return;
    }
    Region region(lane_, task, context, count);
    pool_.run_region(region);
  }

  int workers() const override { return lane_.max_workers; }

 private:
  ThreadPool& pool_;
  LaneState& lane_;
};

class ThreadPool::LaneHandle final : public ops::Lane {
 public:
  LaneHandle(ThreadPool& pool, std::shared_ptr<LaneState> state)
      : pool_(pool), state_(std::move(state)) {}

  void submit(std::function<void(ops::Executor&)> job) override {
    pool_.submit(state_, std::move(job));
  }

 private:
  ThreadPool& pool_;
  std::shared_ptr<LaneState> state_;
};

ThreadPool& ThreadPool::instance() {
  static ThreadPool* pool = new ThreadPool;
  return *pool;
}

std::unique_ptr<ops::Lane> ThreadPool::open_lane(int max_workers) {
  ensure_threads(max_workers);
  auto state = std::make_shared<LaneState>();
  state->max_workers = max_workers;
  return std::make_unique<LaneHandle>(*this, std::move(state));
}

void ThreadPool::ensure_threads(int count) {
  // The host's signal handlers expect its own threads: pool threads take no signal.
  sigset_t all, before;
  sigfillset(&all);
  std::lock_guard<std::mutex> lock(mutex_);
  // Each thread drives one region at most: with this much room, opening one cannot throw through
  // kernels.
  regions_.reserve(static_cast<size_t>(std::max(count, threads_)));
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::string failure;
  while (threads_ < count && failure.empty()) {
    try {
      std::thread thread([this] { worker_loop(); });
#if defined(__linux__)
      pthread_setname_np(thread.native_handle(), "multihead");
#endif
      thread.detach();
      ++threads_;
    } catch (const std::exception& error) {  // no thread, or no memory for one
      failure = error.what();
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // Fewer threads than asked still do all the work.
  if (threads_ == 0 && !failure.empty()) {
    throw Error(ErrorCode::kOutOfMemory, "thread pool", failure, "a new thread");
  }
}

void ThreadPool::submit(std::shared_ptr<LaneState> lane, std::function<void(ops::Executor&)> job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back({std::move(lane), std::move(job)});
  }
  work_.notify_one();
}

void ThreadPool::worker_loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (run_next(lock)) continue;
    ++idle_;
    work_.wait(lock);
    --idle_;
  }
}

// Jobs come before regions: whole jobs on separate threads need no coordination, so they are the
// better use of a thread while there are any.
bool ThreadPool::run_next(std::unique_lock<std::mutex>& lock) {
  return drive_job(lock) || join_region(lock);
}

bool ThreadPool::drive_job(std::unique_lock<std::mutex>& lock) {
  const auto next = std::find_if(jobs_.begin(), jobs_.end(), [](const Job& job) {
    return job.lane->active < job.lane->max_workers;
  });
  if (next == jobs_.end()) return false;
  Job job = std::move(*next);
  jobs_.erase(next);
  ++job.lane->active;
  lock.unlock();
  {
    JobExecutor executor(*this, *job.lane);
    job.run(executor);
    job.run = nullptr;  // releases what the job holds before the lane has room again
  }
  lock.lock();
  --job.lane->active;
  // Another thread may have passed over this lane's work while it was full.
  if (idle_ > 0 && (!jobs_.empty() || !regions_.empty())) work_.notify_one();
  return true;
}

bool ThreadPool::join_region(std::unique_lock<std::mutex>& lock) {
  const auto open = std::find_if(regions_.begin(), regions_.end(), [](const Region* region) {
    return region->lane.active < region->lane.max_workers && !region->exhausted() &&
           region->joined < region->lane.max_workers;
  });
  if (open == regions_.end()) return false;
  Region& region = **open;
  const int worker = region.joined++;
  ++region.helping;
  ++region.lane.active;
  lock.unlock();
  region.run_tasks(worker);
  lock.lock();
  --region.lane.active;
  if (--region.helping == 0) region.done.notify_one();
  return true;
}

void ThreadPool::run_region(Region& region) {
  const LaneState& lane = region.lane;
  int wanted;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    regions_.push_back(&region);
    const int64_t room = std::min<int64_t>(lane.max_workers - lane.active, region.count - 1);
    wanted = static_cast<int>(std::min<int64_t>(room, idle_));
  }
  for (int i = 0; i < wanted; ++i) work_.notify_one();
  region.run_tasks(0);
  std::unique_lock<std::mutex> lock(mutex_);
  regions_.erase(std::find(regions_.begin(), regions_.end(), &region));
  region.done.wait(lock, [&] { return region.helping == 0; });
}

}  // namespace multihead::cpu
