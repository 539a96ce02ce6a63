// SPDX-License-Identifier: Apache-2.0

#include "rpc/reflection.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "proto/grpc/reflection.pb.h"
#include "rpc/typed.h"

namespace rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::FileDescriptorResponse;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

constexpr char kMethod[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

void AddWithImports(const FileDescriptor* file, std::set<const FileDescriptor*>* added,
                    FileDescriptorResponse* response) {
  if (!added->insert(file).second) return;
  google::protobuf::FileDescriptorProto encoded;
  file->CopyTo(&encoded);
  response->add_file_descriptor_proto(encoded.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) {
    AddWithImports(file->dependency(i), added, response);
  }
}

void AnswerFile(const FileDescriptor* file, ServerReflectionResponse* response) {
  if (file == nullptr) {
    response->mutable_error_response()->set_error_code(
        static_cast<int>(absl::StatusCode::kNotFound));
    response->mutable_error_response()->set_error_message("not found");
    return;
  }
  std::set<const FileDescriptor*> added;
  AddWithImports(file, &added, response->mutable_file_descriptor_response());
}

ServerReflectionResponse Answer(const Registry& registry, const ServerReflectionRequest& request) {
  const DescriptorPool* pool = DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      AnswerFile(pool->FindFileByName(request.file_by_filename()), &response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      AnswerFile(pool->FindFileContainingSymbol(request.file_containing_symbol()), &response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const std::string& service : registry.services()) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType: {
      const std::string& type = request.all_extension_numbers_of_type();
      if (pool->FindMessageTypeByName(type) == nullptr) {
        AnswerFile(nullptr, &response);
      } else {
        // Our messages are proto3's and have no extensions.
        response.mutable_all_extension_numbers_response()->set_base_type_name(type);
      }
      break;
    }
    default:
      AnswerFile(nullptr, &response);
  }
  return response;
}

class ReflectionStream final : public StreamHandler {
 public:
  ReflectionStream(const Registry* registry, std::shared_ptr<Stream> stream)
      : registry_(registry), stream_(std::move(stream)) {}

  void OnMessage(std::string message) override {
    const auto request = Decode<ServerReflectionRequest>(message);
    if (!request.ok()) return stream_->Finish(request.status());
    stream_->Write(Answer(*registry_, *request).SerializeAsString());
  }

  void OnHalfClose() override { stream_->Finish(absl::OkStatus()); }

 private:
  const Registry* registry_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace

void RegisterReflection(Registry* registry) {
  registry->AddStream(kMethod, [registry](std::shared_ptr<Stream> stream) {
    return std::make_unique<ReflectionStream>(registry, std::move(stream));
  });
}

}  // namespace rpc
