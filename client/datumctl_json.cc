// SPDX-License-Identifier: Apache-2.0

#include "client/datumctl_json.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/datumctl_text.h"

namespace client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// These are 64-bit identities, which --hex shows as etcd's logs do.
bool IsIdentity(const FieldDescriptor& field) {
  return field.name() == "cluster_id" || field.name() == "member_id" || field.name() == "ID";
}

class Writer {
 public:
  explicit Writer(bool hex_ids) : hex_ids_(hex_ids) {}

  std::string Object(const Message& message) {
    std::string fields;
    const google::protobuf::Descriptor* type = message.GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor& field = *type->field(i);
      if (!IsShown(message, field)) continue;
      if (!fields.empty()) fields += ",";
      absl::StrAppend(&fields, "\"", field.name(), "\":", Value(message, field));
    }
    const std::string object = absl::StrCat("{", fields, "}");
    // etcdctl keeps the Go name of the oneof around the answer of an operation.
    return type->name() == "ResponseOp" ? absl::StrCat("{\"Response\":", object, "}") : object;
  }

 private:
  bool IsShown(const Message& message, const FieldDescriptor& field) const {
    const google::protobuf::Reflection* reflection = message.GetReflection();
    if (field.is_repeated()) return reflection->FieldSize(message, &field) > 0;
    return reflection->HasField(message, &field) || (hex_ids_ && IsIdentity(field));
  }

  std::string Value(const Message& message, const FieldDescriptor& field) {
    if (!field.is_repeated()) return One(message, field, -1);
    std::string list;
    for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
      if (i > 0) list += ",";
      list += One(message, field, i);
    }
    return absl::StrCat("[", list, "]");
  }

  // `place` is -1 for a field that is not repeated.
  std::string One(const Message& message, const FieldDescriptor& field, int place) {
    const google::protobuf::Reflection* reflection = message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Object(place < 0 ? reflection->GetMessage(message, &field)
                                : reflection->GetRepeatedMessage(message, &field, place));
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string text = place < 0 ? reflection->GetString(message, &field)
                                     : reflection->GetRepeatedString(message, &field, place);
        if (field.type() == FieldDescriptor::TYPE_BYTES) {
          return absl::StrCat("\"", absl::Base64Escape(text), "\"");
        }
        return GoJsonString(text);
      }
      default:
        return Number(message, field);
    }
  }

  // The API has no repeated numbers.
  std::string Number(const Message& message, const FieldDescriptor& field) const {
    const google::protobuf::Reflection* reflection = message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection->GetBool(message, &field) ? "true" : "false";
      case FieldDescriptor::CPPTYPE_INT64:
        return absl::StrCat(reflection->GetInt64(message, &field));
      case FieldDescriptor::CPPTYPE_UINT64: {
        const uint64_t number = reflection->GetUInt64(message, &field);
        if (hex_ids_ && IsIdentity(field)) return absl::StrFormat("\"%x\"", number);
        return absl::StrCat(number);
      }
      case FieldDescriptor::CPPTYPE_UINT32:
        return absl::StrCat(reflection->GetUInt32(message, &field));
      case FieldDescriptor::CPPTYPE_ENUM:
        return absl::StrCat(reflection->GetEnumValue(message, &field));
      default:
        return "null";
    }
  }

  const bool hex_ids_;
};

}  // namespace

std::string GoJson(const Message& message, bool hex_ids) { return Writer(hex_ids).Object(message); }

}  // namespace client
