// SPDX-License-Identifier: Apache-2.0
//
// status.h: passing an absl::Status on in one line.

#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define DATUM_STATUS_CONCAT_(a, b) a##b
#define DATUM_STATUS_CONCAT(a, b) DATUM_STATUS_CONCAT_(a, b)

// Returns the status of `expression` from this function unless it is OK.
#define RETURN_IF_ERROR(expression)                  \
  do {                                               \
    absl::Status status_of_call = (expression);      \
    if (!status_of_call.ok()) return status_of_call; \
  } while (false)

// ASSIGN_OR_RETURN(auto file, Open(path)): the value, or the status from this function.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_(DATUM_STATUS_CONCAT(status_or_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_(temporary, declaration, expression) \
  auto temporary = (expression);                              \
  if (!temporary.ok()) return temporary.status();             \
  declaration = std::move(temporary).value()
