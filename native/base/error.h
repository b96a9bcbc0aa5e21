// The one error type of the native core and the closed list of its codes.
//
// Every failure is an Error: what kind (code), where, what was got, what was expected. The binding
// turns it into a JavaScript MultiheadError with the same code; lib/errors.ts holds the same list
// and scripts/check-errors.mjs compares the two. Nothing in native/ aborts, exits, prints or
// returns a success flag.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace multihead {

enum class ErrorCode {
  kInvalidArgument,    // INVALID_ARGUMENT: the caller's value is wrong
  kShapeMismatch,      // SHAPE_MISMATCH: two values that must agree in shape do not
  kUnsupported,        // UNSUPPORTED: legal, but not implemented here
  kUnknownModel,       // UNKNOWN_MODEL: no family for this model_type
  kWeightMissing,      // WEIGHT_MISSING: the plan names a tensor that the weights lack
  kWeightInvalid,      // WEIGHT_INVALID: a weight file or tensor is malformed
  kFileError,          // FILE_ERROR: the operating system refused a file
  kOutOfMemory,        // OUT_OF_MEMORY: host or device memory is exhausted
  kDeviceUnavailable,  // DEVICE_UNAVAILABLE: the requested device cannot be used
  kDeviceFailed,       // DEVICE_FAILED: a device broke while it was in use
  kDisposed,           // DISPOSED: the model was disposed before the call
  kAborted,            // ABORTED: the caller's signal fired
  kOverloaded,         // OVERLOADED: a configured queue limit was reached
  kInternal,           // INTERNAL: a defect of this library
};

// "INVALID_ARGUMENT" and so on: the spelling that JavaScript sees.
const char* error_code_name(ErrorCode code) noexcept;

class Error : public std::exception {
 public:
  // message: "{where}: {got}, expected {expected}"; without `expected`: "{where}: {got}".
  Error(ErrorCode code, std::string where, std::string got, std::string expected = {});

  ErrorCode code() const noexcept { return code_; }
  const std::string& where() const noexcept { return where_; }
  const std::string& got() const noexcept { return got_; }
  const std::string& expected() const noexcept { return expected_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string where_;
  std::string got_;
  std::string expected_;
  std::string message_;
};

}  // namespace multihead
