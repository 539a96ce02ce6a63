// SPDX-License-Identifier: Apache-2.0

// Package lease tests leases, locks and elections on real members.
package lease

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"datum.dev/tests/launcher"
)

func deadline(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := launcher.Connect(endpoints...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// onEachMember runs the check on the leader and on both followers.
func onEachMember(t *testing.T, cluster *launcher.Cluster,
	check func(t *testing.T, ctx context.Context, client *clientv3.Client)) {
	t.Helper()
	leader, err := cluster.Leader(deadline(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range cluster.Members {
		role := "follower"
		if member == leader {
			role = "leader"
		}
		t.Run(member.Name+"-"+role, func(t *testing.T) {
			check(t, deadline(t, 30*time.Second), connect(t, member.Endpoint()))
		})
	}
}

func must[T any](t *testing.T) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestLeases(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	onEachMember(t, cluster, aLeaseLivesAndIsRevoked)
	onEachMember(t, cluster, aLeaseExpiresUnlessItIsKeptAlive)
	onEachMember(t, cluster, badRequestsHaveTheirAnswers)
	onEachMember(t, cluster, putsAttachAndDetach)
	onEachMember(t, cluster, rawStreamsOfKeepAlives)
}

func aLeaseLivesAndIsRevoked(t *testing.T, ctx context.Context, client *clientv3.Client) {
	grant := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 100))
	if grant.ID <= 0 || grant.TTL != 100 || grant.Revision == 0 {
		t.Fatalf("%+v", grant)
	}
	for _, key := range []string{"b", "a"} {
		must[*clientv3.PutResponse](t)(client.Put(ctx, t.Name()+key, "v", clientv3.WithLease(grant.ID)))
	}
	left := must[*clientv3.LeaseTimeToLiveResponse](t)(
		client.TimeToLive(ctx, grant.ID, clientv3.WithAttachedKeys()))
	if left.GrantedTTL != 100 || left.TTL < 97 || left.TTL > 100 || len(left.Keys) != 2 ||
		string(left.Keys[0]) != t.Name()+"a" {
		t.Fatalf("%+v", left)
	}
	if without := must[*clientv3.LeaseTimeToLiveResponse](t)(
		client.TimeToLive(ctx, grant.ID)); len(without.Keys) != 0 {
		t.Fatalf("%+v", without)
	}
	list := must[*clientv3.LeaseLeasesResponse](t)(client.Leases(ctx))
	found := false
	for _, lease := range list.Leases {
		found = found || lease.ID == grant.ID
	}
	if !found {
		t.Fatalf("%x is not in %+v", grant.ID, list)
	}
	before := must[*clientv3.GetResponse](t)(client.Get(ctx, "x")).Header.Revision
	revoked := must[*clientv3.LeaseRevokeResponse](t)(client.Revoke(ctx, grant.ID))
	if revoked.Header.Revision != before+1 {
		t.Fatalf("two keys go in one revision: %d after %d", revoked.Header.Revision, before)
	}
	if got := must[*clientv3.GetResponse](t)(
		client.Get(ctx, t.Name(), clientv3.WithPrefix())); got.Count != 0 {
		t.Fatalf("%+v", got)
	}
	if _, err := client.Revoke(ctx, grant.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Fatal(err)
	}
	if gone := must[*clientv3.LeaseTimeToLiveResponse](t)(
		client.TimeToLive(ctx, grant.ID)); gone.TTL != -1 {
		t.Fatalf("%+v", gone)
	}
	if _, err := client.KeepAliveOnce(ctx, grant.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Fatal(err)
	}
}

func aLeaseExpiresUnlessItIsKeptAlive(t *testing.T, ctx context.Context, client *clientv3.Client) {
	kept := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 2))
	left := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 2))
	granted := time.Now()
	for name, id := range map[string]clientv3.LeaseID{"kept": kept.ID, "left": left.ID} {
		must[*clientv3.PutResponse](t)(client.Put(ctx, t.Name()+name, "v", clientv3.WithLease(id)))
	}
	answers := must[<-chan *clientv3.LeaseKeepAliveResponse](t)(client.KeepAlive(ctx, kept.ID))
	go func() {
		for range answers {
		}
	}()
	for {
		got := must[*clientv3.GetResponse](t)(client.Get(ctx, t.Name()+"left"))
		if after := time.Since(granted); got.Count == 0 {
			if after < 1900*time.Millisecond || after > 3500*time.Millisecond {
				t.Fatalf("gone %v after the grant", after)
			}
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	if got := must[*clientv3.GetResponse](t)(client.Get(ctx, t.Name()+"kept")); got.Count != 1 {
		t.Fatal("the key of a lease that is kept alive is gone")
	}
}

func badRequestsHaveTheirAnswers(t *testing.T, ctx context.Context, client *clientv3.Client) {
	for _, ttl := range []int64{1, 0, -5, -9223372036854775808} {
		if grant := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, ttl)); grant.TTL != 2 {
			t.Fatalf("TTL %d became %d", ttl, grant.TTL)
		}
	}
	for _, ttl := range []int64{9_000_000_001, 1 << 62} {
		if _, err := client.Grant(ctx, ttl); !errors.Is(err, rpctypes.ErrLeaseTTLTooLarge) {
			t.Fatal(err)
		}
	}
	longest := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 9_000_000_000))
	left := must[*clientv3.LeaseTimeToLiveResponse](t)(client.TimeToLive(ctx, longest.ID))
	if left.TTL < 8_999_999_990 {
		t.Fatalf("%+v", left)
	}
	raw := pb.NewLeaseClient(client.ActiveConnection())
	// One for each member, so that none is taken before.
	id := -time.Now().UnixNano()
	grant := must[*pb.LeaseGrantResponse](t)(
		raw.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: 50}))
	if grant.ID != id {
		t.Fatalf("%+v", grant)
	}
	_, err := raw.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: 50})
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseExist) {
		t.Fatal(err)
	}
	_, err = client.Put(ctx, "k", "v", clientv3.WithLease(424242))
	if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Fatal(err)
	}
	must[*clientv3.LeaseRevokeResponse](t)(client.Revoke(ctx, clientv3.LeaseID(id)))
}

func putsAttachAndDetach(t *testing.T, ctx context.Context, client *clientv3.Client) {
	first := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 100)).ID
	second := must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 100)).ID
	put := func(key string, options ...clientv3.OpOption) {
		t.Helper()
		must[*clientv3.PutResponse](t)(client.Put(ctx, t.Name()+key, "v", options...))
	}
	keysOf := func(lease clientv3.LeaseID) string {
		t.Helper()
		left := must[*clientv3.LeaseTimeToLiveResponse](t)(
			client.TimeToLive(ctx, lease, clientv3.WithAttachedKeys()))
		var keys []string
		for _, key := range left.Keys {
			keys = append(keys, strings.TrimPrefix(string(key), t.Name()))
		}
		return strings.Join(keys, " ")
	}
	for _, key := range []string{"a", "b", "c", "d"} {
		put(key, clientv3.WithLease(first))
	}
	put("a")                             // without a lease: detached
	put("b", clientv3.WithLease(second)) // moved
	put("c", clientv3.WithIgnoreLease()) // stays
	must[*clientv3.TxnResponse](t)(client.Txn(ctx).Then(
		clientv3.OpDelete(t.Name()+"d"),
		clientv3.OpPut(t.Name()+"e", "v", clientv3.WithLease(second))).Commit())
	if got := keysOf(first) + "|" + keysOf(second); got != "c|b e" {
		t.Fatal(got)
	}
	must[*clientv3.LeaseRevokeResponse](t)(client.Revoke(ctx, first))
	must[*clientv3.LeaseRevokeResponse](t)(client.Revoke(ctx, second))
	got := must[*clientv3.GetResponse](t)(client.Get(ctx, t.Name(), clientv3.WithPrefix()))
	if got.Count != 1 || string(got.Kvs[0].Key) != t.Name()+"a" || got.Kvs[0].Lease != 0 {
		t.Fatalf("%+v", got)
	}
}

// One stream, many leases, in both directions without waiting; then the client sends no more.
func rawStreamsOfKeepAlives(t *testing.T, ctx context.Context, client *clientv3.Client) {
	const known, all = 50, 5000
	var leases []int64
	for i := 0; i < known; i++ {
		leases = append(leases, int64(must[*clientv3.LeaseGrantResponse](t)(client.Grant(ctx, 100)).ID))
	}
	stream, err := pb.NewLeaseClient(client.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := 0; i < all; i++ {
			_ = stream.Send(&pb.LeaseKeepAliveRequest{ID: leases[i%known]})
		}
		_ = stream.Send(&pb.LeaseKeepAliveRequest{ID: 424242})
		_ = stream.CloseSend()
	}()
	answers, unknown := 0, 0
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if answer.ID == 424242 && answer.TTL == 0 {
			unknown++
		} else if answer.TTL == 100 && answer.Header.Revision > 0 {
			answers++
		} else {
			t.Fatalf("%+v", answer)
		}
	}
	if answers != all || unknown != 1 {
		t.Fatalf("%d answers, %d to an unknown lease", answers, unknown)
	}
}

// left is the remaining TTL as every living member tells it.
func left(t *testing.T, ctx context.Context, cluster *launcher.Cluster, lease clientv3.LeaseID,
	granted time.Time) {
	t.Helper()
	for _, member := range cluster.Members {
		if !member.Running() {
			continue
		}
		client := connect(t, member.Endpoint())
		answer := must[*clientv3.LeaseTimeToLiveResponse](t)(client.TimeToLive(ctx, lease))
		want := 60 - time.Since(granted).Seconds()
		if got := float64(answer.TTL); got < want-2 || got > want+1 {
			t.Errorf("%s says %d s are left, and %.1f are", member.Name, answer.TTL, want)
		}
	}
}

// The whole seconds that TimeToLive answers are the true ones within one, whoever led before.
func TestTheRemainingTimeSurvivesLeaders(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, 100*time.Second)
	all := connect(t, cluster.Endpoints()...)
	granted := time.Now()
	grant := must[*clientv3.LeaseGrantResponse](t)(all.Grant(ctx, 60))
	must[*clientv3.PutResponse](t)(all.Put(ctx, "k", "v", clientv3.WithLease(grant.ID)))
	for round := 0; round < 4; round++ {
		time.Sleep(2 * time.Second)
		if round == 2 { // an acknowledged renewal survives its leader
			granted = time.Now()
			must[*clientv3.LeaseKeepAliveResponse](t)(all.KeepAliveOnce(ctx, grant.ID))
		}
		leader, err := cluster.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := leader.Kill9(); err != nil {
			t.Fatal(err)
		}
		left(t, ctx, cluster, grant.ID, granted)
		if err := leader.Restart(); err != nil {
			t.Fatal(err)
		}
		left(t, ctx, cluster, grant.ID, granted)
		// So long a leader has to find that a member began anew, and to tell it.
		time.Sleep(1500 * time.Millisecond)
	}
}

// Nobody knows of renewals then: each lease has its whole TTL again, and is never gone early.
func TestAllMembersAreStartedAnew(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, 60*time.Second)
	grant := must[*clientv3.LeaseGrantResponse](t)(
		connect(t, cluster.Endpoints()...).Grant(ctx, 4))
	must[*clientv3.PutResponse](t)(connect(t, cluster.Endpoints()...).Put(ctx, "k", "v",
		clientv3.WithLease(grant.ID)))
	for _, member := range cluster.Members {
		if err := member.Kill9(); err != nil {
			t.Fatal(err)
		}
	}
	restarted := time.Now()
	if err := cluster.RestartAll(); err != nil {
		t.Fatal(err)
	}
	client := connect(t, cluster.Endpoints()...)
	for must[*clientv3.GetResponse](t)(client.Get(ctx, "k")).Count == 1 {
		time.Sleep(20 * time.Millisecond)
	}
	if after := time.Since(restarted); after < 4*time.Second || after > 10*time.Second {
		t.Fatalf("gone %v after the restart", after)
	}
}

// A leader that stood still for longer than it led acknowledges nothing when it wakes.
func TestAPausedLeaderAcknowledgesNothing(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, 60*time.Second)
	leader, err := cluster.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	paused := connect(t, leader.Endpoint())
	grant := must[*clientv3.LeaseGrantResponse](t)(paused.Grant(ctx, 3))
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	type result struct {
		answer *clientv3.LeaseKeepAliveResponse
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		answer, err := paused.KeepAliveOnce(ctx, grant.ID)
		answered <- result{answer, err}
	}()
	var others []string
	for _, member := range cluster.Members {
		if member != leader {
			others = append(others, member.Endpoint())
		}
	}
	client := connect(t, others...)
	for must[*clientv3.LeaseTimeToLiveResponse](t)(client.TimeToLive(ctx, grant.ID)).TTL != -1 {
		time.Sleep(20 * time.Millisecond)
	}
	if err := leader.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; !errors.Is(got.err, rpctypes.ErrLeaseNotFound) {
		t.Fatalf("a lease that is gone was acknowledged: %+v, %v", got.answer, got.err)
	}
}

// Ten thousand leases that end at once are ended, and the members go on.
func TestManyLeasesEndAtOnce(t *testing.T) {
	cluster := launcher.ForTest(t, 3)
	ctx := deadline(t, 100*time.Second)
	raw := pb.NewLeaseClient(connect(t, cluster.Member(0).Endpoint()).ActiveConnection())
	const workers, each = 50, 200
	failed := make(chan error, workers)
	for worker := 0; worker < workers; worker++ {
		go func() {
			for i := 0; i < each; i++ {
				if _, err := raw.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 5}); err != nil {
					failed <- fmt.Errorf("worker %d: %w", worker, err)
					return
				}
			}
			failed <- nil
		}()
	}
	for worker := 0; worker < workers; worker++ {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	last := time.Now()
	client := connect(t, cluster.Member(1).Endpoint())
	for {
		count := len(must[*clientv3.LeaseLeasesResponse](t)(client.Leases(ctx)).Leases)
		if count == 0 {
			break
		}
		if time.Since(last) > 15*time.Second {
			t.Fatalf("%d leases are still there", count)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("the last was gone %v after it was granted", time.Since(last))
}
