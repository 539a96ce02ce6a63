// SPDX-License-Identifier: Apache-2.0

#include "base/sha256.h"

#include <openssl/evp.h>

#include "glog/logging.h"

namespace base {

struct Sha256::State {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  CHECK_EQ(EVP_DigestInit_ex(state_->digest, EVP_sha256(), nullptr), 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(state_->digest); }

void Sha256::Add(std::string_view bytes) {
  CHECK_EQ(EVP_DigestUpdate(state_->digest, bytes.data(), bytes.size()), 1);
}

std::string Sha256::Finish() {
  std::string hash(kSha256Bytes, '\0');
  CHECK_EQ(
      EVP_DigestFinal_ex(state_->digest, reinterpret_cast<unsigned char*>(hash.data()), nullptr),
      1);
  return hash;
}

}  // namespace base
