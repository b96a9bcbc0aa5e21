#include "base/error.h"

namespace multihead {

const char* error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case ErrorCode::kShapeMismatch:
      return "SHAPE_MISMATCH";
    case ErrorCode::kUnsupported:
      return "UNSUPPORTED";
    case ErrorCode::kUnknownModel:
      return "UNKNOWN_MODEL";
    case ErrorCode::kWeightMissing:
      return "WEIGHT_MISSING";
    case ErrorCode::kWeightInvalid:
      return "WEIGHT_INVALID";
    case ErrorCode::kFileError:
      return "FILE_ERROR";
    case ErrorCode::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case ErrorCode::kDeviceUnavailable:
      return "DEVICE_UNAVAILABLE";
    case ErrorCode::kDeviceFailed:
      return "DEVICE_FAILED";
    case ErrorCode::kDisposed:
      return "DISPOSED";
    case ErrorCode::kAborted:
      return "ABORTED";
    case ErrorCode::kOverloaded:
      return "OVERLOADED";
    case ErrorCode::kInternal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

Error::Error(ErrorCode code, std::string where, std::string got, std::string expected)
    : code_(code),
      where_(std::move(where)),
      got_(std::move(got)),
      expected_(std::move(expected)),
      message_(where_ + ": " + got_ + (expected_.empty() ? "" : ", expected " + expected_)) {}

}  // namespace multihead
