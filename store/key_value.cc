// SPDX-License-Identifier: Apache-2.0

#include "store/key_value.h"

namespace store {

void FillKeyValue(std::string_view key, const Datum& datum, mvccpb::KeyValue* kv) {
  kv->set_key(key.data(), key.size());
  kv->set_create_revision(datum.create_revision);
  kv->set_mod_revision(datum.mod_revision.main);
  kv->set_version(datum.timestamp);
  kv->set_lease(datum.lease);
  kv->set_value(datum.value.data(), datum.value.size());
}

}  // namespace store
