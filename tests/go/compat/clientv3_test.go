// SPDX-License-Identifier: Apache-2.0

// Package compat uses a cluster as etcd's own clients do: clientv3 3.7.1 and the stock etcdctl.
package compat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

// world is one client of one member, and a prefix that no other has.
type world struct {
	*testing.T
	client   *clientv3.Client
	endpoint string
	prefix   string
	context  context.Context
}

// onEachMember runs the check against one member, and against the leader and both followers of
// three.
func onEachMember(t *testing.T, check func(w world)) {
	for _, size := range []int{1, 3} {
		cluster := clusterOf(t, size)
		deadline, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		leader, err := cluster.Leader(deadline)
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range cluster.Members {
			role := "follower"
			if member == leader {
				role = "leader"
			}
			name := fmt.Sprintf("of%d/%s-%s", size, member.Name, role)
			t.Run(name, func(t *testing.T) {
				client, err := launcher.Connect(member.Endpoint())
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				check(world{t, client, member.Endpoint(), t.Name() + "/", deadline})
			})
		}
	}
}

// The clusters live as long as the test binary: starting one for each test would take most of
// the time.
var clusters = map[int]*launcher.Cluster{}

func clusterOf(t *testing.T, size int) *launcher.Cluster {
	t.Helper()
	if clusters[size] == nil {
		cluster, err := launcher.Start(size, serverBinary(t))
		if err != nil {
			t.Fatal(err)
		}
		clusters[size] = cluster
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, member := range clusters[size].Members {
				t.Logf("the end of the log of %s:\n%s", member.Name, member.LogTail(40))
			}
		}
	})
	return clusters[size]
}

func (w world) put(key, value string, options ...clientv3.OpOption) *clientv3.PutResponse {
	w.Helper()
	response, err := w.client.Put(w.context, w.prefix+key, value, options...)
	if err != nil {
		w.Fatal(err)
	}
	return response
}

func (w world) get(key string, options ...clientv3.OpOption) *clientv3.GetResponse {
	w.Helper()
	response, err := w.client.Get(w.context, w.prefix+key, options...)
	if err != nil {
		w.Fatal(err)
	}
	return response
}

// keys of an answer, without the prefix, joined.
func (w world) keys(response *clientv3.GetResponse) string {
	var keys []string
	for _, datum := range response.Kvs {
		keys = append(keys, strings.TrimPrefix(string(datum.Key), w.prefix))
	}
	return strings.Join(keys, " ")
}

func (w world) equal(what string, got, want any) {
	w.Helper()
	if got != want {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestPutAndGet(t *testing.T) {
	onEachMember(t, func(w world) {
		first := w.put("a", "1")
		second := w.put("a", "2", clientv3.WithPrevKV())
		w.equal("previous value", string(second.PrevKv.Value), "1")
		w.equal("revision", second.Header.Revision, first.Header.Revision+1)
		datum := w.get("a").Kvs[0]
		w.equal("value", string(datum.Value), "2")
		w.equal("version", datum.Version, int64(2))
		w.equal("create revision", datum.CreateRevision, first.Header.Revision)
		w.equal("mod revision", datum.ModRevision, second.Header.Revision)

		old := w.get("a", clientv3.WithRev(first.Header.Revision))
		w.equal("value at a revision", string(old.Kvs[0].Value), "1")
		w.equal("serializable", string(w.get("a", clientv3.WithSerializable()).Kvs[0].Value), "2")
		w.equal("a missing key", len(w.get("none").Kvs), 0)

		w.put("a", "", clientv3.WithIgnoreValue())
		w.equal("value kept", string(w.get("a").Kvs[0].Value), "2")
		_, err := w.client.Put(w.context, w.prefix+"none", "", clientv3.WithIgnoreValue())
		w.is(err, rpctypes.ErrKeyNotFound)
		_, err = w.client.Put(w.context, "", "x")
		w.is(err, rpctypes.ErrEmptyKey)
		_, err = w.client.Put(w.context, w.prefix+"a", "x", clientv3.WithLease(987654321))
		w.is(err, rpctypes.ErrLeaseNotFound)
		_, err = w.client.Get(w.context, w.prefix+"a", clientv3.WithRev(1<<40))
		w.is(err, rpctypes.ErrFutureRev)
	})
}

func (w world) is(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got error %v, want %v", err, want)
	}
}

func TestRanges(t *testing.T) {
	onEachMember(t, func(w world) {
		for _, pair := range []string{"b=3", "a=9", "d=1", "c=5"} {
			w.put(pair[:1], pair[2:])
		}
		w.put("b", "4")
		all := w.get("", clientv3.WithPrefix())
		w.equal("prefix", w.keys(all), "a b c d")
		w.equal("count", all.Count, int64(4))

		page := w.get("", clientv3.WithPrefix(), clientv3.WithLimit(2))
		w.equal("limit", w.keys(page), "a b")
		w.equal("more", page.More, true)
		w.equal("count ignores the limit", page.Count, int64(4))

		w.equal("range", w.keys(w.get("b", clientv3.WithRange(w.prefix+"d"))), "b c")
		sorts := []struct {
			target clientv3.SortTarget
			order  clientv3.SortOrder
			want   string
		}{
			{clientv3.SortByKey, clientv3.SortDescend, "d c b a"},
			{clientv3.SortByValue, clientv3.SortAscend, "d b c a"},
			{clientv3.SortByCreateRevision, clientv3.SortAscend, "b a d c"},
			{clientv3.SortByModRevision, clientv3.SortDescend, "b c d a"},
			{clientv3.SortByVersion, clientv3.SortDescend, "b a c d"},
		}
		for _, sort := range sorts {
			sorted := w.get("", clientv3.WithPrefix(), clientv3.WithSort(sort.target, sort.order))
			w.equal(fmt.Sprint("sort ", sort), w.keys(sorted), sort.want)
		}
		count := w.get("", clientv3.WithPrefix(), clientv3.WithCountOnly())
		w.equal("count only", fmt.Sprint(count.Count, len(count.Kvs)), "4 0")
		keys := w.get("", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		w.equal("keys only", w.keys(keys), "a b c d")
		w.equal("no values", len(keys.Kvs[0].Value), 0)
		changed := all.Kvs[1].ModRevision
		w.equal("min mod revision",
			w.keys(w.get("", clientv3.WithPrefix(), clientv3.WithMinModRev(changed))), "b")
		w.equal("max create revision", w.keys(w.get("", clientv3.WithPrefix(),
			clientv3.WithMaxCreateRev(all.Kvs[1].CreateRevision))), "b")
	})
}

func TestDelete(t *testing.T) {
	onEachMember(t, func(w world) {
		for _, key := range []string{"a", "b", "c"} {
			w.put(key, key)
		}
		one, err := w.client.Delete(w.context, w.prefix+"b", clientv3.WithPrevKV())
		if err != nil {
			w.Fatal(err)
		}
		w.equal("deleted", one.Deleted, int64(1))
		w.equal("previous value", string(one.PrevKvs[0].Value), "b")
		before := w.get("b", clientv3.WithRev(one.Header.Revision-1))
		w.equal("still there in the past", string(before.Kvs[0].Value), "b")
		rest, err := w.client.Delete(w.context, w.prefix, clientv3.WithPrefix())
		if err != nil {
			w.Fatal(err)
		}
		w.equal("deleted", rest.Deleted, int64(2))
		none, err := w.client.Delete(w.context, w.prefix, clientv3.WithPrefix())
		if err != nil {
			w.Fatal(err)
		}
		w.equal("deleted nothing", none.Deleted, int64(0))
		w.equal("no revision for nothing", none.Header.Revision, rest.Header.Revision)
		w.equal("version starts anew", func() int64 {
			w.put("a", "again")
			return w.get("a").Kvs[0].Version
		}(), int64(1))
	})
}

func TestTxn(t *testing.T) {
	onEachMember(t, func(w world) {
		key := w.prefix + "a"
		txn := func(want bool, compares ...clientv3.Cmp) *clientv3.TxnResponse {
			w.Helper()
			response, err := w.client.Txn(w.context).If(compares...).
				Then(clientv3.OpPut(key, "then"), clientv3.OpGet(key)).
				Else(clientv3.OpGet(key), clientv3.OpPut(w.prefix+"else", "1")).Commit()
			if err != nil {
				w.Fatal(err)
			}
			w.equal(fmt.Sprint(compares), response.Succeeded, want)
			return response
		}
		created := txn(true, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		w.equal("a later operation sees an earlier one",
			string(created.Responses[1].GetResponseRange().Kvs[0].Value), "then")
		refused := txn(false, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		w.equal("the else branch ran", len(w.get("else").Kvs), 1)
		w.equal("one revision", refused.Header.Revision, created.Header.Revision+1)

		txn(true, clientv3.Compare(clientv3.Value(key), "=", "then"),
			clientv3.Compare(clientv3.Version(key), ">", 0))
		txn(true, clientv3.Compare(clientv3.Value(key), "!=", "other"))
		txn(false, clientv3.Compare(clientv3.ModRevision(key), "<", 1))
		txn(false, clientv3.Compare(clientv3.Value(w.prefix+"none"), "!=", "x"))
		txn(true, clientv3.Compare(clientv3.LeaseValue(key), "=", 0))
		txn(true, clientv3.Compare(clientv3.CreateRevision(w.prefix), ">", 0).WithPrefix())

		nested, err := w.client.Txn(w.context).Then(
			clientv3.OpTxn(
				[]clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", "then")},
				[]clientv3.Op{clientv3.OpPut(w.prefix+"nested", "yes")},
				[]clientv3.Op{clientv3.OpPut(w.prefix+"nested", "no")}),
			clientv3.OpGet(w.prefix+"nested")).Commit()
		if err != nil {
			w.Fatal(err)
		}
		w.equal("nested branch", nested.Responses[0].GetResponseTxn().Succeeded, true)
		w.equal("nested write", string(nested.Responses[1].GetResponseRange().Kvs[0].Value), "yes")

		_, err = w.client.Txn(w.context).Then(clientv3.OpPut(key, "1"), clientv3.OpPut(key, "2")).
			Commit()
		w.is(err, rpctypes.ErrDuplicateKey)
		many := make([]clientv3.Op, 129)
		for i := range many {
			many[i] = clientv3.OpPut(fmt.Sprint(w.prefix, "many", i), "x")
		}
		_, err = w.client.Txn(w.context).Then(many...).Commit()
		w.is(err, rpctypes.ErrTooManyOps)
		w.equal("nothing of it was written",
			w.get("many", clientv3.WithPrefix(), clientv3.WithCountOnly()).Count, int64(0))
	})
}

func TestCompaction(t *testing.T) {
	onEachMember(t, func(w world) {
		first := w.put("a", "1").Header.Revision
		last := w.put("a", "2").Header.Revision
		if _, err := w.client.Compact(w.context, last); err != nil {
			w.Fatal(err)
		}
		_, err := w.client.Get(w.context, w.prefix+"a", clientv3.WithRev(first))
		w.is(err, rpctypes.ErrCompacted)
		at := w.get("a", clientv3.WithRev(last))
		w.equal("the compacted revision itself", string(at.Kvs[0].Value), "2")
		_, err = w.client.Compact(w.context, last)
		w.is(err, rpctypes.ErrCompacted)
		_, err = w.client.Compact(w.context, last+100000)
		w.is(err, rpctypes.ErrFutureRev)
		newest := w.put("a", "3").Header.Revision
		if _, err := w.client.Compact(w.context, newest, clientv3.WithCompactPhysical()); err != nil {
			w.Fatal(err)
		}
		w.equal("the newest stays", string(w.get("a").Kvs[0].Value), "3")
	})
}

func TestLimits(t *testing.T) {
	onEachMember(t, func(w world) {
		_, err := w.client.Put(w.context, w.prefix+"big", strings.Repeat("x", 1_600_000))
		w.is(err, rpctypes.ErrRequestTooLarge)
		w.put("large", strings.Repeat("x", 1_500_000))
		w.equal("large value", len(w.get("large").Kvs[0].Value), 1_500_000)
		status, err := w.client.Status(w.context, w.endpoint)
		if err != nil {
			w.Fatal(err)
		}
		if strings.HasPrefix(status.Version, "3.4.") {
			return // etcd 3.4 has no such check
		}
		_, err = pb.NewKVClient(w.client.ActiveConnection()).Range(w.context,
			&pb.RangeRequest{Key: []byte("a"), SortOrder: 99})
		w.is(rpctypes.Error(err), rpctypes.ErrInvalidSortOption)
	})
}

func TestStatusAndMembers(t *testing.T) {
	onEachMember(t, func(w world) {
		w.put("a", "1")
		status, err := w.client.Status(w.context, w.endpoint)
		if err != nil {
			w.Fatal(err)
		}
		if status.Leader == 0 || status.RaftTerm == 0 || status.RaftIndex == 0 ||
			status.RaftAppliedIndex == 0 || !strings.HasPrefix(status.Version, "3.") {
			w.Fatalf("status: %v", status)
		}
		leads := status.Leader == status.Header.MemberId
		w.equal("role", leads, strings.HasSuffix(w.Name(), "-leader"))
		members, err := w.client.MemberList(w.context)
		if err != nil {
			w.Fatal(err)
		}
		size := 3
		if strings.Contains(w.Name(), "/of1/") {
			size = 1
		}
		w.equal("members", len(members.Members), size)
		answered := false
		for _, member := range members.Members {
			answered = answered || member.ID == members.Header.MemberId
			w.equal("name", strings.HasPrefix(member.Name, "n"), true)
			w.equal("client URLs", len(member.ClientURLs), 1)
			w.equal("peer URLs", len(member.PeerURLs), 1)
		}
		w.equal("the answering member is one of them", answered, true)
	})
}

// What one member has acknowledged, every other shows in its next linearizable read.
func TestEveryMemberSeesAnAcknowledgedWrite(t *testing.T) {
	cluster := clusterOf(t, 3)
	deadline, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var clients []*clientv3.Client
	for _, endpoint := range cluster.Endpoints() {
		client, err := launcher.Connect(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		clients = append(clients, client)
	}
	for i := 0; i < 60; i++ {
		value := fmt.Sprint(i)
		if _, err := clients[i%3].Put(deadline, "turn", value); err != nil {
			t.Fatal(err)
		}
		for reader, client := range clients {
			response, err := client.Get(deadline, "turn")
			if err != nil {
				t.Fatal(err)
			}
			if string(response.Kvs[0].Value) != value {
				t.Fatalf("write %d: member %d answers %s", i, reader, response.Kvs[0].Value)
			}
		}
	}
}
