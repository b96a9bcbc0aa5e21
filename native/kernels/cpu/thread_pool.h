// The process-wide pool of threads that runs jobs (whole forwards) and the regions inside them.
//
// A pool thread takes a job and drives it; when the job opens a parallel region, idle threads join
// it through the region's task counter. Nothing spins: idle threads wait on a condition variable.
// The pool is created once and never destroyed, so that no thread outlives what it uses.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "ops/device.h"
#include "ops/executor.h"

namespace multihead::cpu {

class ThreadPool {
 public:
  static ThreadPool& instance();

  // A queue of jobs whose threads together never exceed `max_workers`: a model's share of the pool.
  // Starts threads if the pool has fewer. Throws OUT_OF_MEMORY if the system gives none.
  std::unique_ptr<ops::Lane> open_lane(int max_workers);

 private:
  struct LaneState;
  struct Region;
  struct Job;
  class LaneHandle;
  class JobExecutor;

  ThreadPool() = default;

  void ensure_threads(int count);
  void worker_loop();
  bool run_next(std::unique_lock<std::mutex>& lock);
  bool drive_job(std::unique_lock<std::mutex>& lock);
  bool join_region(std::unique_lock<std::mutex>& lock);
  void submit(std::shared_ptr<LaneState> lane, std::function<void(ops::Executor&)> job);
  void run_region(Region& region);

  std::mutex mutex_;
  std::condition_variable work_;  // a job was queued, a region opened, or a lane has room again
  std::deque<Job> jobs_;
  std::vector<Region*> regions_;
  int threads_ = 0;
  int idle_ = 0;
};

}  // namespace multihead::cpu
