// SPDX-License-Identifier: Apache-2.0

// Compares our .proto files with the descriptors of etcd's Go module, name by name and number by
// number. Takes a descriptor set (protoc --descriptor_set_out) and ends with 1 if anything
// differs, with one line for each difference.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/membershippb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// facts has one line for everything that the wire depends on: what it is -> what is so about it.
type facts map[string]string

func (f facts) addFile(file protoreflect.FileDescriptor) {
	for i := 0; i < file.Messages().Len(); i++ {
		f.addMessage(file.Messages().Get(i))
	}
	for i := 0; i < file.Enums().Len(); i++ {
		f.addEnum(file.Enums().Get(i))
	}
	for i := 0; i < file.Services().Len(); i++ {
		f.addService(file.Services().Get(i))
	}
}

func (f facts) addMessage(message protoreflect.MessageDescriptor) {
	f["message "+string(message.FullName())] = "exists"
	for i := 0; i < message.ReservedRanges().Len(); i++ {
		reserved := message.ReservedRanges().Get(i)
		f[fmt.Sprintf("reserved %s %d", message.FullName(), reserved[0])] = fmt.Sprint(reserved[1])
	}
	for i := 0; i < message.Fields().Len(); i++ {
		field := message.Fields().Get(i)
		kind := field.Kind().String()
		if field.Message() != nil {
			kind = "message " + string(field.Message().FullName())
		}
		if field.Enum() != nil {
			kind = "enum " + string(field.Enum().FullName())
		}
		oneof := "-"
		if field.ContainingOneof() != nil {
			oneof = string(field.ContainingOneof().Name())
		}
		f["field "+string(field.FullName())] = fmt.Sprintf(
			"number %d, %s, %s, packed %v, presence %v, json %s, oneof %s", field.Number(),
			field.Cardinality(), kind, field.IsPacked(), field.HasPresence(), field.JSONName(), oneof)
	}
	for i := 0; i < message.Messages().Len(); i++ {
		f.addMessage(message.Messages().Get(i))
	}
	for i := 0; i < message.Enums().Len(); i++ {
		f.addEnum(message.Enums().Get(i))
	}
}

func (f facts) addEnum(enum protoreflect.EnumDescriptor) {
	f["enum "+string(enum.FullName())] = "exists"
	for i := 0; i < enum.Values().Len(); i++ {
		value := enum.Values().Get(i)
		f["value "+string(enum.FullName())+" "+string(value.Name())] = fmt.Sprint(value.Number())
	}
}

func (f facts) addService(service protoreflect.ServiceDescriptor) {
	f["service "+string(service.FullName())] = "exists"
	for i := 0; i < service.Methods().Len(); i++ {
		method := service.Methods().Get(i)
		f["method "+string(method.FullName())] = fmt.Sprintf("%s (stream %v) -> %s (stream %v)",
			method.Input().FullName(), method.IsStreamingClient(),
			method.Output().FullName(), method.IsStreamingServer())
	}
}

// What we have of our own; never on the wire to a client. The log's entries are not etcd's.
var ourOwn = map[string]bool{
	"field etcdserverpb.InternalRaftRequest.in_term": true,
}

func differences(theirs, ours facts) []string {
	var found []string
	for name, fact := range theirs {
		if ours[name] != fact {
			found = append(found, fmt.Sprintf("%s: etcd says %q, we say %q", name, fact, ours[name]))
		}
	}
	for name := range ours {
		if _, known := theirs[name]; !known && !ourOwn[name] {
			found = append(found, name+": not in etcd")
		}
	}
	sort.Strings(found)
	return found
}

func readOurs(path string) (facts, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(bytes, set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	ours := facts{}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		ours.addFile(file)
		return true
	})
	return ours, nil
}

func main() {
	ours, err := readOurs(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	theirs := facts{}
	for _, file := range []protoreflect.FileDescriptor{
		authpb.File_auth_proto, mvccpb.File_kv_proto, membershippb.File_membership_proto,
		etcdserverpb.File_rpc_proto, etcdserverpb.File_raft_internal_proto,
		v3lockpb.File_v3lock_proto, v3electionpb.File_v3election_proto,
	} {
		theirs.addFile(file)
	}
	found := differences(theirs, ours)
	if len(found) > 0 || len(theirs) < 500 {
		fmt.Printf("%d facts, %d differences\n%s\n", len(theirs), len(found), strings.Join(found, "\n"))
		os.Exit(1)
	}
	fmt.Printf("%d facts of etcd api 3.7.1 compared, no difference\n", len(theirs))
}
